"""What a dry run tells beyond the plan: bytes, hours and room, from records of a few sources made on the spot."""

from __future__ import annotations

import shutil
from pathlib import Path

from precompute.building.cells import BuildPlan, make_task_context
from precompute.building.execute import count_pieces
from precompute.preflight.estimate import Estimate, SplitCost, estimate, online
from precompute.preflight.sample import measure
from precompute.storage.paths import is_remote

__all__ = ["forecast"]

NUM_SOURCES = 32  # what records of one source take differs less than what sources do
NUM_VARIANTS = 2
RUNS, EPOCHS = 1, 100  # where --runs and --epochs are not given


def forecast(build_plan: BuildPlan) -> Estimate:
    """Return what the rows of a build will take; nothing is written.

    Raises:
        BadSourcesError: None of the sources that are tried can be used.
    """
    spec, options, parts, num_tasks = make_task_context(build_plan).spec, build_plan.options, dict[str, SplitCost](), 0
    for split, rows in build_plan.rows.items():
        if not rows:
            continue
        plan = build_plan.stored.plan.splits[split]
        costs = measure(
            build_plan.sources,
            split,
            build_plan.pipelines[split].pickled,
            spec,
            num_sources=NUM_SOURCES,
            num_variants=min(NUM_VARIANTS, len(rows)),
            seed=options.seed,
        )
        record_s = sum(cost.record_s for cost in costs) / len(costs)
        places = -(-plan.num_places // plan.num_blocks)
        columns = [(places, len(rows))] * plan.num_blocks
        num_of_split = sum(count_pieces(columns, jobs=options.num_jobs, record_s=record_s))
        num_tasks += num_of_split
        parts[split] = SplitCost(
            num_places=plan.num_places,
            num_rows=len(rows),
            num_blocks=plan.num_blocks,
            rows_a_task=-(-len(rows) * plan.num_blocks // num_of_split),
            costs=costs,
        )
    trained = None
    if "train" in parts:
        trained = online(parts["train"], runs=options.runs or RUNS, epochs=options.epochs or EPOCHS)
    free = None if is_remote(build_plan.out) else shutil.disk_usage(_existing(build_plan.out)).free
    return estimate(parts, jobs=options.num_jobs, num_tasks=num_tasks, free_bytes=free, trained=trained)


def _existing(out: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    return next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
