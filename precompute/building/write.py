"""Runs the tasks that rows need until all is proven, and lists what is whole."""

from __future__ import annotations

import errno
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from precompute.building.cells import BuildPlan, Grid, Receipts, bad_of, make_grid, make_task_context
from precompute.building.execute import cut_columns, make_workers, run_surviving
from precompute.building.files import remove, take_unsynced, write_whole
from precompute.building.finish import list_rows, publish, start_manifest
from precompute.building.folder import StoredGeneration, next_generation, save_draft, sweep
from precompute.building.forecast import forecast
from precompute.building.progress import Progress
from precompute.building.receipts import Bad, Receipt
from precompute.building.result import BuildResult
from precompute.building.reuse import reuse_shards
from precompute.building.task import Task, TaskContext
from precompute.dataset.manifest import Manifest
from precompute.errors import BadSourcesError, BuildError
from precompute.pipelines.description import mirrorings
from precompute.pipelines.mask_rules import pickled_fills
from precompute.plan.generation import RowPlan, missing_rows
from precompute.storage.paths import is_remote
from precompute.text.format import format_bytes, format_count
from precompute.text.reasons import describe_reasons

__all__ = ["next_generation_of", "plan_rows", "unlist_rows", "write_rows"]

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MAX_PASSES = 50  # each pass but the last finds new bad sources


def plan_rows(stored: StoredGeneration, wanted: Mapping[str, Sequence[tuple[int, int]]]) -> dict[str, list[RowPlan]]:
    """Return the rows to be written so that all wanted (seed, variant) are there."""
    rows = {}
    for split, pairs in wanted.items():
        carried = stored.plan.rows.get(split, [])
        taken, first = {(r.seed, r.variant) for r in carried}, max((r.row + 1 for r in carried), default=0)
        if stored.manifest is not None and split in stored.manifest.splits:
            listed = stored.manifest.splits[split]
            taken = {(r.seed, r.stored_variant) for r in listed.rows}
            first = listed.next_row
        rows[split] = [*carried, *missing_rows(pairs, taken, first=first)]
    return rows


def write_rows(build_plan: BuildPlan, progress: Progress) -> BuildResult:
    """Write all rows of the plan, list them in the manifest, and take away what is no longer listed.

    Raises:
        BadSourcesError: More sources are bad than were accepted; the others are written and kept.
        BuildError: Workers died.
    """
    start, plan, manifest = time.monotonic(), build_plan.stored.plan, build_plan.stored.manifest
    if build_plan.options.dry_run:
        estimate = forecast(build_plan) if any(build_plan.rows.values()) else None
        return BuildResult(
            plan=plan, rows=build_plan.rows, manifest=manifest, seconds=0.0, dry_run=True, estimate=estimate
        )
    if not (any(build_plan.rows.values()) or any(build_plan.unlist.values())):
        return BuildResult(plan=plan, rows=build_plan.rows, manifest=manifest, seconds=0.0)
    grid = make_grid(build_plan)
    if build_plan.previous is not None:
        reuse_shards(grid, build_plan.previous, _accepted_keys(build_plan, grid, grid.receipts(build_plan.rows)))
    try:
        skipped, proven = _run_until_proven(build_plan, grid, progress)
    except _SourcesBecameBad as fell:
        return write_rows(_without_sources(build_plan, fell.bad), progress)
    new_classes: dict[int, str] = {}
    if manifest is None:
        fills = {i: name for p in build_plan.pipelines.values() for i, name in pickled_fills(p.pickled).items()}
        manifest, new_classes = start_manifest(
            grid,
            build_plan.sources,
            _skipped_entries(grid, skipped, proven),
            fills=fills,
            mirroring=mirrorings(build_plan.pipelines["train"].pickled),
        )
    rows, unlist = build_plan.rows, build_plan.unlist
    if build_plan.choose_last is not None:
        rows, unlist = build_plan.choose_last(manifest)
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
    return BuildResult(plan=plan, rows=rows, manifest=manifest, seconds=seconds, new_classes=new_classes)


class _SourcesBecameBad(Exception):  # noqa: N818 (an event, not an error)
    """Sources that listed rows hold have failed in a new row, and that was accepted."""

    def __init__(self, bad: Mapping[str, Mapping[str, Bad]]) -> None:
        self.bad = bad


