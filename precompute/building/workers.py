"""Workers for tasks, and the start and end of joblib's pool of worker processes.

The pool outlives a build, so that the next one in the same notebook finds its workers warm.
"""

from __future__ import annotations

import atexit
import importlib
import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.util import Finalize
from typing import Any

import joblib
from joblib.externals.loky import process_executor, reusable_executor
from joblib.externals.loky.backend import resource_tracker as loky_resource_tracker
from joblib.externals.loky.process_executor import TerminatedWorkerError

from precompute.program.interruption import starting_children
from precompute.program.memory import import_quickly

__all__ = ["Workers", "keeps_workers", "start_calls", "start_workers", "warm_up"]

_starting: list[Iterator[None]] = []  # calls of workers that only have to start
_of_parent: list[Any] = []  # pools that belong to the process from which this one was forked


@dataclass(frozen=True, kw_only=True)
class Workers:
    """The workers that run tasks.

    Attributes:
        jobs: Number of workers.
        backend: Backend of joblib, or ``"dask"``.
        under_way: Largest number of tasks that workers run or have waiting; None for the backend's choice.
        task_timeout: Seconds that a worker may spend at one source; None for no limit. Needs loky.
        address: Address of the Dask scheduler, for backend dask.
        mixed_cpus: Whether workers on other machines may have different processors.
    """

    jobs: int
    backend: str
    under_way: int | None = None
    task_timeout: float | None = None
    address: str | None = None
    mixed_cpus: bool = False


def keeps_workers() -> bool:
    """Return whether workers stay for the next calls: not in a child process of multiprocessing.

    Such a child waits at its end for its own children, and idle workers stay for five minutes; and it does not run the
    functions of `atexit` by which joblib ends them elsewhere.
    """
    return multiprocessing.parent_process() is None


def start_workers(jobs: int) -> None:
    """Start worker processes, which import what tasks need, while the caller does something else.

    The next calls go to them. Their start takes a second, about as long as importing the modules of a build.
    """
    if jobs > 1 and keeps_workers():
        parallel = joblib.Parallel(
            n_jobs=jobs, backend="loky", return_as="generator_unordered", batch_size=1, pre_dispatch="all"
        )
        _starting.append(start_calls("loky", parallel, (joblib.delayed(warm_up)() for _ in range(jobs))))


@atexit.register  # where an error came before any call: joblib would warn of results that nobody took
def _wait_for_starting() -> None:
    while _starting:
        with suppress(TerminatedWorkerError):  # who calls now will hear of it
            deque(_starting.pop(), maxlen=0)


def warm_up() -> None:
    """Import the modules of tasks."""
    with import_quickly():
        importlib.import_module("precompute.building.execute")  # by name: who starts workers imports nothing heavy


def start_calls(backend: str, parallel: joblib.Parallel, calls: Iterable[Any]) -> Iterator[Any]:
    """Return the results of calls as they come; starts worker processes, which leave Ctrl-C to this process."""
    if backend != "loky":
        return iter(parallel(calls))
    _wait_for_starting()
    if os.name != "nt":
        for tracker in (resource_tracker, loky_resource_tracker):  # first: they let signals through again
            tracker.ensure_running()
    with starting_children():
        results = iter(parallel(calls))
    return results if keeps_workers() else _with_its_end(results)


def _with_its_end(results: Iterator[Any]) -> Iterator[Any]:
    end = Finalize(None, _end_workers, exitpriority=100)  # before it waits, should an error keep this open until then
    try:
        yield from results
    finally:
        end()


def _end_workers() -> None:
    pool = reusable_executor._executor
    if pool is not None:
        pool.terminate(kill_workers=True)
        for clean in list(pool._temp_folder_manager._finalizers.values()):  # joblib's functions of `atexit`
            clean()


def _forget_workers() -> None:
    """Leave the pool to the parent, in a forked process. A reference is kept, or the pool would be ended from here."""
    _of_parent.append(reusable_executor._executor)
    reusable_executor._executor = None
    _starting.clear()
    process_executor._threads_wakeups.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_workers)
