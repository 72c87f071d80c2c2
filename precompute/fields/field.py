"""Fields: everything that travels with an image under a name; the image itself is one.

A dataset's **schema** is an ordered mapping from names to fields. A field says what its values are, and how they stand
in a record; where work needs OpenCV or TensorFlow, a twin of the field does it: see `precompute.rendering` and
`precompute.readers.tf`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

__all__ = ["MAX_CLASS_IDS", "MAX_PIXELS", "Field", "Schema", "class_limits"]

MAX_PIXELS = 2**28  # of an image
MAX_CLASS_IDS = 2**16


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

    def limits(self) -> Iterator[tuple[str, Any, bool]]:
        """Yield name and value of each attribute that has limits, and whether the value makes sense."""
        yield from ()


def class_limits(num_classes: int, class_names: Sequence[str]) -> Iterator[tuple[str, Any, bool]]:
    """Yield the limits of fields that have classes."""
    yield "num_classes", num_classes, 0 <= num_classes <= MAX_CLASS_IDS
    yield "class_names", class_names, len(class_names) <= num_classes


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
