"""A Dask cluster: connecting, checking that its workers can do the work, and running tasks on it. Owns Dask.

The cluster is the user's: nothing is started or configured here. Dask restarts a task when its worker is lost. That is
safe even if the lost worker lives on behind a broken network: both write the same bytes under temporary names of their
own, renames are atomic, and receipts are equal. (Where mixed processors were accepted, bytes may differ: a shard could
then be from one worker and its receipt from the other, which `verify` finds.)
"""

from __future__ import annotations

import hashlib
import platform
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from time import monotonic
from typing import Any
from uuid import uuid4

import cloudpickle
import joblib

from precompute.building import cluster_worker
from precompute.building.files import make_folder, remove
from precompute.building.heartbeat import sources_of_dead_workers
from precompute.building.task import Task, TaskContext, TaskDone
from precompute.building.workers import Workers
from precompute.dataset.paths import DatasetPaths
from precompute.errors import BuildError, PrecomputeError, UsageError, first_few
from precompute.storage.paths import as_path, is_remote
from precompute.text.format import format_count

try:
    import distributed
    from joblib._dask import DaskDistributedBackend
except ImportError as error:
    raise UsageError(f"backend: dask needs the extra dask: pip install 'augment-once[dask]' ({error}).") from error
if not hasattr(DaskDistributedBackend, "submit"):
    raise UsageError("backend: dask needs joblib 1.5 or newer: pip install --upgrade joblib")

__all__ = ["check_cluster", "num_threads", "run_on_cluster"]

CONNECT_S = 10.0  # until a scheduler has answered
WORKER_S = 60.0  # until there is a worker: at the start, and after the last one has gone
LOOK_EVERY_S = 1.0
START_WORKERS = "dask worker {address} --nthreads 1 --nworkers -1"


@contextmanager
def _connect(address: str) -> Iterator[distributed.Client]:
    """Hold a connection to a scheduler that has workers; at its end, waiting tasks of this process are dropped.

    Raises:
        BuildError: There is no such scheduler, or it has no workers.
    """
    try:
        client = distributed.Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError, ImportError) as error:
        raise BuildError(
            f"address: no Dask scheduler answers at {address} ({error}). Start one with `dask scheduler` and give the "
            "address that it prints; it must be reachable from this machine."
        ) from error
    with client:
        try:
            client.submit(platform.node, pure=False).result(timeout=WORKER_S)  # clusters that grow on demand do so now
        except TimeoutError as error:
            raise _no_workers(address) from error
        yield client


def _no_workers(address: str) -> BuildError:
    start = START_WORKERS.format(address=address)
    return BuildError(
        f"the cluster at {address} has had no worker for {WORKER_S:g} s. Start some, on each machine: `{start}`. What "
        "was finished is kept: run the same command again."
    )


def num_threads(address: str) -> int:
    """Return how many tasks the workers of a cluster run at a time.

    Raises:
        BuildError: The cluster cannot be reached.
    """
    with _connect(address) as client:
        return sum(client.nthreads().values())


def check_cluster(address: str, *, mixed_cpus: bool) -> list[str]:
    """Check before any work that a cluster can do it, except for what depends on files.

    Returns:
        Notes for the user.

    Raises:
        BuildError: The cluster cannot be reached, or not all of its workers can do the work.
    """
    with _connect(address) as client:
        _check_workers(client, _expected_of(None, {}), mixed_cpus=mixed_cpus)
        threads = client.nthreads()
    several = sum(number > 1 for number in threads.values())
    at_a_time = format_count(sum(threads.values()), "task")
    notes = [f"the cluster has {format_count(len(threads), 'worker')} for {at_a_time} at a time."]
    if several:
        start = START_WORKERS.format(address=address)
        notes.append(f"{several} of them run several tasks in one process; a process for each is faster: {start}")
    return notes


