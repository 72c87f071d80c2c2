"""Which split each source belongs to: from folders, from what is stored, or from fractions and a hash."""

from __future__ import annotations

import dataclasses
import hashlib
import numbers
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from precompute.errors import SourceError, UsageError, first_few
from precompute.plan.strata import label_strata
from precompute.sources.source import Sources

__all__ = ["assign_splits"]

_PERSON = b"augonce-split-1"
_Label = TypeVar("_Label", int, tuple[int, ...])
_FILLED = ("test", "validation")  # in this order; what remains is train's


def assign_splits(
    sources: Sources,
    *,
    validation_split: float = 0.0,
    test_split: float = 0.0,
    stored: Mapping[str, str] | None = None,
) -> Sources:
    """Return the sources with every split filled in, and notes on what the user should know.

    Per class (masks are one class, sources of several labels are put together by `label_strata`, a group counts under
    what most of it have) groups are ordered by a hash; a source without a group is one of its own. Test takes the first
    round(fraction · number of groups), at least one, validation the next, and at least one stays in train. No seed has
    a part in it, nor has the order of the sources.

    Args:
        sources: Their splits, where they have one already, stay. Fractions fill only the splits that none has, from
            those of train and those without a split.
        validation_split: Fraction of each class for validation, from 0 up to but not including 1.
        test_split: Likewise for test.
        stored: Split by key in an existing dataset. It stays; new sources bring each class closer to its fractions.

    Raises:
        UsageError: A fraction is out of range.
        SourceError: A class is too small, a group is in two splits, or a stored split is contradicted.
    """
    fractions = _check_fractions(validation_split, test_split)
    provided = {split for split in sources.splits if split is not None} - {"train"}
    notes = [_ignored(split, fractions[split]) for split in _FILLED if split in provided and fractions[split]]
    wanted = {split: fraction for split, fraction in fractions.items() if fraction and split not in provided}
    stored = stored or {}
    _check_stored(sources, stored, provided)
    units = _make_units(sources, stored)
    _fill(sources, units, wanted)
    splits = [units.splits[unit] or "train" for unit in units.of_source]
    _check_train(splits)
    notes += _missing_notes(sources, splits)
    return dataclasses.replace(sources, splits=list(splits), notes=[*sources.notes, *notes])


@dataclass(frozen=True, slots=True)
class _Units:
    """What is assigned as a whole, a group or a source without one, as columns.

    Attributes:
        of_source: Unit of each source.
        first: Position of a source of each unit.
        classes: Class of each unit.
        splits: Split of each unit; None while it is open.
        counted: Whether the unit is part of what fractions are taken of; not when its folder is validation or test.
    """

    of_source: list[int]
    first: list[int]
    classes: list[int]
    splits: list[str | None]
    counted: list[bool]


def _check_fractions(validation_split: float, test_split: float) -> dict[str, float]:
    fractions = {"test": test_split, "validation": validation_split}
    for split, fraction in fractions.items():
        if not _is_fraction(fraction):
            raise UsageError(f"{split}_split ({_flag(split)}): expected a number from 0 to below 1, got {fraction!r}.")
    if test_split + validation_split >= 1:
        raise UsageError(
            f"validation_split (--validation-split) and test_split (--test-split): expected a sum below 1, so that "
            f"some sources stay in train, got {validation_split!r} + {test_split!r}."
        )
    return fractions


def _is_fraction(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, numbers.Real) and 0 <= float(value) < 1


def _check_stored(sources: Sources, stored: Mapping[str, str], provided: set[str]) -> None:
    """Check folders against the dataset; validation that was once taken from a train folder is no contradiction."""
    wrong = [
        f"{key}: stored in {known}, now in {split}"
        for key, split in zip(sources.keys, sources.splits, strict=True)
        if split is not None
        and (known := stored.get(key)) is not None
        and known != split
        and (split != "train" or known in provided)
    ]
    if wrong:
        raise SourceError(
            f"Sources that are not in the split that the dataset has them in ({len(wrong):,}):\n{first_few(wrong)}\n"
            "A source belongs to one split for good: put it back where it was, or write to another output folder."
        )


# Units.


def _make_units(sources: Sources, stored: Mapping[str, str]) -> _Units:
    of_source, first = _number_units(sources)
    by_folder, torn = _merge(of_source, sources.splits, len(first))
    known, torn_stored = _merge(of_source, [stored.get(key) for key in sources.keys], len(first))
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


def _merge(of_source: list[int], splits: Iterable[str | None], num_units: int) -> tuple[list[str | None], set[int]]:
    """Return the split of each unit, the one that any of its sources has, and the units with more than one."""
    merged: list[str | None] = [None] * num_units
    torn = set()
    for unit, split in zip(of_source, splits, strict=True):
        if merged[unit] is None:
            merged[unit] = split
        elif split is not None and split != merged[unit]:
            torn.add(unit)
    return merged, torn


