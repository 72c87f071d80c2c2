"""Columns of labels: one class per source, or any number of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, ClassVar, Self

from precompute.errors import DatasetError
from precompute.fields.column import Column, Entry, ListColumn, RecordFacts
from precompute.fields.entry_checks import is_index
from precompute.fields.label import LabelField

__all__ = ["LabelColumn", "LabelSetColumn"]


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelColumn(ListColumn):
    """One class per source.

    Attributes:
        values: Class index of each source.
    """

    entry_key = "label"
    kind = "class"
    is_of_image: ClassVar[bool] = True
    several: ClassVar[bool] = False
    name: str = "label"

    def field(self, facts: RecordFacts) -> LabelField:
        """Return a field of one class, or of any number of them."""
        names = list(facts.class_names)
        return LabelField(name=self.name, num_classes=len(names), class_names=names, several=self.several)

    def entry(self, i: int) -> dict[str, Any]:
        """Return what the listing says of one source."""
        return {"label": self.values[i]}

    def spelled(self, chosen: Sequence[int]) -> list[str]:
        """Return what lines of JSON hold of these sources."""
        indices = self.values
        return [f', "label": {indices[i]}' for i in chosen]

    @classmethod
    def of_entries(cls, key: str, entries: Mapping[str, Sequence[Any]]) -> Sequence[Column]:
        """Return a column of single classes, or one of lists of them: a listing holds either."""
        values = entries[key]
        if set(map(type, values)) == {int}:
            return [LabelColumn(values=_shared(values))]
        single = [value for value in values if not isinstance(value, list)]
        several = _shared([tuple(value) for value in values if isinstance(value, list)])
        columns: list[Column] = [LabelColumn(values=single)] if single else []
        return [*columns, LabelSetColumn(values=several)] if several else columns

    @classmethod
    def check_entry(cls, key: str, entry: Entry, where: str) -> None:
        """Refuse what is no class index, nor a list of them."""
        value = entry.get(key, 0)
        if not all(map(is_index, value if isinstance(value, list) else [value])):
            raise DatasetError(f"{where}: {key}: expected a class index or a list of them, got {value!r:.60}.")

    @classmethod
    def is_surely_fine(cls, values: Sequence[Any]) -> bool:
        """Return whether a quick look shows that all values are whole numbers."""
        return set(map(type, values)) == {int}

    def classes(self, i: int) -> tuple[int, ...]:
        """Return the class of a source."""
        return (self.values[i],)

    def class_each(self) -> Sequence[int] | None:
        """Return the class of each source."""
        return self.values

    def plain(self, i: int, class_names: Sequence[str], locate: Callable[[str], Any]) -> Any:
        """Return the name of the class of one source."""
        return class_names[self.values[i]]

    def class_counts(self, chosen: Sequence[int], num_classes: int) -> list[int]:
        """Return how many of these sources each class has."""
        of_all = isinstance(chosen, range) and len(chosen) == len(self)  # then no position has to be looked up
        values: Iterable[Any] = self.values if of_all else (self.values[i] for i in chosen)
        counts = Counter(self._indices(values))
        return [counts[index] for index in range(num_classes)]

    def _indices(self, values: Iterable[Any]) -> Iterable[int]:
        """Return the class indices in some values, in turn."""
        return values

    def relabelled(self, new: Sequence[int]) -> Self:
        """Return the sources with another index for each class."""
        return replace(self, values=[new[label] for label in self.values])


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelSetColumn(LabelColumn):
    """Any number of classes a source, maybe none.

    Attributes:
        values: Class indices of each source, sorted.
    """

    kind = "multilabel"
    several: ClassVar[bool] = True
    no_class_each = (
        "have several labels, so that copies for a rare one would multiply others too; weigh the labels when training"
    )
    name: str = "labels"

    def entry(self, i: int) -> dict[str, Any]:
        """Return what the listing says of one source."""
        return {"label": list(self.values[i])}

    def spelled(self, chosen: Sequence[int]) -> list[str]:
        """Return what lines of JSON hold of these sources."""
        sets = self.values
        return [f', "label": {list(sets[i])}' for i in chosen]

    def classes(self, i: int) -> tuple[int, ...]:
        """Return the classes of a source."""
        return self.values[i]  # type: ignore[no-any-return]

    def class_each(self) -> None:
        """Return None: sources have several classes."""

    def class_sets(self) -> Sequence[tuple[int, ...]]:
        """Return the classes of each source."""
        return self.values

    def plain(self, i: int, class_names: Sequence[str], locate: Callable[[str], Any]) -> list[str]:
        """Return the names of the classes of one source."""
        return [class_names[index] for index in self.values[i]]

    def _indices(self, values: Iterable[Any]) -> Iterable[int]:
        return chain.from_iterable(values)

    def relabelled(self, new: Sequence[int]) -> Self:
        """Return the sources with another index for each class."""
        return replace(self, values=[tuple(sorted(new[label] for label in labels)) for labels in self.values])


def _shared(values: Sequence[Any]) -> list[Any]:
    """Return the values, equal ones as one object: there are few of them, and many sources."""
    same: dict[Any, Any] = {}
    return list(map(same.setdefault, values, values))