def run_on_cluster(
    context: TaskContext, tasks: Sequence[Task], workers: Workers, on_done: Callable[[TaskDone], None]
) -> list[Task]:
    """Run all tasks on a Dask cluster, in any order; their results are in their receipts.

    Returns:
        Tasks that Dask gave up since several workers died while they had them, no source being to blame twice.

    Raises:
        BuildError: The cluster was lost, or its workers cannot do the work.
    """
    paths, lost = DatasetPaths(as_path(context.out)), list[Task]()
    address, only_task = workers.address or "", workers.under_way == 1
    with ExitStack() as stack:
        client = stack.enter_context(_connect(address))
        expected = stack.enter_context(_marked(_expected_of(paths, _sample(tasks))))
        features = _check_workers(client, {**expected, "pipelines": context.pipelines}, mixed_cpus=workers.mixed_cpus)
        expected["cpu_features"] = features
        stack.callback(sources_of_dead_workers, paths.heartbeats)  # tasks that outlive the call see it, and stop
        backend = _Backend(client, address)
        stack.enter_context(_Watch(client, backend, address))
        parallel = joblib.Parallel(
            backend=backend,
            n_jobs=workers.jobs,
            return_as="generator_unordered",
            batch_size=1,
            pre_dispatch=workers.under_way,
        )
        run = joblib.delayed(cluster_worker.run_remote_task)
        for done in parallel(run(context, task, expected, only_task=only_task) for task in tasks):
            if isinstance(done, _Lost):
                lost.append(done.task)
            else:
                on_done(done)
    return lost


# Requirements of workers: the same versions, access to output and sources, the same kind of processor


def _expected_of(paths: DatasetPaths | None, sources: dict[str, str]) -> cluster_worker.Expected:
    """Return what workers must have: versions, and access to output and sources."""
    token = uuid4().hex
    return {
        "token": token,
        "versions": cluster_worker.deciding_versions(),
        "cpu_features": None,
        "marker": None if paths is None else str(paths.marker(token)),
        "temporary": "" if paths is None or is_remote(paths.root) else str(paths.temporary),
        "sources": sources,
        "pipelines": {},
    }


def _sample(tasks: Sequence[Task]) -> dict[str, str]:
    """Return path → sha256 for image and mask of the first source that can be read here."""
    for place in (place for task in tasks for place in task.places if place.key not in task.skipped):
        try:
            paths = [place.image, *(path for path in [place.raw.get("mask")] if isinstance(path, str))]
            return {path: hashlib.sha256(as_path(path).read_bytes()).hexdigest() for path in paths}
        except (OSError, PrecomputeError):
            continue  # a bad source
    return {}


@contextmanager
def _marked(expected: cluster_worker.Expected) -> Iterator[cluster_worker.Expected]:
    """Keep a file in the output that all workers must see, while the block runs."""
    marker = as_path(expected["marker"] or "")
    make_folder(marker.parent)
    marker.write_bytes(expected["token"].encode())
    try:
        yield expected
    finally:
        remove(marker)


def _check_workers(client: distributed.Client, expected: cluster_worker.Expected, *, mixed_cpus: bool) -> str | None:
    """Check that every worker can do the work, and that the scheduler can read tasks, which it unpickles.

    Returns:
        The feature line that all of their processors share; None when any will do.

    Raises:
        BuildError: One of them cannot.
    """
    here = platform.python_version_tuple()[:2]
    pythons = client.run(platform.python_version_tuple, on_error="return")
    faults = [
        f"worker {address} runs Python {'.'.join(there[:2])}, this machine {'.'.join(here)}; both must be the same"
        for address, there in pythons.items()
        if not isinstance(there, BaseException) and tuple(there[:2]) != here
    ]
    found: dict[str, Any] = {}
    if not faults:  # code that goes by value needs the same Python
        with _by_value():
            found = client.run(cluster_worker.examine, expected, on_error="return")
            faults += [f"the scheduler {fault}" for fault in client.run_on_scheduler(cluster_worker.import_faults)]
    for address, there in found.items():
        failed = isinstance(there, BaseException)
        faults += [f"worker {address}: {there!r}"] if failed else cluster_worker.describe(address, there)
    if faults:
        raise BuildError(
            f"not all of the cluster can do the work:\n{first_few(faults)}\nSources and output must lie under "
            "the same paths on all machines, in a file system that they share, with the same versions installed."
        )
    features = {address: there["cpu_features"] for address, there in found.items()}
    if mixed_cpus or not features:
        return None
    if len(set(features.values())) > 1:
        raise _mixed(features, {address: there["host"] for address, there in found.items()})
    return str(next(iter(features.values())))


