"""Sources that were left out and have been fixed since: they join all rows, and only their blocks are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from precompute.building.cells import BuildPlan, Grid, bad_of, make_grid, make_task_context
from precompute.building.choose_generation import num_changed
from precompute.building.execute import cut_columns, make_workers, run_surviving
from precompute.building.files import remove_tree
from precompute.building.folder import SCRATCH, stored_generations
from precompute.building.progress import Progress
from precompute.building.receipts import Bad
from precompute.building.task import Task
from precompute.building.write import MAX_PASSES, next_generation_of, write_rows
from precompute.dataset.manifest import Manifest
from precompute.errors import BuildError
from precompute.plan.generation import RowPlan
from precompute.text.format import format_count
from precompute.text.reasons import describe_reasons

__all__ = ["retry_bad"]

Rows = Mapping[str, Sequence[RowPlan]]
Named = Mapping[tuple[str, str], Bad]  # (split, key) → what is wrong


def retry_bad(build_plan: BuildPlan, progress: Progress) -> tuple[BuildPlan, int]:
    """Take fixed sources into all listed rows, by a new generation that takes over what is as it was.

    Returns:
        The plan, to go on with the generation that is listed now; and how many sources were fixed.

    Raises:
        BuildError: Workers died, or the disk is full; the dataset is as it was.
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
    skipped = [{"key": key, "split": split, "reason": bad.reason} for (split, key), bad in still.items()]
    write_rows(next_generation_of(build_plan, skipped, _listed(manifest)), progress)
    progress.say(f"note: {format_count(fixed, 'fixed source')} in all rows now.")
    return replace(build_plan, stored=stored_generations(build_plan.out)[-1], previous=None), fixed


def _listed(manifest: Manifest) -> dict[str, list[RowPlan]]:
    return {
        name: [RowPlan(row=row.row, seed=row.seed, variant=row.stored_variant) for row in split.rows]
        for name, split in manifest.splits.items()
    }


def _still_bad(build_plan: BuildPlan, manifest: Manifest, progress: Progress) -> Named:
    """Make the records of the skipped sources, of all rows, to no avail but to see which fail."""
    grid, rows, crashing_sources = make_grid(build_plan), _listed(manifest), dict[tuple[str, str], Bad]()
    keys = {split: {s["key"] for s in manifest.skipped if s["split"] == split} for split in manifest.splits}
    paths, context = grid.paths, replace(make_task_context(build_plan), generation=SCRATCH)
    workers = make_workers(build_plan.options)
    try:
        for _ in range(MAX_PASSES):
            tasks = [task for task in _tries(grid, rows, keys, crashing_sources) if task.rows and task.places]
            progress.start(sum(len(task.places) * len(task.rows) for task in tasks))
            pieces = cut_columns(tasks, jobs=1, record_s=0.0)
            newly_crashing = run_surviving(context, pieces, workers, progress.task_done)
            if newly_crashing is None:
                bad = bad_of(replace(grid, plan=replace(grid.plan, generation=SCRATCH)).receipts(rows))
                failed = {(split, b.key): b for split, found in bad.items() for b in found.values()}
                return failed | crashing_sources
            crashing_sources |= newly_crashing
    finally:
        remove_tree(paths.generation(SCRATCH))
        remove_tree(paths.build / SCRATCH)
    raise BuildError(
        f"{build_plan.out}: workers die again and again while the bad sources are tried; try fewer at a time."
    )


def _tries(grid: Grid, rows: Rows, keys: Mapping[str, set[str]], crashing_sources: Named) -> list[Task]:
    """Return a task for each block with skipped sources: of nothing but these."""
    tasks = []
    for split, blocks in grid.blocks.items():
        wanted = keys[split] - {key for of, key in crashing_sources if of == split}
        for block, places in enumerate(blocks):
            task = grid.task(split, block, rows[split], ())
            tasks.append(replace(task, places=[place for place in places if place.key in wanted] if wanted else []))
    return tasks
