"""Whether a dataset can be trusted: what its splits share, and what is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from precompute.reporting.sections.gallery import NOT_IN_JSON, Picture

__all__ = ["ClassCounts", "NearDuplicates", "Pair", "Reason", "Trust"]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two sources that look alike.

    Attributes:
        first: Key of one.
        second: Key of the other.
        first_split: Split of the first.
        second_split: Split of the second.
        distance: Number of bits, of 64, in which their perceptual hashes differ.
        is_mirrored: Whether that is so only if one of them is mirrored left to right.
        classes: Classes of the two, in words; empty without classes.
        pictures: Both sources; None where they are not there any more, or when there are many pairs.
    """

    first: str
    second: str
    first_split: str
    second_split: str
    distance: int
    is_mirrored: bool = False
    classes: tuple[str, ...] = ()
    pictures: tuple[Picture, Picture] | None = field(default=None, metadata=NOT_IN_JSON, repr=False)


@dataclass(frozen=True, kw_only=True)
class NearDuplicates:
    """Sources that look alike, over all sources.

    Attributes:
        num_sources: Number of sources that were compared.
        num_missing: Number that could not be read.
        num_flat: Number without any content, such as one colour all over: they are not compared.
        max_distance: Largest distance that counts, in bits of 64.
        across: Number of pairs in different splits.
        within: Number of pairs within train.
        pairs: Pairs to look at: those across splits first, nearest first; not all where there are many.
    """

    num_sources: int
    num_missing: int
    num_flat: int
    max_distance: int
    across: int
    within: int
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Sources that were left out for one reason.

    Attributes:
        what: The reason.
        num: Number of sources.
        examples: A few of them.
    """

    what: str
    num: int
    examples: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ClassCounts:
    """Sources of a class, or objects of it, in each split.

    Attributes:
        field: Name of the field.
        class_name: Name of the class.
        counted: What is counted: ``"sources"``, ``"boxes"`` …
        counts: Split → number.
    """

    field: str
    class_name: str
    counted: str
    counts: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Trust:
    """What may make scores wrong.

    Attributes:
        leaks: Pairs of keys in different splits whose image files are the same, a few.
        num_leaks: Number of sources of such pairs.
        conflicts: Pairs of keys with the same image and other answers, a few.
        num_conflicts: Number of sources in such pairs.
        near: Near duplicates; None where they were not looked for.
        skipped: Sources that are left out of all rows, by reason.
        bad: Sources that the last build refused, by reason.
        torn_groups: Groups with sources in several splits.
        num_groups: Number of groups.
        classes: Class balance of the splits.
        meaning: One sentence.
    """

    leaks: tuple[tuple[str, ...], ...]
    num_leaks: int
    conflicts: tuple[tuple[str, ...], ...]
    num_conflicts: int
    near: NearDuplicates | None
    skipped: tuple[Reason, ...]
    bad: tuple[Reason, ...]
    torn_groups: tuple[str, ...]
    num_groups: int
    classes: tuple[ClassCounts, ...]
    meaning: str
