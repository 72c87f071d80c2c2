"""Which split each source belongs to, and how many places it takes in each row of it.

Splits come from folders, from what is stored, or from fractions and a hash.
"""

from __future__ import annotations

import dataclasses
import numbers
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, repeat
from typing import TypeVar

from precompute.errors import SourceError, UsageError, first_few
from precompute.fields.column import Column
from precompute.fields.string_column import take
from precompute.options.values import MAX_COPIES
from precompute.plan.hashes import hash_all, order_of
from precompute.table.sources import Sources
from precompute.text.format import format_count
from precompute.text.names import with_flag

__all__ = ["assign_copies", "assign_splits", "label_strata"]

_PERSON = b"augonce-split-1"
_Label = TypeVar("_Label", int, tuple[int, ...])
_FILLED = ("test", "validation")  # in this order; what remains is train's
MIN_STRATUM = 10  # sources a stratum; a share of fewer is rounded far off


def assign_splits(
    sources: Sources,
    *,
    validation_split: float = 0.0,
    test_split: float = 0.0,
    stored: Sequence[str | None] | None = None,
) -> Sources:
    """Return the sources with every split filled in, and notes on what the user should know.

    Within each class, groups are ordered by a hash; a source without a group is a group of its own. Test takes the
    first round(fraction · number of groups), at least one; validation takes the next ones; at least one stays in train.
    Masks count as one class, sources with several labels by `label_strata`, and a group by the class of most of its
    sources. Neither a seed nor the order of the sources matters.

    Args:
        sources: Sources; those that have a split keep it. A fraction fills its split only where no source has that
            split, from the sources in train and those without a split.
        validation_split: Fraction of each class for validation, from 0 up to but not including 1.
        test_split: Fraction of each class for test, in the same range.
        stored: Split of each source in an existing dataset, None for new sources; None without a dataset. Stored
            splits stay; new sources bring each class closer to its fractions.

    Raises:
        UsageError: A fraction is out of range.
        SourceError: A class is too small, a group is in two splits, or a stored split is contradicted.
    """
    fractions = _check_fractions(validation_split, test_split)
    provided = {split for split in sources.splits if split is not None} - {"train"}
    notes = [
        f"--{split}-split {fractions[split]} is ignored: the sources come with a {split} split."
        for split in _FILLED
        if split in provided and fractions[split]
    ]
    wanted = {split: fraction for split, fraction in fractions.items() if fraction and split not in provided}
    known = [None] * len(sources) if stored is None else stored
    _check_stored(sources, known, provided)
    units = _make_units(sources, known)
    _fill(sources, units, wanted)
    of_unit = [split or "train" for split in units.splits]
    splits: list[str | None] = [of_unit[unit] for unit in units.of_source]
    _check_train(splits)
    notes += _missing_notes(sources, splits)
    return dataclasses.replace(sources, splits=splits, notes=[*sources.notes, *notes])


@dataclass(frozen=True, slots=True)
class _Units:
    """Units that are assigned as a whole (a group, or a source without one), as columns.

    Attributes:
        of_source: Unit of each source.
        first: Position of one source of each unit.
        classes: Class of each unit.
        splits: Split of each unit; None while it is open.
        counted: Whether fractions are taken of the unit, too; not if its folder is validation or test.
    """

    of_source: Sequence[int]
    first: Sequence[int]
    classes: Sequence[int]
    splits: list[str | None]
    counted: list[bool]


def _check_fractions(validation_split: float, test_split: float) -> dict[str, float]:
    fractions = {"test": test_split, "validation": validation_split}
    for split, fraction in fractions.items():
        if not _is_fraction(fraction):
            option = with_flag(f"{split}_split")
            raise UsageError(f"{option}: expected a number from 0 to below 1, got {fraction!r}.")
    if test_split + validation_split >= 1:
        raise UsageError(
            f"validation_split (--validation-split) and test_split (--test-split): expected a sum below 1, so that "
            f"some sources stay in train, got {validation_split!r} + {test_split!r}."
        )
    return fractions


def _is_fraction(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, numbers.Real) and 0 <= float(value) < 1


def _check_stored(sources: Sources, stored: Sequence[str | None], provided: set[str]) -> None:
    """Check that folders agree with the dataset; validation that was once taken from a train folder does."""
    wrong = [
        f"{key}: stored in {known}, now in {split}"
        for key, split, known in zip(sources.keys, sources.splits, stored, strict=True)
        if split is not None and known is not None and known != split and (split != "train" or known in provided)
    ]
    if wrong:
        raise SourceError(
            f"Sources that are not in the split that the dataset has them in ({len(wrong):,}):\n{first_few(wrong)}\n"
            "A source belongs to one split for good: put it back where it was, or write to another output folder."
        )


