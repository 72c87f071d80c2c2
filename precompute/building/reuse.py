"""Takes shards over from the generation before, where nothing in them has changed."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

from precompute.building.cells import Grid
from precompute.building.files import link_or_copy, write_whole
from precompute.building.folder import StoredGeneration
from precompute.building.receipts import BadSources, BlockFacts, Receipt, read_block_facts, read_receipt
from precompute.building.task import Task
from precompute.dataset.manifest import Manifest
from precompute.dataset.paths import DatasetPaths
from precompute.dataset.rows import RowFile, read_row_files
from precompute.plan.generation import RowPlan

__all__ = ["reuse_shards"]


def reuse_shards(grid: Grid, previous: StoredGeneration, left_out: BadSources) -> None:
    """Link the cells of a generation that its predecessor holds with the same records, and leave receipts for them.

    Args:
        grid: The generation that takes over; `plan.rows` are the rows it has from the start.
        previous: The listed generation, of the same settings and sources.
        left_out: Sources that have no record in the new generation.
    """
    manifest = previous.manifest
    if manifest is None or manifest.fingerprint != grid.plan.fingerprint or not grid.plan.rows:
        return
    row_files, wanted = read_row_files(grid.paths.root, manifest), grid.columns(grid.plan.rows)
    tasks, _ = grid.missing(wanted, left_out, grid.receipts(wanted))
    for task in tasks:
        facts = _facts_before(grid.paths, previous, manifest, task)
        if facts is None:
            continue  # nothing is known of its sources' content: written again
        reused = [
            _reuse_cell(grid, manifest, task, row, row_files.get((task.split, row.row)), sha256(facts).hexdigest())
            for row in task.rows
        ]
        if any(reused):
            path = grid.paths.block_facts(grid.plan.generation, task.split, task.block)
            write_whole(path, facts, grid.paths.temporary)


def _facts_before(paths: DatasetPaths, previous: StoredGeneration, manifest: Manifest, task: Task) -> bytes | None:
    """Return what was learnt of a block's sources: from the build's own file, else from what is listed."""
    path = paths.block_facts(manifest.generation, task.split, task.block)
    if read_block_facts(path) is not None:
        return path.read_bytes()
    listed, left_out = previous.listing[task.split], _left_out(manifest, task)
    keys = {place.key for place in task.places} - left_out
    if not set(task.skipped) <= left_out or not all("sha256" in listed.get(key, {}) for key in keys):
        return None
    # Which ids this block holds is not listed; the classes are as many as before or more, for no source has gone.
    return BlockFacts(
        sha256={key: listed[key]["sha256"] for key in sorted(keys)},
        mask_sha256={key: listed[key]["mask_sha256"] for key in sorted(keys) if "mask_sha256" in listed[key]},
        class_ids=list(range(max(field.num_ids for field in manifest.schema.values()))),
    ).to_bytes()


def _left_out(manifest: Manifest, task: Task) -> set[str]:
    keys = {place.key for place in task.places}
    return {s["key"] for s in manifest.skipped if s["split"] == task.split and s["key"] in keys}


def _reuse_cell(
    grid: Grid, manifest: Manifest, task: Task, row: RowPlan, row_file: RowFile | None, facts_hash: str
) -> bool:
    paths, cell = grid.paths, task.cell(row)
    receipt = _receipt_before(paths, manifest, task, row, row_file, facts_hash)
    if receipt is None or receipt.cell != cell:
        return False
    shard = manifest.shard_path(paths.root, cell.split, cell.row, cell.block)
    link_or_copy(shard, grid.shard(cell.split, cell.row, cell.block), paths.temporary)
    receipt.save(paths, grid.plan.generation)
    return True


def _receipt_before(
    paths: DatasetPaths, manifest: Manifest, task: Task, row: RowPlan, row_file: RowFile | None, facts_hash: str
) -> Receipt | None:
    """Return the proof of a cell in the generation before: a row file's line if it is listed, else its receipt."""
    if row_file is None:
        return read_receipt(paths.receipt(manifest.generation, task.split, row.row, task.block))
    shard = row_file.shards[task.block]
    return Receipt(
        cell=replace(task.cell(row), skipped=sorted(_left_out(manifest, task))),
        fingerprint=manifest.fingerprint,
        num_records=shard.num_records,
        num_bytes=shard.num_bytes,
        sha256=shard.sha256,
        column_sha256=facts_hash,
        cpu_features=manifest.cpu_features[0] if manifest.cpu_features else "",
        boxes=shard.boxes,
    )
