"""Values: a number or a text that travels along unchanged, such as the weight of a source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from precompute.fields.field import Field

__all__ = ["WEIGHT", "ValueField"]

WEIGHT = "weight"  # the one that has a meaning, and a key of its own in records


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
    def key(self) -> str:
        """The key of a record that holds it."""
        return "augment/weight" if self.name == WEIGHT else f"extra/{self.name}"
