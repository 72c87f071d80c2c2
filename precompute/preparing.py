"""`precompute.prepare_images`: image files made ready for a model, like the validation images of its dataset."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
from numpy.typing import NDArray

from precompute.dataset.manifest import Manifest
from precompute.errors import RejectedSource, UsageError
from precompute.images.color_modes import ALPHAS
from precompute.images.file_kinds import ignored_files_text, num_unreadable, unreadable_text
from precompute.options.plain_values import converts_arguments
from precompute.options.values import check_choice
from precompute.pipelines.pipeline import Pipeline, Prepared
from precompute.pipelines.transforms import albumentations, leaves
from precompute.rendering.decode import Decoded, decode_source
from precompute.rendering.rebuild import prepare_like, rebuild_pipelines, stored_spec
from precompute.rendering.render import PipelineFault, augment
from precompute.rendering.spec import RecordSpec
from precompute.sources.passed_over import passing_over
from precompute.sources.walk import walk
from precompute.storage.paths import local_path

__all__ = ["PreparedImage", "PreparedImages", "prepare_images"]

SPLIT = "validation"


@dataclass(frozen=True, kw_only=True)
class PreparedImage:
    """One image file.

    Attributes:
        key: Name among the others: the path below their common parent, without suffix unless two would be equal.
        path: Path of the file.
        image: uint8 [H, W, 3], RGB, as the pipeline gives it; None when the file cannot be used.
        source: uint8 [H0, W0, 3], RGB, as decoded, upright, in its full size; None when the file cannot be used.
        sha256: SHA-256 of the file; None when it cannot be used.
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
    _faults: Mapping[Path, str]

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[PreparedImage]:
        for key, path in self.files.items():
            try:
                source = self._decode(key, path)
                image = self._prepare(source, path)
            except RejectedSource as error:
                yield PreparedImage(key=key, path=path, problem=str(error))
            else:
                whole = self._full(source, path)
                yield PreparedImage(key=key, path=path, image=image, source=whole, sha256=source.sha256)

    def _decode(self, key: str, path: Path) -> Decoded:
        if path in self._faults:
            raise RejectedSource(f"{path}: {self._faults[path]}")
        try:
            return decode_source(key, path, {}, self._spec)
        except RejectedSource as error:
            if "--" not in str(error):
                raise
            raise RejectedSource(
                f"{error} (options of `precompute build`, when the dataset is made; --alpha also of `train predict`)"
            ) from error

    def _prepare(self, source: Decoded, path: Path) -> NDArray[np.uint8]:
        try:
            image, _ = augment(source, self._pipeline, self._spec, seed=0, variant=0)
        except PipelineFault as error:
            height, width = source.full_size or source.image.shape[:2]
            raise RejectedSource(
                f"{path}: is {height}×{width} pixels (height × width), and the pipeline of {SPLIT}, which prepares "
                f"images for the model, {error.fault}; give it images that it can bring to the model's size, or, with "
                "--pipeline FILE, one that ends with a Resize"
            ) from error
        return image

    def _full(self, source: Decoded, path: Path) -> NDArray[np.uint8]:
        if source.full_size is None:
            return source.image
        return decode_source(source.key, path, {}, replace(self._spec, max_source_size=None)).image


@converts_arguments
def prepare_images(
    dataset: str | Path,
    images: Sequence[str | Path],
    *,
    pipeline: Any = None,
    alpha: str | None = None,
    skip: str | Path | None = None,
    say: Callable[[str], None] = lambda note: None,
) -> PreparedImages:
    """Prepare image files as the validation images of a dataset were: decoded alike, through the same pipeline.

    Args:
        dataset: Folder of the dataset; only its manifest is read.
        images: Files, folders (searched with all that is below them) and patterns such as ``"photos/*.jpg"``.
        pipeline: The pipeline as for a build, where the manifest cannot hold it; rebuilt from the manifest when None.
        alpha: As of a build, in place of what was said there: ``"opaque"``, ``"drop"``, ``"white"`` or ``"black"``.
        skip: A folder below those of `images` that is left out, where results are written, say.
        say: Called with what the user should hear.

    Raises:
        UsageError: There are no such images.
        PipelineError: The manifest's pipeline cannot be rebuilt, or the one given is not usable.
        DatasetError: There is no dataset.
    """
    manifest = Manifest.load(dataset)
    found = _Found(None if skip is None else _absolute(skip))
    with passing_over() as passed:
        for given in images:
            found.add(given)
    for note in passed.notes(os.curdir):
        say(note)
    if not found.paths:
        raise UsageError("images: expected files, folders or patterns, got none.")
    if found.num_ignored_files:
        say(
            "files passed over in the folders, as their names do not end like those of images: "
            f"{found.num_ignored_files}{ignored_files_text(found.passed)}"
        )
    if unreadable := unreadable_text(found.passed):
        say(unreadable)
    chosen = _validation_pipeline(manifest, pipeline, say)
    return PreparedImages(
        files=_name(list(found.paths)),
        keeps_geometry=_keeps_geometry(chosen),
        _pipeline=Pipeline(chosen.pickled),
        _spec=_spec_with(manifest, alpha),
        _faults=found.faults,
    )


