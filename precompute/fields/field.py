"""Fields: everything that travels with an image under a name; the image itself is one.

A dataset's **schema** is an ordered mapping from names to fields. A field says what its values are, and how they stand
in a record; where work needs OpenCV or TensorFlow, a twin of the field does it: see `precompute.rendering` and
`precompute.readers.tf`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

__all__ = ["Field", "Schema"]


@dataclass(frozen=True, kw_only=True)
class Field(ABC):
    """One thing that travels with an image under a name.

    Attributes:
        name: In the schema.
    """

    type: ClassVar[str]  # as the manifest names it
    name: str

    @property
    @abstractmethod
    def is_target(self) -> bool:
        """Whether `load` hands it out as a target unless asked otherwise."""

    @property
    def is_weight(self) -> bool:
        """Whether it says how much a source counts in training."""
        return False


class Schema(Mapping[str, Field]):
    """The fields of a dataset by their names, in the order in which they are handed out; the image comes first.

    Args:
        fields: No two of one name.
    """

    def __init__(self, fields: Iterable[Field]) -> None:
        every = list(fields)
        self._fields = {field.name: field for field in every}
        if len(self._fields) != len(every):
            raise ValueError(f"two fields of one name: {', '.join(field.name for field in every)}")

    def __getitem__(self, name: str) -> Field:
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Schema({list(self._fields.values())})"

    @property
    def targets(self) -> dict[str, Field]:
        """The fields that a model learns, by their names."""
        return {name: field for name, field in self._fields.items() if field.is_target}