def _run_until_proven(
    build_plan: BuildPlan, grid: Grid, progress: Progress
) -> tuple[dict[str, set[str]], dict[str, list[Receipt]]]:
    """Run tasks until a receipt proves every cell; returns the skipped keys and the receipts."""
    receipts, context = grid.receipts(build_plan.rows), make_task_context(build_plan)
    accepted = _accepted_keys(build_plan, grid, receipts)
    crashing_sources: dict[tuple[str, str], Bad] = {}
    for _ in range(MAX_PASSES):
        skipped = {s: keys | {key for split, key in crashing_sources if split == s} for s, keys in accepted.items()}
        tasks, proven = grid.missing(build_plan.rows, skipped, receipts)
        if not tasks:
            return skipped, proven
        if not build_plan.options.ignore_space:
            _check_space(build_plan, grid, tasks)
        progress.start(sum(len(task.places) * len(task.rows) for task in tasks))
        try:
            newly_crashing = _run(
                build_plan, context, [task.with_known_bad(crashing_sources) for task in tasks], progress
            )
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            raise _no_room(build_plan, grid, skipped, error) from error
        receipts = grid.receipts(build_plan.rows)  # read once a pass: with many cells it takes a while
        if newly_crashing is not None:
            crashing_sources |= newly_crashing
            continue  # a pass that was cut short: all sources are gone through before they are judged
        bad = bad_of(receipts)
        for (split, key), crashed in crashing_sources.items():
            bad.setdefault(split, {})[key] = crashed
        new = {s: {k: b for k, b in found.items() if k not in accepted[s]} for s, found in bad.items()}
        if any(new.values()):
            _check_skip_bad(build_plan, grid, bad)
            if build_plan.stored.manifest is not None:
                raise _SourcesBecameBad(new)
            accepted = {s: keys | set(new.get(s, ())) for s, keys in accepted.items()}
    raise BuildError(
        f"{build_plan.out}: after {MAX_PASSES} passes there are still cells without a receipt; are the sources or "
        "the output being changed meanwhile?"
    )


def _check_space(build_plan: BuildPlan, grid: Grid, tasks: Sequence[Task]) -> None:
    """Refuse a job that cannot fit, before it has filled the disk.

    Raises:
        BuildError: There is less space than the records will take, by the sample that was measured.
    """
    if is_remote(grid.paths.root):
        _check_space_on_the_way(build_plan, grid, tasks)
        return
    needed = _needed_bytes(grid, tasks)
    free = shutil.disk_usage(grid.paths.root).free
    if needed > free:
        raise BuildError(
            f"{grid.paths.root}: about {format_bytes(needed)} are needed for what is missing, {format_bytes(free)} are "
            "free. Make space, ask for fewer --variants, or start all the same with --ignore-space."
        )


def _check_space_on_the_way(build_plan: BuildPlan, grid: Grid, tasks: Sequence[Task]) -> None:
    """Refuse shards that the local disk cannot hold until they are sent: each worker has those of a task."""
    sizes = sorted((_needed_bytes(grid, [task]) for task in _cut(build_plan, tasks)), reverse=True)
    needed, disk = sum(sizes[: build_plan.options.num_jobs]), grid.paths.temporary.parent
    free = shutil.disk_usage(disk).free
    if needed > free:
        raise BuildError(
            f"{disk}: shards are written here before they are sent to {grid.paths.root}, about {format_bytes(needed)} "
            f"at a time, and {format_bytes(free)} are free. Set TMPDIR to a folder on a larger disk, use fewer --jobs, "
            "or start all the same with --ignore-space."
        )


def _needed_bytes(grid: Grid, tasks: Sequence[Task]) -> int:
    return sum(len(t.places) * len(t.rows) * grid.plan.splits[t.split].record_bytes for t in tasks)


