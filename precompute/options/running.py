"""The options of all commands that make records about how they run; no pixel depends on them."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from precompute.errors import UsageError
from precompute.options.option import Options, option
from precompute.options.values import within

__all__ = ["RunOptions"]

BACKENDS = ("loky", "threading", "sequential", "dask")  # not multiprocessing: it forks


@dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """Options for which workers make the records, and what is printed meanwhile."""

    title = "running"

    jobs: int | None = option(
        None,
        "worker processes; default: all cores of the machine or container; with dask, tasks under way: twice what its "
        "workers take",
        check=within(1),
    )
    backend: str = option(
        "loky",
        "joblib backend that runs the workers; dask: those of the cluster at --address",
        choices=BACKENDS,
        check=lambda *_: None,  # below: Python may name others
    )
    address: str | None = option(
        None,
        "Dask scheduler, as `dask scheduler` prints it, such as tcp://10.0.0.1:8786; its workers must see sources and "
        "output under the same paths",
        check=lambda *_: None,  # below
    )
    allow_mixed_cpus: bool = option(
        False, "workers of the cluster may have different processors, which may round pixels by a grey level"
    )
    task_timeout: float | None = option(
        None,
        "end a worker that stays at one source for so many seconds, all its new rows together; a source that does so "
        "twice is bad. Needs loky; default: no limit",
        check=lambda *_: None,  # below
        metavar="SECONDS",
    )
    lease_dir: str | Path | None = option(
        None,
        "folder where readers of this dataset leave leases, if it is read-only to them",
        metavar="DIR",
        stored=False,
    )
    quiet: bool = option(False, "say nothing but errors")

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_backend(self.backend, self.address)
        _check_timeout(self.task_timeout, self.backend)

    @property
    def num_jobs(self) -> int:
        """Number of workers to start: `jobs`, else all cores that the container grants; 1 where none can be started."""
        import joblib  # here, so that --help is quick

        asked = int(joblib.cpu_count()) if self.jobs is None else self.jobs
        if self.backend != "loky" or asked == 1:
            return asked
        with warnings.catch_warnings(), joblib.parallel_config(backend="loky"):
            warnings.simplefilter("ignore")  # joblib tells it in its own words, at each call
            return int(joblib.effective_n_jobs(asked))

    @property
    def has_no_workers(self) -> bool:
        """Whether several workers are wanted where none can be started: in a daemonic process, in joblib's threads."""
        import joblib

        return self.backend == "loky" and (self.jobs or joblib.cpu_count()) > 1 and self.num_jobs == 1


def _check_backend(backend: Any, address: Any) -> None:
    """Refuse a backend that joblib does not know, and an address that does not go with it.

    Raises:
        UsageError: One of them is wrong.
    """
    if backend not in BACKENDS and not _is_registered(backend):
        raise UsageError(
            f"backend: expected one of {', '.join(BACKENDS)}, or from Python a name that was registered with "
            f"joblib.register_parallel_backend; got {backend!r}."
        )
    if backend == "dask" and address is None:
        raise UsageError(
            "address: backend dask needs that of the scheduler, as `dask scheduler` prints it, such as "
            "tcp://10.0.0.1:8786."
        )
    if address is None:
        return
    if backend != "dask":
        raise UsageError(f"address: is for backend dask; got backend {backend}.")
    if not isinstance(address, str) or not re.fullmatch(r"(\w+://)?\S+:\d+/?", address):
        raise UsageError(f"address: expected one such as tcp://10.0.0.1:8786, got {address!r}.")


def _is_registered(backend: Any) -> bool:
    """Return whether joblib knows a backend: one that was registered, or one of its own that does not fork."""
    from joblib.parallel import BACKENDS as REGISTERED  # here, so that --help is quick

    return isinstance(backend, str) and backend in REGISTERED and backend != "multiprocessing"


def _check_timeout(seconds: Any, backend: str) -> None:
    """Refuse a timeout that is neither None nor a time, or that goes with a backend whose workers cannot be ended.

    Raises:
        UsageError: One of them is wrong.
    """
    if seconds is None:
        return
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise UsageError(f"task_timeout: expected seconds above 0, got {seconds!r}.")
    if backend != "loky":
        raise UsageError(
            f"task_timeout: needs backend loky, whose workers are processes that can be ended; got {backend}."
        )
