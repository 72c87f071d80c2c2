"""The field of labels: one class per image, or any number of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from precompute.fields.feature import ClassIndex, Feature, Size, Text, Value, Values
from precompute.fields.field import Field, class_limits
from precompute.fields.layers import Layers
from precompute.text.format import format_count, format_label

__all__ = ["LabelField"]

LABELS = ("label", "labels")  # those under the keys of TensorFlow's own readers


@dataclass(frozen=True, kw_only=True)
class LabelField(Field):
    """A class index per image, or an ascending list of them.

    Attributes:
        num_classes: Number of classes.
        class_names: Name of each class.
        several: Whether an image has any number of classes, maybe none.
    """

    type: ClassVar[str] = "label"
    is_of_image: ClassVar[bool] = True
    other = "another label"
    num_classes: int
    class_names: list[str]
    several: bool = False

    def limits(self) -> Iterator[tuple[str, Any, bool]]:
        """Yield the limits of the attributes, for manifests."""
        yield from class_limits(self.num_classes, self.class_names)

    # The field in a record

    @property
    def key(self) -> str:
        """The key of the class indices."""
        return f"{self._prefix}/label"

    @cached_property
    def features(self) -> Mapping[str, Feature]:
        """Class indices and their names."""
        index = ClassIndex(num_classes=self.num_classes, class_names=self.class_names, several=self.several)
        return {self.key: index, f"{self._prefix}/text": Text(several=self.several)}

    def record_values(self, value: int | tuple[int, ...], size: Size) -> dict[str, Value]:
        """Return the content of a record for a class index, or for several in ascending order."""
        labels = value if isinstance(value, tuple) else (value,)
        names = [self.class_names[label].encode() for label in labels]
        text = f"{self._prefix}/text"
        if not self.several:
            return {self.key: labels[0], text: names[0]}
        # An array, for it keeps its type when it is empty.
        return {self.key: np.array(labels, np.int64), text: np.array(names, object)}

    def decode(self, values: Values, size: Size) -> dict[str, Any]:
        """Return `label` (int) and `class_name` (str), or `labels` (list of int) and `class_names` (list of str)."""
        label, text = (feature.read(values, key) for key, feature in self.features.items())
        return {self.name: label, self._names_entry: text}

    def difference(self, example: Mapping[str, Any]) -> str | None:
        """Compare indices with the number of classes, and names with the classes' names."""
        label, found = example[self.name], example[self._names_entry]
        if self.several:
            if label != sorted(set(label)) or not all(0 <= index < self.num_classes for index in label):
                return f"its labels are {label}, expected ascending ones from 0 to {self.num_classes - 1}"
            names = [name for index in label for name in self.class_names[index : index + 1]]
            return None if found == names else f"the labels {label} are named {found}, expected {names}"
        if not 0 <= label < self.num_classes:
            return f"its class is {label}, expected 0 to {self.num_classes - 1}"
        name = self.class_names[label] if label < len(self.class_names) else None
        return None if found == name else f"class {label} is {found!r}, expected {name!r}"

    @property
    def listed_as(self) -> str:
        """The name in a listing; one class and several have the same."""
        return "label" if self.name in LABELS else self.name

    def listed_difference(self, example: Mapping[str, Any], listed: int | list[int]) -> str | None:
        """Compare class indices."""
        label = example[self.name]
        return None if label == listed else f"has class {label}, the list of sources {listed}"

    @property
    def _names_entry(self) -> str:
        entry = "class_names" if self.several else "class_name"
        return entry if self.name in LABELS else f"{self.name}_{entry}"

    @property
    def _prefix(self) -> str:
        return "image/class" if self.name in LABELS else f"image/class/{self.name}"

    # Descriptions

    def describe(self, pixels: Mapping[str, Any], most_objects: int) -> str:
        """Return the number of classes."""
        if self.several:
            return f"any number of {format_count(self.num_classes, 'label')} an image"
        return f"class, {self.num_classes} of them"

    @property
    def classes(self) -> Sequence[str]:
        """Names of all classes."""
        return self.class_names

    @property
    def class_heading(self) -> str:
        """The heading of a table of the classes."""
        return "sources of each label" if self.several else super().class_heading

    @property
    def form(self) -> str:
        """The kind of the field for exports and trainings."""
        return "multilabel" if self.several else "class"

    def draw(self, example: Mapping[str, Any]) -> Layers:
        """Return the names of the classes as a remark."""
        return Layers(remark=format_label(example[self.name], self.class_names))
