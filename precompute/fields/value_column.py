"""Columns of values that travel along with sources unchanged: numbers and texts."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from json.encoder import encode_basestring_ascii
from typing import Any, ClassVar, Self, cast

from precompute.errors import DatasetError
from precompute.fields.column import Column, Entry, ListColumn, RecordFacts
from precompute.fields.entry_checks import SURROGATE
from precompute.fields.feature import are_same
from precompute.fields.field import Schema
from precompute.fields.string_column import StringColumn
from precompute.fields.value import ValueField, field_name, value_name
from precompute.text.names import NAME

__all__ = ["ValueColumn"]


def _spelled_float(value: float) -> str:
    return float.__repr__(value) if value == value else "null"


SPELLED: dict[str, Callable[[Any], str]] = {
    "int": int.__repr__,
    "float": _spelled_float,
    "text": encode_basestring_ascii,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class ValueColumn(ListColumn):
    """One value per source.

    Attributes:
        type: ``"int"``, ``"float"`` or ``"text"``.
        values: `int`, `float` (NaN where it is missing) or `str` of each source.
        is_target: Whether a model learns the values.
        mirror_negates: Whether values change their sign when the image is mirrored.
    """

    entry_key = "extra"
    kind = "numbers"
    has_classes = False
    are_equal = staticmethod(are_same)  # missing values, too
    shared_key: ClassVar[str | None] = "extra"
    type: str
    is_target: bool = False  # type: ignore[misc]  # of other columns it is the same for all
    mirror_negates: bool = False

    @classmethod
    def of(cls, name: str, type: str, values: Iterable[Any]) -> ValueColumn:
        """Return the column of values, packed.

        Args:
            name: Name of the value, as users know it.
            type: Type of all values: ``"int"``, ``"float"`` or ``"text"``.
            values: Value of each source.
        """
        column = cls(name=field_name(name), type=type, values=())
        return replace(column, values=column._packed(values))

    @property
    def own_name(self) -> str:
        """The name by which users know the value."""
        return value_name(self.name)

    @property
    def value_type(self) -> str | None:
        """The values' type, unless a model learns them: then they are always floats."""
        return None if self.is_target else self.type

    def field(self, facts: RecordFacts) -> ValueField:
        """Return a field of values."""
        return ValueField(name=self.name, dtype=self.type, learnt=self.is_target, mirror_negates=self.mirror_negates)

    def described_by(self, schema: Schema) -> Column:
        """Return a column from a listing that knows from the schema whether it is learnt and changes its sign."""
        field = cast(ValueField, schema[self.name])
        return replace(self, is_target=field.learnt, mirror_negates=field.mirror_negates)

    @property
    def own_options(self) -> Sequence[str]:
        """Options of a build for learnt numbers."""
        return ("missing_values", "mirror_negates") if self.is_target else ()

    @classmethod
    def joined(cls, columns: Sequence[Self]) -> Self:
        """Return the values of several columns in turn.

        Raises:
            ValueError: Some are texts, and others numbers.
        """
        types = {column.type for column in columns}
        if len(types) > 1 and "text" in types:
            raise ValueError(f"{columns[0].own_name}: expected numbers or texts, got both")
        found = types.pop() if len(types) == 1 else "float"
        return super().joined([replace(columns[0], type=found), *columns[1:]])

    def _packed(self, values: Iterable[Any]) -> Sequence[Any]:
        if self.type == "text":
            return StringColumn(map(str, values))
        return array("q", map(int, values)) if self.type == "int" else array("d", map(float, values))

    def entry(self, i: int) -> dict[str, Any]:
        """Return what the listing says of one source; null where the value is missing."""
        value = self.values[i]
        return {"extra": {self.own_name: value if value == value else None}}

    def spelled(self, chosen: Sequence[int]) -> list[str]:
        """Return what lines of JSON hold of these sources."""
        start, text, values = f', "{self.own_name}": ', SPELLED[self.type], self.values
        return [start + text(values[i]) for i in chosen]

    def changed_keys(self, i: int, other: Column | None, j: int) -> set[str]:
        """Return the changed keys; see `Column.changed_keys`. A learnt number is called by its own name."""
        changed = super().changed_keys(i, other, j)
        return {self.own_name} if changed and self.is_target else changed

    @classmethod
    def of_entries(cls, key: str, entries: Mapping[str, Sequence[Any]]) -> Sequence[Column]:
        """Return a column for each name; a column is shorter than the others where entries lack the name."""
        found: dict[str, list[Any]] = {}
        for values in entries[key]:
            for name, value in values.items():
                found.setdefault(name, []).append(math.nan if value is None else value)
        columns = []
        for name, values in found.items():
            numbers = [value for value in values if not isinstance(value, str)]
            of_type = "int" if all(isinstance(value, int) for value in numbers) else "float"
            parts = [(of_type, numbers), ("text", [value for value in values if isinstance(value, str)])]
            columns.append(cls.joined([cls.of(name, of_part, part) for of_part, part in parts if part]))
        return columns

    @classmethod
    def check_entry(cls, key: str, entry: Entry, where: str) -> None:
        """Refuse an entry whose values are no object of numbers and texts."""
        extra = entry.get(key, {})
        if not isinstance(extra, dict) or not all(map(_is_value, extra, extra.values())):
            raise DatasetError(f"{where}: {key}: expected numbers and texts by their names, got {extra!r:.60}.")


def _is_value(name: str, value: Any) -> bool:
    if isinstance(value, bool) or not NAME.fullmatch(name):
        return False
    if isinstance(value, str):
        return not SURROGATE.search(value)
    return value is None or isinstance(value, float) or (isinstance(value, int) and -(2**63) <= value < 2**63)
