"""Columns of labels: one class per source, or any number of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, ClassVar, Self

from precompute.errors import DatasetError
from precompute.fields.column import Column, Entry, RecordFacts
from precompute.fields.entry_checks import is_index
from precompute.fields.label import LabelField

__all__ = ["LabelColumn", "LabelSetColumn"]


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelColumn(Column):
    """One class per source.

    Attributes:
        indices: Class index of each source.
    """

    entry_key = "label"
    is_of_image: ClassVar[bool] = True
    name: str = "label"
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: int) -> int:
        return self.indices[i]

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def field(self, facts: RecordFacts) -> LabelField:
        """Return a field of one class."""
        names = list(facts.class_names)
        return LabelField(name=self.name, num_classes=len(names), class_names=names)

    def take(self, indices: Sequence[int]) -> Self:
        """Return the classes of the sources at these positions, in this order."""
        every = self.indices
        return replace(self, indices=[every[i] for i in indices])

    @classmethod
    def joined(cls, columns: Sequence[Self]) -> Self:
        """Return the classes of several columns in turn."""
        return replace(columns[0], indices=list(chain.from_iterable(column.indices for column in columns)))

    def entry(self, i: int) -> dict[str, Any]:
        """Return what the listing says of one source."""
        return {"label": self.indices[i]}

    def spelled(self, chosen: Sequence[int]) -> list[str]:
        """Return what lines of JSON hold of these sources."""
        indices = self.indices
        return [f', "label": {indices[i]}' for i in chosen]

    @classmethod
    def of_entries(cls, key: str, entries: Mapping[str, Sequence[Any]]) -> Sequence[Column]:
        """Return a column of single classes, or one of lists of them: a listing holds either."""
        values = entries[key]
        if set(map(type, values)) == {int}:
            return [LabelColumn(indices=_shared(values))]
        single = [value for value in values if not isinstance(value, list)]
        several = _shared([tuple(value) for value in values if isinstance(value, list)])
        columns: list[Column] = [LabelColumn(indices=single)] if single else []
        return [*columns, LabelSetColumn(sets=several)] if several else columns

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

    @property
    def kind(self) -> str:
        """What users call a dataset that has this field as its target."""
        return "class"

    def classes(self, i: int) -> tuple[int, ...]:
        """Return the class of a source."""
        return (self.indices[i],)

    def class_each(self) -> Sequence[int]:
        """Return the class of each source."""
        return self.indices

    def plain(self, i: int, class_names: Sequence[str], locate: Callable[[str], Any]) -> str:
        """Return the name of the class of one source."""
        return class_names[self.indices[i]]

    def class_counts(self, chosen: Sequence[int], num_classes: int) -> list[int]:
        """Return how many of these sources each class has."""
        of_all = isinstance(chosen, range) and len(chosen) == len(self.indices)  # then no position has to be looked up
        counts = Counter(self.indices if of_all else (self.indices[i] for i in chosen))
        return [counts[index] for index in range(num_classes)]

    def relabelled(self, new: Sequence[int]) -> Self:
        """Return the sources with another index for each class."""
        return replace(self, indices=[new[label] for label in self.indices])


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelSetColumn(Column):
    """Any number of classes a source, maybe none.

    Attributes:
        sets: Class indices of each source, sorted.
    """

    entry_key = "label"
    is_of_image: ClassVar[bool] = True
    no_class_each = (
        "have several labels, so that copies for a rare one would multiply others too; weigh the labels when training"
    )
    name: str = "labels"
    sets: Sequence[tuple[int, ...]]

    def __len__(self) -> int:
        return len(self.sets)

    def __getitem__(self, i: int) -> tuple[int, ...]:
        return self.sets[i]

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return iter(self.sets)

    def field(self, facts: RecordFacts) -> LabelField:
        """Return a field of any number of classes."""
        names = list(facts.class_names)
        return LabelField(name=self.name, num_classes=len(names), class_names=names, several=True)

    def take(self, indices: Sequence[int]) -> Self:
        """Return the classes of the sources at these positions, in this order."""
        every = self.sets
        return replace(self, sets=[every[i] for i in indices])

    @classmethod
    def joined(cls, columns: Sequence[Self]) -> Self:
        """Return the classes of several columns in turn."""
        return replace(columns[0], sets=list(chain.from_iterable(column.sets for column in columns)))

    def entry(self, i: int) -> dict[str, Any]:
        """Return what the listing says of one source."""
        return {"label": list(self.sets[i])}

    def spelled(self, chosen: Sequence[int]) -> list[str]:
        """Return what lines of JSON hold of these sources."""
        sets = self.sets
        return [f', "label": {list(sets[i])}' for i in chosen]

    @classmethod
    def of_entries(cls, key: str, entries: Mapping[str, Sequence[Any]]) -> Sequence[Column]:
        """Return the column that entries hold under a key; they hold single classes under the same."""
        return LabelColumn.of_entries(key, entries)

    @classmethod
    def check_entry(cls, key: str, entry: Entry, where: str) -> None:
        """Refuse what is no class index, nor a list of them."""
        LabelColumn.check_entry(key, entry, where)

    @property
    def kind(self) -> str:
        """What users call a dataset that has this field as its target."""
        return "multilabel"

    def classes(self, i: int) -> tuple[int, ...]:
        """Return the classes of a source."""
        return self.sets[i]

    def class_sets(self) -> Sequence[tuple[int, ...]]:
        """Return the classes of each source."""
        return self.sets

    def plain(self, i: int, class_names: Sequence[str], locate: Callable[[str], Any]) -> list[str]:
        """Return the names of the classes of one source."""
        return [class_names[index] for index in self.sets[i]]

    def class_counts(self, chosen: Sequence[int], num_classes: int) -> list[int]:
        """Return how many of these sources each class has."""
        counts = Counter(chain.from_iterable(self.sets[i] for i in chosen))
        return [counts[index] for index in range(num_classes)]

    def relabelled(self, new: Sequence[int]) -> Self:
        """Return the sources with another index for each class."""
        return replace(self, sets=[tuple(sorted(new[label] for label in labels)) for labels in self.sets])


def _shared(values: Sequence[Any]) -> list[Any]:
    """Return the values, equal ones as one object: there are few of them, and many sources."""
    same: dict[Any, Any] = {}
    return list(map(same.setdefault, values, values))
