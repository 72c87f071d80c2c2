"""The field of values: a number or a text that travels along unchanged, such as the weight of a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from precompute.fields.feature import Feature, Number, Size, Text, Value, Values, are_same
from precompute.fields.field import Deviation, Field
from precompute.fields.layers import Layers

__all__ = ["WEIGHT", "ValueField", "field_name", "value_name"]

WEIGHT = "weight"  # the one that has a meaning, and a key of its own in records
OTHERS = ("image", "label", "labels", "mask", "objects")
PREFIX = "extra/"
FEATURES: dict[str, Feature] = {"int": Number(dtype="int64"), "float": Number(dtype="float32"), "text": Text()}


def field_name(name: str) -> str:
    """Return the name of a value's field: the value's own, or with ``extra/`` before it if another field has that name.

    Args:
        name: Name of the value: letters, digits and _.
    """
    return PREFIX + name if name in OTHERS else name


def value_name(field_name: str) -> str:
    """Return the name by which users know a value, from the name of its field."""
    return field_name.removeprefix(PREFIX)


@dataclass(frozen=True, kw_only=True)
class ValueField(Field):
    """A number or a text.

    Attributes:
        dtype: ``"int"`` (64 bits), ``"float"`` (32 bits) or ``"text"``.
        learnt: Whether a model learns it; it is then NaN where a source has none.
        mirror_negates: Whether it changes its sign when the image is mirrored.
    """

    type: ClassVar[str] = "value"
    dtype: str
    learnt: bool = False
    mirror_negates: bool = False  # type: ignore[misc]  # of other fields it is the same for all

    @property
    def is_target(self) -> bool:  # type: ignore[override]  # of other fields it is the same for all
        """Whether a model learns the value."""
        return self.learnt

    @property
    def own_name(self) -> str:
        """The name without the prefix that it may have in the schema."""
        return value_name(self.name)

    @property
    def is_weight(self) -> bool:
        """Whether it is the weight, which has a name of its own."""
        return self.name == WEIGHT

    @property
    def key(self) -> str:
        """The key of a record that holds the value."""
        return "augment/weight" if self.name == WEIGHT else PREFIX + value_name(self.name)

    def limits(self) -> Iterator[tuple[str, Any, bool]]:
        """Yield the limits of the attributes, for manifests."""
        yield "dtype", self.dtype, self.dtype in ("int", "float", "text")
        yield "learnt", self.learnt, not self.learnt or self.dtype == "float"
        yield "mirror_negates", self.mirror_negates, not self.mirror_negates or self.learnt

    # The field in a record

    @property
    def features(self) -> Mapping[str, Feature]:
        """The one value."""
        return {self.key: FEATURES[self.dtype]}

    def record_values(self, value: float | str, size: Size) -> dict[str, Value]:
        """Return the content of a record: `int` as int64, `float` as float32, `str` as UTF-8."""
        return {self.key: value.encode() if isinstance(value, str) else value}

    def decode(self, values: Values, size: Size) -> dict[str, Any]:
        """Return `weight` (float), or the value under its name in `values`, where it is learnt, or in `extra`."""
        value = FEATURES[self.dtype].read(values, self.key)
        if self.name == WEIGHT:
            return {WEIGHT: value}
        return {self._entry: {value_name(self.name): value}}

    @property
    def _entry(self) -> str:
        return "values" if self.learnt else "extra"

    def deviation(self, stored: Mapping[str, Any], made: Mapping[str, Any]) -> Deviation | None:
        """Return how a value made again differs from the stored one; NaN equals NaN."""
        found = [self._value(example) for example in (stored, made)]
        if are_same(*found):
            return None
        return Deviation(f"{value_name(self.name)} is {found[0]!r}, its source now gives {found[1]!r}")

    # Descriptions

    in_table: ClassVar[bool] = True

    def describe(self, pixels: Mapping[str, Any], most_objects: int) -> str:
        """Return the value's name and type."""
        mirrored = ", changes its sign in a mirror" if self.mirror_negates else ""
        return f"{self.own_name} ({self.dtype}{mirrored})"

    def columns(self, example: Mapping[str, Any]) -> dict[str, Any]:
        """Return the value, None if it is missing. A weight's column has the name that a build reads weights from."""
        value = self._value(example)
        return {"sample_weight" if self.is_weight else self.own_name: value if value == value else None}

    def draw(self, example: Mapping[str, Any]) -> Layers:
        """Return the value as a remark, or as text under the picture if it may differ from variant to variant."""
        return self.draw_source(self._value(example), (0, 0))

    def draw_source(self, value: Any, size: tuple[int, int]) -> Layers:
        """Return the value in the same way."""
        shown = f"{self.own_name} {value:g}" if isinstance(value, float) else f"{self.own_name} {value}"
        return Layers(text=shown) if self.mirror_negates else Layers(remark=shown)

    def _value(self, example: Mapping[str, Any]) -> Any:
        return example[WEIGHT] if self.is_weight else example[self._entry][self.own_name]
