"""Keypoints in a pipeline: Albumentations' parameters of keypoints, and how points are handed over and taken back.

Skeletons are fixed: every point keeps its place in the list, and a point that left the image gets visibility 0.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cloudpickle
import cv2
import numpy as np
from numpy.typing import NDArray

from precompute.fields.boxes import Boxes
from precompute.fields.skeleton import left_right_pairs
from precompute.pipelines.box_rules import INDEX_FIELD, NO_BOXES, BoxRules, box_fields, boxes_left
from precompute.pipelines.description import AROUND, PROBE
from precompute.pipelines.labels import field_values, label_fields, own_fields
from precompute.pipelines.mirror_triangles import CORNERS, POINT_FIELD, is_mirrored, moved_points, triangles_on
from precompute.pipelines.transforms import (
    albumentations,
    check_that_all_move,
    compositions,
    is_custom,
    leaves,
    shown_name,
)
from precompute.text.names import format_names

__all__ = [
    "KeypointTransform",
    "MirrorProbe",
    "cuts_objects",
    "has_keypoint_params",
    "leave_out_params",
    "mirroring_warnings",
    "set_keypoint_params",
    "set_mirror_probe",
]

POINT_LABEL_FIELD = "keypoint_label"  # their place in the skeleton, where transforms may look at it
# Albumentations counts keypoints by pixels, 0 being the middle of the first one, when it flips, turns and warps. When
# it scales, it multiplies by a factor, which is right for edges and would be wrong by half a pixel: so it gets edges
# there.
SCALING = (
    albumentations.RandomResizedCrop,
    albumentations.RandomSizedCrop,
    albumentations.RandomSizedBBoxSafeCrop,
    albumentations.CropAndPad,
)
# Resizes of the whole image to rounded sides: the real factor is not quite the one that keypoints are multiplied by.
RESIZING = (
    albumentations.Resize,
    albumentations.LongestMaxSize,
    albumentations.SmallestMaxSize,
    albumentations.RandomScale,
)
# These move points 1 to 10 pixels beside the image's pixels (measured with discs on images of 131×97).
INEXACT = (
    albumentations.ElasticTransform,
    albumentations.GridDistortion,
    albumentations.OpticalDistortion,
    albumentations.PiecewiseAffine,
    albumentations.ThinPlateSpline,
)
MIRRORING = (
    albumentations.HorizontalFlip,
    albumentations.VerticalFlip,
    albumentations.Transpose,
    albumentations.D4,
    albumentations.SquareSymmetry,
)
NUMBER_COLUMN = -1  # of POINT_FIELD, the last of all, while Albumentations moves points
TOLERANCE = 1e-3  # pixels that float32 may put a point beyond the image which lies on its edge


def set_keypoint_params(compose: Any, split: str, rules: BoxRules) -> list[str]:
    """Make a Compose move keypoints without dropping any; returns notes.

    Args:
        compose: The pipeline.
        split: The split it is for, for messages.
        rules: Their `labels` tells whether keypoints carry their index in the skeleton, for transforms that look at it.

    Raises:
        PipelineError: A transform cannot move keypoints.
    """
    check_that_all_move(compose, split, "keypoints", "keypoints")
    inexact = [shown_name(t) for t in leaves(compose) if type(t) in INEXACT]
    notes = [
        f"pipeline of {split}: {name} moves keypoints by an approximation, up to several pixels beside the pixels; "
        "look at a preview."
        for name in dict.fromkeys(inexact)
    ]
    processor = compose.processors.get("keypoints")
    if processor is not None and not has_keypoint_params(compose):
        notes.append(
            f"pipeline of {split}: its keypoint_params (format={processor.params.format!r}, "
            f"remove_invisible={processor.params.remove_invisible}) are not needed here: keypoints are handed over by "
            "precompute, and all of a skeleton are kept, those outside of the image with visibility 0."
        )
    own = None if processor is None else processor.params
    fields = label_fields(own, POINT_LABEL_FIELD, POINT_FIELD) if rules.labels else [POINT_FIELD]
    params = albumentations.KeypointParams(
        "xy", label_fields=fields, remove_invisible=False, check_each_transform=False
    )
    compose.processors["keypoints"] = albumentations.core.keypoints_utils.KeypointsProcessor(params)
    compose._set_check_args_for_transforms(compose.transforms)
    compose._set_processors_for_transforms(compose.transforms)
    if rules.around:
        setattr(compose, AROUND, True)  # goes with it to workers, and into its description
    return notes


def set_mirror_probe(compose: Any, split: str) -> list[str]:
    """Make a Compose without keypoints move points that tell whether it mirrored the image; returns notes.

    Raises:
        PipelineError: A transform cannot move keypoints.
    """
    notes = set_keypoint_params(compose, split, BoxRules())
    setattr(compose, PROBE, True)  # goes with it to workers, and into its description
    return notes


def cuts_objects(compose: Any) -> bool:
    """Return whether a pipeline may cut an object into pieces, which come back as several boxes."""
    return any(isinstance(transform, albumentations.RandomGridShuffle) for transform in leaves(compose))


def has_keypoint_params(compose: Any) -> bool:
    """Return whether `set_keypoint_params` gave a Compose its rules, here or before its description was made."""
    return bool(own_fields(compose.processors.get("keypoints"), POINT_FIELD))


def leave_out_params(compose: Any, split: str, rules: BoxRules | None) -> list[str]:
    """Remove parameters of boxes or keypoints, where there are none, from a pipeline and from compositions inside it.

    Only parameters with label_fields are removed: Albumentations needs these labels in every call; others do no harm.

    Returns:
        Notes on what was removed.
    """
    unused = {"bboxes": rules is None, "keypoints": rules is None or not rules.points}
    found = []
    for composition in compositions(compose):
        processors = getattr(composition, "processors", {})
        for target, name in (("bboxes", "bbox_params"), ("keypoints", "keypoint_params")):
            fields = processors[target].params.label_fields if unused[target] and target in processors else None
            if fields and not {INDEX_FIELD, POINT_FIELD} & set(fields):  # else a manifest's, which knows what there is
                found.append(name)
                del processors[target]
                composition.check_each_transform = tuple(
                    processor for processor in processors.values() if processor.params.check_each_transform
                )
                composition._set_processors_for_transforms(composition.transforms)
    names = " and ".join(dict.fromkeys(found))
    if not names:
        return []
    return [f"pipeline of {split}: its {names} {'were' if ' and ' in names else 'was'} left out: there are none here."]


def mirroring_warnings(prepared: Mapping[str, Any], names: Sequence[str], given: Any) -> list[str]:
    """Return warnings where pipelines mirror, names of keypoints have sides, and no flip pairs were given.

    Args:
        prepared: Split → `Prepared` pipeline.
        names: Names of the keypoints, in their order; none without any.
        given: The given option flip_pairs, or None.
    """
    pairs = left_right_pairs(names)
    if not pairs or given is not None:
        return []
    named = format_names(f"{names[a]}:{names[b]}" for a, b in pairs)
    return [
        f"pipeline of {split}: {', '.join(mirroring)} mirror{'s' * (len(mirroring) == 1)} images, and keypoints are "
        "named left and right, but no flip pairs were given: what is named left stays so where it becomes right. Give "
        f"--flip-pairs auto (that is {named}), or --flip-pairs none if this is meant."
        for split, one in prepared.items()
        if (mirroring := _mirroring(one.pickled))
    ]


def _mirroring(pickled: bytes) -> list[str]:
    transforms = leaves(cloudpickle.loads(pickled))
    return list(dict.fromkeys(shown_name(t) for t in transforms if isinstance(t, MIRRORING) and t.p > 0))


class KeypointTransform:
    """Hands boxes and keypoints over to a Compose and takes them back. It changes some of the Compose's transforms.

    Args:
        compose: The prepared pipeline, which no other task uses.

    Attributes:
        targets: Names of the targets that Albumentations is handed, without labels.
    """

    targets = ("bboxes", "keypoints")

    def __init__(self, compose: Any) -> None:
        self._compose = compose
        self._box_fields = box_fields(compose)
        self._point_fields = list(compose.processors["keypoints"].params.label_fields)
        self._around = bool(getattr(compose, AROUND, False))
        for transform in leaves(compose):
            _correct(transform)
        checking = [p for p in (compose.processors.get("bboxes"),) if p is not None and p.params.check_each_transform]
        compose.check_each_transform = (*checking, _Leaving())
        compose._set_check_args_for_transforms(compose.transforms)

    def hand_over_none(self, image: NDArray[np.uint8]) -> dict[str, Any]:
        """Return what a Compose is handed beside an image to predict."""
        return self.hand_over(image, NO_BOXES)

    def hand_over(self, image: NDArray[np.uint8], boxes: Boxes) -> dict[str, Any]:
        """Return the targets that a Compose is handed for boxes with keypoints."""
        boxed = _has_corners(boxes)
        num_boxes = len(boxes) if boxed else 0
        known, marked = _handed_over(image, boxes)
        return {
            "bboxes": boxes.shares() if boxed else np.zeros((0, 4)),
            "keypoints": marked,
            **field_values(self._box_fields, boxes.labels[:num_boxes], np.arange(num_boxes)),
            **field_values(self._point_fields, *_numbers(known, boxes)),
        }

    def take_back(self, boxes: Boxes, made: Mapping[str, Any]) -> Boxes:
        """Return boxes, as shares, with all their keypoints, which keep their order.

        The keypoints of dropped boxes are dropped, too; without boxes, all keypoints stay. `Boxes.mirrored` tells
        whether left and right have to change places.
        """
        numbers, xy = moved_points(made)
        points = _points(boxes, numbers, xy, made["image"].shape)
        corners, kept = boxes.corners, np.arange(len(boxes))
        if _has_corners(boxes):
            corners, kept = _kept_boxes(made, around=self._around)
        return Boxes(
            corners=corners,
            labels=boxes.labels[kept],
            flags=boxes.flags[kept],
            points=points[kept],
            mirrored=is_mirrored(numbers, xy),
        )


def _has_corners(boxes: Boxes) -> bool:
    return bool(boxes.corners.any())


def _numbers(known: NDArray[np.int64], boxes: Boxes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the index in the skeleton of each handed-over point, −1 for triangles, and its number."""
    num_points = max(1, boxes.point_shares().shape[1])
    indices = np.concatenate([known % num_points, np.full(len(CORNERS), -1)])
    return indices, np.concatenate([known, CORNERS])


