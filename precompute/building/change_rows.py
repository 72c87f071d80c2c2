"""Rows come and go: `regenerate` puts rows of a new seed in the place of listed ones, `drop` takes rows away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from precompute.building.cells import Wanted, plan_rows
from precompute.building.finish import publish
from precompute.building.folder import stored_generations, sweep, write_lock
from precompute.building.from_manifest import RunOptions, listed_rows, manifest_of, plan_from_manifest
from precompute.building.progress import Progress
from precompute.building.result import BuildResult
from precompute.building.write import unlist_rows, write_rows
from precompute.dataset.manifest import Manifest
from precompute.dataset.rows import describe_numbers, parse_row_ranges, select_rows
from precompute.errors import UsageError
from precompute.options.plain_values import converts_arguments
from precompute.options.values import check_seed
from precompute.preflight.ineffective_options import check_ineffective_worker_options
from precompute.storage.paths import as_path

__all__ = ["Dropped", "drop", "regenerate"]


@converts_arguments
def regenerate(
    output: str | Path,
    *,
    seed: int,
    split: str = "train",
    pipeline: Any = None,
    source: str | Path | None = None,
    jobs: int | None = None,
    backend: str = "loky",
    address: str | None = None,
    allow_mixed_cpus: bool = False,
    task_timeout: float | None = None,
    lease_dir: str | Path | None = None,
    quiet: bool = False,
) -> BuildResult:
    """Replace the listed rows of a split by as many under a new seed; settings come from the manifest.

    The original row stays. Readers of the old rows keep them until they end.

    Args:
        output: Folder of the dataset, or its URL.
        seed: The new seed.
        split: Name of the split.
        pipeline: Needed only when the manifest's pipelines hold a user's own code: the same ones, from which the
            dataset was built.
        source: Folder of the sources, where it has moved.
        jobs: Worker processes; all cores by default.
        backend: joblib backend.
        address: Address of the Dask scheduler, for backend dask.
        allow_mixed_cpus: Workers of the Dask cluster may have different processors.
        task_timeout: Seconds that a worker may spend at one source, all its new rows together; no limit by default.
        lease_dir: Folder where readers of this dataset leave leases, besides in its own.
        quiet: Say nothing.

    Raises:
        PipelineError: The pipeline cannot be rebuilt from the manifest, or is another one.
        SettingsError: Sources or versions have changed.
        DatasetError: There is no such dataset, or split.
    """
    out, check = as_path(output), check_seed(seed)
    run_options = RunOptions(
        pipeline=pipeline,
        source=source,
        jobs=jobs,
        backend=backend,
        address=address,
        allow_mixed_cpus=allow_mixed_cpus,
        task_timeout=task_timeout,
        lease_dir=lease_dir,
    )
    Manifest.load(out)
    with Progress(quiet=quiet) as progress, write_lock(out, lease_dir):
        stored = stored_generations(out)[-1]
        fresh = [row for row in listed_rows(manifest_of(stored, out), out, split) if not row.original]
        build_plan = plan_from_manifest(stored, out, split, run_options)
        for note in check_ineffective_worker_options(build_plan.options):
            progress.say(f"note: {note}")
        rows = plan_rows(stored, {split: [(check, variant) for variant in range(len(fresh))]})
        replaced = {row.row for row in fresh if row.seed != seed}
        return write_rows(build_plan, Wanted(rows=rows, unlist={split: replaced}), progress)


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """What `drop` took away.

    Attributes:
        rows: Numbers of the rows.
        num_bytes: Size of their shards.
        kept_files: Files that stay until their readers have ended.
    """

    rows: list[int]
    num_bytes: int
    kept_files: int


@converts_arguments
def drop(
    output: str | Path, *, rows: str | Sequence[int], split: str = "train", lease_dir: str | Path | None = None
) -> Dropped:
    """Take rows from the manifest, then delete their shards; row numbers are not used again.

    Args:
        output: Folder of the dataset, or its URL.
        rows: Row numbers, or text such as ``"0-3,7"``; ranges are inclusive.
        split: Name of the split.
        lease_dir: Folder where readers of this dataset leave leases, besides in its own.

    Raises:
        UsageError: A row is not listed, or none would be left.
        DatasetError: There is no such dataset, or split.
    """
    out = as_path(output)
    numbers = parse_row_ranges(rows) if isinstance(rows, str) else list(rows)
    Manifest.load(out)
    with write_lock(out, lease_dir):
        manifest = Manifest.load(out)
        listed = listed_rows(manifest, out, split)
        gone = select_rows(manifest.splits[split], numbers, name=split)
        if len(gone) == len(listed):
            raise UsageError(f"rows: {split} would have none left ({describe_numbers(numbers)}); keep at least one.")
        manifest = unlist_rows(manifest, {split: set(numbers)})
        publish(out, manifest)
        kept = sweep(out, manifest, lease_dir)
    return Dropped(rows=numbers, num_bytes=sum(row.num_bytes for row in gone), kept_files=kept)
