"""Who makes records: joblib's backends, what goes with each, and how many workers there are."""

from __future__ import annotations

import re
import warnings
from typing import Any

from precompute.errors import UsageError

__all__ = ["BACKENDS", "check_backend", "check_timeout", "count_workers", "lacks_workers"]

BACKENDS = ("loky", "threading", "sequential", "dask")  # not multiprocessing: it forks


def check_backend(backend: Any, address: Any) -> None:
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
    """Tell whether joblib knows a backend, by somebody else, or one of its own that does not fork."""
    from joblib.parallel import BACKENDS as REGISTERED  # here, so that --help is quick

    return backend in REGISTERED and backend != "multiprocessing"


def check_timeout(seconds: Any, backend: str) -> None:
    """Refuse what is neither None nor a time, and a backend whose workers cannot be ended.

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


def count_workers(jobs: int | None, backend: str) -> int:
    """Return how many workers to start: 1 where none can be.

    Args:
        jobs: How many workers are asked for; None: all cores that the container grants.
        backend: Name of joblib's backend, or ``"dask"``.
    """
    import joblib  # here, so that --help is quick

    asked = int(joblib.cpu_count()) if jobs is None else jobs
    if backend != "loky" or asked == 1:
        return asked
    with warnings.catch_warnings(), joblib.parallel_config(backend="loky"):
        warnings.simplefilter("ignore")  # joblib tells it in its own words, at each call
        return int(joblib.effective_n_jobs(asked))


def lacks_workers(jobs: int | None, backend: str) -> bool:
    """Whether several workers are asked for where none can be: in a daemonic process, in threads of joblib."""
    import joblib

    return backend == "loky" and (jobs or joblib.cpu_count()) > 1 and count_workers(jobs, backend) == 1
