"""Rules for which boxes a pipeline keeps: Albumentations' parameters of boxes, set in a prepared pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.errors import PipelineError
from precompute.fields.boxes import Boxes
from precompute.pipelines.labels import field_values, label_fields, own_fields
from precompute.pipelines.transforms import albumentations, check_that_all_move
from precompute.text.names import flag

__all__ = ["INDEX_FIELD", "NO_BOXES", "BoxRules", "BoxTransform", "box_fields", "boxes_left", "set_box_params"]

INDEX_FIELD = "box_index"  # what boxes carry to be known by
LABEL_FIELD = "box_label"  # their class index, where transforms may look at it
# In pixels. A crop that ends where a box begins leaves it 0.0000001 wide: Albumentations computes crops in float32.
MIN_SIDE = 0.01
NO_BOXES = Boxes.of_rows([], None)  # of an image to predict: a Compose with parameters of boxes asks for some
KEPT = ("min_area", "min_visibility", "min_width", "min_height", "max_accept_ratio", "check_each_transform")


@dataclass(frozen=True, kw_only=True)
class BoxRules:
    """Rules for dropping boxes that are cut off.

    Attributes:
        min_visibility: Share of its area that each transform must leave of a box, 0 to 1.
        min_area: Area in pixels that must be left of a box.
        points: Whether there are keypoints, too.
        masks: Whether each object has a mask; the mask then decides whether it is kept.
        labels: Whether boxes and keypoints carry their class, too, for transforms that look at it.
        around: Whether an object with keypoints that is cut into pieces gets the box around all pieces; else it gets
            that of the first one.
    """

    min_visibility: float = 0.0
    min_area: float = 0.0
    points: bool = False
    masks: bool = False
    labels: bool = False
    around: bool = False


def set_box_params(compose: Any, split: str, rules: BoxRules) -> list[str]:
    """Make a Compose move boxes, by the given rules and by those that it has; returns notes.

    Its own thresholds are kept. Its format and label fields are replaced: boxes are handed over as shares of width and
    height, with their index.

    Raises:
        PipelineError: A transform cannot move boxes, or the rules contradict those that the pipeline brings.
    """
    check_that_all_move(compose, split, "bboxes", "boxes")
    processor = compose.processors.get("bboxes")
    thresholds, notes = {}, []
    if processor is not None:
        thresholds = {name: getattr(processor.params, name) for name in KEPT}
        notes = _notes(processor, split)
    for name in ("min_visibility", "min_area"):
        wanted, written = getattr(rules, name), thresholds.get(name)
        if wanted and written and wanted != written:
            raise PipelineError(
                f"pipeline of {split}: its bbox_params have {name}={written}, {flag(name)} is {wanted}. "
                "Give one of them."
            )
        thresholds[name] = wanted or written or 0.0
    for name in ("min_width", "min_height"):
        thresholds[name] = max(thresholds.get(name, 0.0), MIN_SIDE)
    params = None if processor is None else processor.params
    fields = label_fields(params, LABEL_FIELD, INDEX_FIELD) if rules.labels else [INDEX_FIELD]
    _set_params(
        compose,
        albumentations.BboxParams(
            "albumentations", label_fields=fields, clip=True, filter_invalid_bboxes=True, **thresholds
        ),
    )
    return notes


def box_fields(compose: Any) -> list[str]:
    """Return the label fields that `set_box_params` gave to boxes; empty where it set no rules."""
    return own_fields(compose.processors.get("bboxes"), INDEX_FIELD)


class BoxTransform:
    """Hands boxes over to a Compose and takes them back; without parameters of boxes they stay unchanged.

    Albumentations turns labels into floats and drops some boxes. So each box carries its index, by which the boxes that
    come back get their labels and flags again. Labels are handed over, too, where transforms may look at them.

    Args:
        compose: The prepared pipeline.

    Attributes:
        targets: Names of the targets that Albumentations is handed, without labels.
    """

    def __init__(self, compose: Any) -> None:
        self._fields = box_fields(compose)
        self.targets = ("bboxes",) if self._fields else ()

    def hand_over_none(self, image: NDArray[np.uint8]) -> dict[str, Any]:
        """Return the targets that a Compose is handed beside an image to predict."""
        return self.hand_over(image, NO_BOXES)

    def hand_over(self, image: NDArray[np.uint8], boxes: Boxes) -> dict[str, Any]:
        """Return the targets that a Compose is handed for boxes."""
        if not self._fields:
            return {}
        return {"bboxes": boxes.shares(), **field_values(self._fields, boxes.labels, np.arange(len(boxes)))}

    def take_back(self, boxes: Boxes, made: Mapping[str, Any]) -> Boxes:
        """Return the boxes that came back, as shares."""
        if not self._fields:
            return boxes
        return boxes.moved(*boxes_left(made))


def boxes_left(made: Mapping[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the corners of the boxes that a Compose gives back, float32 [N, 4] as shares, and their indices."""
    corners = np.clip(np.asarray(made["bboxes"], np.float32).reshape(-1, 4), 0, 1)
    wide = (corners[:, :2] < corners[:, 2:]).all(axis=1)  # slivers may have no width left in float32
    return corners[wide], np.asarray(made[INDEX_FIELD], np.int64)[wide]


def _notes(processor: Any, split: str) -> list[str]:
    if own_fields(processor, INDEX_FIELD):
        return []
    params = processor.params
    given = f"format={params.format!r}"
    given += f", label_fields={list(params.label_fields)}" if params.label_fields else ""
    return [
        f"pipeline of {split}: of its bbox_params the thresholds count; {given} is not needed here: boxes and their "
        "labels are handed over and joined again by precompute, clipped to the image."
    ]


def _set_params(compose: Any, params: Any) -> None:
    """Do what the constructor of Compose does with `bbox_params`.

    Source: https://github.com/albumentations-team/albumentations/blob/2.0.8/albumentations/core/composition.py
    """
    compose.processors["bboxes"] = albumentations.core.bbox_utils.BboxProcessor(params)
    compose.check_each_transform = tuple(
        processor
        for processor in compose.processors.values()
        if getattr(processor.params, "check_each_transform", False)
    )
    compose._set_check_args_for_transforms(compose.transforms)
    compose._set_processors_for_transforms(compose.transforms)
