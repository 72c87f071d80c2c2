"""Values: a number or a text that travels along unchanged, such as the weight of a source."""

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
    """Return the name of a value's field: its own, or with ``extra/`` before it where other fields are called so.

    Args:
        name: The value's: letters, digits and _.
    """
    return PREFIX + name if name in OTHERS else name


def value_name(field_name: str) -> str:
    """Return the value's own name, by which users know it, from that of its field."""
    return field_name.removeprefix(PREFIX)


@dataclass(frozen=True, kw_only=True)
class ValueField(Field):
    """A number or a text.

    Attributes:
        dtype: ``"int"`` (64 bits), ``"float"`` (32 bits) or ``"text"``.
        learnt: A model learns it; not a number where a source has none.
        mirror_negates: It changes its sign where the image is mirrored.
    """

    type: ClassVar[str] = "value"
    dtype: str
    learnt: bool = False
    mirror_negates: bool = False  # type: ignore[misc]  # of other fields it is the same for all

    @property
    def is_target(self) -> bool:
        """Values are learnt where the dataset was built so."""
        return self.learnt

    @property
    def own_name(self) -> str:
        """Without what stands before it in the schema."""
        return value_name(self.name)

    @property
    def is_weight(self) -> bool:
        """Weights have a name of their own."""
        return self.name == WEIGHT

    @property
    def key(self) -> str:
        """The key of a record that holds it."""
        return "augment/weight" if self.name == WEIGHT else PREFIX + value_name(self.name)

    def limits(self) -> Iterator[tuple[str, Any, bool]]:
        """Yield what manifests may say of it."""
        yield "dtype", self.dtype, self.dtype in ("int", "float", "text")
        yield "learnt", self.learnt, not self.learnt or self.dtype == "float"
        yield "mirror_negates", self.mirror_negates, not self.mirror_negates or self.learnt

    # How it stands in a record

    @property
    def features(self) -> Mapping[str, Feature]:
        """The one value."""
        return {self.key: FEATURES[self.dtype]}

    def record_values(self, value: float | str, size: Size) -> dict[str, Value]:
        """Return what stands in a record: `int` as int64, `float` as float32, `str` as UTF-8."""
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
        """Return how what was made again differs from what is stored; not a number is equal to itself."""
        found = [self._value(example) for example in (stored, made)]
        if are_same(*found):
            return None
        return Deviation(f"{value_name(self.name)} is {found[0]!r}, its source now gives {found[1]!r}")

    # What is told of it

    in_table: ClassVar[bool] = True

    def describe(self, pixels: Mapping[str, Any], most_objects: int) -> str:
        """Return its name, and which values it has."""
        mirrored = ", changes its sign in a mirror" if self.mirror_negates else ""
        return f"{self.own_name} ({self.dtype}{mirrored})"

    def columns(self, example: Mapping[str, Any]) -> dict[str, Any]:
        """Return the value, None where it is missing; a weight under the name that a build takes it from."""
        value = self._value(example)
        return {"sample_weight" if self.is_weight else self.own_name: value if value == value else None}

    def draw(self, example: Mapping[str, Any]) -> Layers:
        """Return it as a remark; under the picture where it may differ from one to the next."""
        return self.draw_source(self._value(example), (0, 0))

    def draw_source(self, value: Any, size: tuple[int, int]) -> Layers:
        """Return it likewise."""
        shown = f"{self.own_name} {value:g}" if isinstance(value, float) else f"{self.own_name} {value}"
        return Layers(text=shown) if self.mirror_negates else Layers(remark=shown)

    def _value(self, example: Mapping[str, Any]) -> Any:
        return example[WEIGHT] if self.is_weight else example[self._entry][self.own_name]
