"""Fields: everything that travels with an image under a name; the image itself is one.

A dataset's **schema** is an ordered mapping from names to fields. A field says what its values are, and how they stand
in a record; where work needs OpenCV or TensorFlow, a twin of the field does it: see `precompute.rendering` and
`precompute.readers.tf`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np

from precompute.fields.counts import FieldCounts
from precompute.fields.feature import Feature, Size, Value, Values
from precompute.fields.layers import Layers
from precompute.fields.record import RECORD_FEATURES

__all__ = ["MAX_CLASS_IDS", "Deviation", "Field", "Schema", "class_limits"]

MAX_CLASS_IDS = 2**16


class Deviation(NamedTuple):
    """How a value that was made again differs from the stored one.

    Attributes:
        text: What differs, as a clause.
        is_rounding: Whether it is no more than what another processor may round otherwise.
    """

    text: str
    is_rounding: bool = False


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
    def own_name(self) -> str:
        """The name by which users know it."""
        return self.name

    @property
    def is_weight(self) -> bool:
        """Whether it says how much a source counts in training."""
        return False

    def limits(self) -> Iterator[tuple[str, Any, bool]]:
        """Yield name and value of each attribute that has limits, and whether the value makes sense."""
        yield from ()

    mirror_negates: ClassVar[bool] = False  # its value is a number that changes its sign where the image is mirrored

    @property
    def num_ids(self) -> int:
        """Number of class ids, where values hold one a pixel; else 0."""
        return 0

    @property
    def ids_dtype(self) -> str | None:
        """Type of these class ids; else None."""
        return None

    # How it stands in a record

    @property
    @abstractmethod
    def features(self) -> Mapping[str, Feature]:
        """What stands in a record, by its keys."""

    @abstractmethod
    def record_values(self, value: Any, size: Size) -> dict[str, Value]:
        """Return what stands in the record of a value.

        Args:
            value: As its class says; pictures are encoded.
            size: Height and width of the record's image.
        """

    @abstractmethod
    def decode(self, values: Values, size: Size) -> dict[str, Any]:
        """Return what an example has of it, by names of its own.

        Args:
            values: What a record holds by key, whoever wrote it.
            size: Height and width of its image.

        Raises:
            DatasetError: It is not what a record can hold.
        """

    @property
    def stored_entries(self) -> tuple[str, ...]:
        """Names of those entries of an example that are bytes as they are stored, which `read` leaves out."""
        return ()

    @property
    def counted_key(self) -> str | None:
        """The key of a record that has a value for each object, where it is counted how many there are."""
        return None

    def difference(self, example: Mapping[str, Any]) -> str | None:
        """Return how an example that was decoded differs from what is the same in all of them, or None."""
        return None

    @property
    def listed_as(self) -> str | None:
        """The name by which a list of sources has the value that examples must have, too; None: it is not compared."""
        return None

    def listed_difference(self, example: Mapping[str, Any], listed: Any) -> str | None:
        """Return how an example that was decoded differs from what the list of sources says of it, or None."""
        return None

    def deviation(self, stored: Mapping[str, Any], made: Mapping[str, Any]) -> Deviation | None:
        """Return how what was made again differs from what is stored, or None; each as `decode` returns it."""
        for name, value in made.items():
            if not np.array_equal(stored[name], value):
                return Deviation(f"{name} is {stored[name]!r}, its source now gives {value!r}")
        return None

    # What is told of it

    counters: ClassVar[Mapping[str, tuple[str, str]]] = {}  # what it counts in sources → words for one and for several

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

    in_table: ClassVar[bool] = False  # an export has it in the columns of its table, whatever the files are

    @property
    def form(self) -> str:
        """What it is to those who have a place for some fields alone: layouts of an export, tasks of a training."""
        return self.type

    def columns(self, example: Mapping[str, Any]) -> dict[str, Any]:
        """Return what stands in the table of an export, where it is in there, by the names of columns."""
        return {}

    def draw(self, example: Mapping[str, Any]) -> Layers:
        """Return what a picture shows of it, from an example as `decode_record` returns it: by default its text."""
        return Layers(text=f"{self.name}: {example[self.name]}")

    def draw_source(self, value: Any, size: tuple[int, int]) -> Layers:
        """Return what the picture of a source shows of it, before any augmentation.

        Args:
            value: As it was decoded.
            size: Height and width of the image.
        """
        return self.draw({self.name: value})

    def warnings(self, counters: Mapping[str, Any]) -> Iterator[str]:
        """Yield what a user should know before training on it.

        Args:
            counters: What was counted in the sources.
        """
        return iter(())

    def warnings_of_build(self, counters: Mapping[str, Any], new_classes: Mapping[int, str]) -> Iterator[str]:
        """Yield what a user should know once it was built.

        Args:
            counters: What was counted in the sources.
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

    @cached_property
    def features(self) -> Mapping[str, Feature]:
        """All that stands in a record, by its keys.

        Raises:
            ValueError: Two fields have a key in common.
        """
        found = dict(RECORD_FEATURES)
        for field in self.values():
            common = field.features.keys() & found.keys()
            if common:
                raise ValueError(f"{field.name}: another field has its keys in records, {', '.join(sorted(common))}")
            found.update(field.features)
        return found

    @property
    def counted_keys(self) -> list[str]:
        """The keys of a record that have a value for each object, where it is counted how many there are."""
        return [key for field in self.values() if (key := field.counted_key) is not None]