def _handed_over(image: NDArray[np.uint8], boxes: Boxes) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return which points are labelled, and the positions of these and of the triangles, by pixels' middles."""
    size = np.array([image.shape[1], image.shape[0]], np.float64)
    points = boxes.point_shares().reshape(-1, 3)
    there = ((points[:, :2] >= 0) & (points[:, :2] <= 1)).all(axis=1)  # sizes may be known from here on alone
    known = np.flatnonzero(there & (points[:, 2] > 0))
    xy = np.concatenate([points[known, :2] * size, triangles_on(size)])
    return known, (xy - 0.5).astype(np.float32)


class MirrorProbe:
    """Moves only the triangles, where nothing has keypoints. It changes the Compose as `KeypointTransform` does.

    Args:
        compose: The prepared pipeline, which no other task uses.
    """

    def __init__(self, compose: Any) -> None:
        self._point_fields = list(compose.processors["keypoints"].params.label_fields)
        for transform in leaves(compose):
            _correct(transform, boxes=False)

    def hand_over(self, image: NDArray[np.uint8]) -> dict[str, Any]:
        """Return the targets that a Compose is handed to tell whether it mirrored an image."""
        known, marked = _handed_over(image, NO_BOXES)
        return {"keypoints": marked, **field_values(self._point_fields, *_numbers(known, NO_BOXES))}