def _check_groups(sources: Sources, first: list[int], torn: set[int], contradicted: set[int]) -> None:
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


def _number_units(sources: Sources) -> tuple[list[int], list[int]]:
    if sources.groups is None:
        everyone = list(range(len(sources)))
        return everyone, everyone
    of_source: list[int] = []
    first: list[int] = []
    unit_of_group: dict[str, int] = {}
    for i, group in enumerate(sources.groups):
        unit = len(first) if group is None else unit_of_group.setdefault(group, len(first))
        if unit == len(first):
            first.append(i)
        of_source.append(unit)
    return of_source, first


def _unit_classes(sources: Sources, of_source: list[int], num_units: int) -> list[int]:
    """Return the commonest class of each unit, the smaller index when two are equally common."""
    if sources.boxes is not None:  # an image's classes are those of its boxes
        of_images = [sources.classes(i) for i in range(len(sources))]
        return label_strata(_commonest(of_images, of_source, num_units))
    if sources.label_sets is not None:
        return label_strata(_commonest(sources.label_sets, of_source, num_units))
    if sources.labels is None:
        return [0] * num_units
    return _commonest(sources.labels, of_source, num_units)


def _commonest(labels: list[_Label], of_source: list[int], num_units: int) -> list[_Label]:
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
    waiting: dict[int, list[int]] = defaultdict(list)
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
            too_small.append(f"{_class_text(sources, label)}: {count:,}, of which {_needs_text(need)}")
        _assign(sources, units, open_units, takes)
    if too_small:
        raise _too_small(sources, too_small, wanted)


def _assign(sources: Sources, units: _Units, open_units: list[int], takes: Mapping[str, int]) -> None:
    order = iter(sorted(open_units, key=lambda unit: _rank(sources, units.first[unit])))
    for split, take in takes.items():
        for _, unit in zip(range(take), order):  # noqa: B905 (range first: it must not take one unit too many)
            units.splits[unit] = split
    for unit in order:
        units.splits[unit] = "train"


def _rank(sources: Sources, position: int) -> bytes:
    """Return a hash of the group or, without one, of the key; a first byte keeps equal texts of the two apart."""
    group = None if sources.groups is None else sources.groups[position]
    text = b"k" + sources.keys[position].encode() if group is None else b"g" + group.encode(errors="surrogatepass")
    return hashlib.blake2b(text, digest_size=16, person=_PERSON).digest()


# What the user reads.


def _flag(split: str) -> str:
    return f"--{split}-split"


def _class_text(sources: Sources, label: int) -> str:
    if sources.label_sets is not None or sources.boxes is not None:
        return "sources of like labels"
    if sources.labels is None:
        return "all sources"
    return f"class {sources.class_names[label]!r}"


def _needs_text(need: Mapping[str, int]) -> str:
    return " and ".join(f"{number:,} for {split}" for split, number in need.items())


def _too_small(sources: Sources, listed: list[str], wanted: Mapping[str, float]) -> SourceError:
    what = "sources" if sources.groups is None else "groups"
    asked = " and ".join(f"{_flag(split)} {fraction}" for split, fraction in wanted.items())
    return SourceError(
        f"With {asked} no {what} are left for train in:\n{first_few(listed)}\n"
        f"Each class needs at least {len(wanted) + 1} {what}. Add some, leave the class out, or give smaller fractions."
    )


def _ignored(split: str, fraction: float) -> str:
    return f"{_flag(split)} {fraction} is ignored: the sources come with a {split} split."


def _check_train(splits: list[str]) -> None:
    if "train" not in splits:
        raise SourceError(
            f"No source is in train: all {len(splits):,} are in {' and '.join(sorted(set(splits))) or 'no split'}. "
            "Expected sources in train; give the folder that holds all splits."
        )


def _missing_notes(sources: Sources, splits: list[str]) -> list[str]:
    """Say loudly what training will lack."""
    notes = []
    if "validation" not in splits:
        notes.append(
            "NO VALIDATION SPLIT: nothing will show whether a model that is trained on this dataset has learnt or "
            "memorized. Give --validation-split 0.2, say, or a folder named val."
        )
    trained, every = set[int](), set[int]()
    for i, split in enumerate(splits):
        every.update(sources.classes(i))
        if split == "train":
            trained.update(sources.classes(i))
    lacking = [sources.class_names[label] for label in sorted(every - trained)]
    if lacking:
        notes.append(f"Classes that have no source in train:\n{first_few(lacking)}")
    return notes