def _no_room(build_plan: BuildPlan, grid: Grid, skipped: Mapping[str, set[str]], error: OSError) -> BuildError:
    """Return the error of a disk, a quota or a limit that is full: with the bytes that are still needed."""
    tasks, _ = grid.missing(build_plan.rows, skipped, grid.receipts(build_plan.rows))
    needed, largest = (
        _needed_bytes(grid, tasks),
        max((_needed_bytes(grid, [t]) // len(t.rows) for t in tasks), default=0),
    )
    what = f"{error.filename or grid.paths.root}: {error.strerror}."
    if error.errno == errno.EFBIG:
        return BuildError(
            f"{what} The system limits the size of a file, and a shard here takes about {format_bytes(largest)}: raise "
            "the limit (ulimit -f) and run the same command again, or build with a smaller --shard-size elsewhere or "
            "with --replace. What was finished is kept."
        )
    if is_remote(grid.paths.root):
        return BuildError(
            f"{what} Shards are written there before they are sent. What was finished is kept: make space, set TMPDIR "
            "to a folder on a larger disk, or use fewer --jobs; then run the same command again."
        )
    free = format_bytes(shutil.disk_usage(grid.paths.root).free)
    return BuildError(
        f"{what} About {format_bytes(needed)} are needed for what is missing, {free} are free. What was finished is "
        "kept: make space, then run the same command again."
    )


def _run(
    build_plan: BuildPlan, context: TaskContext, tasks: Sequence[Task], progress: Progress
) -> dict[tuple[str, str], Bad] | None:
    return run_surviving(context, _cut(build_plan, tasks), make_workers(build_plan.options), progress.task_done)


def _cut(build_plan: BuildPlan, tasks: Sequence[Task]) -> list[Task]:
    record_s = max(plan.record_s for plan in build_plan.stored.plan.splits.values())
    return cut_columns(tasks, jobs=build_plan.options.num_jobs, record_s=record_s)


def _without_sources(build_plan: BuildPlan, bad: Mapping[str, Mapping[str, Bad]]) -> BuildPlan:
    """Return the plan of a new generation that leaves these sources out of all rows, the listed ones included."""
    manifest = build_plan.stored.manifest
    if manifest is None:
        raise BuildError(f"{build_plan.out}: a draft has no listed rows to take over.")
    rows = {}
    for split, listed in manifest.splits.items():
        kept = [row for row in listed.rows if row.row not in build_plan.unlist.get(split, ())]
        rows[split] = [
            *(RowPlan(row=row.row, seed=row.seed, variant=row.stored_variant) for row in kept),
            *build_plan.rows.get(split, []),
        ]
    fallen = [{"key": b.key, "split": s, "reason": b.reason} for s, found in bad.items() for b in found.values()]
    return next_generation_of(build_plan, [*build_plan.stored.plan.skipped, *fallen], rows)


def next_generation_of(
    build_plan: BuildPlan, skipped: list[dict[str, str]], rows: Mapping[str, list[RowPlan]]
) -> BuildPlan:
    """Return the plan of a generation that takes the place of the listed one: these rows, without these sources."""
    plan = replace(build_plan.stored.plan, generation=next_generation(build_plan.out), skipped=skipped, rows=dict(rows))
    save_draft(build_plan.out, plan, build_plan.sources)
    stored = StoredGeneration(plan=plan, manifest=None, listing=build_plan.stored.listing)
    return replace(build_plan, stored=stored, previous=build_plan.stored, rows=rows, unlist={})


def unlist_rows(manifest: Manifest, numbers: Mapping[str, set[int]]) -> Manifest:
    """Return the manifest without these rows: split → row numbers."""
    splits = {
        name: replace(split, rows=[row for row in split.rows if row.row not in numbers.get(name, ())])
        for name, split in manifest.splits.items()
    }
    return replace(manifest, splits=splits)


# Bad sources: which are accepted, and whether there are too many


def _accepted_keys(build_plan: BuildPlan, grid: Grid, receipts: Receipts) -> dict[str, set[str]]:
    """Return split → keys that are known to be bad, from the plan and from receipts, and accepted as such."""
    skipped: dict[str, set[str]] = {split: set() for split in grid.plan.splits}
    for entry in grid.plan.skipped:
        skipped[entry["split"]].add(entry["key"])
    if build_plan.stored.manifest is not None or build_plan.options.retry_bad:
        return skipped
    bad = bad_of(receipts)
    with_bad = {split: keys | set(bad.get(split, ())) for split, keys in skipped.items()}
    accepts = sum(map(len, with_bad.values())) <= build_plan.options.allowed_bad(len(build_plan.sources))
    return with_bad if accepts else skipped  # those that are too many are tried again


def _check_skip_bad(build_plan: BuildPlan, grid: Grid, bad: Mapping[str, Mapping[str, Bad]]) -> None:
    """Go on only if that many bad sources were accepted; else all of them go to a file.

    Raises:
        BadSourcesError: There are more.
    """
    found = [{"split": s, "key": b.key, "reason": b.reason} for s in bad for b in bad[s].values()]
    total = len({(f["split"], f["key"]) for f in found} | {(e["split"], e["key"]) for e in grid.plan.skipped})
    allowed = build_plan.options.allowed_bad(len(build_plan.sources))
    if total <= allowed:
        return
    content = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in found)
    write_whole(grid.paths.errors, content.encode(), grid.paths.temporary)
    raise BadSourcesError(
        f"{total} of {format_count(len(build_plan.sources), 'source')} {'is' if total == 1 else 'are'} bad, {allowed} "
        f"{'was' if allowed == 1 else 'were'} accepted:\n"
        f"{describe_reasons([entry['reason'] for entry in found])}\n"
        f"All are listed in {grid.paths.errors}. Everything else is written and kept. Fix them and run the same "
        f"command again, or accept them with --skip-bad {total}: they will be left out of all rows."
    )


def _skipped_entries(
    grid: Grid, skipped: Mapping[str, set[str]], proven: Mapping[str, Sequence[Receipt]]
) -> list[dict[str, str]]:
    """Return the manifest's entries of the accepted sources: key, split, reason."""
    reasons = {(entry["split"], entry["key"]): entry["reason"] for entry in grid.plan.skipped}
    reasons |= {(split, bad.key): bad.reason for split, of in proven.items() for receipt in of for bad in receipt.bad}
    return [
        {"key": key, "split": split, "reason": reasons.get((split, key), "")}
        for split, keys in skipped.items()
        for key in sorted(keys)
    ]
