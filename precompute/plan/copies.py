"""Copies of rare classes: how many places each source takes in every row of train."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from precompute.errors import UsageError, first_few
from precompute.options.values import MAX_COPIES
from precompute.table.sources import Sources
from precompute.text.format import format_count

__all__ = ["assign_copies"]


def assign_copies(sources: Sources, *, class_copies: Mapping[str, int], balance: bool) -> Sources:
    """Return the sources with their copies; validation and test have one each.

    Args:
        sources: Sources with their splits.
        class_copies: Class name → copies of each of its training sources; 1 for classes that are not named.
        balance: Choose the copies: round(sources of the largest class / sources of the class), in train.

    Raises:
        UsageError: Sources have no classes, or none has a given name.
    """
    if not class_copies and not balance:
        return sources
    option = "balance" if balance else "class_copies"
    each = sources.class_each()
    if each is None:
        reason = next((column.no_class_each for column in sources.targets), "are images alone")
        raise UsageError(f"{option}: expected sources with a class each, these {reason}.")
    names = sources.class_names
    unknown = sorted(set(class_copies) - set(names))
    if unknown:
        raise UsageError(f"class_copies: no class is named {', '.join(unknown)}; expected some of:\n{first_few(names)}")
    sizes = Counter(each[i] for i in sources.of_split("train"))
    of_class = [class_copies.get(name, 1) for name in names]
    if balance:
        largest = max(sizes.values())
        of_class = [
            min(round(largest / sizes[label]), MAX_COPIES) if sizes[label] else 1 for label in range(len(names))
        ]
    pairs = zip(each, sources.splits, strict=True)
    copies = [of_class[label] if split == "train" else 1 for label, split in pairs]
    shown = [f"{name} {number}" for name, number in zip(names, of_class, strict=True) if number > 1]
    places = sum(of_class[label] * size for label, size in sizes.items())
    note = (
        f"copies of each training source: {', '.join(shown) or 'one'}; "
        f"{format_count(sizes.total(), 'source takes', 'sources take')} "
        f"{format_count(places, 'place')} in a row."
    )
    return replace(sources, copies=copies, notes=[*sources.notes, note])
