"""Runs the tasks that rows need, judges the bad sources, and lists what is whole."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from precompute.dataset.manifest import Manifest
from precompute.errors import BadSourcesError, BuildError, first_few
from precompute.options import BuildOptions
from precompute.plan.generation import RowPlan, missing_rows
from precompute.plan.make import make_spec
from precompute.record.mask_ids import pickled_fills
from precompute.record.pipeline import Prepared
from precompute.run.adopt import adopt
from precompute.run.execute import cut_columns, run_tasks
from precompute.run.files import remove, write_whole
from precompute.run.finish import list_rows, publish, start_manifest
from precompute.run.folder import Known, next_generation, save_draft, sweep
from precompute.run.grid import Grid, make_grid
from precompute.run.progress import Progress
from precompute.run.receipts import Bad, Receipt
from precompute.run.result import BuildResult
from precompute.run.task import Job
from precompute.sources.source import Sources

__all__ = ["Work", "make_job", "plan_rows", "unlist_rows", "work_grid", "write_rows"]

Rows = Mapping[str, Sequence[RowPlan]]
MOST_PASSES = 50  # each pass but the last finds new bad sources


@dataclass(frozen=True, kw_only=True)
class Work:
    """All that writing rows needs to know.

    Attributes:
        out: The dataset's folder.
        options: Of this build.
        pipelines: Split → prepared pipeline, one for each.
        sources: All of them, their splits assigned.
        known: The generation that is written to.
        previous: The listed generation, when that is another one.
        rows: Split → rows that shall be whole at the end, those listed already apart.
        unlist: Split → numbers of listed rows that the new ones replace.
    """

    out: Path
    options: BuildOptions
    pipelines: Mapping[str, Prepared]
    sources: Sources
    known: Known
    previous: Known | None
    rows: Rows
    unlist: Mapping[str, set[int]] = field(default_factory=dict)


def plan_rows(known: Known, wanted: Mapping[str, Sequence[tuple[int, int]]]) -> dict[str, list[RowPlan]]:
    """Return the rows to be written so that all wanted (seed, variant) are there."""
    rows = {}
    for split, pairs in wanted.items():
        carried = known.plan.rows.get(split, [])
        taken, first = {(r.seed, r.variant) for r in carried}, max((r.row + 1 for r in carried), default=0)
        if known.manifest is not None and split in known.manifest.splits:
            listed = known.manifest.splits[split]
            taken = {(r.seed, r.stored_variant) for r in listed.rows}
            first = listed.next_row
        rows[split] = [*carried, *missing_rows(pairs, taken, first=first)]
    return rows


def write_rows(work: Work, progress: Progress) -> BuildResult:
    """Write all rows of the work, list them in the manifest, and take away what is no longer listed.

    Raises:
        BadSourcesError: More sources are bad than were accepted; the others are written and kept.
        BuildError: Workers died.
    """
    start, plan, manifest = time.monotonic(), work.known.plan, work.known.manifest
    if work.options.dry_run or not (any(work.rows.values()) or any(work.unlist.values())):
        return BuildResult(plan=plan, rows=work.rows, manifest=manifest, seconds=0.0, dry_run=work.options.dry_run)
    grid = work_grid(work)
    if work.previous is not None:
        adopt(grid, work.previous, _accepted(work, grid))
    try:
        skipped, proven = _run_until_proven(work, grid, progress)
    except _SourcesFellOut as fell:
        return write_rows(_without_sources(work, fell.bad), progress)
    new_classes: dict[int, str] = {}
    if manifest is None:
        fills = {i: name for p in work.pipelines.values() for i, name in pickled_fills(p.pickled).items()}
        manifest, new_classes = start_manifest(grid, work.sources, _skipped_entries(work, grid, skipped), fills)
    manifest = unlist_rows(list_rows(manifest, grid, work.rows, proven), work.unlist)
    publish(work.out, manifest)
    kept = sweep(work.out, manifest)
    if kept:
        progress.say(f"note: {kept} files of rows no longer listed stay until their readers have ended.")
    remove(grid.paths.errors)
    seconds = time.monotonic() - start
    return BuildResult(plan=plan, rows=work.rows, manifest=manifest, seconds=seconds, new_classes=new_classes)


def work_grid(work: Work) -> Grid:
    """Return the grid that the work writes to."""
    return make_grid(work.out, work.known.plan, work.sources, work.known.listing)


def make_job(work: Work) -> Job:
    """Return what all tasks of the work have in common."""
    plan, options = work.known.plan, work.options
    pickled = {split: prepared.pickled for split, prepared in work.pipelines.items()}
    return Job(
        out=str(work.out),
        name=plan.name,
        generation=plan.generation,
        fingerprint=plan.fingerprint,
        spec=make_spec(options, work.sources, plan.image, plan.mask_dtype),
        pipelines={**pickled, "original": pickled["validation"]},
        own_process=options.backend != "threading" and options.backend != "sequential" and options.num_jobs > 1,
    )


class _SourcesFellOut(Exception):  # noqa: N818 (an event, not an error)
    """Sources that listed rows hold have failed in a new row, and that was accepted."""

    def __init__(self, bad: Mapping[str, Mapping[str, Bad]]) -> None:
        self.bad = bad


def _run_until_proven(
    work: Work, grid: Grid, progress: Progress
) -> tuple[dict[str, set[str]], dict[str, list[Receipt]]]:
    """Run tasks until a receipt proves every cell; returns the skipped keys and the receipts."""
    skipped, job = _accepted(work, grid), make_job(work)
    for _ in range(MOST_PASSES):
        tasks, proven = grid.missing(work.rows, skipped)
        if not tasks:
            return skipped, proven
        record_s = max(plan.record_s for plan in grid.plan.splits.values())
        progress.start(sum(len(task.places) * len(task.rows) for task in tasks))
        run_tasks(
            job,
            cut_columns(tasks, jobs=work.options.num_jobs, record_s=record_s),
            jobs=work.options.num_jobs,
            backend=work.options.backend,
            on_done=progress.task_done,
        )
        bad = grid.bad_of(work.rows)
        new = {s: {k: b for k, b in found.items() if k not in skipped[s]} for s, found in bad.items()}
        if any(new.values()):
            _judge(work, grid, bad, num_accepted=sum(len(keys) for keys in skipped.values()))
            if work.known.manifest is not None:
                raise _SourcesFellOut(new)
            skipped = {s: keys | set(new.get(s, ())) for s, keys in skipped.items()}
    raise BuildError(
        f"{work.out}: after {MOST_PASSES} passes there are still cells without a receipt; are the sources or "
        "the output being changed meanwhile?"
    )


def _accepted(work: Work, grid: Grid) -> dict[str, set[str]]:
    """Return split → keys that are known to be bad and accepted as such."""
    skipped: dict[str, set[str]] = {split: set() for split in grid.plan.splits}
    for entry in grid.plan.skipped:
        skipped[entry["split"]].add(entry["key"])
    if work.options.allowed_bad(len(work.sources)) and work.known.manifest is None:
        for split, bad in grid.bad_of(work.rows).items():
            skipped[split] |= bad.keys()
    return skipped


def _judge(work: Work, grid: Grid, bad: Mapping[str, Mapping[str, Bad]], *, num_accepted: int) -> None:
    """Raise unless that many bad sources were accepted; all of them go to a file."""
    found = [{"split": s, "key": b.key, "reason": b.reason} for s in bad for b in bad[s].values()]
    total = len({(f["split"], f["key"]) for f in found} | {(e["split"], e["key"]) for e in grid.plan.skipped})
    allowed = work.options.allowed_bad(len(work.sources))
    if total <= allowed:
        return
    content = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in found)
    write_whole(grid.paths.errors, content.encode(), grid.paths.temporary)
    raise BadSourcesError(
        f"{total} of {len(work.sources)} sources are bad, {allowed} were accepted:\n"
        f"{first_few([entry['reason'] for entry in found])}\n"
        f"All are listed in {grid.paths.errors}. Everything else is written and kept. Mend them and run the same "
        f"command again, or accept them with --skip-bad {total}: they will be left out of all rows."
    )


def _skipped_entries(work: Work, grid: Grid, skipped: Mapping[str, set[str]]) -> list[dict[str, str]]:
    reasons = {(entry["split"], entry["key"]): entry["reason"] for entry in grid.plan.skipped}
    for split, bad in grid.bad_of(work.rows).items():
        reasons.update({(split, key): b.reason for key, b in bad.items()})
    return [
        {"key": key, "split": split, "reason": reasons.get((split, key), "")}
        for split, keys in skipped.items()
        for key in sorted(keys)
    ]


def _without_sources(work: Work, bad: Mapping[str, Mapping[str, Bad]]) -> Work:
    """Return the work of a new generation that leaves these sources out of all rows, the listed ones included."""
    manifest, plan = work.known.manifest, work.known.plan
    if manifest is None:
        raise BuildError(f"{work.out}: a draft has no listed rows to take over.")
    rows = {}
    for split, listed in manifest.splits.items():
        kept = [row for row in listed.rows if row.row not in work.unlist.get(split, ())]
        rows[split] = [
            *(RowPlan(row=row.row, seed=row.seed, variant=row.stored_variant) for row in kept),
            *work.rows.get(split, []),
        ]
    fallen = [{"key": b.key, "split": s, "reason": b.reason} for s, found in bad.items() for b in found.values()]
    plan = replace(plan, generation=next_generation(work.out), skipped=[*plan.skipped, *fallen], rows=rows)
    save_draft(work.out, plan, work.sources)
    known = Known(plan=plan, manifest=None, listing=work.known.listing)
    return replace(work, known=known, previous=work.known, rows=rows, unlist={})


def unlist_rows(manifest: Manifest, numbers: Mapping[str, set[int]]) -> Manifest:
    """Return the manifest without these rows: split → row numbers."""
    splits = {
        name: replace(split, rows=[row for row in split.rows if row.row not in numbers.get(name, ())])
        for name, split in manifest.splits.items()
    }
    return replace(manifest, splits=splits)
