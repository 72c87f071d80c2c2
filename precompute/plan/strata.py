"""Which sources of several labels are divided together, so that each split gets its share of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

__all__ = ["label_strata"]

SMALLEST = 10  # sources a stratum; a share of fewer is rounded far off


def label_strata(label_sets: Sequence[tuple[int, ...]]) -> list[int]:
    """Return for each source the number of the stratum that fractions are taken of.

    Sources with the same labels are a stratum where they are ten or more. Others go by the rarest of their labels, the
    smaller index when two are equally rare, where those are ten or more. What is left is a stratum together; when that
    has fewer than ten, it joins the largest one.

    Args:
        label_sets: Class indices of each source, sorted.
    """
    of_label = Counter(label for labels in label_sets for label in labels)

    def rarest(labels: tuple[int, ...]) -> int | None:
        return min(labels, key=lambda label: (of_label[label], label), default=None)

    of_set = Counter(label_sets)
    names = [labels if of_set[labels] >= SMALLEST else rarest(labels) for labels in label_sets]
    sizes = Counter(names)
    names = [name if sizes[name] >= SMALLEST else None for name in names]
    sizes = Counter(names)
    if sizes[None] < SMALLEST:
        # Of equally large ones, that of the first source: sources are sorted by key.
        largest = max(sizes, key=lambda name: (name is not None, sizes[name]), default=None)
        names = [largest if name is None else name for name in names]
    number = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return [number[name] for name in names]
