"""Making a single record again from its source and the manifest; it equals the stored one, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from precompute.dataset.manifest import Manifest, Row
from precompute.errors import DatasetError, PipelineError, RejectedSource
from precompute.pipelines.load import complete_pipelines, load_pipelines
from precompute.pipelines.pipeline import Pipeline, Prepared, prepare, rebuild
from precompute.rendering.decode import Decoded, decode_source, files_beside
from precompute.rendering.render import render
from precompute.rendering.spec import RecordSpec
from precompute.storage.paths import as_path
from precompute.table.listing import Listing
from precompute.table.listing_file import stored_listing

__all__ = ["RecordRebuilder", "prepare_like", "rebuild_pipelines", "source_paths", "stored_spec"]

CHANGED = "its content has changed since records were made from it"


class RecordRebuilder:
    """Makes records of a dataset again, one at a time. Threads must not share it: a pipeline holds its draws.

    Args:
        out: The dataset's folder.
        manifest: Manifest of the dataset.
        pipeline: The pipeline as for a build; rebuilt from the manifest when None.
        source: Folder of the sources, where it has moved.

    Attributes:
        spec: Specification of records.
        pipelines: Split → the pipeline that the dataset was made with.

    Raises:
        PipelineError: The manifest's pipelines cannot be rebuilt, or the given ones are different.
    """

    def __init__(
        self,
        out: Path,
        manifest: Manifest,
        *,
        pipeline: Any = None,
        source: str | Path | None = None,
    ) -> None:
        self._out, self._manifest = out, manifest
        self.spec = stored_spec(manifest)
        self._source_path = source_paths(out, manifest, source)
        self.pipelines = rebuild_pipelines(manifest) if pipeline is None else _given_pipelines(manifest, pipeline)
        self._loaded: dict[str, Pipeline] = {}
        self._listings: dict[str, Listing] = {}

    def record(self, split: str, row: Row, key: str, copy: int = 0) -> bytes:
        """Return the record of one place in one row.

        Raises:
            RejectedSource: Its source is missing, cannot be used, or has changed since.
            DatasetError: The dataset has no such source.
        """
        pipeline = self._pipeline("validation" if row.original else split)
        source = self.source(split, key)
        return render(source, pipeline, self.spec, seed=row.seed, variant=row.stored_variant, copy=copy)

    def _pipeline(self, split: str) -> Pipeline:
        if split not in self._loaded:
            self._loaded[split] = Pipeline(self.pipelines[split].pickled)
        return self._loaded[split]

    def source(self, split: str, key: str) -> Decoded:
        """Return a decoded source, which must be the one that records were made from.

        Raises:
            RejectedSource: It is missing, cannot be used, or has changed since.
            DatasetError: The dataset has no such source.
        """
        if split not in self._listings:
            self._listings[split] = stored_listing(self._out, self._manifest, split)
        listing = self._listings[split]
        position = listing.position(key)
        if position is None:
            raise DatasetError(f"{self._out}: {split} has no source {key!r}.")
        entry, image = listing.entry(position), self._source_path(listing.images[position])
        raw = self._raw_values(listing, position)
        source = decode_source(key, image, raw, self.spec)
        if source.sha256 != entry.get("sha256", source.sha256):
            raise RejectedSource(f"{image}: {CHANGED}")
        if source.mask_sha256 != entry.get("mask_sha256", source.mask_sha256):
            raise RejectedSource(f"{files_beside(source, raw, image)}: {CHANGED}")
        return source

    def _raw_values(self, listing: Listing, position: int) -> dict[str, Any]:
        """Return the raw value of each field of a source by the field's name."""
        raw = listing.raw(position, self._source_path)
        if "objects" in raw and "objects" not in self._manifest.schema:  # the list does not say that they are merged
            raw["mask"] = raw.pop("objects")
        return raw


def source_paths(out: Path, manifest: Manifest, source: str | Path | None = None) -> Callable[[str], Path]:
    """Return a function: name of a source's file in a listing → its path; a path outside of the root is refused.

    Args:
        out: The dataset's folder.
        manifest: Manifest of the dataset.
        source: Folder of the sources, where it has moved.
    """
    root = as_path(source or manifest.settings["dataset"]["root"] or "")

    def located(name: str) -> Path:
        path = root / name if root.parts else as_path(name)
        if root.parts and (".." in PurePosixPath(name).parts or not path.is_relative_to(root)):
            raise DatasetError(f"{out}: the list of sources names {name!r}, which is not below {root}.")
        return path

    return located


def rebuild_pipelines(manifest: Manifest, splits: Sequence[str] | None = None) -> dict[str, Prepared]:
    """Return the pipelines of a dataset, made from its manifest alone.

    Args:
        manifest: Manifest of the dataset.
        splits: Splits whose pipelines are wanted; all when None.

    Raises:
        PipelineError: One of them runs a user's own code, or Albumentations no longer makes it from its description.
    """
    pipelines, stored = {}, manifest.settings["pixels"]["pipelines"]
    for split in stored if splits is None else splits:
        compose = rebuild(stored[split]) if split in stored else None
        if compose is None:
            raise PipelineError(
                f"pipeline of {split}: it cannot be rebuilt from the manifest (it runs code of its own, or the "
                "installed Albumentations is another one). Pass the file that it was built with: --pipeline FILE."
            )
        pipelines[split] = prepare(compose, split)
    return pipelines


def stored_spec(manifest: Manifest) -> RecordSpec:
    """Return the specification of a dataset's records, for `render`."""
    return RecordSpec.of_settings(manifest.settings["pixels"], manifest.schema)


def prepare_like(manifest: Manifest, given: Any, splits: Sequence[str]) -> tuple[dict[str, Prepared], list[str]]:
    """Prepare pipelines in the way in which those of a dataset were prepared.

    Args:
        manifest: Manifest of the dataset.
        given: Pipelines in the form in which a build takes them.
        splits: Splits whose pipelines are wanted.

    Returns:
        The pipelines, and the splits whose pipelines are not the ones that the dataset was made with.

    Raises:
        PipelineError: Pipelines cannot be read, or cannot be used offline.
    """
    stored = manifest.settings["pixels"]["pipelines"]
    size = (manifest.image.height, manifest.image.width)
    spec = stored_spec(manifest)
    rules = spec.pipeline_rules
    for fill in dict.fromkeys((spec.ignore_class, None)):  # what was chosen shows in what is stored
        found = load_pipelines(given, size, mask_fill=fill)
        prepared = {split: prepare(pipeline, split, mask_fill=fill, **rules) for split, pipeline in found.items()}
        pipelines = complete_pipelines(prepared, splits, manifest.image, stored)
        other = [split for split in splits if pipelines[split].description != stored.get(split)]
        if not other:
            break
    return pipelines, other


def _given_pipelines(manifest: Manifest, given: Any) -> dict[str, Prepared]:
    stored = manifest.settings["pixels"]["pipelines"]
    pipelines, other = prepare_like(manifest, given, list(stored))
    if other:
        raise PipelineError(
            f"pipeline of {', '.join(other)}: this is not the one that the dataset was made with "
            "(`precompute inspect` shows that one)."
        )
    return pipelines