def _spec_with(manifest: Manifest, alpha: str | None) -> RecordSpec:
    """Return how images of a dataset are decoded, with another choice for alpha where one is given."""
    spec = stored_spec(manifest)
    if alpha is None:
        return spec
    check_choice("alpha", alpha, ALPHAS)
    if spec.color_mode == "rgba":
        raise UsageError("alpha (--alpha): the dataset has color_mode rgba, which keeps alpha; leave it out.")
    return replace(spec, alpha=alpha)


class _Found:
    """The files that were meant, each once, in the order given; those of a folder or pattern sorted.

    Args:
        skip: A folder that is left out.

    Attributes:
        paths: Paths of all images.
        faults: Images that cannot be read, and why: they are listed like damaged ones.
        passed: Endings of files in folders that are not named like images, each with its number.
        num_ignored_files: Files in folders that are not named like images.
    """

    def __init__(self, skip: Path | None) -> None:
        self._skip = skip
        self.paths: dict[Path, None] = {}
        self.faults: dict[Path, str] = {}
        self.passed = Counter[str]()
        self.num_ignored_files = 0

    def add(self, given: str | Path) -> None:
        """Find what a file, a folder or a pattern stands for."""
        path = _absolute(local_path(given, "images"))
        # A pattern means what a shell makes of it: all that it matches, as if each had been given.
        matches = [path] if os.path.lexists(path) else sorted(map(_absolute, glob.glob(str(given), recursive=True)))  # noqa: PTH207 (Path.glob takes no absolute patterns)
        found = [file for match in matches for file in self._files_of(match)]
        if not found:
            unreadable = unreadable_text(self.passed)
            raise UsageError(
                f"images: {given}: there is no such image file, nor a folder with images in it."
                + (f" {unreadable}" if unreadable else "")
            )
        self.paths |= dict.fromkeys(found)

    def _files_of(self, path: Path) -> list[Path]:
        if os.path.isdir(path):  # noqa: PTH112 (Path.is_dir raises where a folder above may not be entered)
            return self._walk(path)
        if not os.path.isfile(path):  # noqa: PTH113
            self.faults[path] = "is a link that leads nowhere" if path.is_symlink() else "is no regular file"
        return [path]

    def _walk(self, top: Path) -> list[Path]:
        faults: dict[str, str] = {}
        tree = walk(top, skip=[] if self._skip is None else [self._skip], faults=faults)
        self.passed += tree.passed
        self.num_ignored_files += tree.num_ignored_files - num_unreadable(tree.passed)
        self.faults |= {Path(path): why for path, why in faults.items()}
        return sorted(
            [Path(folder.path, name) for folder in tree.folders for name, _ in folder.files] + [*map(Path, faults)]
        )


def _absolute(path: str | Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 (resolve would follow links)


def _name(paths: Sequence[Path]) -> dict[str, Path]:
    """Return key → path: below the common parent, without suffixes unless two would be equal."""
    try:
        parent = Path(os.path.commonpath([path.parent for path in paths]))
        names = [path.relative_to(parent) for path in paths]
    except ValueError:  # on different drives
        names = [Path(path.drive.strip(":\\/").replace("\\", "_"), *path.parts[1:]) for path in paths]
    short = [_as_text(name.with_suffix("")) for name in names]
    equal = len({key.casefold() for key in short}) < len(short)  # some file systems do not tell A from a
    keys = [_as_text(name) for name in names] if equal else short
    return dict(zip(keys, paths, strict=True))


def _as_text(name: Path) -> str:
    """Return a name with escapes for what is no text on its disk, as draws and files of results follow from it."""
    return name.as_posix().encode("utf-8", "backslashreplace").decode()


def _validation_pipeline(manifest: Manifest, given: Any, notify: Callable[[str], None]) -> Prepared:
    if given is None:
        return rebuild_pipelines(manifest, [SPLIT])[SPLIT]
    pipelines, other = prepare_like(manifest, given, [SPLIT])
    if other:
        notify(f"the pipeline of {SPLIT} is not the one that the dataset was made with: predictions may be worse.")
    return pipelines[SPLIT]


def _keeps_geometry(prepared: Prepared) -> bool:
    transforms = leaves(cloudpickle.loads(prepared.pickled))
    return all(isinstance(t, albumentations.ImageOnlyTransform | albumentations.Resize) for t in transforms)
