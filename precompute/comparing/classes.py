"""Fields of two datasets, and their classes: those that came, went, were renamed or got another index."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from precompute.fields.field import Field, Schema

__all__ = ["ClassChanges", "compare_classes", "compare_fields"]

CLASS_ATTRIBUTES = ("class_names", "num_classes")


@dataclass(frozen=True, kw_only=True)
class ClassChanges:
    """Differences of the classes of one field.

    Attributes:
        before: Names in the first dataset, by index.
        after: Names in the second dataset.
    """

    before: Sequence[str]
    after: Sequence[str]

    @property
    def renamed(self) -> list[tuple[str, str]]:
        """Old and new name of classes with the same index, neither of which the other dataset has."""
        pairs = zip(self.before, self.after, strict=False)
        return [(a, b) for a, b in pairs if a not in self.after and b not in self.before]

    @property
    def added(self) -> list[str]:
        """Classes that only the second has."""
        new = {b for _, b in self.renamed}
        return [name for name in self.after if name not in self.before and name not in new]

    @property
    def removed(self) -> list[str]:
        """Classes that only the first has."""
        old = {a for a, _ in self.renamed}
        return [name for name in self.before if name not in self.after and name not in old]

    @property
    def moved(self) -> list[tuple[str, int, int]]:
        """Classes that both have, with both indices where these differ."""
        after = {name: i for i, name in enumerate(self.after)}
        return [(name, i, after[name]) for i, name in enumerate(self.before) if after.get(name, i) != i]

    @property
    def new_indices(self) -> list[int]:
        """Index in the first dataset of each class of the second; those that are new come after all others."""
        before = {name: i for i, name in enumerate(self.before)}
        renamed = {b: before[a] for a, b in self.renamed}
        beyond = len(self.before)
        return [before.get(name, renamed.get(name, beyond + i)) for i, name in enumerate(self.after)]

    def describe(self) -> Iterator[str]:
        """Yield the differences for people."""
        yield from (f"renamed {a} → {b}" for a, b in self.renamed)
        yield from (f"added {name}" for name in self.added)
        yield from (f"removed {name}" for name in self.removed)
        yield from (f"{name} has index {i} in A, {j} in B" for name, i, j in self.moved)


def compare_classes(a: Schema, b: Schema) -> dict[str, ClassChanges]:
    """Return name of each field that both have, and whose classes differ → how."""
    names = [name for name in a if name in b and list(a[name].classes) != list(b[name].classes)]
    return {name: ClassChanges(before=list(a[name].classes), after=list(b[name].classes)) for name in names}


def compare_fields(a: Schema, b: Schema) -> list[str]:
    """Return the differences of two schemas, one line each, but for the names of classes."""
    lines = [f"{name}: only in A ({a[name].type})" for name in a if name not in b]
    lines += [f"{name}: only in B ({b[name].type})" for name in b if name not in a]
    for name in (name for name in a if name in b):
        if type(a[name]) is not type(b[name]):
            lines.append(f"{name}: {a[name].type} in A, {b[name].type} in B")
            continue
        lines += [f"{name}: {what}" for what in _attributes(a[name], b[name])]
    return lines


def _attributes(a: Field, b: Field) -> Iterator[str]:
    for attribute in dataclasses.fields(a):
        one, other = getattr(a, attribute.name), getattr(b, attribute.name)
        is_named = attribute.name in CLASS_ATTRIBUTES and list(a.classes) != list(b.classes)
        if one != other and not is_named:
            yield f"{attribute.name} {one!r} in A, {other!r} in B"
