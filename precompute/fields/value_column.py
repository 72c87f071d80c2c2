"""Values that travel along with sources unchanged: numbers and texts."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from json.encoder import encode_basestring_ascii
from typing import Any, ClassVar, Self

from precompute.errors import DatasetError
from precompute.fields.column import Column, Entry, RecordFacts
from precompute.fields.entry_checks import SURROGATE
from precompute.fields.string_column import StringColumn, take
from precompute.fields.value import ValueField, field_name, value_name

__all__ = ["NAME", "ValueColumn"]

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
SPELLED = {"int": int.__repr__, "float": float.__repr__, "text": encode_basestring_ascii}


@dataclass(frozen=True, kw_only=True, eq=False)
class ValueColumn(Column):
    """One value a source.

    Attributes:
        type: ``"int"``, ``"float"`` or ``"text"``.
        values: `int`, `float` or `str`.
    """

    entry_key = "extra"
    shared_key: ClassVar[str | None] = "extra"
    is_target: ClassVar[bool] = False
    name: str
    type: str
    values: Sequence[Any]

    @classmethod
    def of(cls, name: str, type: str, values: Iterable[Any]) -> ValueColumn:
        """Return the column of values, packed.

        Args:
            name: Of the value, as users know it.
            type: ``"int"``, ``"float"`` or ``"text"``, which all values are.
            values: One a source.
        """
        return cls(name=field_name(name), type=type, values=_packed(type, values))

    @property
    def value_name(self) -> str:
        """The name by which users know the value."""
        return value_name(self.name)

    @property
    def value_type(self) -> str:
        """The values' type."""
        return self.type

    def field(self, facts: RecordFacts) -> ValueField:
        """Return a field of values."""
        return ValueField(name=self.name, dtype=self.type)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, i: int) -> int | float | str:
        return self.values[i]  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)

    def take(self, indices: Sequence[int]) -> Self:
        """Return the values of the sources at these positions, in this order."""
        of_text = isinstance(self.values, StringColumn)
        values = take(self.values, indices) if of_text else (self.values[i] for i in indices)
        return replace(self, values=_packed(self.type, values))

    @classmethod
    def joined(cls, columns: Sequence[Self]) -> Self:
        """Return the values of several columns in turn.

        Raises:
            ValueError: Some are texts, and others numbers.
        """
        types = {column.type for column in columns}
        if len(types) > 1 and "text" in types:
            raise ValueError(f"{columns[0].value_name}: expected numbers or texts, got both")
        values = chain.from_iterable(column.values for column in columns)
        found = types.pop() if len(types) == 1 else "float"
        return replace(columns[0], type=found, values=_packed(found, values))

    def entry(self, i: int) -> dict[str, Any]:
        """Return what the listing says of one source."""
        return {"extra": {self.value_name: self.values[i]}}

    def spelled(self, chosen: Sequence[int]) -> list[str]:
        """Return what lines of JSON hold of these sources."""
        start, text, values = f', "{self.value_name}": ', SPELLED[self.type], self.values
        return [start + text(values[i]) for i in chosen]

    @classmethod
    def of_entries(cls, key: str, entries: Mapping[str, Sequence[Any]]) -> Sequence[Column]:
        """Return a column for each name; one that some entries lack is shorter than the others."""
        found: dict[str, list[Any]] = {}
        for values in entries[key]:
            for name, value in values.items():
                found.setdefault(name, []).append(value)
        columns = []
        for name, values in found.items():
            numbers = [value for value in values if not isinstance(value, str)]
            of_type = "int" if all(isinstance(value, int) for value in numbers) else "float"
            parts = [(of_type, numbers), ("text", [value for value in values if isinstance(value, str)])]
            columns.append(cls.joined([cls.of(name, of_part, part) for of_part, part in parts if part]))
        return columns

    @classmethod
    def check_entry(cls, key: str, entry: Entry, where: str) -> None:
        """Refuse what is no object of numbers and texts."""
        extra = entry.get(key, {})
        if not isinstance(extra, dict) or not all(map(_is_value, extra, extra.values())):
            raise DatasetError(f"{where}: {key}: expected numbers and texts by their names, got {extra!r:.60}.")


def _packed(of_type: str, values: Iterable[Any]) -> Sequence[Any]:
    if of_type == "text":
        return StringColumn(map(str, values))
    return array("q", map(int, values)) if of_type == "int" else array("d", map(float, values))


def _is_value(name: str, value: Any) -> bool:
    if isinstance(value, bool) or not NAME.fullmatch(name):
        return False
    if isinstance(value, str):
        return not SURROGATE.search(value)
    return isinstance(value, float) or (isinstance(value, int) and -(2**63) <= value < 2**63)
