"""A dataset that is listed, and more rows of it: the settings come from its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from precompute.building.cells import BuildPlan
from precompute.building.folder import StoredGeneration
from precompute.dataset.manifest import Manifest, Row
from precompute.errors import DatasetError, PipelineError, RejectedSource, SettingsError, UsageError, first_few
from precompute.options.build_options import BuildOptions
from precompute.plan.settings import differences
from precompute.plan.versions import check_distributions, pixel_versions
from precompute.records.example import decode_example
from precompute.records.tfrecord import read_records
from precompute.rendering.rebuild import RecordRebuilder
from precompute.table.listed_sources import sources_of_listing

__all__ = ["RunOptions", "listed_rows", "manifest_of", "plan_from_manifest"]

SAMPLE_SIZE = 3


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How more rows of a dataset are made.

    Attributes:
        pipeline: Needed only when the manifest's pipelines hold a user's own code: the same ones, from which the
            dataset was built.
        source: Folder of the sources, where it has moved.
        jobs: Worker processes; all cores by default.
        backend: joblib backend.
        address: Address of the Dask scheduler, for backend dask.
        allow_mixed_cpus: Workers of the Dask cluster may have different processors.
        task_timeout: Seconds that a worker may spend at one source; no limit by default.
        lease_dir: Folder where readers leave leases, besides in the dataset.
    """

    pipeline: Any
    source: str | Path | None
    jobs: int | None
    backend: str
    address: str | None
    allow_mixed_cpus: bool
    task_timeout: float | None
    lease_dir: str | Path | None

    @property
    def options(self) -> BuildOptions:
        """The options of a build that go with any dataset."""
        return BuildOptions(
            jobs=self.jobs,
            backend=self.backend,
            address=self.address,
            allow_mixed_cpus=self.allow_mixed_cpus,
            task_timeout=self.task_timeout,
            lease_dir=self.lease_dir,
        )


def manifest_of(stored: StoredGeneration, out: Path) -> Manifest:
    """Return the manifest of what is on disk.

    Raises:
        DatasetError: It is a draft.
    """
    if stored.manifest is None:
        raise DatasetError(f"{out}: has no manifest; build the dataset first.")
    return stored.manifest


def listed_rows(manifest: Manifest, out: Path, split: str) -> list[Row]:
    """Return the rows that a split lists.

    Raises:
        UsageError: There is no such split.
        DatasetError: It lists none.
    """
    if split not in manifest.splits:
        raise UsageError(f"split: {out} has {', '.join(manifest.splits)}; got {split!r}.")
    rows = manifest.splits[split].rows
    if not rows:
        raise DatasetError(f"{out}: {split} lists no rows; run `precompute build` first.")
    return rows


def plan_from_manifest(stored: StoredGeneration, out: Path, split: str, run_options: RunOptions) -> BuildPlan:
    """Return the plan of more rows of a split, none of them named yet; it has been tried on a few records.

    Raises:
        PipelineError: The pipeline cannot be rebuilt from the manifest, or is another one.
        SettingsError: Sources or versions have changed.
        DatasetError: There is no such dataset.
    """
    manifest, settings = manifest_of(stored, out), stored.plan.settings
    _check_versions(settings, out)
    rebuilder = RecordRebuilder(out, manifest, pipeline=run_options.pipeline, source=run_options.source)
    _check_same_bytes(out, manifest, rebuilder, split)
    root = settings["dataset"]["root"] if run_options.source is None else str(run_options.source)
    return BuildPlan(
        out=out,
        options=run_options.options,
        pipelines=rebuilder.pipelines,
        sources=sources_of_listing(
            stored.listing,
            root,
            settings["dataset"]["class_names"],
            schema=manifest.schema,
        ),
        stored=stored,
    )


def _check_versions(settings: Mapping[str, Any], out: Path) -> None:
    check_distributions()
    now = {"pixels": {**settings["pixels"], "versions": pixel_versions()}, "dataset": settings["dataset"]}
    changed = differences(dict(settings), now)
    if changed:
        raise SettingsError(
            f"{out}: other versions decide pixels now than when it was built:\n{first_few(changed, 10)}\n"
            "Install the versions that it was built with, or build anew with --replace."
        )


def _check_same_bytes(out: Path, manifest: Manifest, rebuilder: RecordRebuilder, split: str) -> None:
    """Make a few stored records again: what comes out must be what is there.

    Raises:
        PipelineError: It is not.
    """
    row = listed_rows(manifest, out, split)[0]
    for stored in islice(read_records(manifest.shard_path(out, split, row.row, 0)), SAMPLE_SIZE):
        example: dict[str, Any] = dict(decode_example(stored))
        key, copy = example["augment/key"][0].decode(), example["augment/copy"][0]
        try:
            made = rebuilder.record(split, row, key, copy)
        except RejectedSource as error:
            raise SettingsError(f"{out}: a source cannot be used any more: {error}") from error
        if made != stored:
            raise PipelineError(
                f"{out}: {key} of row {row.row} does not come out as it is stored: another processor, or a pipeline "
                "that the manifest does not fully describe. Pass the file that it was built with: --pipeline FILE; or "
                "build with --replace."
            )
