"""Writes the wanted cells until receipts prove all of them, and lists the rows that are whole."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

from precompute.building.cells import (
    BuildPlan,
    Columns,
    Grid,
    Receipts,
    Rows,
    Unlist,
    Wanted,
    bad_of,
    make_grid,
)
from precompute.building.execute import cut_columns, make_workers, run_surviving
from precompute.building.files import link_or_copy, remove, take_unsynced, write_whole
from precompute.building.finish import list_rows, publish, start_manifest
from precompute.building.folder import StoredGeneration, next_generation, save_draft, sweep
from precompute.building.make_plan import spec_of_plan
from precompute.building.progress import Progress
from precompute.building.receipts import (
    BadSources,
    BlockFacts,
    Receipt,
    bad_of_entries,
    entries_of,
    read_block_facts,
    read_receipt,
)
from precompute.building.result import BuildResult
from precompute.building.space import NO_ROOM, check_space, forecast, no_room
from precompute.building.task import Task, TaskContext
from precompute.dataset.manifest import Manifest
from precompute.dataset.paths import DatasetPaths
from precompute.dataset.rows import RowFile, read_row_files
from precompute.errors import BadSourcesError, BuildError
from precompute.plan.generation import RowPlan, listed_rows
from precompute.storage.paths import absolute
from precompute.text.format import format_count
from precompute.text.reasons import describe_reasons

__all__ = ["unlist_rows", "write_cells", "write_next_generation", "write_rows"]

MAX_PASSES = 50  # each pass but the last finds new bad sources


def write_rows(build_plan: BuildPlan, wanted: Wanted, progress: Progress) -> BuildResult:
    """Write all wanted rows, list them in the manifest, and delete what is no longer listed.

    Raises:
        BadSourcesError: More sources are bad than were accepted; the others are written and kept.
        BuildError: Workers died.
    """
    start, plan, manifest = time.monotonic(), build_plan.stored.plan, build_plan.stored.manifest
    rows, unlist = wanted.rows, wanted.unlist
    result = BuildResult(plan=plan, rows=rows, manifest=manifest, seconds=0.0, out=build_plan.out)
    if build_plan.options.dry_run:
        estimate = forecast(build_plan, rows) if any(rows.values()) else None
        return replace(result, dry_run=True, estimate=estimate)
    if not (any(rows.values()) or any(unlist.values())):
        return result
    grid = make_grid(build_plan)
    try:
        proven, left_out = _write_all(build_plan, grid, rows, progress)
    except _SourcesBecameBad as fell:
        left_out = {**bad_of_entries(plan.skipped), **fell.bad_sources}
        return write_next_generation(build_plan, left_out, _all_rows(build_plan, wanted), progress)
    new_classes: dict[str, dict[int, str]] = {}
    if manifest is None:
        manifest, new_classes = start_manifest(build_plan, grid, left_out)
    if wanted.choose_last is not None:
        rows, unlist = wanted.choose_last(manifest)
    manifest = unlist_rows(list_rows(manifest, grid, rows, proven), unlist)
    publish(build_plan.out, manifest)
    kept = sweep(build_plan.out, manifest, build_plan.options.lease_dir)
    if kept:
        files = format_count(kept, "file of rows no longer listed stays", "files of rows no longer listed stay")
        progress.say(f"note: {files} until their readers have ended.")
    if (folder := take_unsynced()) is not None:
        progress.say(
            f"note: {folder}: this file system cannot sync folders; should the machine lose power, the last files may "
            "be gone: run the same command again then."
        )
    remove(grid.paths.errors)
    seconds = time.monotonic() - start
    return replace(result, rows=rows, manifest=manifest, seconds=seconds, new_classes=new_classes)


def unlist_rows(manifest: Manifest, numbers: Unlist) -> Manifest:
    """Return the manifest without these rows."""
    splits = {
        name: replace(split, rows=[row for row in split.rows if row.row not in numbers.get(name, ())])
        for name, split in manifest.splits.items()
    }
    return replace(manifest, splits=splits)


# The loop


def write_cells(
    build_plan: BuildPlan,
    grid: Grid,
    wanted: Columns,
    progress: Progress,
    *,
    receipts: Receipts,
    left_out: BadSources,
    judge: Callable[[BadSources], None] | None = None,
) -> tuple[Receipts, BadSources]:
    """Run tasks until a receipt proves every wanted cell; bad sources are left out of all cells.

    Args:
        receipts: Receipts of these cells, as far as there are any.
        left_out: Sources that are not tried.
        judge: Called with all bad sources whenever there are new ones; raises if there are too many.

    Returns:
        The receipts of all cells; and the sources that are left out.

    Raises:
        BuildError: Workers died, the disk is full, or cells are still missing after many rounds.
    """
    context = make_task_context(build_plan, grid.plan.generation)
    jobs, crashing_sources = build_plan.options.num_jobs, BadSources()
    record_s = max(plan.record_s for plan in grid.plan.splits.values())
    for _ in range(MAX_PASSES):
        tasks, proven = grid.missing(wanted, left_out | crashing_sources, receipts)
        if not tasks:
            return proven, left_out | crashing_sources
        pieces = [task.with_known_bad(crashing_sources) for task in cut_columns(tasks, jobs=jobs, record_s=record_s)]
        if not build_plan.options.ignore_space:
            check_space(grid, pieces, jobs=jobs)
        progress.start(sum(len(task.places) * len(task.rows) for task in tasks))
        try:
            newly_crashing = run_surviving(context, pieces, make_workers(build_plan.options), progress.task_done)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            tasks, _ = grid.missing(wanted, left_out | crashing_sources, grid.receipts(wanted))
            raise no_room(grid, tasks, error) from error
        receipts = grid.receipts(wanted)  # read once a pass: with many cells it takes a while
        if newly_crashing is not None:
            crashing_sources |= newly_crashing
            continue  # a pass that was cut short: all sources are gone through before they are judged
        bad_sources = bad_of(receipts) | crashing_sources
        if bad_sources.keys() - left_out.keys():
            if judge is not None:
                judge(bad_sources)
            left_out = bad_sources | left_out
    raise BuildError(
        f"{build_plan.out}: after {MAX_PASSES} passes there are still cells without a receipt; are the sources or "
        "the output being changed meanwhile?"
    )


def make_task_context(build_plan: BuildPlan, generation: str) -> TaskContext:
    """Return the context of all tasks that write a generation."""
    plan, options = build_plan.stored.plan, build_plan.options
    pickled = {split: prepared.pickled for split, prepared in build_plan.pipelines.items()}
    return TaskContext(
        out=str(absolute(build_plan.out)),  # other machines have other working folders
        name=plan.name,
        generation=generation,
        fingerprint=plan.fingerprint,
        spec=spec_of_plan(plan, build_plan.sources),
        pipelines={**pickled, "original": pickled["validation"]},
        own_process=options.backend == "loky" and options.num_jobs > 1,
    )


def _write_all(build_plan: BuildPlan, grid: Grid, rows: Rows, progress: Progress) -> tuple[Receipts, BadSources]:
    """Write the cells of rows, except for those that the previous generation holds; returns as `write_cells`."""
    wanted = grid.columns(rows)
    receipts = grid.receipts(wanted)
    left_out = _accepted(build_plan, bad_of(receipts))
    if build_plan.previous is not None:
        _reuse_shards(grid, build_plan.previous, left_out)
        receipts = grid.receipts(wanted)

    def judge(bad_sources: BadSources) -> None:
        _check_skip_bad(build_plan, grid, bad_sources)
        if build_plan.stored.manifest is not None:
            raise _SourcesBecameBad({name: bad for name, bad in bad_sources.items() if name not in left_out})

    return write_cells(build_plan, grid, wanted, progress, receipts=receipts, left_out=left_out, judge=judge)


# Shards of the previous generation


def _reuse_shards(grid: Grid, previous: StoredGeneration, left_out: BadSources) -> None:
    """Link the shards of cells that the previous generation holds with the same records, and write their receipts.

    Args:
        grid: Grid of the new generation; `plan.rows` are the rows that it has from the start.
        left_out: Sources that have no record in the new generation.
    """
    manifest, paths = previous.manifest, grid.paths
    if manifest is None or manifest.fingerprint != grid.plan.fingerprint or not grid.plan.rows:
        return
    row_files, wanted = read_row_files(paths.root, manifest), grid.columns(grid.plan.rows)
    left_out_before = bad_of_entries(manifest.skipped)
    for task in grid.missing(wanted, left_out, grid.receipts(wanted))[0]:
        keys = {place.key for place in task.places}
        before = replace(task, skipped=sorted(key for key in keys if (task.split, key) in left_out_before))
        facts, reused = _facts_before(paths, previous, manifest, task, keys.difference(before.skipped)), False
        if facts is None:
            continue  # nothing is known of its sources' content: written again
        for row in task.rows:
            row_file = row_files.get((task.split, row.row))
            receipt = _receipt_before(paths, manifest, before, row, row_file, sha256(facts).hexdigest())
            if receipt is not None and receipt.cell == task.cell(row):
                shard = manifest.shard_path(paths.root, task.split, row.row, task.block)
                link_or_copy(shard, grid.shard(task.split, row.row, task.block), paths.temporary)
                receipt.save(paths, grid.plan.generation)
                reused = True
        if reused:
            write_whole(paths.block_facts(grid.plan.generation, task.split, task.block), facts, paths.temporary)


def _facts_before(
    paths: DatasetPaths, previous: StoredGeneration, manifest: Manifest, task: Task, keys: set[str]
) -> bytes | None:
    """Return the facts about a block's sources: from the file of the earlier build, else from the listing.

    Args:
        task: The block, and the sources that it leaves out now.
        keys: Keys of the sources that it had records of before.
    """
    path = paths.block_facts(manifest.generation, task.split, task.block)
    if read_block_facts(path) is not None:
        return path.read_bytes()
    listed = previous.listing[task.split]
    if not keys.isdisjoint(task.skipped) or not all("sha256" in listed.get(key, {}) for key in keys):
        return None
    # The listing does not tell the block's class ids; no source is gone, so there are no fewer classes than before.
    ids = {name: list(range(field.num_ids)) for name, field in manifest.schema.items() if field.num_ids}
    return BlockFacts(
        sha256={key: listed[key]["sha256"] for key in sorted(keys)},
        mask_sha256={key: listed[key]["mask_sha256"] for key in sorted(keys) if "mask_sha256" in listed[key]},
        class_ids=max(ids.values(), key=len, default=[]),
        ids_of_fields=ids if len(ids) > 1 else {},
    ).to_bytes()


def _receipt_before(
    paths: DatasetPaths, manifest: Manifest, before: Task, row: RowPlan, row_file: RowFile | None, facts_hash: str
) -> Receipt | None:
    """Return the proof of a cell in the previous generation: from the row file if it is listed, else its receipt."""
    if row_file is None:
        return read_receipt(paths.receipt(manifest.generation, before.split, row.row, before.block))
    shard = row_file.shards[before.block]
    return Receipt(
        cell=before.cell(row),
        fingerprint=manifest.fingerprint,
        num_records=shard.num_records,
        num_bytes=shard.num_bytes,
        sha256=shard.sha256,
        column_sha256=facts_hash,
        cpu_features=manifest.cpu_features[0] if manifest.cpu_features else "",
        boxes=shard.boxes,
    )


# Replacing a generation by another


class _SourcesBecameBad(Exception):  # noqa: N818 (an event, not an error)
    """Raised when sources of listed rows have failed in a new row, and that was accepted."""

    def __init__(self, bad_sources: BadSources) -> None:
        self.bad_sources = bad_sources


def _all_rows(build_plan: BuildPlan, wanted: Wanted) -> Rows:
    """Return the rows that shall be there at the end, including those listed already."""
    manifest = build_plan.stored.manifest
    if manifest is None:
        raise BuildError(f"{build_plan.out}: a draft has no listed rows to take over.")
    listed = listed_rows(unlist_rows(manifest, wanted.unlist))
    return {split: [*rows, *wanted.rows.get(split, [])] for split, rows in listed.items()}


def write_next_generation(build_plan: BuildPlan, left_out: BadSources, rows: Rows, progress: Progress) -> BuildResult:
    """Write a generation that replaces the listed one: with these rows, without these sources."""
    stored = build_plan.stored
    plan = replace(
        stored.plan,
        generation=next_generation(build_plan.out),
        skipped=entries_of(left_out),
        rows={split: list(of) for split, of in rows.items()},
    )
    save_draft(build_plan.out, plan, build_plan.sources)
    draft = StoredGeneration(plan=plan, manifest=None, listing=stored.listing)
    return write_rows(replace(build_plan, stored=draft, previous=stored), Wanted(rows=rows), progress)


# Bad sources: which are accepted, and whether there are too many


def _accepted(build_plan: BuildPlan, bad_sources: BadSources) -> BadSources:
    """Return the accepted bad sources that the plan and receipts name."""
    left_out = bad_of_entries(build_plan.stored.plan.skipped)
    if build_plan.stored.manifest is not None or build_plan.options.retry_bad:
        return left_out
    with_bad = bad_sources | left_out
    accepts = len(with_bad) <= build_plan.options.allowed_bad(len(build_plan.sources))
    return with_bad if accepts else left_out  # those that are too many are tried again


def _check_skip_bad(build_plan: BuildPlan, grid: Grid, bad_sources: BadSources) -> None:
    """Check that no more sources are bad than were accepted; else write all of them to a file.

    Raises:
        BadSourcesError: There are more.
    """
    total = len(bad_sources | bad_of_entries(grid.plan.skipped))
    allowed = build_plan.options.allowed_bad(len(build_plan.sources))
    if total <= allowed:
        return
    found = [{"split": split, "key": key, "reason": bad.reason} for (split, key), bad in bad_sources.items()]
    content = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in found)
    write_whole(grid.paths.errors, content.encode(), grid.paths.temporary)
    raise BadSourcesError(
        f"{total} of {format_count(len(build_plan.sources), 'source')} {'is' if total == 1 else 'are'} bad, {allowed} "
        f"{'was' if allowed == 1 else 'were'} accepted:\n"
        f"{describe_reasons([entry['reason'] for entry in found])}\n"
        f"All are listed in {grid.paths.errors}. Everything else is written and kept. Fix them and run the same "
        f"command again, or accept them with --skip-bad {total}: they will be left out of all rows."
    )
