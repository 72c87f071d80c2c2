"""`precompute.prepare_images`: image files made ready for a model, like the validation images of its dataset."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
from numpy.typing import NDArray

from precompute.dataset.manifest import Manifest
from precompute.errors import RejectedSource, UsageError
from precompute.record.decode import Decoded, decode_source
from precompute.record.pipelines.pipeline import Pipeline, Prepared
from precompute.record.pipelines.transforms import albumentations, leaves
from precompute.record.render import augment
from precompute.record.spec import RecordSpec
from precompute.remake import prepare_like, rebuild_pipelines, stored_spec
from precompute.sources.folders.walk import walk
from precompute.storage.paths import local_path

__all__ = ["PreparedImage", "PreparedImages", "prepare_images"]

SPLIT = "validation"


@dataclass(frozen=True, kw_only=True)
class PreparedImage:
    """One image file.

    Attributes:
        key: Its name among the others: the path below their common parent, without suffix unless two would be equal.
        path: Of the file.
        image: uint8 [H, W, 3], RGB, as the pipeline gives it; None when the file cannot be used.
        source: uint8 [H0, W0, 3], RGB, as decoded, upright, in its full size; None when the file cannot be used.
        sha256: Of the file; None when it cannot be used.
        problem: Why it cannot be used; None when it can.
    """

    key: str
    path: Path
    image: NDArray[np.uint8] | None = None
    source: NDArray[np.uint8] | None = None
    sha256: str | None = None
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class PreparedImages:
    """Image files, each decoded and put through the pipeline when its turn comes.

    Attributes:
        files: Key → path, in order.
        keeps_geometry: The pipeline does no more than resize, as far as places in the image go: each pixel of its
            output lies at the same share of height and width in the source.
    """

    files: dict[str, Path]
    keeps_geometry: bool
    _pipeline: Pipeline
    _spec: RecordSpec

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[PreparedImage]:
        for key, path in self.files.items():
            try:
                source = decode_source(key, path, None, None, self._spec)
                image, _ = augment(source, self._pipeline, self._spec, seed=0, variant=0)
            except RejectedSource as error:
                yield PreparedImage(key=key, path=path, problem=str(error))
            else:
                whole = self._full(source, path)
                yield PreparedImage(key=key, path=path, image=image, source=whole, sha256=source.sha256)

    def _full(self, source: Decoded, path: Path) -> NDArray[np.uint8]:
        if source.full_size is None:
            return source.image
        return decode_source(source.key, path, None, None, replace(self._spec, max_source_size=None)).image


def prepare_images(
    dataset: str | Path,
    images: Sequence[str | Path],
    *,
    pipeline: Any = None,
    skip: str | Path | None = None,
    say: Callable[[str], None] = lambda note: None,
) -> PreparedImages:
    """Prepare image files as the validation images of a dataset were: decoded alike, through the same pipeline.

    Args:
        dataset: Folder of the dataset; only its manifest is read.
        images: Files, folders (searched with all that is below them) and patterns such as ``"photos/*.jpg"``.
        pipeline: As for a build, where the manifest cannot hold it; rebuilt from the manifest when None.
        skip: A folder below those of `images` that is left out, where results are written, say.
        say: Called with what the user should hear.

    Raises:
        UsageError: There are no such images.
        PipelineError: The manifest's pipeline cannot be rebuilt, or the one given is not usable.
        DatasetError: There is no dataset.
    """
    manifest = Manifest.load(dataset)
    files = _name(_find(images, None if skip is None else _absolute(skip)))
    chosen = _validation_pipeline(manifest, pipeline, say)
    return PreparedImages(
        files=files,
        keeps_geometry=_keeps_geometry(chosen),
        _pipeline=Pipeline(chosen.pickled),
        _spec=stored_spec(manifest),
    )


def _find(images: Sequence[str | Path], skip: Path | None) -> list[Path]:
    """Return the files that were meant, each once, in the order given; those of a folder sorted."""
    found: dict[Path, None] = {}
    for given in images:
        path = _absolute(local_path(given, "images"))
        if path.is_dir():
            folders = walk(path, skip=skip).folders
            paths = sorted(Path(folder.path, name) for folder in folders for name, _ in folder.files)
        elif path.exists():
            paths = [path]
        else:
            matches = glob.glob(str(given), recursive=True)  # noqa: PTH207 (Path.glob takes no absolute patterns)
            paths = sorted(_absolute(match) for match in matches if Path(match).is_file())
        if not paths:
            raise UsageError(f"images: {given}: there is no such image file, nor a folder with images in it.")
        found.update(dict.fromkeys(paths))
    if not found:
        raise UsageError("images: expected files, folders or patterns, got none.")
    return list(found)


def _absolute(path: str | Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 (resolve would follow links)


def _name(paths: Sequence[Path]) -> dict[str, Path]:
    """Return key → path: below the common parent, without suffixes unless two would be equal."""
    try:
        parent = Path(os.path.commonpath([path.parent for path in paths]))
        names = [path.relative_to(parent) for path in paths]
    except ValueError:  # on different drives
        names = [Path(path.drive.strip(":\\/").replace("\\", "_"), *path.parts[1:]) for path in paths]
    short = [name.with_suffix("").as_posix() for name in names]
    equal = len({key.casefold() for key in short}) < len(short)  # some file systems do not tell A from a
    keys = [name.as_posix() for name in names] if equal else short
    return dict(zip(keys, paths, strict=True))


def _validation_pipeline(manifest: Manifest, given: Any, say: Callable[[str], None]) -> Prepared:
    if given is None:
        return rebuild_pipelines(manifest, [SPLIT])[SPLIT]
    pipelines, other = prepare_like(manifest, given, [SPLIT])
    if other:
        say(f"the pipeline of {SPLIT} is not the one that the dataset was made with: predictions may be worse.")
    return pipelines[SPLIT]


def _keeps_geometry(prepared: Prepared) -> bool:
    transforms = leaves(cloudpickle.loads(prepared.pickled))
    return all(isinstance(t, albumentations.ImageOnlyTransform | albumentations.Resize) for t in transforms)
