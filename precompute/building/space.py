"""Whether the disk has room for rows; and, for a dry run, the bytes and hours that they take."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Sequence
from pathlib import Path

from precompute.building.cells import BuildPlan, Grid, Rows
from precompute.building.execute import count_pieces
from precompute.building.make_plan import spec_of_plan
from precompute.building.task import Task
from precompute.errors import BuildError
from precompute.preflight.estimate import Estimate, SplitCost, estimate, online
from precompute.preflight.sample import measure
from precompute.storage.paths import is_remote
from precompute.text.format import format_bytes

__all__ = ["NO_ROOM", "check_space", "forecast", "no_room"]

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NUM_SOURCES = 32  # what records of one source take differs less than what sources do
NUM_VARIANTS = 2
RUNS, EPOCHS = 1, 100  # where --runs and --epochs are not given


def check_space(grid: Grid, tasks: Sequence[Task], *, jobs: int) -> None:
    """Refuse a job that cannot fit, before it has filled the disk.

    Args:
        jobs: Number of tasks at a time; for an object store, the local disk holds their shards until they are sent.

    Raises:
        BuildError: There is less space than the records will take, according to the sample.
    """
    sizes, root = [_needed_bytes(grid, task) for task in tasks], grid.paths.root
    if not is_remote(root):
        needed, free = sum(sizes), shutil.disk_usage(root).free
        if needed > free:
            raise BuildError(
                f"{root}: about {format_bytes(needed)} are needed for what is missing, {format_bytes(free)} are "
                "free. Make space, ask for fewer --variants, or start all the same with --ignore-space."
            )
        return
    needed, disk = sum(sorted(sizes, reverse=True)[:jobs]), grid.paths.temporary.parent
    free = shutil.disk_usage(disk).free
    if needed > free:
        raise BuildError(
            f"{disk}: shards are written here before they are sent to {root}, about {format_bytes(needed)} at a time, "
            f"and {format_bytes(free)} are free. Set TMPDIR to a folder on a larger disk, use fewer --jobs, or start "
            "all the same with --ignore-space."
        )


def _needed_bytes(grid: Grid, task: Task) -> int:
    return len(task.places) * len(task.rows) * grid.plan.splits[task.split].record_bytes


def no_room(grid: Grid, tasks: Sequence[Task], error: OSError) -> BuildError:
    """Return the error for a full disk, quota or limit, with the bytes that are still needed."""
    what = f"{error.filename or grid.paths.root}: {error.strerror}."
    if error.errno == errno.EFBIG:
        largest = max((_needed_bytes(grid, task) // len(task.rows) for task in tasks), default=0)
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
    needed = format_bytes(sum(_needed_bytes(grid, task) for task in tasks))
    free = format_bytes(shutil.disk_usage(grid.paths.root).free)
    return BuildError(
        f"{what} About {needed} are needed for what is missing, {free} are free. What was finished is kept: make "
        "space, then run the same command again."
    )


def forecast(build_plan: BuildPlan, wanted: Rows) -> Estimate:
    """Return the estimate for the rows of a build; nothing is written.

    Raises:
        BadSourcesError: None of the tried sources can be used.
    """
    stored, options, parts, num_tasks = build_plan.stored.plan, build_plan.options, dict[str, SplitCost](), 0
    spec = spec_of_plan(stored, build_plan.sources)
    for split, rows in wanted.items():
        if not rows:
            continue
        plan = stored.splits[split]
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
    """Return the folder, or the nearest existing one above it."""
    return next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
