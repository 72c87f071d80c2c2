"""Keypoints as they are found: checked, those outside of their images marked, counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from precompute.errors import SourceError, UsageError, first_few
from precompute.fields.box_column import KEYPOINT_OPTIONS, BoxColumn, keypoints_note
from precompute.fields.skeleton import HIDDEN, VISIBLE, Skeleton
from precompute.options.build_options import BuildOptions
from precompute.sources.box_checks import check_boxes
from precompute.sources.found import FoundColumn
from precompute.table.sources import Sources
from precompute.text.format import format_count

__all__ = ["check_keypoints", "check_target"]


def check_keypoints(
    column: BoxColumn, keys: Sequence[str], names: list[str], skeleton: Skeleton, *, where: str
) -> FoundColumn:
    """Check boxes, if there are any, and mark points that lie outside of their images as not labelled.

    Args:
        column: The objects as they were found.
        keys: Keys of the images.
        names: Names of the classes.
        skeleton: Skeleton of the keypoints.
        where: Start of messages: the folder, or the argument.

    Raises:
        SourceError: Coordinates are no numbers, visibility is none of 0, 1, 2, or no point is labelled.
    """
    points: Any = column.points
    if not len(column.labels):
        raise SourceError(f"{where}: not one of {format_count(len(column), 'image')} has an object with keypoints.")
    column = replace(column, points=points.reshape(len(column.labels), len(skeleton), 3), skeleton=skeleton)
    checked = FoundColumn(column, names, [])
    if skeleton.has_boxes:
        checked = check_boxes(column, keys, names, where=where)
    column, notes = _check_points(cast(BoxColumn, checked.column), keys, skeleton, where)
    empty = int((column.counts == 0).sum())
    if empty and not skeleton.has_boxes:  # boxes say it themselves
        notes.append(
            f"{format_count(empty, 'image has none, and is kept', 'images have none, and are kept')} "
            "(--drop-empty leaves them out)."
        )
    return FoundColumn(column, names, [*checked.notes, *notes])


def check_target(sources: Sources, options: BuildOptions) -> None:
    """Refuse sources that have another target than the one asked for, and options that are for keypoints.

    Raises:
        UsageError: They have, or are given without keypoints.
    """
    if options.target not in ("auto", sources.target_option):
        raise UsageError(
            f"target (--target): expected {options.target}, but these sources have a target of kind {sources.kind}. "
            "Keypoints are read from COCO files whose categories name them, from YOLO's where data.yaml has kpt_shape, "
            "from a table that is named with --annotations, and from Python."
        )
    own = {name for column in sources.targets for name in column.own_options}
    given = next((n for n in KEYPOINT_OPTIONS if n not in own and getattr(options, n) is not None), None)
    if given:
        raise UsageError(
            f"{given} (--{given.replace('_', '-')}): is for keypoints; these sources have none, but {sources.kind}."
        )
    ignored = [name for column in sources.targets for name in column.ignored_options]
    if any(getattr(options, name) for name in ignored):
        raise UsageError("min_visibility, min_area: they say which boxes are kept; these objects have keypoints alone.")


def _check_points(
    column: BoxColumn, keys: Sequence[str], skeleton: Skeleton, where: str
) -> tuple[BoxColumn, list[str]]:
    points: Any = column.points
    of_object = np.repeat(np.arange(len(column)), column.counts)
    visibility = points[..., 2]

    def shown(which: NDArray[Any]) -> str:
        found = np.argwhere(which)
        lines = []
        for i, k in found[:5]:
            x, y, v = (f"{number:g}" for number in points[i, k])
            lines.append(f"{keys[of_object[i]]}: {skeleton.names[k]} at {x}, {y}, visibility {v}")
        return first_few(lines + [""] * (len(found) - len(lines)))

    strange = ~np.isin(visibility, (0, HIDDEN, VISIBLE))
    if strange.any():
        raise SourceError(
            f"{where}: keypoints with a visibility other than 0 (not labelled), 1 (hidden) or 2 (visible):\n"
            f"{shown(strange)}\nMend them."
        )
    labelled = visibility > 0
    no_number = labelled & ~np.isfinite(points[..., :2]).all(axis=2)
    if no_number.any():
        raise SourceError(f"{where}: keypoints whose coordinates are no numbers:\n{shown(no_number)}\nMend them.")
    sizes = np.where(column.sizes > 0, column.sizes, 1)[of_object].astype(np.float32)[:, None]
    outside = labelled & ~((points[..., :2] >= 0) & (points[..., :2] <= sizes)).all(axis=2)
    kept = labelled & ~outside
    if not kept.any():
        raise SourceError(
            f"{where}: not one of {format_count(len(points), 'object')} has a labelled keypoint inside its image"
            + (f":\n{shown(outside)}" if outside.any() else "; all have visibility 0.")
            + ("\nTo read boxes alone, give --target boxes." if skeleton.has_boxes else "")
        )
    notes = [keypoints_note(kept, skeleton)]
    if outside.any():
        number = int(outside.sum())
        notes.append(
            f"{format_count(number, 'keypoint')} outside of the image: taken as not labelled, visibility 0:\n"
            f"{shown(outside)}"
        )
    absent = [name for name, there in zip(skeleton.names, kept.any(axis=0), strict=True) if not there]
    if absent:
        notes.append(f"Keypoints that are never labelled:\n{first_few(absent)}")
    return replace(column, points=np.where(kept[..., None], points, 0).astype(np.float32)), notes