# Units.


def _make_units(sources: Sources, stored: Sequence[str | None]) -> _Units:
    of_source, first = _number_units(sources)
    by_folder, torn = _merge(of_source, sources.splits, len(first))
    known, torn_stored = _merge(of_source, stored, len(first))
    pulled = {
        unit
        for unit, (folder, split) in enumerate(zip(by_folder, known, strict=True))
        if folder in _FILLED and split not in (None, folder)
    }
    _check_groups(sources, first, torn, torn_stored | pulled)
    return _Units(
        of_source=of_source,
        first=first,
        classes=_unit_classes(sources, of_source, len(first)),
        splits=[
            split or (folder if folder in _FILLED else None) for split, folder in zip(known, by_folder, strict=True)
        ],
        counted=[folder not in _FILLED for folder in by_folder],
    )


def _merge(
    of_source: Sequence[int], splits: Sequence[str | None], num_units: int
) -> tuple[Sequence[str | None], set[int]]:
    """Return the split of each unit, which is that of any of its sources, and the units with several splits."""
    if len(splits) == num_units:
        return splits, set()
    merged: list[str | None] = [None] * num_units
    torn = set()
    for unit, split in zip(of_source, splits, strict=True):
        if merged[unit] is None:
            merged[unit] = split
        elif split is not None and split != merged[unit]:
            torn.add(unit)
    return merged, torn


def _check_groups(sources: Sources, first: Sequence[int], torn: set[int], contradicted: set[int]) -> None:
    groups = sources.groups
    if groups is None:
        return
    for units, why, remedy in [
        (torn, "are given in two splits", "move them together, or correct the groups"),
        (contradicted, "are stored in another split than their group", "keep the groups, or write to another folder"),
    ]:
        if units:
            raise SourceError(
                f"Groups whose sources {why} ({len(units):,}):\n"
                f"{first_few(sorted(str(groups[first[unit]]) for unit in units))}\n"
                f"Expected all sources of a group in one split: {remedy}."
            )


def _number_units(sources: Sources) -> tuple[Sequence[int], Sequence[int]]:
    if sources.groups is None:
        return range(len(sources)), range(len(sources))
    of_source: list[int] = []
    first: list[int] = []
    unit_of_group: dict[str, int] = {}
    for i, group in enumerate(sources.groups):
        unit = len(first) if group is None else unit_of_group.setdefault(group, len(first))
        if unit == len(first):
            first.append(i)
        of_source.append(unit)
    return of_source, first


def _unit_classes(sources: Sources, of_source: Sequence[int], num_units: int) -> Sequence[int]:
    """Return the commonest class of each unit, the smaller index when two are equally common."""
    each, sets = sources.class_each(), sources.class_sets()
    if each is not None:
        return _commonest(each, of_source, num_units)
    if sets is not None:
        return label_strata(_commonest(sets, of_source, num_units))
    return [0] * num_units


def _commonest(labels: Sequence[_Label], of_source: Sequence[int], num_units: int) -> Sequence[_Label]:
    if len(labels) == num_units:
        return labels
    counts: list[Counter[_Label]] = [Counter() for _ in range(num_units)]
    for unit, label in zip(of_source, labels, strict=True):
        counts[unit][label] += 1
    return [min(count, key=lambda label: (-count[label], label)) for count in counts]


# Fractions.


def _fill(sources: Sources, units: _Units, wanted: Mapping[str, float]) -> None:
    """Give each open unit its split, class by class."""
    held: dict[int, Counter[str]] = defaultdict(Counter)
    waiting: dict[int, array[int]] = defaultdict(lambda: array("q"))
    for unit, split in enumerate(units.splits):
        if split is None:
            waiting[units.classes[unit]].append(unit)
        elif units.counted[unit]:
            held[units.classes[unit]][split] += 1
    too_small = []
    for label, open_units in sorted(waiting.items()):
        count = len(open_units) + held[label].total()
        need = {split: max(1, round(f * count)) for split, f in wanted.items()}
        takes = {split: max(0, need[split] - held[label][split]) for split in _FILLED if split in wanted}
        taken = sum(takes.values())
        if taken and taken >= len(open_units) and not held[label]["train"]:
            needs = " and ".join(f"{number:,} for {split}" for split, number in need.items())
            too_small.append(f"{_class_text(sources, label)}: {count:,}, of which {needs}")
        _assign(sources, units, open_units, takes)
    if too_small:
        raise _too_small(sources, too_small, wanted)


