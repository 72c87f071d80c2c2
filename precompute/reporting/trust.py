"""Whether scores can be trusted: what splits share, what is left out, how classes are spread."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from precompute.dataset.paths import DatasetPaths
from precompute.errors import StorageError
from precompute.inspecting.inspection import Inspection
from precompute.reporting.near_duplicates import NearDuplicates
from precompute.table.listing import Listing
from precompute.text.reasons import group_reasons

__all__ = ["ClassCounts", "Reason", "Trust", "collect_trust"]

SHOWN = 10
MEANING = (
    "A score says something about new images only if no image, or nearly the same one, stands in two splits, and if "
    "labels agree."
)


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


def collect_trust(found: Inspection, listings: Mapping[str, Listing], near: NearDuplicates | None) -> Trust:
    """Return the section, from what `inspect` found and from the listings of all splits."""
    manifest = found.manifest
    leaks = [tuple(map(str, pair)) for leak in manifest.leaks for pair in leak["examples"]]
    conflicts = [tuple(map(str, pair)) for pair in manifest.conflicts.get("examples", ())]
    torn, num_groups = _torn_groups(listings)
    return Trust(
        leaks=tuple(leaks[:SHOWN]),
        num_leaks=sum(leak["num_sources"] for leak in manifest.leaks),
        conflicts=tuple(conflicts[:SHOWN]),
        num_conflicts=manifest.conflicts.get("num_sources", 0),
        near=near,
        skipped=_reasons(entry.get("reason") or f"{entry['key']}: no reason is known" for entry in manifest.skipped),
        bad=_reasons(_last_errors(found.out)),
        torn_groups=tuple(torn),
        num_groups=num_groups,
        classes=tuple(_class_counts(found)),
        meaning=MEANING,
    )


def _torn_groups(listings: Mapping[str, Listing]) -> tuple[list[str], int]:
    """Return the groups with sources in several splits, and the number of all groups."""
    splits: dict[str, set[str]] = defaultdict(set)
    for split, listing in listings.items():
        for group in listing.groups:
            if group:
                splits[group].add(split)
    return sorted(group for group, of_group in splits.items() if len(of_group) > 1), len(splits)


def _reasons(reasons: Iterator[str]) -> tuple[Reason, ...]:
    kinds = group_reasons(reasons)
    return tuple(Reason(what=kind.what, num=len(kind.reasons), examples=tuple(kind.reasons[:SHOWN])) for kind in kinds)


def _last_errors(out: Path) -> Iterator[str]:
    """Yield what the last build refused, if it left a list."""
    try:
        lines = DatasetPaths(out).errors.read_bytes().decode().splitlines()
    except (OSError, StorageError, ValueError):
        return
    for line in lines:
        try:
            entry: Any = json.loads(line)
        except ValueError:  # cut by a crash
            continue
        if isinstance(entry, dict) and "reason" in entry:
            yield str(entry["reason"])


def _class_counts(found: Inspection) -> Iterator[ClassCounts]:
    for name, field in found.manifest.schema.items():
        counts = {split: of_split.fields[name].classes for split, of_split in found.splits.items()}
        if any(counts.values()):
            for index, class_name in enumerate(field.classes):
                yield ClassCounts(
                    field=field.own_name,
                    class_name=class_name,
                    counted=field.counted,
                    counts={split: of[index] if index < len(of) else 0 for split, of in counts.items()},
                )
