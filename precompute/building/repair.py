"""Puts back shards that are missing or altered, with the bytes that the row file names or not at all."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import replace

from precompute.building.cells import BuildPlan, Grid, make_grid, make_task_context
from precompute.building.execute import make_workers, run_surviving
from precompute.building.files import commit, remove_tree
from precompute.building.folder import SCRATCH
from precompute.building.progress import Progress
from precompute.building.receipts import read_receipt
from precompute.building.task import Task
from precompute.dataset.manifest import Manifest
from precompute.dataset.paths import DatasetPaths
from precompute.dataset.rows import RowFile, Shard, read_row_file
from precompute.errors import BuildError
from precompute.plan.generation import RowPlan
from precompute.storage.snapshot import seen_at_once
from precompute.text.format import format_count
from precompute.text.reasons import describe_reasons

__all__ = ["repair"]

RowFiles = dict[tuple[str, int], RowFile]
Broken = tuple[str, int, int]  # split, row, block


def repair(build_plan: BuildPlan, progress: Progress) -> int:
    """Write again the listed shards that are missing or altered; returns how many.

    Raises:
        BuildError: What comes out now is not what the row file names.
    """
    manifest = build_plan.stored.manifest
    if manifest is None:
        return 0
    row_files = {
        (split, row.row): read_row_file(build_plan.out, manifest, split, row)
        for split, listed in manifest.splits.items()
        for row in listed.rows
    }
    grid = make_grid(build_plan)
    broken = _find_broken(grid.paths, manifest, row_files, full=build_plan.options.check == "full")
    if broken:
        progress.say(
            f"note: {format_count(len(broken), 'shard is', 'shards are')} missing or altered; to be written again."
        )
        tasks = _make_tasks(grid, manifest, row_files, broken)
        progress.start(sum(len(task.places) * len(task.rows) for task in tasks))
        context = replace(make_task_context(build_plan), generation=SCRATCH)
        run_surviving(context, tasks, make_workers(build_plan.options), progress.task_done)
        _put_back(grid.paths, manifest, row_files, broken)
    return len(broken)


def _find_broken(paths: DatasetPaths, manifest: Manifest, row_files: RowFiles, *, full: bool) -> list[Broken]:
    broken = []
    with seen_at_once(paths.generation(manifest.generation)):
        for (split, row), row_file in row_files.items():
            for block, shard in enumerate(row_file.shards):
                path = manifest.shard_path(paths.root, split, row, block)
                whole = path.is_file() and path.stat().st_size == shard.num_bytes
                if not whole or (full and hashlib.sha256(path.read_bytes()).hexdigest() != shard.sha256):
                    broken.append((split, row, block))
    return broken


def _make_tasks(grid: Grid, manifest: Manifest, row_files: RowFiles, broken: list[Broken]) -> list[Task]:
    columns: dict[tuple[str, int], list[RowPlan]] = defaultdict(list)
    for split, row, block in broken:
        listed = next(r for r in manifest.splits[split].rows if r.row == row)
        columns[split, block].append(RowPlan(row=row, seed=listed.seed, variant=listed.stored_variant))
    skipped = {split: {s["key"] for s in manifest.skipped if s["split"] == split} for split in manifest.splits}
    return [grid.task(split, block, rows, skipped[split]) for (split, block), rows in columns.items()]


def _put_back(paths: DatasetPaths, manifest: Manifest, row_files: RowFiles, broken: list[Broken]) -> None:
    wrong = []
    for split, row, block in broken:
        expected: Shard = row_files[split, row].shards[block]
        source, final = (
            paths.shard(manifest.name, generation, split, row, block, len(row_files[split, row].shards))
            for generation in (SCRATCH, manifest.generation)
        )
        receipt = read_receipt(paths.receipt(SCRATCH, split, row, block))
        if receipt is not None and receipt.sha256 == expected.sha256:
            commit([(source, final)])
        else:
            wrong.append(f"{final}: {_why(receipt.bad[0].reason if receipt and receipt.bad else '')}")
    remove_tree(paths.generation(SCRATCH))
    remove_tree(paths.build / SCRATCH)
    if wrong:
        raise BuildError(
            f"{format_count(len(wrong), 'shard')} cannot be put back with the old bytes:\n{describe_reasons(wrong)}\n"
            "Build with --replace to write a new generation."
        )


def _why(reason: str) -> str:
    return reason or (
        "other bytes come out now: another processor rounds otherwise, or another version of this package wrote it"
    )
