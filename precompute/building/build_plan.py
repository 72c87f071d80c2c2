"""What one build has to do, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from precompute.building.folder import StoredGeneration
from precompute.building.grid import Grid, make_grid
from precompute.building.make_plan import spec_of_plan
from precompute.building.task import TaskContext
from precompute.building.workers import Workers
from precompute.dataset.manifest import Manifest
from precompute.errors import BuildError
from precompute.options.build_options import BuildOptions
from precompute.pipelines.pipeline import Prepared
from precompute.plan.generation import RowPlan
from precompute.storage.paths import absolute
from precompute.table.sources import Sources

__all__ = ["NO_WORKERS", "BuildPlan", "Rows", "Unlist", "grid_of", "make_task_context", "make_workers"]

NO_WORKERS = "here no processes can be started: this one is a daemon of multiprocessing, or these are threads of joblib"
Rows = Mapping[str, Sequence[RowPlan]]
Unlist = Mapping[str, set[int]]


@dataclass(frozen=True, kw_only=True)
class BuildPlan:
    """All that writing rows needs to know.

    Attributes:
        out: The dataset's folder.
        options: Options of this build.
        pipelines: Split → prepared pipeline, one for each.
        sources: All sources, their splits assigned.
        stored: The generation that is written to.
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
    stored: StoredGeneration
    previous: StoredGeneration | None
    rows: Rows
    unlist: Unlist = field(default_factory=dict)
    choose_last: Callable[[Manifest], tuple[Rows, Unlist]] | None = None


def grid_of(build_plan: BuildPlan) -> Grid:
    """Return the grid that the rows are written to."""
    return make_grid(build_plan.out, build_plan.stored.plan, build_plan.sources, build_plan.stored.listing)


def make_task_context(build_plan: BuildPlan) -> TaskContext:
    """Return what all tasks of the build have in common."""
    plan, options = build_plan.stored.plan, build_plan.options
    pickled = {split: prepared.pickled for split, prepared in build_plan.pipelines.items()}
    return TaskContext(
        out=str(absolute(build_plan.out)),  # other machines have other working folders
        name=plan.name,
        generation=plan.generation,
        fingerprint=plan.fingerprint,
        spec=spec_of_plan(plan, build_plan.sources),
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
    from precompute.building.cluster import num_threads  # here, for it loads Dask

    address = options.address or ""
    jobs = options.jobs or num_threads(address)
    under_way = options.jobs or 2 * jobs  # one in hand for each, so that none waits for the next
    return Workers(jobs=jobs, backend="dask", under_way=under_way, address=address, mixed_cpus=options.allow_mixed_cpus)
