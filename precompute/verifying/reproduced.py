"""Records made again from their sources, compared with what is stored."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from precompute.dataset.manifest import Manifest, Row
from precompute.dataset.paths import DatasetPaths
from precompute.errors import DatasetError, PipelineError, RejectedSource
from precompute.plan.versions import other_versions
from precompute.records.stored import decode_record
from precompute.records.tfrecord import read_records
from precompute.rendering.rebuild import RecordRebuilder
from precompute.text.format import format_count
from precompute.verifying.lists import Lists, Problem

__all__ = ["Reproduction", "compare_reproduced"]

# What may differ where another processor rounds otherwise.
GREY_LEVELS = 1  # of any pixel
JPEG_GREY_LEVELS = 2  # in the mean: single levels before encoding became up to 11, 1.1 in the mean (quality 95)
BOX_PIXELS = 0.01  # of any side of a box, or of a keypoint
MAX_OTHER_IDS = 0.001  # share of a mask's pixels, at the borders of classes


@dataclass(kw_only=True)
class Reproduction:
    """What came of making records again.

    Attributes:
        num_records: Records that were compared.
        problems: Records that came out otherwise, or not at all.
        notes: Notes on how they were compared, where that was not byte for byte.
    """

    num_records: int = 0
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def compare_reproduced(
    out: Path,
    manifest: Manifest,
    lists: Lists,
    *,
    number: int,
    seed: int,
    pipeline: Any,
    source: str | Path | None,
) -> Reproduction:
    """Make records chosen by chance again, and compare each with the stored one."""
    reproduced = Reproduction(notes=list(_version_notes(manifest)))
    try:
        rebuilder = RecordRebuilder(out, manifest, pipeline=pipeline, source=source)
    except PipelineError as error:
        text = f"no record could be made again: {error}"  # asked for and not done: that is no success
        reproduced.problems.append(Problem(path=DatasetPaths(out).manifest, why=text, kind="pipeline"))
        return reproduced
    exact = cv2.getCPUFeaturesLine() in manifest.cpu_features
    if not exact:
        reproduced.notes.append(
            "this processor has other features than those that wrote the dataset and may round otherwise: pixels were "
            f"compared to within {GREY_LEVELS} grey level ({JPEG_GREY_LEVELS} in the mean for JPEG), not byte for byte."
        )
    for choice in _choose(manifest, lists, number, seed):
        why = _compare(out, manifest, rebuilder, choice, exact=exact)
        reproduced.num_records += 1
        if why is not None:
            path = manifest.shard_path(out, choice.split, choice.row.row, choice.block)
            text = f"record {choice.index} ({choice.place[0]}, seed {choice.row.seed}, variant {choice.row.variant})"
            reproduced.problems.append(Problem(path=path, why=f"{text}: {why}", kind="source"))
    return reproduced


@dataclass(frozen=True, kw_only=True)
class _Choice:
    split: str
    row: Row
    block: int
    index: int
    place: tuple[str, int]


def _choose(manifest: Manifest, lists: Lists, number: int, seed: int) -> list[_Choice]:
    """Return records by chance, each as likely as any other; in the order of their shards."""
    cells = [
        (split, row, block, places)
        for split, blocks in lists.places.items()
        for row in manifest.splits[split].rows
        for block, places in enumerate(blocks)
    ]
    ends = list(itertools.accumulate(len(places) for *_, places in cells))
    total = ends[-1] if ends else 0
    chosen = sorted(random.Random(seed).sample(range(total), min(number, total)))
    return list(_locate(cells, ends, chosen))


def _locate(cells: Sequence[Any], ends: Sequence[int], chosen: Sequence[int]) -> Iterator[_Choice]:
    for position, cell in zip(chosen, np.searchsorted(ends, chosen, side="right"), strict=True):
        split, row, block, places = cells[cell]
        index = position - (ends[cell - 1] if cell else 0)
        yield _Choice(split=split, row=row, block=block, index=index, place=places[index])


def _compare(out: Path, manifest: Manifest, rebuilder: RecordRebuilder, choice: _Choice, *, exact: bool) -> str | None:
    """Return why the stored record is not the one that is made now, or None."""
    key, copy = choice.place
    try:
        made = rebuilder.record(choice.split, choice.row, key, copy)
        records = read_records(manifest.shard_path(out, choice.split, choice.row.row, choice.block))
        stored = next(itertools.islice(records, choice.index, None), None)
    except (RejectedSource, DatasetError) as error:
        return str(error).rstrip(".")
    if stored == made:
        return None
    if stored is None:
        return "the shard ends before it"
    try:
        examples = [decode_record(r, multilabel=manifest.target.kind == "multilabel") for r in (stored, made)]
        return _pixel_difference(*examples, exact=exact)
    except DatasetError as error:
        return str(error).rstrip(".")


def _pixel_difference(stored: dict[str, Any], made: dict[str, Any], *, exact: bool) -> str | None:
    arrays = ("image", "mask")
    names = [name for name in made if name not in (*arrays, "encoded", "mask_encoded")]  # pixels are compared decoded
    other = [name for name in names if not _same(name, stored.get(name), made[name], exact=exact)]
    if other:
        return f"{other[0]} is {stored.get(other[0])!r}, its source now gives {made[other[0]]!r}"
    if any(name in made and stored[name].shape != made[name].shape for name in arrays):
        return "its source now gives another size"
    levels = np.abs(stored["image"].astype(int) - made["image"])
    moved = float((stored["mask"] != made["mask"]).mean()) if "mask" in made else 0.0
    near = levels.mean() <= JPEG_GREY_LEVELS if made["format"] == "jpeg" else levels.max() <= GREY_LEVELS
    if not exact and near and moved <= MAX_OTHER_IDS:
        return None
    if not levels.any() and not moved:
        return "its source now gives the same pixels in other bytes"
    masks = f", and other classes on {moved:.1%} of the mask" if moved else ""
    return f"its source now gives other pixels, by up to {format_count(int(levels.max()), 'grey level')}{masks}"


def _same(name: str, stored: Any, made: Any, *, exact: bool) -> bool:
    """Return whether a value is what it was; boxes may lie a little aside where another processor rounds."""
    if not isinstance(made, np.ndarray):
        return bool(stored == made)
    if name in ("boxes", "keypoints") and not exact and stored is not None and stored.shape == made.shape:
        return bool(np.allclose(stored, made, atol=BOX_PIXELS))
    return np.array_equal(stored, made)


def _version_notes(manifest: Manifest) -> Iterator[str]:
    for package, (written, installed) in other_versions(manifest.settings["pixels"]["versions"]).items():
        yield f"written with {package} {written}, installed is {installed}: pixels may differ."