@contextmanager
def _by_value() -> Iterator[None]:
    module = sys.modules[cluster_worker.__name__]
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def _mixed(features: Mapping[str, str], hosts: Mapping[str, str]) -> BuildError:
    kinds = defaultdict[str, list[str]](list)
    for address, line in features.items():
        kinds[line].append(f"{address} on {hosts[address]}")
    lines = [f"{format_count(len(those), 'worker')}, such as {those[0]}: {line}" for line, those in kinds.items()]
    return BuildError(
        f"the workers have {len(kinds)} kinds of processors, by the instructions that OpenCV uses:\n"
        f"{first_few(lines)}\n"
        "Some pixels may differ by a grey level, depending on which worker makes them: use workers of one kind, or "
        "accept it with --allow-mixed-cpus; the manifest names all kinds."
    )


# joblib's backend


@dataclass(frozen=True)
class _Lost:
    task: Task


@dataclass(frozen=True)
class _Raised:
    error: BaseException


class _Backend(DaskDistributedBackend):  # type: ignore[misc]  # joblib has no types
    """joblib's own Dask backend, which would wait for ever for a task that Dask has given up.

    Source: joblib 1.6, `_dask.py`: `_collect` sets the exception of its future, and calls no callback.
    """

    def __init__(self, client: distributed.Client, address: str) -> None:
        super().__init__(client=client)
        self._address = address
        self._under_way = dict[Future[Any], tuple[Task, Callable[[Any], None]]]()

    def effective_n_jobs(self, n_jobs: int) -> int:
        """Return a number of workers above one: with one, joblib would run the tasks in this process."""
        return max(2, n_jobs)

    def submit(self, func: Any, callback: Callable[[Any], None]) -> Future[Any]:
        """Send one task."""
        future: Future[Any] = super().submit(func, callback)
        _, (_, task, _), _ = func.items[0]
        self._under_way[future] = task, callback
        future.add_done_callback(self._settle)
        return future

    def _settle(self, future: Future[Any]) -> None:
        task, callback = self._under_way.pop(future, (None, None))
        error = future.exception()
        if task is None or callback is None or error is None:
            return  # joblib itself calls back, or everything was given up before
        callback([_Lost(task)] if isinstance(error, distributed.KilledWorker) else _Raised(error))

    def give_up(self, error: BaseException) -> None:
        """End the call with an error, whatever is running."""
        while self._under_way:
            _, callback = self._under_way.popitem()[1]
            callback(_Raised(error))

    def retrieve_result_callback(self, out: Any) -> Any:
        """Return the results of a task, or raise its error."""
        if isinstance(out, CancelledError):
            raise BuildError(
                f"the connection to the scheduler at {self._address} was lost, or it has dropped the tasks ({out}). "
                "What was finished is kept: run the same command again when the cluster is there."
            )
        if isinstance(out, _Raised):
            if isinstance(out.error, BuildError):
                raise out.error
            message = " ".join(f"{type(out.error).__name__}: {out.error}".split())
            raise BuildError(f"the cluster at {self._address} could not run a task: {message}") from out.error
        return super().retrieve_result_callback(out)


class _Watch:
    """Gives up when all workers have gone and none comes back: Dask itself would wait for ever."""

    def __init__(self, client: distributed.Client, backend: _Backend, address: str) -> None:
        self._client, self._backend, self._address = client, backend, address
        self._end = Event()
        self._thread = Thread(target=self._look, name="watch over the cluster", daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(timeout=CONNECT_S)

    def _look(self) -> None:
        last_seen = monotonic()
        while not self._end.wait(LOOK_EVERY_S):
            try:
                if self._client.nthreads():
                    last_seen = monotonic()
            except Exception:  # the scheduler is gone: joblib hears of that by its tasks
                continue
            if monotonic() - last_seen > WORKER_S:
                self._backend.give_up(_no_workers(self._address))
                return
