"""Checks that manifest, row files and listings of a dataset agree with one another."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from precompute.dataset.manifest import Manifest, Row, Split
from precompute.dataset.paths import DatasetPaths
from precompute.dataset.rows import RowFile, read_row_file
from precompute.errors import DatasetError
from precompute.plan.places import shard_places
from precompute.plan.settings import fingerprint
from precompute.table.listing import Listing
from precompute.table.listing_file import read_listing
from precompute.text.format import format_count

__all__ = ["Lists", "Problem", "read_lists"]


@dataclass(frozen=True, kw_only=True)
class Lists:
    """The lists of a dataset, as far as they describe its shards; lists that were altered are left out.

    Attributes:
        listings: Split → key → entry.
        places: Split → block → (key, copy) of each record in order.
        row_files: (split, row) → counts and hashes of the row's shards.
        problems: Problems of the lists themselves.
    """

    listings: dict[str, Listing] = field(default_factory=dict)
    places: dict[str, list[list[tuple[str, int]]]] = field(default_factory=dict)
    row_files: dict[tuple[str, int], RowFile] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read_lists(out: Path, manifest: Manifest) -> Lists:
    """Read all lists of a dataset, and compare each with the others."""
    lists = Lists()
    lists.problems.extend(_problem(DatasetPaths(out).manifest, why) for why in _manifest_faults(manifest))
    for split, grid in manifest.splits.items():
        _read_sources(out, manifest, split, lists)
        for row in grid.rows:
            _read_row(out, manifest, split, row, lists)
    return lists


def _problem(path: Path, why: str) -> Problem:
    return Problem(path=path, why=why, kind="list")


def _manifest_faults(manifest: Manifest) -> Iterator[str]:
    if fingerprint(manifest.settings) != manifest.fingerprint:
        yield "settings.pixels is not what the fingerprint was taken of"
    for name, split in manifest.splits.items():
        yield from (f"{name}: {fault}" for fault in _row_list_faults(split))


def _row_list_faults(split: Split) -> Iterator[str]:
    numbers = Counter(row.row for row in split.rows)
    draws = Counter((row.seed, row.stored_variant) for row in split.rows)
    yield from (f"row {number} is listed {count} times" for number, count in numbers.items() if count > 1)
    yield from (f"seed {s}, variant {v} is listed {count} times" for (s, v), count in draws.items() if count > 1)
    if split.next_row <= max(numbers, default=-1):
        yield f"next_row is {split.next_row}, but row {max(numbers)} is listed"
    for row in split.rows:
        if row.num_records != split.num_records:
            yield f"row {row.row} has num_records {row.num_records}, the split {split.num_records}"


def _read_sources(out: Path, manifest: Manifest, split: str, lists: Lists) -> None:
    path = DatasetPaths(out).sources(manifest.generation, split)
    try:
        entries = read_listing(path)
        if hashlib.sha256(path.read_bytes()).hexdigest() != manifest.splits[split].sources_sha256:
            lists.problems.append(_problem(path, "this is not the list that the manifest names by its sha256"))
            return
        lists.places[split] = shard_places(manifest, split, entries)
        lists.listings[split] = entries
        lists.problems.extend(_count_problems(out, manifest, split, lists.places[split]))
    except DatasetError as error:
        lists.problems.append(_problem(path, str(error).removeprefix(f"{path}: ").rstrip(".")))


def _count_problems(
    out: Path, manifest: Manifest, split: str, places: list[list[tuple[str, int]]]
) -> Iterator[Problem]:
    grid, num_records = manifest.splits[split], sum(len(of_block) for of_block in places)
    if grid.num_records != num_records:
        num_skipped = sum(1 for entry in manifest.skipped if entry.get("split") == split)
        why = (
            f"{split}: num_records is {grid.num_records}, but {format_count(grid.num_places, 'place')} "
            f"without those of {format_count(num_skipped, 'skipped source')} are {num_records}"
        )
        yield _problem(DatasetPaths(out).manifest, why)


def _read_row(out: Path, manifest: Manifest, split: str, row: Row, lists: Lists) -> None:
    path = DatasetPaths(out).row_file(manifest.generation, split, row.row)
    try:
        row_file = read_row_file(out, manifest, split, row)
    except DatasetError as error:
        lists.problems.append(_problem(path, str(error).removeprefix(f"{path}: ").rstrip(".")))
        return
    lists.row_files[split, row.row] = row_file
    of_both = ("row", "seed", "variant", "original")
    sums = ("num_records", "num_bytes")
    listed = {"generation": manifest.generation, "split": split}
    listed |= {name: getattr(row, name) for name in (*of_both, *sums)}
    kept = {name: getattr(row_file, name) for name in ("generation", "split", *of_both)}
    kept |= {name: sum(getattr(shard, name) for shard in row_file.shards) for name in sums}
    for name, value in listed.items():
        if kept[name] != value:
            why = f"{split}: row {row.row} has {name} {value!r}, its row file {kept[name]!r}"
            lists.problems.append(_problem(DatasetPaths(out).manifest, why))


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One file that is not what it should be.

    Attributes:
        path: The file that is wrong.
        why: What is wrong with it.
        kind: ``"shard"``: a shard, which a build writes again; ``"record"``: an unaltered shard whose records are not
            what the manifest says; ``"list"``: manifest, row file or listing; ``"source"``: a record that does not come
            out again from its source; ``"pipeline"``: no record could be made again.
    """

    path: Path
    why: str
    kind: str

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"
