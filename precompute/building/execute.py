"""Cuts columns into tasks and runs them, even if workers die or hang. Owns joblib."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError
from joblib.parallel import get_active_backend

from precompute.building.heartbeat import CRASHED, TimeKeeper, sources_of_dead_workers
from precompute.building.receipts import Bad, BadSources
from precompute.building.task import Task, TaskContext, TaskDone, run_task
from precompute.building.workers import Workers, keeps_workers, start_calls, warm_up
from precompute.dataset.paths import DatasetPaths
from precompute.errors import BuildError
from precompute.options.build_options import BuildOptions
from precompute.preflight.sample import serially
from precompute.storage.paths import as_path

__all__ = ["count_pieces", "cut_columns", "make_workers", "run_side_by_side", "run_surviving"]

MAX_TASK_S = 600.0
MIN_CUT_S = 0.5  # each piece decodes its sources again: a few ms each, as much as some records
MAX_ROWS = 128  # open files of a task
NO_WORKERS = "here no processes can be started: this one is a daemon of multiprocessing, or these are threads of joblib"


def make_workers(options: BuildOptions) -> Workers:
    """Return the workers for the tasks.

    Raises:
        BuildError: The Dask cluster cannot be reached, or tasks are limited in time where no workers can be started.
    """
    if options.backend != "dask":
        if options.has_no_workers and options.task_timeout is not None:
            raise BuildError(f"task_timeout: only worker processes can be ended, and {NO_WORKERS}. Leave it out.")
        return Workers(jobs=options.num_jobs, backend=options.backend, task_timeout=options.task_timeout)
    from precompute.building.cluster import num_threads  # here, for it loads Dask

    address = options.address or ""
    jobs = options.jobs or num_threads(address)
    under_way = options.jobs or 2 * jobs  # one in hand for each, so that none waits for the next
    return Workers(jobs=jobs, backend="dask", under_way=under_way, address=address, mixed_cpus=options.allow_mixed_cpus)


def check_workers(options: BuildOptions) -> list[str]:
    """Check before any work that there are workers who can do it; returns notes for the user.

    Raises:
        BuildError: The Dask cluster cannot be reached, or not all of its workers can do the work.
    """
    if options.backend == "dask" and not options.dry_run:
        from precompute.building.cluster import check_cluster  # here, for it loads Dask

        return check_cluster(options.address or "", mixed_cpus=options.allow_mixed_cpus)
    return [f"{NO_WORKERS}; records are made in this one."] if options.has_no_workers else []


def cut_columns(columns: Sequence[Task], *, jobs: int, record_s: float) -> list[Task]:
    """Cut columns into ranges of rows, so that workers do not idle and no task takes very long.

    The cut never changes the bytes. Large tasks come first, and the last ones are small.

    Args:
        columns: One task per column, with all its missing rows.
        jobs: Number of workers.
        record_s: Seconds per record, as far as known.
    """
    columns = sorted(columns, key=lambda column: -len(column.places) * len(column.rows))
    sizes = [(len(column.places), len(column.rows)) for column in columns]
    pieces = count_pieces(sizes, jobs=jobs, record_s=record_s)
    return [task for column, number in zip(columns, pieces, strict=True) for task in _cut(column, number)]


def count_pieces(sizes: Sequence[tuple[int, int]], *, jobs: int, record_s: float) -> list[int]:
    """Return the number of tasks that each column is cut into; each task decodes the column's sources once.

    Args:
        sizes: Numbers of places and rows of the columns, the largest first.
        jobs: Number of workers.
        record_s: Seconds per record.
    """
    left_s, pieces = sum(places * rows for places, rows in sizes) * record_s, []
    for places, rows in sizes:
        seconds = places * rows * record_s
        # Half of a worker's share of the remaining work: the last tasks then end at nearly the same time.
        most_s = min(MAX_TASK_S, max(MIN_CUT_S, left_s / (2 * jobs)))
        pieces.append(min(rows, max(-(-jobs // len(sizes)), math.ceil(seconds / most_s), -(-rows // MAX_ROWS))))
        left_s -= seconds
    return pieces


def _cut(column: Task, pieces: int) -> Iterator[Task]:
    num_rows = len(column.rows)
    for piece in range(pieces):
        yield replace(column, rows=column.rows[piece * num_rows // pieces : (piece + 1) * num_rows // pieces])


def run_side_by_side(workers: Workers, function: Callable[[Any], Any], arguments: Sequence[Any]) -> list[Any]:
    """Return the results of a function for each argument, in order; worker processes share the work, if there are any.

    The workers go on with tasks afterwards. If one of them dies, this process does all of it.
    """
    if workers.backend != "loky" or workers.jobs == 1 or not keeps_workers():
        return serially(function, arguments)
    parallel = joblib.Parallel(
        n_jobs=workers.jobs, backend="loky", return_as="generator", batch_size=1, pre_dispatch="all"
    )
    try:
        calls = (joblib.delayed(warm_up)(), *(joblib.delayed(function)(argument) for argument in arguments))
        return list(start_calls(workers.backend, parallel, calls))[1:]
    except TerminatedWorkerError:
        return serially(function, arguments)


class WorkersDied(Exception):  # noqa: N818 (an event, not an error)
    """A worker process died, so that joblib gives up the whole call.

    Attributes:
        overdue: (split, key) of the sources at which workers were ended because they took too long.
    """

    def __init__(self, overdue: set[tuple[str, str]]) -> None:
        self.overdue = overdue


def run_tasks(
    context: TaskContext, tasks: Sequence[Task], workers: Workers, on_done: Callable[[TaskDone], None]
) -> list[Task]:
    """Run all tasks, in any order; their results are in their receipts.

    Returns:
        Tasks that a cluster gave up because their workers died.

    Raises:
        WorkersDied: A worker process of this machine died.
    """
    if workers.backend == "dask":
        from precompute.building.cluster import run_on_cluster  # here, for it loads Dask

        return run_on_cluster(context, tasks, workers, on_done)
    # With one job, joblib would run tasks in this process, which cannot be ended; so two jobs, one of which waits.
    one_at_a_time = workers.jobs == 1 and workers.task_timeout is not None
    parallel = joblib.Parallel(
        n_jobs=2 if one_at_a_time else workers.jobs,
        backend=workers.backend,
        return_as="generator_unordered" if _gives_results_as_they_come(workers.backend) else "list",
        batch_size=1,
        pre_dispatch=1 if one_at_a_time else "2*n_jobs",
    )
    notes = DatasetPaths(as_path(context.out)).heartbeats
    with warnings.catch_warnings(), TimeKeeper(notes, workers.task_timeout) as keeper:
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given to the executor")
        try:
            for done in start_calls(workers.backend, parallel, _calls(context, tasks, workers)):
                if done is not None:
                    on_done(done)
        except TerminatedWorkerError as error:
            raise WorkersDied(keeper.overdue) from error
    return []


def _calls(context: TaskContext, tasks: Sequence[Task], workers: Workers) -> Iterator[Any]:
    """Yield a call of joblib for each task; calls that return None may come first."""
    if workers.backend == "loky":
        # Processes that have been idle for five minutes are gone. loky starts others with the first call, but watches
        # them from the second one on: should one die before, it would not hear of it for another five minutes.
        yield joblib.delayed(warm_up)()
    for task in tasks:
        yield joblib.delayed(run_task)(context, task)


def _gives_results_as_they_come(backend: str) -> bool:
    """Return whether a joblib backend yields results as they come; registered ones, such as Spark's, may not."""
    with joblib.parallel_config(backend=backend):
        return bool(get_active_backend()[0].supports_return_generator)


