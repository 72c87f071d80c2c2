"""Objects as layouts find them: their classes are numbered, boxes and keypoints checked against the images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from precompute.errors import SourceError, first_few
from precompute.fields.box_column import BoxColumn, keypoints_note
from precompute.fields.boxes import UNKNOWN_SIZE, Boxes, Instances, Size
from precompute.fields.instance_column import InstanceColumn
from precompute.fields.skeleton import HIDDEN, VISIBLE, Skeleton, indices_of_edges, make_skeleton
from precompute.options.build_options import BuildOptions
from precompute.sources.classes import Classes, number_classes
from precompute.sources.found import FoundColumn
from precompute.text.format import format_count

__all__ = [
    "HALF",
    "FoundObject",
    "boxes_of_images",
    "check_boxes",
    "chosen_skeleton",
    "instances_of_images",
    "number_objects",
    "upright_size",
]

TRANSPOSED = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
ORIENTATION = 0x0112
HALF = 0.5  # from the number of a pixel, by which some files name keypoints, to its middle


class FoundObject(NamedTuple):
    """An object of an image as a layout found it.

    Attributes:
        shape: x_min, y_min, x_max, y_max; or its mask, a path or a run-length code, None where it has none.
        label: Name of its class, or index.
        flags: Flags, as in `Boxes`.
        points: x, y and visibility of its keypoints in turn; empty without keypoints.
        number: Number of the object in its file, where that has one.
    """

    shape: Any
    label: str | int
    flags: int = 0
    points: Sequence[float] = ()
    number: Any = None


def number_objects(
    images: Sequence[Sequence[FoundObject]], keys: Sequence[str], given: list[str] | None
) -> tuple[list[list[FoundObject]], Classes]:
    """Return the objects of each image with class indices for labels, and the classes; see `number_classes`.

    Args:
        images: The objects of each image.
        keys: Keys of the images.
        given: The classes in the order that the user wants, or None.
    """
    owners = [key for of_image, key in zip(images, keys, strict=True) for _ in of_image]
    classes = number_classes([one.label for of_image in images for one in of_image], owners, given)
    rest = iter(classes.indices)
    return [[one._replace(label=next(rest)) for one in of_image] for of_image in images], classes


def instances_of_images(
    images: Iterable[Sequence[FoundObject]], sizes: Iterable[Size | None], names: list[str]
) -> FoundColumn:
    """Return numbered objects whose shapes are masks as a column.

    Args:
        images: The objects of each image.
        sizes: Width and height of each image; None where shapes are paths of files.
        names: Names of the classes.
    """
    column = InstanceColumn.of_instances(map(Instances.of_shapes, images, sizes))
    return FoundColumn(column, names, column.notes())


def chosen_skeleton(
    names: Sequence[str],
    options: BuildOptions,
    *,
    has_boxes: bool,
    edges: Sequence[Sequence[int]] = (),
    flip_pairs: Sequence[Sequence[str]] | None = None,
) -> Skeleton:
    """Return the skeleton of keypoints with the edges and pairs of the options, else with those of the file.

    Raises:
        UsageError: Names or pairs cannot be used.
    """
    edges = edges if options.skeleton is None else indices_of_edges(options.skeleton, names)
    pairs = flip_pairs if options.flip_pairs is None else options.flip_pairs
    return make_skeleton(names, edges, flip_pairs=pairs, has_boxes=has_boxes)


def check_boxes(column: BoxColumn, keys: Sequence[str], names: list[str], *, where: str) -> FoundColumn:
    """Clip boxes to their images and leave out those without area; notes tell how many and where.

    Args:
        column: The found boxes.
        keys: Keys of the images.
        names: Names of the classes.
        where: Start of messages: the folder, or the argument.

    Raises:
        SourceError: Sides are not numbers, or no image has a box.
    """
    of_box = np.repeat(np.arange(len(column)), column.counts)

    def tell(i: int) -> str:
        return f"{keys[of_box[i]]}: {', '.join(f'{side:g}' for side in column.corners[i])}"

    def shown(which: NDArray[Any]) -> str:
        return first_few(np.flatnonzero(which).tolist(), tell=tell)

    sizes = np.where(column.sizes > 0, column.sizes, 1)[of_box].astype(np.float32)
    strange = np.logical_not(np.isfinite(column.corners).all(axis=1))
    if strange.any():
        raise SourceError(f"{where}: boxes whose sides are no numbers:\n{shown(strange)}\nMend them.")
    if not len(of_box):
        raise SourceError(
            f"{where}: not one of {format_count(len(column), 'image')} has a box; there is nothing to detect."
        )
    clipped = np.clip(column.corners, 0, np.hstack([sizes, sizes]))
    flat = np.asarray((column.corners[:, :2] >= column.corners[:, 2:]).any(axis=1))
    outside = np.logical_not(flat) & np.asarray((clipped[:, :2] >= clipped[:, 2:]).any(axis=1))
    kept = np.logical_not(flat | outside)
    cut = kept & (clipped != column.corners).any(axis=1)
    if not kept.any():
        raise SourceError(
            f"{where}: not one of {format_count(len(kept), 'box')} has an area inside its image:\n"
            f"{shown(~kept)}\nExpected x_min < x_max and y_min < y_max, within the image."
        )
    checked = replace(column, corners=clipped).only(kept)
    notes = [
        f"{format_count(int(which.sum()), 'box')} {what}"
        for which, what in (
            (cut, "that reached beyond their images were clipped to them."),
            (flat, f"without area (x_min ≥ x_max or y_min ≥ y_max) left out:\n{shown(flat)}"),
            (outside, f"outside of their images left out:\n{shown(outside)}"),
        )
        if which.any()
    ]
    return FoundColumn(checked, names, [checked.boxes_note(), *notes])


def upright_size(path: str | Path) -> Size:
    """Return width and height of an image as shown upright, from its header; UNKNOWN_SIZE if that is not readable."""
    try:
        with Image.open(path) as picture:
            size = (picture.width, picture.height)
            exif = picture.info.get("exif")
            turned = exif is not None and picture.getexif().get(ORIENTATION) in TRANSPOSED
            return (size[1], size[0]) if turned else size
    except Exception:  # decoders of damaged files raise nearly anything; that it is damaged is said when it is decoded
        return UNKNOWN_SIZE


def boxes_of_images(
    images: Iterable[Sequence[FoundObject]],
    sizes: Iterable[Size | None],
    keys: Sequence[str],
    names: list[str],
    *,
    where: str,
    skeleton: Skeleton | None = None,
) -> FoundColumn:
    """Return the boxes of numbered objects, with keypoints if there is a skeleton, as a checked column.

    Args:
        images: The objects of each image.
        sizes: Width and height of each image; None where sides are shares of these.
        keys: Keys of the images.
        names: Names of the classes.
        where: Start of messages: the folder, or the argument.
        skeleton: Skeleton of the keypoints.

    Raises:
        SourceError: See `check_boxes` and `_check_points`, or there are no objects with keypoints.
    """

    def boxes(objects: Sequence[FoundObject], size: Size | None) -> Boxes:
        points = None if skeleton is None else [one.points for one in objects]
        return Boxes.of_rows([(*one.shape, one.label, one.flags) for one in objects], size, points)

    column = BoxColumn.of_images(map(boxes, images, sizes))
    if skeleton is None:
        return check_boxes(column, keys, names, where=where)
    if not len(column.labels):
        raise SourceError(f"{where}: not one of {format_count(len(column), 'image')} has an object with keypoints.")
    of_objects: Any = column.points
    column = replace(column, points=of_objects.reshape(len(column.labels), len(skeleton), 3), skeleton=skeleton)
    checked = FoundColumn(column, names, [])
    if skeleton.has_boxes:
        checked = check_boxes(column, keys, names, where=where)
    column, notes = _check_points(cast(BoxColumn, checked.column), keys, skeleton, where)
    empty = int((column.counts == 0).sum())
    if empty and not skeleton.has_boxes:  # boxes say it themselves
        number = format_count(empty, "image has none, and is kept", "images have none, and are kept")
        notes.append(f"{number} (--drop-empty leaves them out).")
    return FoundColumn(column, names, [*checked.notes, *notes])


def _check_points(
    column: BoxColumn, keys: Sequence[str], skeleton: Skeleton, where: str
) -> tuple[BoxColumn, list[str]]:
    """Mark keypoints outside of their images as not labelled, and count them."""
    points: Any = column.points
    of_object = np.repeat(np.arange(len(column)), column.counts)
    visibility = points[..., 2]

    def shown(which: NDArray[Any]) -> str:
        def tell(place: list[int]) -> str:
            x, y, v = (f"{number:g}" for number in points[tuple(place)])
            return f"{keys[of_object[place[0]]]}: {skeleton.names[place[1]]} at {x}, {y}, visibility {v}"

        return first_few(np.argwhere(which).tolist(), tell=tell)

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
        number = format_count(int(outside.sum()), "keypoint")
        notes.append(f"{number} outside of the image: taken as not labelled, visibility 0:\n{shown(outside)}")
    absent = [name for name, there in zip(skeleton.names, kept.any(axis=0), strict=True) if not there]
    if absent:
        notes.append(f"Keypoints that are never labelled:\n{first_few(absent)}")
    return replace(column, points=np.where(kept[..., None], points, 0).astype(np.float32)), notes
