"""Rows come and go: `regenerate` puts rows of a new seed in the place of listed ones, `drop` takes rows away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from precompute.dataset.manifest import Manifest, Row
from precompute.dataset.rows import describe_numbers, parse_row_ranges, select_rows
from precompute.errors import DatasetError, PipelineError, RejectedSource, SettingsError, UsageError, first_few
from precompute.options import BuildOptions, check_seed
from precompute.plan.listing import sources_of_listing
from precompute.plan.settings import differences, pixel_versions
from precompute.record.example import decode_example
from precompute.record.tfrecord import read_records
from precompute.remake import Remaker
from precompute.run.finish import publish
from precompute.run.folder import Known, known_generations, sweep, write_lock
from precompute.run.progress import Progress
from precompute.run.result import BuildResult
from precompute.run.work import Work
from precompute.run.write import plan_rows, unlist_rows, write_rows

__all__ = ["Dropped", "drop", "regenerate"]

SAMPLE_SIZE = 3


def regenerate(
    output: str | Path,
    *,
    seed: int,
    split: str = "train",
    pipeline: Any = None,
    source: str | Path | None = None,
    jobs: int | None = None,
    backend: str = "loky",
    quiet: bool = False,
) -> BuildResult:
    """Replace the listed rows of a split by as many under a new seed; settings come from the manifest.

    The original row stays. Readers of the old rows keep them until they end.

    Args:
        output: Folder of the dataset.
        seed: The new seed.
        split: Which split.
        pipeline: Needed only when the manifest's pipelines hold a user's own code: the same ones, from which the
            dataset was built.
        source: Folder of the sources, where it has moved.
        jobs: Worker processes; all cores by default.
        backend: joblib backend.
        quiet: Say nothing.

    Raises:
        PipelineError: The pipeline cannot be rebuilt from the manifest, or is another one.
        SettingsError: Sources or versions have changed.
        DatasetError: There is no such dataset, or split.
    """
    out, check = Path(output), check_seed(seed)
    Manifest.load(out)
    with Progress(quiet=quiet) as progress, write_lock(out):
        known = known_generations(out)[-1]
        fresh = [row for row in _listed_rows(known, out, split) if not row.original]
        _check_versions(known, out)
        remaker = Remaker(out, _manifest(known, out), pipeline=pipeline, source=source)
        _check_same_bytes(out, _manifest(known, out), remaker, split)
        work = _work_of_manifest(known, out, remaker, source, jobs=jobs, backend=backend)
        wanted = {split: [(check, variant) for variant in range(len(fresh))]}
        replaced = {row.row for row in fresh if row.seed != seed}
        return write_rows(replace(work, rows=plan_rows(known, wanted), unlist={split: replaced}), progress)


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


def drop(output: str | Path, *, rows: str | Sequence[int], split: str = "train") -> Dropped:
    """Take rows from the manifest, then delete their shards; row numbers are not used again.

    Args:
        output: Folder of the dataset.
        rows: Row numbers, or text such as ``"0-3,7"``; ranges are inclusive.
        split: Which split.

    Raises:
        UsageError: A row is not listed, or none would be left.
        DatasetError: There is no such dataset, or split.
    """
    out = Path(output)
    numbers = parse_row_ranges(rows) if isinstance(rows, str) else list(rows)
    Manifest.load(out)
    with write_lock(out):
        known = known_generations(out)[-1]
        listed = _listed_rows(known, out, split)
        manifest = _manifest(known, out)
        gone = select_rows(manifest.splits[split], numbers, name=split)
        if len(gone) == len(listed):
            raise UsageError(f"rows: {split} would have none left ({describe_numbers(numbers)}); keep at least one.")
        manifest = unlist_rows(manifest, {split: set(numbers)})
        publish(out, manifest)
        kept = sweep(out, manifest)
    return Dropped(rows=numbers, num_bytes=sum(row.num_bytes for row in gone), kept_files=kept)


def _manifest(known: Known, out: Path) -> Manifest:
    if known.manifest is None:
        raise DatasetError(f"{out}: has no manifest; build the dataset first.")
    return known.manifest


def _listed_rows(known: Known, out: Path, split: str) -> list[Row]:
    manifest = _manifest(known, out)
    if split not in manifest.splits:
        raise UsageError(f"split: {out} has {', '.join(manifest.splits)}; got {split!r}.")
    return manifest.splits[split].rows


def _check_versions(known: Known, out: Path) -> None:
    settings = known.plan.settings
    now = {"pixels": {**settings["pixels"], "versions": pixel_versions()}, "dataset": settings["dataset"]}
    changed = differences(settings, now)
    if changed:
        raise SettingsError(
            f"{out}: other versions decide pixels now than when it was built:\n{first_few(changed, 10)}\n"
            "Install the versions that it was built with, or build anew with --replace."
        )


def _work_of_manifest(
    known: Known, out: Path, remaker: Remaker, source: str | Path | None, *, jobs: int | None, backend: str
) -> Work:
    """Return the work of more rows under the manifest's own settings."""
    settings = known.plan.settings
    root = settings["dataset"]["root"] if source is None else str(source)
    sources = sources_of_listing(known.listing, root, settings["dataset"]["class_names"])
    return Work(
        out=out,
        options=_options_of(settings, jobs=jobs, backend=backend),
        pipelines=remaker.pipelines,
        sources=sources,
        known=known,
        previous=None,
        rows={},
    )


def _options_of(settings: Mapping[str, Any], *, jobs: int | None, backend: str) -> BuildOptions:
    pixels, dataset = settings["pixels"], settings["dataset"]
    return BuildOptions(
        image_format=pixels["image_format"],
        quality=pixels["quality"] or 95,
        mask_map={int(old): new for old, new in pixels.get("mask_map", {}).items()},
        num_classes=dataset["num_classes"],
        ignore_class=dataset["ignore_class"],
        jobs=jobs,
        backend=backend,
    )


def _check_same_bytes(out: Path, manifest: Manifest, remaker: Remaker, split: str) -> None:
    """Make a few stored records again: what comes out must be what is there.

    Raises:
        PipelineError: It is not.
    """
    row = manifest.splits[split].rows[0]
    for stored in islice(read_records(manifest.shard_path(out, split, row.row, 0)), SAMPLE_SIZE):
        example: dict[str, Any] = dict(decode_example(stored))
        key, copy = example["augment/key"][0].decode(), example["augment/copy"][0]
        try:
            made = remaker.record(split, row, key, copy)
        except RejectedSource as error:
            raise SettingsError(f"{out}: a source cannot be used any more: {error}") from error
        if made != stored:
            raise PipelineError(
                f"{out}: {key} of row {row.row} does not come out as it is stored: another processor, or a pipeline "
                "that the manifest does not fully describe. Pass the file that it was built with: --pipeline FILE; or "
                "build with --replace."
            )
