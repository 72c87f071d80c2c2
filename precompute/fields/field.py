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

from precompute.fields.counts import FieldCounts

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

    # What is told of it

    remarks: ClassVar[Mapping[str, tuple[str, str]]] = {}  # what it counts in sources → words for one and for several

    def describe(self, pixels: Mapping[str, Any], most_objects: int) -> str:
        """Return what an inspection says of the field.

        Args:
            pixels: The settings of the dataset that decide pixels.
            most_objects: That a record has.
        """
        return f"{self.name} ({self.type})"

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes that are counted."""
        return ()

    @property
    def counted(self) -> str:
        """What the classes are counted in."""
        return "sources"

    @property
    def class_heading(self) -> str:
        """What stands above a table of the classes."""
        return f"{self.counted} of each class"

    @property
    def other(self) -> str:
        """What two sources with the same image have that no model can learn both of."""
        return f"another {self.name}"

    def describe_stored(self, counts: FieldCounts) -> str:
        """Return what the summary of a build says of what the records of a split hold; empty for nothing."""
        return ""

    def describe_counts(self, counts: FieldCounts) -> str:
        """Return what an inspection says below the table of the classes; empty for nothing."""
        return ""

    def warnings(self, remarks: Mapping[str, Any]) -> Iterator[str]:
        """Yield what a user should know before training on it.

        Args:
            remarks: What was counted in the sources.
        """
        return iter(())

    def warnings_of_build(self, remarks: Mapping[str, Any], new_classes: Mapping[int, str]) -> Iterator[str]:
        """Yield what a user should know once it was built.

        Args:
            remarks: What was counted in the sources.
            new_classes: Class id that no source holds → transform that fills masks with it.
        """
        return iter(())


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

    @property
    def other_answer(self) -> str:
        """What two sources with the same image have that no model can learn both of."""
        return " or ".join(field.other for field in self.targets.values())
