"""Repair of listed rows: shards that are missing or altered, and left-out sources that have been fixed since.

Both are made in a separate folder first, and checked there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from precompute.building.cells import BuildPlan, Columns, Grid, make_grid
from precompute.building.choose_generation import num_changed
from precompute.building.files import commit, remove_tree
from precompute.building.folder import SCRATCH, stored_generations
from precompute.building.progress import Progress
from precompute.building.receipts import BadSources, bad_of_entries
from precompute.building.write import write_cells, write_next_generation
from precompute.dataset.manifest import Manifest
from precompute.dataset.paths import DatasetPaths
from precompute.dataset.rows import RowFile, read_row_files
from precompute.errors import BuildError
from precompute.plan.generation import RowPlan, listed_rows
from precompute.storage.snapshot import seen_at_once
from precompute.text.format import format_count
from precompute.text.reasons import describe_reasons

__all__ = ["repair", "retry_bad"]

RowFiles = Mapping[tuple[str, int], RowFile]
OTHER_BYTES = (
    "other bytes come out now: another processor rounds otherwise, or another version of this package wrote it"
)


@contextmanager
def _scratch(grid: Grid) -> Iterator[Grid]:
    """Yield a grid whose shards and receipts lie in separate folders, which are deleted at the end."""
    try:
        yield replace(grid, plan=replace(grid.plan, generation=SCRATCH))
    finally:
        remove_tree(grid.paths.generation(SCRATCH))
        remove_tree(grid.paths.build / SCRATCH)


def repair(build_plan: BuildPlan, progress: Progress) -> None:
    """Restore listed shards that are missing or altered; only with the bytes that the row file names.

    Raises:
        BuildError: The bytes that are made now are not those that the row file names.
    """
    manifest = build_plan.stored.manifest
    if manifest is None:
        return
    row_files = read_row_files(build_plan.out, manifest)
    broken = _find_broken(DatasetPaths(build_plan.out), manifest, row_files, full=build_plan.options.check == "full")
    if not broken:
        return
    number = sum(map(len, broken.values()))
    progress.say(f"note: {format_count(number, 'shard is', 'shards are')} missing or altered; to be written again.")
    grid = make_grid(build_plan)
    known, wrong = bad_of_entries(manifest.skipped), []
    with _scratch(grid) as scratch:
        receipts, left_out = write_cells(build_plan, scratch, broken, progress, receipts={}, left_out=known)
        for (split, row, block), receipt in sorted(receipts.items()):
            final = grid.shard(split, row, block)
            if receipt.sha256 == row_files[split, row].shards[block].sha256:
                commit([(scratch.shard(split, row, block), final)])
                continue
            failed = [(split, key) for key in receipt.cell.skipped if (split, key) not in known]
            wrong.append(f"{final}: {left_out[failed[0]].reason if failed else OTHER_BYTES}")
    if wrong:
        raise BuildError(
            f"{format_count(len(wrong), 'shard')} cannot be put back with the old bytes:\n{describe_reasons(wrong)}\n"
            "Build with --replace to write a new generation."
        )


def _find_broken(paths: DatasetPaths, manifest: Manifest, row_files: RowFiles, *, full: bool) -> Columns:
    broken = defaultdict[tuple[str, int], list[RowPlan]](list)
    with seen_at_once(paths.generation(manifest.generation)):
        for split, rows in listed_rows(manifest).items():
            for row in rows:
                for block, shard in enumerate(row_files[split, row.row].shards):
                    path = manifest.shard_path(paths.root, split, row.row, block)
                    if shard.fault(path, full=full):
                        broken[split, block].append(row)
    return broken


def retry_bad(build_plan: BuildPlan, progress: Progress) -> tuple[BuildPlan, int]:
    """Add fixed sources to all listed rows, by a new generation that takes over unchanged shards.

    Returns:
        The plan for the generation that is listed now; and the number of fixed sources.

    Raises:
        BuildError: Workers died, or the disk is full; the dataset is unchanged.
    """
    manifest = build_plan.stored.manifest
    if manifest is None or not manifest.skipped:
        return build_plan, 0
    if not build_plan.options.retry_bad:
        changed = num_changed(build_plan.out, build_plan.stored, build_plan.sources)
        if changed:
            those = format_count(changed, "source")
            progress.say(f"note: {those} left out as bad, changed since: --retry-bad tries them again.")
        return build_plan, 0
    still = _still_bad(build_plan, manifest, progress)
    fixed = len(manifest.skipped) - len(still)
    if still:
        reasons = describe_reasons([bad.reason for bad in still.values()])
        progress.say(f"note: {format_count(len(still), 'source')} still bad, left out as before:\n{reasons}")
    if not fixed:
        return build_plan, 0
    write_next_generation(build_plan, still, listed_rows(manifest), progress)
    progress.say(f"note: {format_count(fixed, 'fixed source')} in all rows now.")
    return replace(build_plan, stored=stored_generations(build_plan.out)[-1]), fixed


def _still_bad(build_plan: BuildPlan, manifest: Manifest, progress: Progress) -> BadSources:
    """Make the records of skipped sources in all rows, only to see which sources still fail."""
    grid, skipped = make_grid(build_plan), bad_of_entries(manifest.skipped)
    keys = {split: {key for of, key in skipped if of == split} for split in grid.blocks}
    tried = replace(
        grid, blocks={split: [block.only(keys[split]) for block in of] for split, of in grid.blocks.items()}
    )
    wanted = {
        (split, block): rows
        for (split, block), rows in tried.columns(listed_rows(manifest)).items()
        if tried.blocks[split][block]
    }
    with _scratch(tried) as scratch:
        return write_cells(build_plan, scratch, wanted, progress, receipts={}, left_out={})[1]
