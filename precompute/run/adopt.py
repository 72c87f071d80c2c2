"""Takes shards over from the generation before, where nothing in them has changed."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from precompute.dataset.manifest import Manifest, RowFile, read_row_file
from precompute.dataset.paths import DatasetPaths
from precompute.plan.generation import RowPlan
from precompute.run.files import link_or_copy
from precompute.run.folder import Known
from precompute.run.grid import Grid
from precompute.run.receipts import Cell, Receipt, read_column, read_receipt
from precompute.run.task import Task

__all__ = ["adopt"]


def adopt(grid: Grid, previous: Known, skipped: Mapping[str, set[str]]) -> None:
    """Link the cells of a generation that its predecessor holds with the same records, and leave receipts for them.

    Args:
        grid: The generation that takes over; `plan.rows` are the rows it has from the start.
        previous: The listed generation, of the same settings and sources.
        skipped: Split → keys that have no record in the new generation.
    """
    manifest = previous.manifest
    if manifest is None or manifest.fingerprint != grid.plan.fingerprint or not grid.plan.rows:
        return
    row_files = {
        (split, row.row): read_row_file(grid.paths.root, manifest, split, row)
        for split, listed in manifest.splits.items()
        for row in listed.rows
    }
    tasks, _ = grid.missing(grid.plan.rows, skipped)
    for task in tasks:
        for number, seed, variant in task.rows:
            row = RowPlan(row=number, seed=seed, variant=variant)
            _adopt_cell(grid.paths, manifest, grid.plan.generation, task, row, row_files.get((task.split, number)))


def _adopt_cell(
    paths: DatasetPaths, manifest: Manifest, generation: str, task: Task, row: RowPlan, row_file: RowFile | None
) -> None:
    before = manifest.generation
    column_path = paths.column(before, task.split, task.block)
    if read_column(column_path) is None:
        return  # nothing is known of its sources' content: written again
    cell = Cell(
        split=task.split, row=row.row, block=task.block, seed=row.seed, variant=row.variant, skipped=task.skipped
    )
    receipt = _receipt_before(paths, manifest, cell, row_file, sha256(column_path.read_bytes()).hexdigest(), task)
    if receipt is None or receipt.cell != cell:
        return
    shards = [
        paths.shard(manifest.name, folder, task.split, row.row, task.block, task.num_blocks)
        for folder in (before, generation)
    ]
    link_or_copy(shards[0], shards[1], paths.temporary)
    link_or_copy(column_path, paths.column(generation, task.split, task.block), paths.temporary)
    receipt.save(paths, generation)


def _receipt_before(
    paths: DatasetPaths, manifest: Manifest, cell: Cell, row_file: RowFile | None, column_sha256: str, task: Task
) -> Receipt | None:
    """Return the proof of a cell in the generation before: a row file's line if it is listed, else its receipt."""
    if row_file is None:
        return read_receipt(paths.receipt(manifest.generation, cell.split, cell.row, cell.block))
    shard = row_file.shards[cell.block]
    keys = {place.key for place in task.places}
    left_out = sorted(s["key"] for s in manifest.skipped if s["split"] == cell.split and s["key"] in keys)
    return Receipt(
        cell=Cell(
            split=cell.split, row=cell.row, block=cell.block, seed=cell.seed, variant=cell.variant, skipped=left_out
        ),
        fingerprint=manifest.fingerprint,
        num_records=shard.num_records,
        num_bytes=shard.num_bytes,
        sha256=shard.sha256,
        column_sha256=column_sha256,
        cpu_features=manifest.cpu_features[0] if manifest.cpu_features else "",
    )
