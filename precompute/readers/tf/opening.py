"""A split that is opened for reading: its rows are chosen, held and looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from precompute.dataset.guards import check_leaks, check_shards
from precompute.dataset.leases import Lease, hold_rows, note_without_lease
from precompute.dataset.manifest import Manifest, Row, Split
from precompute.dataset.rows import Reading, read_row_file, select_rows
from precompute.dataset.shard_cache import ShardCache
from precompute.errors import DatasetError, UsageError
from precompute.readers.tf.memory import CachePlan, plan_cache
from precompute.readers.tf.row_files import FollowedRows
from precompute.storage.paths import check_path_text, is_remote

__all__ = ["OpenedSplit", "open_split"]

CHECKS = ("sizes", "full", "none")


@dataclass(frozen=True, kw_only=True)
class OpenedSplit:
    """A split that was looked at, and whose rows are held."""

    root: Path
    manifest: Manifest
    split: str
    rows: list[Row]
    lease: Lease
    block_sizes: list[int]

    @property
    def mean_bytes(self) -> int:
        """Mean size of a record, bytes."""
        return max(1, self.rows[0].num_bytes // max(1, self.rows[0].num_records))

    def plan_cache(self, cache: bool | str, clean_from: int | None, *, reads_part: bool) -> CachePlan:
        """Return which rows are held in memory."""
        originals = [] if clean_from is None else [row for row in self.manifest.splits[self.split].rows if row.original]
        return plan_cache(cache, self.manifest, [*self.rows, *originals], reads_part=reads_part)

    def follow(
        self, readings: Sequence[Reading], clean_from: int | None, check: str, cache: ShardCache | None
    ) -> FollowedRows:
        """Return the rows as they come and go."""
        return FollowedRows(
            self.root,
            self.manifest,
            self.split,
            self.lease,
            readings=readings,
            clean_from=clean_from,
            check=check,
            cache=cache,
        )


def open_split(
    root: Path, split: str, rows: str | Sequence[int], *, check: str, allow_leak: bool, lease_dir: str | Path | None
) -> OpenedSplit:
    """Open a split: choose rows, hold them, look at their files."""
    check_path_text(root, "dataset")
    if check not in CHECKS:
        raise UsageError(f"check: expected one of {', '.join(CHECKS)}, got {check!r}.")

    def choose(manifest: Manifest) -> list[Row]:
        return select_rows(_grid(manifest, root, split), rows, name=split)

    manifest, lease = hold_rows(
        root,
        lambda m: [(m.generation, split, row.row) for row in choose(m)],
        lease_dir=lease_dir,
    )
    note_without_lease(root, lease)
    chosen = choose(manifest)
    try:
        if not allow_leak:
            check_leaks(root, manifest, split)
        if check != "none":
            # Of shards in a store their copies are compared, which are what is read.
            check_shards(root, manifest, split, chosen, full=check == "full" and not is_remote(root))
        block_sizes = [shard.num_records for shard in read_row_file(root, manifest, split, chosen[0]).shards]
    except DatasetError:
        lease.close()
        raise
    return OpenedSplit(root=root, manifest=manifest, split=split, rows=chosen, lease=lease, block_sizes=block_sizes)


def _grid(manifest: Manifest, root: Path, split: str) -> Split:
    if split not in manifest.splits:
        raise UsageError(f"split: {root} has {', '.join(manifest.splits)}; got {split!r}.")
    grid = manifest.splits[split]
    if not grid.rows:
        raise DatasetError(f"{root}: {split} lists no rows; add some with `precompute build`.")
    return grid
