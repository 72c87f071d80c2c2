"""What every command that makes records can be told of its running; no pixel depends on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from precompute.options.backends import BACKENDS, check_backend, check_timeout, count_workers, lacks_workers
from precompute.options.option import Options, option
from precompute.options.values import within

__all__ = ["RunOptions"]


@dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """Who makes the records, and what is said meanwhile."""

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
        check_backend(self.backend, self.address)
        check_timeout(self.task_timeout, self.backend)

    @property
    def num_jobs(self) -> int:
        """Workers to start: all cores that the container grants, unless told otherwise; 1 where none can be started."""
        return count_workers(self.jobs, self.backend)

    @property
    def has_no_workers(self) -> bool:
        """Whether several workers are asked for where none can be: in a daemonic process, in threads of joblib."""
        return lacks_workers(self.jobs, self.backend)