def _assign(sources: Sources, units: _Units, open_units: Sequence[int], takes: Mapping[str, int]) -> None:
    for unit in open_units:
        units.splits[unit] = "train"
    if not any(takes.values()):
        return
    ranks = hash_all(_ranked(sources, [units.first[unit] for unit in open_units]), digest_size=16, person=_PERSON)
    order = iter(order_of(ranks).tolist())
    for split, quota in takes.items():
        for at in islice(order, quota):
            units.splits[open_units[at]] = split


def _ranked(sources: Sources, positions: Sequence[int]) -> Iterator[bytes]:
    """Yield the bytes to hash for each unit: its group, else its key; the first byte tells the two apart."""
    groups = repeat(None) if sources.groups is None else (sources.groups[i] for i in positions)
    for group, key in zip(groups, take(sources.keys, positions), strict=False):
        yield b"k" + key.encode() if group is None else b"g" + group.encode(errors="surrogatepass")


# What the user reads.


def _class_text(sources: Sources, label: int) -> str:
    if sources.class_each() is not None:
        return f"class {sources.class_names[label]!r}"
    return "all sources" if sources.class_sets() is None else "sources of like labels"


def _too_small(sources: Sources, listed: list[str], wanted: Mapping[str, float]) -> SourceError:
    what = "sources" if sources.groups is None else "groups"
    asked = " and ".join(f"--{split}-split {fraction}" for split, fraction in wanted.items())
    return SourceError(
        f"With {asked} no {what} are left for train in:\n{first_few(listed)}\n"
        f"Each class needs at least {len(wanted) + 1} {what}. Add some, leave the class out, or give smaller fractions."
    )


def _check_train(splits: Sequence[str | None]) -> None:
    if "train" not in splits:
        where = " and ".join(sorted(map(str, set(splits)))) or "no split"
        raise SourceError(
            f"No source is in train: all {len(splits):,} are in {where}. "
            "Expected sources in train; give the folder that holds all splits."
        )


def _missing_notes(sources: Sources, splits: Sequence[str | None]) -> list[str]:
    """Return notes on splits that training will lack."""
    notes = []
    if "validation" not in splits:
        notes.append(
            "NO VALIDATION SPLIT: nothing will show whether a model that is trained on this dataset has learnt or "
            "memorized. Give --validation-split 0.2, say, or a folder named val."
        )
    found = {pair for column in sources.targets if column.is_of_image for pair in _classes_in_splits(column, splits)}
    trained, every = {label for label, split in found if split == "train"}, {label for label, _ in found}
    lacking = [sources.class_names[label] for label in sorted(every - trained)]
    if lacking:
        notes.append(f"Classes that have no source in train:\n{first_few(lacking)}")
    return notes


def _classes_in_splits(column: Column, splits: Sequence[str | None]) -> set[tuple[int, str | None]]:
    each, sets = column.class_each(), column.class_sets()
    if each is not None:
        return set(zip(each, splits, strict=True))
    return {(label, split) for labels, split in zip(sets or (), splits, strict=False) for label in labels}


def label_strata(label_sets: Sequence[tuple[int, ...]]) -> list[int]:
    """Return the stratum of each source, of which fractions are taken, as a number.

    Ten or more sources with the same labels are a stratum. The others go by the rarest of their labels (of two equally
    rare ones, the smaller index) where that gives ten or more. All others are one stratum; if it has fewer than ten, it
    joins the largest.

    Args:
        label_sets: Class indices of each source, sorted.
    """
    of_label = Counter(label for labels in label_sets for label in labels)

    def rarest(labels: tuple[int, ...]) -> int | None:
        return min(labels, key=lambda label: (of_label[label], label), default=None)

    of_set = Counter(label_sets)
    names = [labels if of_set[labels] >= MIN_STRATUM else rarest(labels) for labels in label_sets]
    sizes = Counter(names)
    names = [name if sizes[name] >= MIN_STRATUM else None for name in names]
    sizes = Counter(names)
    if sizes[None] < MIN_STRATUM:
        # Of equally large strata, that of the first source: sources are sorted by key.
        largest = max(sizes, key=lambda name: (name is not None, sizes[name]), default=None)
        names = [largest if name is None else name for name in names]
    number = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return [number[name] for name in names]


# Copies of rare classes


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
    return dataclasses.replace(sources, copies=copies, notes=[*sources.notes, note])
