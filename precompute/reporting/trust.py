"""Whether scores can be trusted: what splits share, what is left out, how classes are spread."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from precompute.dataset.paths import DatasetPaths
from precompute.errors import StorageError
from precompute.inspecting.inspection import Inspection
from precompute.reporting.sections.trust import ClassCounts, NearDuplicates, Reason, Trust
from precompute.table.listing import Listing
from precompute.text.reasons import group_reasons

__all__ = ["collect_trust"]

SHOWN = 10
MEANING = (
    "A score says something about new images only if no image, or nearly the same one, stands in two splits, and if "
    "labels agree."
)


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
