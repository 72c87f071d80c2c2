"""Cuts columns into tasks and runs them. Owns joblib."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from precompute.errors import BuildError
from precompute.run.task import Job, Task, TaskDone, run_task

__all__ = ["cut_columns", "run_tasks"]

LONGEST_TASK_S = 600.0
MOST_ROWS = 128  # open files of a task


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


def run_tasks(job: Job, tasks: Sequence[Task], *, jobs: int, backend: str, on_done: Callable[[TaskDone], None]) -> None:
    """Run all tasks, in any order; what they made is in their receipts.

    Raises:
        BuildError: Workers died.
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
            raise BuildError(
                "a worker process died, killed from outside or for lack of memory. What was finished is kept: run the "
                "same command again, with fewer --jobs if memory is short."
            ) from error
        except OSError as error:
            raise BuildError(
                f"{error.filename or job.out}: writing failed: {error.strerror or error}. What was finished is kept: "
                "mend it, then run the same command again."
            ) from error
