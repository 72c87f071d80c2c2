"""Cuts columns into tasks and runs them, also when workers die. Owns joblib."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from precompute.dataset.paths import DatasetPaths
from precompute.errors import BuildError
from precompute.run.receipts import Bad
from precompute.run.task import Job, Task, TaskDone, run_task
from precompute.run.whereabouts import left_behind

__all__ = ["cut_columns", "run_surviving"]

LONGEST_TASK_S = 600.0
MOST_ROWS = 128  # open files of a task
KILLS = "the worker process that tried it died, twice: out of memory, or a crash in a library"


def cut_columns(columns: Sequence[Task], *, jobs: int, record_s: float) -> list[Task]:
    """Cut columns into ranges of rows, so that workers do not idle and no task takes very long.

    How work is cut never changes the bytes.

    Args:
        columns: One task a column, with all rows that it misses.
        jobs: Workers.
        record_s: Seconds that one record takes, as far as is known.
    """
    tasks: list[Task] = []
    for column in columns:
        seconds = len(column.places) * len(column.rows) * record_s
        pieces = max(
            -(-jobs // max(1, len(columns))), int(seconds / LONGEST_TASK_S) + 1, -(-len(column.rows) // MOST_ROWS)
        )
        tasks += _cut(column, min(pieces, len(column.rows)))
    return tasks


def _cut(column: Task, pieces: int) -> Iterator[Task]:
    num_rows = len(column.rows)
    for piece in range(pieces):
        yield replace(column, rows=column.rows[piece * num_rows // pieces : (piece + 1) * num_rows // pieces])


class WorkersDied(Exception):  # noqa: N818 (an event, not an error)
    """A worker process ended; joblib gives up the whole call."""


def run_tasks(job: Job, tasks: Sequence[Task], *, jobs: int, backend: str, on_done: Callable[[TaskDone], None]) -> None:
    """Run all tasks, in any order; what they made is in their receipts.

    Raises:
        WorkersDied: A worker process ended.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given to the executor")
        parallel = joblib.Parallel(
            n_jobs=jobs, backend=backend, return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs"
        )
        try:
            for done in parallel(joblib.delayed(run_task)(job, task) for task in tasks):
                on_done(done)
        except TerminatedWorkerError as error:
            raise WorkersDied from error


def run_surviving(
    job: Job, tasks: Sequence[Task], *, jobs: int, backend: str, on_done: Callable[[TaskDone], None]
) -> dict[tuple[str, str], Bad] | None:
    """Run tasks; when a worker dies, find out by which source.

    Returns:
        None when all tasks have run. Else some are left over, and this is (split, key) → each source that killed the
        worker that tried it, twice and alone.

    Raises:
        BuildError: Workers die, and by no source: there is not enough memory, or somebody kills them.
    """
    notes = DatasetPaths(Path(job.out)).whereabouts
    try:
        run_tasks(job, tasks, jobs=jobs, backend=backend, on_done=on_done)
        return None
    except WorkersDied as error:
        suspects = left_behind(notes)  # all workers of the call were ended with the one that died
        if not suspects:
            raise BuildError(
                "worker processes die before they come to a source: killed from outside, or for lack of memory. What "
                "was finished is kept: run the same command again, with fewer --jobs if memory is short."
            ) from error
    killers: dict[tuple[str, str], Bad] = {}
    for task in tasks:
        if suspects & {(task.split, place.key) for place in task.places}:
            killers |= _try_alone(job, task, notes, backend=backend, on_done=on_done)
    return killers


def _try_alone(
    job: Job, task: Task, notes: Path, *, backend: str, on_done: Callable[[TaskDone], None]
) -> dict[tuple[str, str], Bad]:
    """Run one task by itself, up to twice; returns the source at which it died both times, if it did."""
    deaths: Counter[tuple[str, str]] = Counter()
    for _ in range(2):
        try:
            # Two jobs, of which one has nothing to do: with one, joblib would run it in this process.
            run_tasks(job, [task], jobs=2, backend=backend, on_done=on_done)
            return {}
        except WorkersDied:
            deaths.update(left_behind(notes))
    images = {(task.split, place.key): place.image for place in task.places}
    return {
        name: Bad(key=name[1], reason=f"{images[name]}: {KILLS}")
        for name, times in deaths.items()
        if times == 2 and name in images
    }
