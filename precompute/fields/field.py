"""Fields: everything that travels with an image under a name; the image itself is one.

A dataset's **schema** is an ordered mapping from names to fields. A field says what its values are, and how they stand
in a record; where work needs OpenCV or TensorFlow, a twin of the field does it: see `precompute.rendering` and
`precompute.readers.tf`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np

from precompute.fields.counts import Contents, FieldCounts
from precompute.fields.feature import RECORD_FEATURES, Feature, Size, Value, Values
from precompute.fields.layers import Layers

__all__ = ["FURTHER_MASKS", "MAX_CLASS_IDS", "Deviation", "Field", "Schema", "class_limits"]

MAX_CLASS_IDS = 2**16
# Classes of a field, up to which no other field has their colours; of more, or of ids not known yet, the first ones.
MAX_COLORS_APART, FEW_COLORS = 32, 8
FURTHER_MASKS = "further_masks"  # among settings of pixels: name of any other field of masks → its own settings


class Deviation(NamedTuple):
    """How a value that was made again differs from the stored one.

    Attributes:
        text: Clause that says what differs.
        is_rounding: Whether it is small enough to come from another processor's rounding.
    """

    text: str
    is_rounding: bool = False


@dataclass(frozen=True, kw_only=True)
class Field(ABC):
    """One thing that travels with an image under a name.

    Attributes:
        name: Name in the schema.
    """

    type: ClassVar[str]  # as the manifest names it
    name: str

    is_target: ClassVar[bool] = True  # `load` hands it out as a target unless asked otherwise

    @property
    def own_name(self) -> str:
        """The name by which users know the field."""
        return self.name

    is_of_image: ClassVar[bool] = False  # its classes are those of the image as a whole, not of objects in it

    @property
    def is_weight(self) -> bool:
        """Whether the field says how much a source counts in training."""
        return False

    def limits(self) -> Iterator[tuple[str, Any, bool]]:
        """Yield name and value of each attribute that has limits, and whether the value is within them."""
        yield from ()

    mirror_negates: ClassVar[bool] = False  # its value is a number that changes its sign where the image is mirrored

    @property
    def num_ids(self) -> int:
        """Number of class ids, where values hold one per pixel; else 0."""
        return 0

    @property
    def ids_dtype(self) -> str | None:
        """Type of these class ids; else None."""
        return None

    # The field in a record

    @property
    @abstractmethod
    def features(self) -> Mapping[str, Feature]:
        """Key of a record → what the field stores there."""

    @abstractmethod
    def record_values(self, value: Any, size: Size) -> dict[str, Value]:
        """Return the content of a record for a value: key → what stands there.

        Args:
            value: Value in the form that the field's class describes; pictures are encoded.
            size: Height and width of the record's image.
        """

    @abstractmethod
    def decode(self, values: Values, size: Size) -> dict[str, Any]:
        """Return the field's part of an example: name → value.

        Args:
            values: Content of a record by key, whoever wrote it.
            size: Height and width of its image.

        Raises:
            DatasetError: The record holds what a build does not write.
        """

    @property
    def stored_entries(self) -> tuple[str, ...]:
        """Names of an example's entries that are stored bytes; `read` leaves them out."""
        return ()

    @property
    def counted_key(self) -> str | None:
        """The key of a record by whose values its objects are counted; None where none are."""
        return None

    def difference(self, example: Mapping[str, Any]) -> str | None:
        """Return how a decoded example differs from what the field says of all examples, or None."""
        return None

    @property
    def listed_as(self) -> str | None:
        """The name under which a listing has the value that examples must have, too; None: it is not compared."""
        return None

    def listed_difference(self, example: Mapping[str, Any], listed: Any) -> str | None:
        """Return how a decoded example differs from the listing's entry of its source, or None."""
        return None

    def deviation(self, stored: Mapping[str, Any], made: Mapping[str, Any]) -> Deviation | None:
        """Return how a value made again differs from the stored one, or None; both are as `decode` returns them."""
        for name, value in made.items():
            if not np.array_equal(stored[name], value):
                return Deviation(f"{name} is {stored[name]!r}, its source now gives {value!r}")
        return None

    # Descriptions and warnings

    counters: ClassVar[Mapping[str, tuple[str, str]]] = {}  # what it counts in sources → words for one and for several

    def describe(self, pixels: Mapping[str, Any], most_objects: int) -> str:
        """Return the description of the field for `inspect`.

        Args:
            pixels: The settings of the dataset that decide pixels.
            most_objects: Largest number of objects in a record.
        """
        return f"{self.name} ({self.type})"

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes that are counted, if any."""
        return ()

    @property
    def counted(self) -> str:
        """The noun of what is counted for each class."""
        return "sources"

    @property
    def class_heading(self) -> str:
        """The heading of a table of the classes."""
        return f"{self.counted} of each class"

    @property
    def other(self) -> str:
        """What one of two sources with the same image has, for messages: ``"another label"``."""
        return f"another {self.name}"

    def describe_stored(self, counts: FieldCounts) -> str:
        """Return the line on a split's records in the summary of a build; empty for none."""
        return ""

    def describe_counts(self, counts: FieldCounts) -> str:
        """Return the line of `inspect` below the table of the classes; empty for none."""
        return ""

    has_own_file: ClassVar[bool] = False  # a source has a file for it, beside its image, that is no mask
    in_table: ClassVar[bool] = False  # an export has it in the columns of its table, whatever the files are

    @property
    def form(self) -> str:
        """The kind of the field, for code that serves some kinds only: layouts of an export, tasks of a training."""
        return self.type

    def columns(self, example: Mapping[str, Any]) -> dict[str, Any]:
        """Return the field's columns in the table of an export: name of each column → value; empty without columns."""
        return {}

    def draw(self, example: Mapping[str, Any]) -> Layers:
        """Return what a picture of an example shows of the field; by default its text."""
        return Layers(text=f"{self.name}: {example[self.name]}")

    def draw_source(self, value: Any, size: tuple[int, int]) -> Layers:
        """Return what the picture of a source shows of the field, before any augmentation.

        Args:
            value: The decoded value.
            size: Height and width of the image.
        """
        return self.draw({self.name: value})

    def contents(self, example: Mapping[str, Any]) -> Contents:
        """Return what a decoded example holds of the field; by default nothing that is counted."""
        return Contents()

    def source_contents(self, value: Any, size: tuple[int, int]) -> Contents:
        """Return what a source holds of the field, before any augmentation.

        Args:
            value: The decoded value.
            size: Height and width of the image.
        """
        return Contents()

    def warnings(self, counters: Mapping[str, Any]) -> Iterator[str]:
        """Yield warnings about training on this field.

        Args:
            counters: Counters of the sources.
        """
        return iter(())

    def warnings_of_build(self, counters: Mapping[str, Any], new_classes: Mapping[int, str]) -> Iterator[str]:
        """Yield warnings about this field after a build.

        Args:
            counters: Counters of the sources.
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
        fields: Fields with different names.
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
    def leading_target(self) -> Field | None:
        """The target that strata and copies follow: the label, else the first; None without targets."""
        targets = list(self.targets.values())
        return next((field for field in targets if field.is_of_image), targets[0] if targets else None)

    @property
    def other_answer(self) -> str:
        """What one of two sources with the same image has, for messages, over all targets."""
        return " or ".join(field.other for field in self.targets.values())

    def draw(self, example: Mapping[str, Any]) -> dict[str, Layers]:
        """Return what a picture of an example shows of each field."""
        return {name: self._apart(name, field.draw(example)) for name, field in self._fields.items()}

    def draw_source(self, values: Mapping[str, Any], shape: tuple[int, ...]) -> dict[str, Layers]:
        """Return what a picture of a source, of a shape [H, W, …], shows of each field that has a value."""
        size = (shape[0], shape[1])
        fields = [(name, field) for name, field in self._fields.items() if name in values]
        return {name: self._apart(name, field.draw_source(values[name], size)) for name, field in fields}

    def _apart(self, name: str, layers: Layers) -> Layers:
        """Return the layers of one field in colours that the classes of no field before it have."""
        first = self._first_colors[name]
        return replace(layers, first_color=first) if first else layers

    @cached_property
    def _first_colors(self) -> dict[str, int]:
        first, number = dict[str, int](), 0
        for name, field in self._fields.items():
            first[name] = number
            drawn = field.num_ids - 1 if field.num_ids else 0 if field.is_of_image else len(field.classes)
            number += drawn if drawn <= MAX_COLORS_APART else FEW_COLORS
        return first

    @cached_property
    def features(self) -> Mapping[str, Feature]:
        """Key of a record → what stands there, over all fields.

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
        """The keys of a record by whose values objects are counted."""
        return [key for field in self.values() if (key := field.counted_key) is not None]
