"""Sources of two datasets: those that came, went, moved to another split, were renamed or changed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from precompute.comparing.classes import ClassChanges
from precompute.table.listing import Listing

__all__ = ["SourceChanges", "compare_sources"]

Position = tuple[str, int]  # split, and position in its listing


@dataclass(frozen=True, kw_only=True)
class SourceChanges:
    """Differences of two lists of sources, each by key, sorted.

    Attributes:
        num_a: Number of sources of the first.
        num_b: Number of sources of the second.
        added: Keys that only the second has.
        removed: Keys that only the first has.
        renamed: Key in the first → key in the second, where nothing but the key of an image changed.
        moved: Key → split in the first, and in the second.
        changed: Key → what changed: ``"image"``, ``"files"`` beside it, ``"group"``, ``"copies"``, ``"left out"`` as
            bad in one of them, or the name of a field.
    """

    num_a: int
    num_b: int
    added: Sequence[str] = ()
    removed: Sequence[str] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    moved: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    changed: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def are_equal(self) -> bool:
        """Whether both have the same sources in the same splits."""
        return not (self.added or self.removed or self.renamed or self.moved or self.changed)


def compare_sources(
    a: Mapping[str, Listing],
    b: Mapping[str, Listing],
    classes: Mapping[str, ClassChanges],
    left_out: tuple[Collection[str], Collection[str]] = ((), ()),
) -> SourceChanges:
    """Return the differences of two datasets' sources; hashes tell whether files are the same, nothing is decoded.

    Args:
        a: Split → listing of the first dataset.
        b: Split → listing of the second dataset.
        classes: Name of each field of both whose classes differ → how; a class that was renamed or got another index
            does not change the sources that have it.
        left_out: Keys of the sources of each that are left out of all rows.
    """
    only_a, only_b = dict[str, Position](), dict[str, Position]()
    changed, moved = dict[str, Sequence[str]](), dict[str, tuple[str, str]]()
    for split in dict.fromkeys([*a, *b]):
        one, other = a.get(split, Listing()), b.get(split, Listing())
        look = Looker(one, other, classes)
        for i, j in _merged(one.sorted_keys, other.sorted_keys):
            if i is not None and j is not None:
                if parts := look.changes(i, j):
                    changed[one.sorted_keys[i]] = parts
            elif i is not None:
                only_a[one.sorted_keys[i]] = (split, i)
            elif j is not None:
                only_b[other.sorted_keys[j]] = (split, j)
    for key in only_a.keys() & only_b.keys():
        (split_a, i), (split_b, j) = only_a.pop(key), only_b.pop(key)
        moved[key] = (split_a, split_b)
        if parts := Looker(a[split_a], b[split_b], classes).changes(i, j):
            changed[key] = parts
    for key in set(left_out[0]) ^ set(left_out[1]):
        if key not in only_a and key not in only_b:
            changed[key] = [*changed.get(key, ()), "left out"]
    renamed = dict(_renamed(a, b, only_a, only_b))
    return SourceChanges(
        num_a=sum(map(len, a.values())),
        num_b=sum(map(len, b.values())),
        added=sorted(only_b.keys() - set(renamed.values())),
        removed=sorted(only_a.keys() - renamed.keys()),
        renamed=dict(sorted(renamed.items())),
        moved=dict(sorted(moved.items())),
        changed=dict(sorted(changed.items())),
    )


def _merged(a: Sequence[str], b: Sequence[str]) -> Iterator[tuple[int | None, int | None]]:
    """Yield the positions of each key in two sorted lists; None where one lacks it."""
    i = j = 0
    while i < len(a) and j < len(b):
        one, other = a[i], b[j]
        yield (i if one <= other else None), (j if other <= one else None)
        i, j = i + (one <= other), j + (other <= one)
    yield from ((k, None) for k in range(i, len(a)))
    yield from ((None, k) for k in range(j, len(b)))


class Looker:
    """Compares sources of two listings.

    Args:
        a: Listing of the first dataset.
        b: Listing of the second dataset.
        classes: Name of a field → differences of its classes.
    """

    def __init__(self, a: Listing, b: Listing, classes: Mapping[str, ClassChanges]) -> None:
        self._a, self._b = a, b
        self._columns_a = a.columns
        self._columns_b = {
            name: column.relabelled(classes[name].new_indices) if name in classes and column.has_classes else column
            for name, column in b.columns.items()
        }

    def changes(self, i: int, j: int) -> list[str]:
        """Return what of a source changed, given its positions."""
        a, b = self._a, self._b
        found = ["image"] if _differ(a.sha256[i], b.sha256[j], a.num_bytes[i] != b.num_bytes[j]) else []
        hashed = a.mask_sha256[i] is not None and b.mask_sha256[j] is not None
        found += ["files"] if hashed and a.mask_sha256[i] != b.mask_sha256[j] else []
        for name in dict.fromkeys([*self._columns_a, *self._columns_b]):
            one, other = self._columns_a.get(name), self._columns_b.get(name)
            if one is not None and other is not None:  # a field that only one has is told of all sources at once
                by_hash = hashed and one.has_files and other.has_files
                found += [name] if not by_hash and one.changed_keys(i, other, j) else []
        found += ["group"] if a.groups[i] != b.groups[j] else []
        return [*found, "copies"] if a.copies[i] != b.copies[j] else found


def _differ(one: str | None, other: str | None, otherwise: bool) -> bool:
    """Return whether two hashes differ; what is true otherwise where one is not known."""
    return otherwise if one is None or other is None else one != other


def _renamed(
    a: Mapping[str, Listing], b: Mapping[str, Listing], only_a: Mapping[str, Position], only_b: Mapping[str, Position]
) -> Iterator[tuple[str, str]]:
    """Yield old and new key of images whose file has the same content; each is named once."""
    hashes = dict[str, str]()
    for key in sorted(only_b):
        split, position = only_b[key]
        sha256 = b[split].sha256[position]
        if sha256 is not None:
            hashes.setdefault(sha256, key)
    for key in sorted(only_a):
        split, position = only_a[key]
        new = hashes.pop(a[split].sha256[position] or "", None)
        if new is not None and only_b[new][0] == split:
            yield key, new
