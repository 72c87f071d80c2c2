"""`precompute.regenerate` replaces listed rows by rows of a new seed; `precompute.drop` takes rows away.

The settings of new rows come from the manifest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from precompute.building.cells import BuildPlan, Wanted, plan_rows
from precompute.building.finish import publish
from precompute.building.folder import StoredGeneration, stored_generations, sweep, write_lock
from precompute.building.progress import Progress
from precompute.building.result import BuildResult
from precompute.building.write import unlist_rows, write_rows
from precompute.dataset.manifest import Manifest, Row
from precompute.dataset.rows import describe_numbers, parse_row_ranges, select_rows
from precompute.errors import DatasetError, PipelineError, RejectedSource, SettingsError, UsageError, first_few
from precompute.options.build_options import BuildOptions
from precompute.options.option import shows_options
from precompute.options.plain_values import converts_arguments
from precompute.options.running import RunOptions
from precompute.options.values import check_seed
from precompute.plan.settings import differences
from precompute.plan.versions import check_distributions, pixel_versions
from precompute.preflight.ineffective_options import check_ineffective_worker_options
from precompute.records.example import decode_example
from precompute.records.tfrecord import read_records
from precompute.rendering.rebuild import RecordRebuilder
from precompute.storage.paths import as_path
from precompute.table.listed_sources import sources_of_listing
from precompute.text.display import Displayed
from precompute.text.format import format_bytes, format_count

__all__ = ["Dropped", "drop", "listed_generation", "plan_from_manifest", "regenerate", "rows_of_split"]

SAMPLE_SIZE = 3


@shows_options(RunOptions)
@converts_arguments
def regenerate(
    output: str | Path,
    *,
    seed: int,
    split: str = "train",
    pipeline: Any = None,
    source: str | Path | None = None,
    **running: Any,
) -> BuildResult:
    """Replace the listed rows of a split by as many with a new seed; settings come from the manifest.

    The original row stays. Readers of the old rows keep them until they end.

    Args:
        output: Folder of the dataset, or its URL.
        seed: The new seed.
        split: Name of the split.
        pipeline: Needed only when the manifest's pipelines hold a user's own code: the same ones, from which the
            dataset was built.
        source: Folder of the sources, where it has moved.
        **running: Options of `build` for how it runs (see `RunOptions`): `jobs`, `backend`, `quiet` …

    Raises:
        PipelineError: The pipeline cannot be rebuilt from the manifest, or is another one.
        SettingsError: Sources or versions have changed.
        DatasetError: There is no such dataset, or split.
    """
    out, check, options = as_path(output), check_seed(seed), RunOptions.make(**running)
    Manifest.load(out)
    with Progress(quiet=options.quiet) as progress, write_lock(out, options.lease_dir):
        stored, manifest = listed_generation(out)
        fresh = [row for row in rows_of_split(manifest, out, split) if not row.original]
        build_plan = plan_from_manifest(stored, manifest, out, split, options, pipeline=pipeline, source=source)
        progress.notes(check_ineffective_worker_options(build_plan.options))
        rows = plan_rows(stored, {split: [(check, variant) for variant in range(len(fresh))]})
        replaced = {row.row for row in fresh if row.seed != seed}
        return write_rows(build_plan, Wanted(rows=rows, unlist={split: replaced}), progress)


@dataclass(frozen=True, kw_only=True, repr=False)
class Dropped(Displayed):
    """What `drop` took away.

    Attributes:
        split: Name of the split.
        rows: Numbers of the rows.
        num_bytes: Size of their shards.
        kept_files: Number of files that stay until their readers have ended.
    """

    split: str
    rows: list[int]
    num_bytes: int
    kept_files: int

    def summary(self) -> str:
        """Return a line or two for people."""
        lines = [f"dropped rows {describe_numbers(self.rows)} of {self.split}: {format_bytes(self.num_bytes)}"]
        if self.kept_files:
            lines.append(
                f"  {format_count(self.kept_files, 'file stays', 'files stay')} until their readers have ended; "
                "the next command deletes them"
            )
        return "\n".join(lines)


@converts_arguments
def drop(
    output: str | Path, *, rows: str | Sequence[int], split: str = "train", lease_dir: str | Path | None = None
) -> Dropped:
    """Take rows from the manifest, then delete their shards; row numbers are not used again.

    Args:
        output: Folder of the dataset, or its URL.
        rows: Row numbers, or text such as ``"0-3,7"``; ranges are inclusive.
        split: Name of the split.
        lease_dir: Further folder where readers of this dataset leave leases.

    Raises:
        UsageError: A row is not listed, or none would be left.
        DatasetError: There is no such dataset, or split.
    """
    out = as_path(output)
    numbers = parse_row_ranges(rows) if isinstance(rows, str) else list(rows)
    Manifest.load(out)
    with write_lock(out, lease_dir):
        manifest = Manifest.load(out)
        listed = rows_of_split(manifest, out, split)
        gone = select_rows(manifest.splits[split], numbers, name=split)
        if len(gone) == len(listed):
            raise UsageError(f"rows: {split} would have none left ({describe_numbers(numbers)}); keep at least one.")
        manifest = unlist_rows(manifest, {split: set(numbers)})
        publish(out, manifest)
        kept = sweep(out, manifest, lease_dir)
    return Dropped(split=split, rows=numbers, num_bytes=sum(row.num_bytes for row in gone), kept_files=kept)


# The listed generation, and the plan of more of its rows


def listed_generation(out: Path) -> tuple[StoredGeneration, Manifest]:
    """Return the listed generation of a dataset, and the manifest.

    Raises:
        DatasetError: The dataset is a draft: nothing is listed yet.
    """
    stored = stored_generations(out)[-1]
    if stored.manifest is None:
        raise DatasetError(f"{out}: has no manifest; build the dataset first.")
    return stored, stored.manifest


def rows_of_split(manifest: Manifest, out: Path, split: str) -> list[Row]:
    """Return the rows that a split lists.

    Raises:
        UsageError: There is no such split.
        DatasetError: The split lists none.
    """
    if split not in manifest.splits:
        raise UsageError(f"split: {out} has {', '.join(manifest.splits)}; got {split!r}.")
    rows = manifest.splits[split].rows
    if not rows:
        raise DatasetError(f"{out}: {split} lists no rows; run `precompute build` first.")
    return rows


def plan_from_manifest(
    stored: StoredGeneration,
    manifest: Manifest,
    out: Path,
    split: str,
    options: RunOptions,
    *,
    pipeline: Any = None,
    source: str | Path | None = None,
) -> BuildPlan:
    """Return the plan of more rows of a split, once it has been tried on a few records.

    Args:
        pipeline: The pipelines where they hold a user's own code, as in `regenerate`.
        source: Folder of the sources where it has moved, as in `regenerate`.

    Raises:
        PipelineError: The pipeline cannot be rebuilt from the manifest, or is another one.
        SettingsError: Sources or versions have changed.
    """
    settings = stored.plan.settings
    _check_versions(settings, out)
    rebuilder = RecordRebuilder(out, manifest, pipeline=pipeline, source=source)
    _check_same_bytes(out, manifest, rebuilder, split)
    root = settings["dataset"]["root"] if source is None else str(source)
    return BuildPlan(
        out=out,
        options=BuildOptions(**vars(options)),
        pipelines=rebuilder.pipelines,
        sources=sources_of_listing(stored.listing, root, settings["dataset"]["class_names"], schema=manifest.schema),
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
    """Make a few stored records again, and compare them with what is stored.

    Raises:
        PipelineError: One differs.
    """
    row = rows_of_split(manifest, out, split)[0]
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
