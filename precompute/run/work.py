"""What one build has to do, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from precompute.dataset.manifest import Manifest
from precompute.errors import BuildError
from precompute.options import BuildOptions
from precompute.plan.generation import RowPlan
from precompute.plan.make import make_spec
from precompute.record.pipelines.pipeline import Prepared
from precompute.run.folder import Known
from precompute.run.grid import Grid, make_grid
from precompute.run.pool import Workers
from precompute.run.task import Job
from precompute.sources.source import Sources
from precompute.storage.paths import absolute

__all__ = ["NO_WORKERS", "Rows", "Unlist", "Work", "make_job", "make_workers", "work_grid"]

NO_WORKERS = "here no processes can be started: this one is a daemon of multiprocessing, or these are threads of joblib"
Rows = Mapping[str, Sequence[RowPlan]]
Unlist = Mapping[str, set[int]]


@dataclass(frozen=True, kw_only=True)
class Work:
    """All that writing rows needs to know.

    Attributes:
        out: The dataset's folder.
        options: Of this build.
        pipelines: Split → prepared pipeline, one for each.
        sources: All of them, their splits assigned.
        known: The generation that is written to.
        previous: The listed generation, when that is another one.
        rows: Split → rows that shall be whole at the end, those listed already apart.
        unlist: Split → numbers of listed rows that the new ones replace.
        choose_last: Chooses, just before the swap of the manifest, which of `rows` are listed and what takes the place
            of `unlist`: while rows are written, readers go on.
    """

    out: Path
    options: BuildOptions
    pipelines: Mapping[str, Prepared]
    sources: Sources
    known: Known
    previous: Known | None
    rows: Rows
    unlist: Unlist = field(default_factory=dict)
    choose_last: Callable[[Manifest], tuple[Rows, Unlist]] | None = None


def work_grid(work: Work) -> Grid:
    """Return the grid that the work writes to."""
    return make_grid(work.out, work.known.plan, work.sources, work.known.listing)


def make_job(work: Work) -> Job:
    """Return what all tasks of the work have in common."""
    plan, options = work.known.plan, work.options
    pickled = {split: prepared.pickled for split, prepared in work.pipelines.items()}
    return Job(
        out=str(absolute(work.out)),  # other machines have other working folders
        name=plan.name,
        generation=plan.generation,
        fingerprint=plan.fingerprint,
        spec=make_spec(options, work.sources, plan.image, plan.mask_dtype),
        pipelines={**pickled, "original": pickled["validation"]},
        own_process=options.backend == "loky" and options.num_jobs > 1,
    )


def make_workers(options: BuildOptions) -> Workers:
    """Return who runs the tasks.

    Raises:
        BuildError: The Dask cluster cannot be reached, or tasks are limited in time where no workers can be started.
    """
    if options.backend != "dask":
        if options.has_no_workers and options.task_timeout is not None:
            raise BuildError(f"task_timeout: only worker processes can be ended, and {NO_WORKERS}. Leave it out.")
        return Workers(jobs=options.num_jobs, backend=options.backend, task_timeout=options.task_timeout)
    from precompute.run.cluster import num_threads  # here, for it loads Dask

    address = options.address or ""
    jobs = options.jobs or num_threads(address)
    under_way = options.jobs or 2 * jobs  # one in hand for each, so that none waits for the next
    return Workers(jobs=jobs, backend="dask", under_way=under_way, address=address, mixed_cpus=options.allow_mixed_cpus)
