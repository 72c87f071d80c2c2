"""Boxes as they are found: checked, clipped to their images, counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from precompute.errors import SourceError, UsageError, first_few
from precompute.fields.box_column import BoxColumn
from precompute.sources.found import FoundColumn
from precompute.table.sources import Sources
from precompute.text.format import format_count
from precompute.text.notes import SummarizedNote

__all__ = ["check_boxes", "drop_empty", "upright_size"]

TRANSPOSED = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
ORIENTATION = 0x0112


def check_boxes(column: BoxColumn, keys: Sequence[str], names: list[str], *, where: str) -> FoundColumn:
    """Clip boxes to their images and leave those out that have no area, telling how many and where.

    Args:
        column: The boxes as they were found.
        keys: Keys of the images.
        names: Names of the classes.
        where: Start of messages: the folder, or the argument.

    Raises:
        SourceError: Sides are no numbers, or no image has any box.
    """
    of_box = np.repeat(np.arange(len(column)), column.counts)
    sizes = np.where(column.sizes > 0, column.sizes, 1)[of_box].astype(np.float32)
    strange = np.logical_not(np.isfinite(column.corners).all(axis=1))
    if strange.any():
        raise SourceError(
            f"{where}: boxes whose sides are no numbers:\n{_shown(column, keys, of_box, strange)}\nMend them."
        )
    if not len(of_box):
        raise SourceError(
            f"{where}: not one of {format_count(len(column), 'image')} has a box; there is nothing to detect."
        )
    clipped = np.clip(column.corners, 0, np.hstack([sizes, sizes]))
    flat = np.asarray((column.corners[:, :2] >= column.corners[:, 2:]).any(axis=1))
    outside = np.logical_not(flat) & np.asarray((clipped[:, :2] >= clipped[:, 2:]).any(axis=1))
    cut = np.logical_not(flat | outside) & (clipped != column.corners).any(axis=1)
    kept = np.logical_not(flat | outside)
    if not kept.any():
        raise SourceError(
            f"{where}: not one of {format_count(len(kept), 'box')} has an area inside its image:\n"
            f"{_shown(column, keys, of_box, ~kept)}\nExpected x_min < x_max and y_min < y_max, within the image."
        )
    checked = replace(column, corners=clipped).only(kept)
    notes = [checked.boxes_note()]
    if cut.any():
        notes.append(f"{_boxes(cut)} that reached beyond their images were clipped to them.")
    for wrong, what in (
        (flat, "without area (x_min ≥ x_max or y_min ≥ y_max)"),
        (outside, "outside of their images"),
    ):
        if wrong.any():
            notes.append(f"{_boxes(wrong)} {what} left out:\n{_shown(column, keys, of_box, wrong)}")
    return FoundColumn(checked, names, notes)


def _boxes(which: NDArray[Any]) -> str:
    return format_count(int(which.sum()), "box")


def _shown(column: BoxColumn, keys: Sequence[str], of_box: NDArray[np.int64], which: NDArray[Any]) -> str:
    found = np.flatnonzero(which).tolist()
    return first_few(found, tell=lambda i: f"{keys[of_box[i]]}: {', '.join(f'{side:g}' for side in column.corners[i])}")


def drop_empty(sources: Sources) -> Sources:
    """Return the sources that have objects.

    Raises:
        UsageError: These sources cannot have any.
    """
    counts = next((column.counts for column in sources.targets if column.counts is not None), None)
    if counts is None:
        raise UsageError("drop_empty: it leaves out images without boxes; these sources have no boxes.")
    kept = np.flatnonzero(counts).tolist()
    dropped = len(sources) - len(kept)
    note = f"{format_count(dropped, 'image without boxes', 'images without boxes')} left out."
    told = SummarizedNote(note, left_out={"images without boxes (--drop-empty)": dropped})
    notes = [told if "--drop-empty leaves them out" in old else old for old in sources.notes]
    return replace(sources.take(kept), notes=notes) if dropped else sources


def upright_size(path: str | Path) -> tuple[int, int] | None:
    """Return width and height of an image as it is shown upright, from its header; None where it cannot be read."""
    try:
        with Image.open(path) as picture:
            size = (picture.width, picture.height)
            exif = picture.info.get("exif")
            turned = exif is not None and picture.getexif().get(ORIENTATION) in TRANSPOSED
            return (size[1], size[0]) if turned else size
    except Exception:  # decoders of damaged files raise nearly anything; that it is damaged is said when it is decoded
        return None