class _Leaving:
    """A processor of Albumentations that removes, after each transform, the points that left the image.

    So a point that is cropped away does not come back when a later transform pads or shrinks. Triangles stay.
    """

    data_fields = ("keypoints",)

    @staticmethod
    def filter(data: NDArray[Any], shape: Mapping[str, int]) -> NDArray[Any]:
        inside = _is_inside(data[:, :2] + 0.5, np.array([shape["width"], shape["height"]]))
        return data[inside | (data[:, NUMBER_COLUMN] < 0)]


def _is_inside(xy: NDArray[Any], size: NDArray[Any]) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (xy >= -TOLERANCE) & (xy <= size + TOLERANCE)
    return inside[:, 0] & inside[:, 1]


def _points(boxes: Boxes, numbers: NDArray[np.int64], xy: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return all keypoints as shares [N, K, 3]; zeros for those outside of the image of this shape."""
    given = boxes.point_shares()
    size = np.array([shape[1], shape[0]], np.float64)
    inside = (numbers >= 0) & _is_inside(xy, size)
    flat = np.zeros((given.shape[0] * given.shape[1], 3), np.float32)
    chosen = numbers[inside]
    flat[chosen, :2] = np.clip(xy[inside] / size, 0, 1)
    flat[chosen, 2] = given.reshape(-1, 3)[chosen, 2]
    return flat.reshape(given.shape)


def _kept_boxes(result: Any, *, around: bool) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the corners of the boxes that are left, and their indices.

    Args:
        result: Result of the Compose.
        around: Whether several boxes of one object are its pieces, so that its box is the one around all of them. Else
            they are copies, and the first is taken, as for keypoints.
    """
    corners, indices = boxes_left(result)
    kept, first, xy = np.unique(indices, return_index=True, return_inverse=True)
    chosen = corners[first]
    if around:
        np.minimum.at(chosen[:, :2], xy, corners[:, :2])
        np.maximum.at(chosen[:, 2:], xy, corners[:, 2:])
    return chosen, kept


def _correct(transform: Any, *, boxes: bool = True) -> None:
    """Correct a transform of Albumentations so that it moves points where its pixels go.

    Where it fills borders by reflection, it would return up to nine points or boxes for one, in any order; corrected,
    it returns only those that did not leave the image.
    """
    moves = getattr(transform, "_key2func", {})
    if is_custom(transform) or "keypoints" not in moves:
        return
    moving = transform
    if getattr(transform, "border_mode", cv2.BORDER_CONSTANT) != cv2.BORDER_CONSTANT:
        moving = copy.copy(transform)
        moving.border_mode = cv2.BORDER_CONSTANT
    corrected: dict[str, Any] = {"keypoints": moving.apply_to_keypoints}
    corrected |= {"bboxes": moving.apply_to_bboxes} if boxes else {}
    if isinstance(transform, SCALING):
        corrected["keypoints"] = _with_edges(moving.apply_to_keypoints)
    elif isinstance(transform, RESIZING):
        resizing = _Resizing(moves["image"])
        corrected["image"], corrected["keypoints"] = resizing.image, resizing.points
    transform._key2func = {**moves, **corrected}


class _Resizing:
    """Moves points as the image was resized; the image is processed before the points."""

    def __init__(self, apply: Callable[..., Any]) -> None:
        self._apply, self._factors = apply, np.ones(2)

    def image(self, image: NDArray[Any], **params: Any) -> Any:
        resized = self._apply(image, **params)
        self._factors = np.array(resized.shape[1::-1]) / image.shape[1::-1]
        return resized

    def points(self, points: NDArray[Any], **params: Any) -> Any:
        moved = points.copy()
        moved[:, :2] = (points[:, :2] + 0.5) * self._factors - 0.5
        return moved


def _with_edges(apply: Callable[..., Any]) -> Callable[..., Any]:
    def with_edges(points: NDArray[Any], **params: Any) -> Any:
        half = np.zeros(points.shape[1], points.dtype)
        half[:2] = 0.5
        return apply(points + half, **params) - half

    return with_edges
