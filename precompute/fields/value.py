"""Values: a number or a text that travels along unchanged, such as the weight of a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from precompute.fields.field import Field

__all__ = ["WEIGHT", "ValueField", "field_name", "value_name"]

WEIGHT = "weight"  # the one that has a meaning, and a key of its own in records
OTHERS = ("image", "label", "labels", "mask", "objects")
PREFIX = "extra/"


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
        learnt: A model learns it.
    """

    type: ClassVar[str] = "value"
    dtype: str
    learnt: bool = False

    @property
    def is_target(self) -> bool:
        """Values are learnt where the dataset was built so."""
        return self.learnt

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
        yield "learnt", self.learnt, not self.learnt or self.dtype != "text"

    # What is told of it

    def describe(self, pixels: Mapping[str, Any], most_objects: int) -> str:
        """Return its name, and which values it has."""
        return f"{self.name} ({self.dtype})"