def run_surviving(
    context: TaskContext, tasks: Sequence[Task], workers: Workers, on_done: Callable[[TaskDone], None]
) -> BadSources | None:
    """Run tasks; when a worker dies or is ended, find the source that did it.

    Returns:
        None when all tasks have run. Else some are left over, and this maps (split, key) to each source that twice
        killed the worker that tried it alone, or twice took too long.

    Raises:
        BuildError: Workers die, and no source is to blame: memory is short, or somebody kills them.
    """
    notes = DatasetPaths(as_path(context.out)).heartbeats
    try:
        given_up = run_tasks(context, tasks, workers, on_done)
        _run_given_up(context, given_up, workers, on_done)
        return None
    except WorkersDied as died:
        suspects = sources_of_dead_workers(notes)  # all workers of the call were ended with the one that died
        overdue = died.overdue
        if not suspects:
            raise BuildError(
                "worker processes die before they come to a source: killed from outside, or for lack of memory. What "
                "was finished is kept: run the same command again, with fewer --jobs if memory is short."
            ) from died
    crashing_sources: BadSources = {}
    for task in tasks:
        in_task = {(task.split, place.key) for place in task.places} - crashing_sources.keys()
        if in_task & (overdue or suspects):
            crashing_sources |= _run_by_itself(context, task, workers, on_done, overdue & in_task)
    return crashing_sources


def _run_given_up(
    context: TaskContext, tasks: Sequence[Task], workers: Workers, on_done: Callable[[TaskDone], None]
) -> None:
    """Run tasks that a cluster gave up, each by itself: some only waited for workers that others killed.

    The task itself finds a source that kills its workers.

    Raises:
        BuildError: Workers die again, and no source is to blame.
    """
    for task in tasks:
        if run_tasks(context, [task], replace(workers, under_way=1), on_done):
            raise BuildError(
                f"workers of the cluster die again and again at block {task.block} of {task.split}, and never twice at "
                "one source: killed from outside, or for lack of memory. What was finished is kept: run the same "
                "command again, with fewer --jobs or more memory for each worker."
            )


def _run_by_itself(
    context: TaskContext,
    task: Task,
    workers: Workers,
    on_done: Callable[[TaskDone], None],
    overdue: set[tuple[str, str]],
) -> BadSources:
    """Run one task by itself, up to twice; returns the source at which it died or was ended both times, if any.

    A source that was overdue before has had its first time.
    """
    notes = DatasetPaths(as_path(context.out)).heartbeats
    deaths, late = Counter[tuple[str, str]](overdue), Counter[tuple[str, str]](overdue)
    # Two jobs, of which one has nothing to do: with one, joblib would run it in this process.
    workers = replace(workers, jobs=2)
    for _ in range(2):
        try:
            run_tasks(context, [task], workers, on_done)
            return {}
        except WorkersDied as died:
            deaths.update(sources_of_dead_workers(notes))
            late.update(died.overdue)
        if 2 in deaths.values():
            break
    images = {(task.split, place.key): place.image for place in task.places}
    timeout = f"took longer than --task-timeout {workers.task_timeout:g} s, twice" if workers.task_timeout else ""
    return {
        name: Bad(key=name[1], reason=f"{images[name]}: {timeout if late[name] == 2 else CRASHED}")
        for name, times in deaths.items()
        if times == 2 and name in images
    }
