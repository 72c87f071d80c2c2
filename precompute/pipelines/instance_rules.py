"""Pipelines that move masks of single objects: requirements, and rules for which objects are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.errors import PipelineError, RejectedSource
from precompute.fields.boxes import Instances
from precompute.images.instance_masks import with_boxes
from precompute.pipelines.box_rules import INDEX_FIELD, NO_BOXES, BoxRules, box_fields, set_box_params
from precompute.pipelines.labels import field_values
from precompute.pipelines.mask_rules import blending_transforms, mask_fills
from precompute.pipelines.transforms import albumentations, is_custom, leaves, shown_name

__all__ = ["InstanceTransform", "large_enough", "set_instance_params"]

MIXING = ("Morphological",)  # grows or shrinks objects, so that neighbours would push each other away


def set_instance_params(compose: Any, split: str, rules: BoxRules) -> list[str]:
    """Check that a Compose can move masks of single objects; returns notes.

    Boxes are moved beside the masks only where something needs them: `min_visibility`, thresholds that the pipeline
    brings, or a transform that looks at boxes. `min_area` counts pixels of masks: see `large_enough`.

    Raises:
        PipelineError: A transform cannot move masks, blends or fills them, or the rules contradict each other.
    """
    unable = [shown_name(t) for t in leaves(compose) if not _moves_masks(t)]
    if unable:
        raise PipelineError(
            f"pipeline of {split}: {', '.join(dict.fromkeys(unable))} cannot move masks; leave it out, or give a "
            "custom transform an apply_to_mask."
        )
    blending = blending_transforms(compose)
    if blending:
        raise PipelineError(
            f"pipeline of {split}: {', '.join(dict.fromkeys(blending))} would blend the masks of neighbouring objects. "
            "Leave mask_interpolation at cv2.INTER_NEAREST, in the transform and in Compose."
        )
    fills = {fill: name for fill, name in mask_fills(compose).items() if fill != 0}
    if fills:
        fill, name = next(iter(fills.items()))
        raise PipelineError(
            f"pipeline of {split}: {name} fills masks with {fill}; what is filled belongs to none of the objects. "
            "Leave its fill_mask at 0."
        )
    needed = compose.processors.get("bboxes") is not None or any(map(_looks_at_boxes, leaves(compose)))
    needed = needed or (rules.labels and any(getattr(t, "bbox_labels", None) is not None for t in leaves(compose)))
    if not needed and not rules.min_visibility:
        return []
    return set_box_params(compose, split, replace(rules, min_area=0.0))


def _moves_masks(transform: Any) -> bool:
    if isinstance(transform, albumentations.ImageOnlyTransform | albumentations.NoOp):
        return True
    return "masks" in transform.available_keys and "mask" not in transform.targets_as_params


def _looks_at_boxes(transform: Any) -> bool:
    # Albumentations' own crops around boxes do not say that they need them.
    return "bboxes" in transform.targets_as_params or "BBox" in type(transform).__name__


def _mixes_neighbours(compose: Any) -> bool:
    """Return whether a pixel of a mask may depend on its neighbours; each object then needs a layer of its own."""
    return any(type(t).__name__ in MIXING or is_custom(t) for t in leaves(compose))


class InstanceTransform:
    """Hands masks of single objects, in layers, over to a Compose and takes them back.

    Labels and flags are joined again by index; boxes are those around the moved masks. Objects without a pixel are
    dropped.

    Args:
        compose: The pipeline with the rules of `set_instance_params`. Where these move boxes, too, objects whose boxes
            are dropped are dropped as well.
        writes: Whether transforms may write into their input.

    Attributes:
        targets: Names of the targets that Albumentations is handed, without labels.
    """

    def __init__(self, compose: Any, *, writes: bool) -> None:
        self._fields = box_fields(compose)
        self.targets = ("masks", "bboxes") if self._fields else ("masks",)
        self._apart = writes or _mixes_neighbours(compose)

    def hand_over_none(self, image: NDArray[np.uint8]) -> dict[str, Any]:
        """Return the targets that a Compose is handed beside an image to predict: empty boxes, if it needs some."""
        labels, numbers = NO_BOXES.labels, np.arange(0)
        return {"bboxes": np.zeros((0, 4)), **field_values(self._fields, labels, numbers)} if self._fields else {}

    def hand_over(self, image: NDArray[np.uint8], instances: Instances) -> dict[str, Any]:
        """Return the targets that a Compose is handed for decoded objects."""
        given: dict[str, Any] = {"masks": self._layered(instances).decoded}
        if self._fields:
            given |= {"bboxes": instances.corners.astype(np.float64)}
            given |= field_values(self._fields, instances.labels, np.arange(len(instances)))
        return given

    def take_back(self, instances: Instances, made: Mapping[str, Any]) -> Instances:
        """Return the objects that are left.

        Raises:
            RejectedSource: The pipeline made masks that its input does not hold.
        """
        given, layers = self._layered(instances), np.ascontiguousarray(made["masks"])
        _check_numbers(given, layers)
        chosen = np.arange(len(given))
        if self._fields:  # reflections have boxes of their own, and one mask
            chosen = np.unique(np.asarray(made[INDEX_FIELD], np.int64).reshape(-1))
        return with_boxes(replace(given.at(chosen), layers=layers))

    def _layered(self, instances: Instances) -> Instances:
        return instances.apart() if self._apart else instances


def _check_numbers(instances: Instances, layers: Any) -> None:
    if layers.dtype != np.uint8 or layers.ndim != 3 or len(layers) != len(instances.decoded):
        raise RejectedSource(f"the pipeline gave masks of shape {layers.shape} and type {layers.dtype}")
    most = np.zeros(len(layers), np.int64)
    np.maximum.at(most, instances.layer_index[:, 0], instances.layer_index[:, 1])
    if (layers.max(axis=(1, 2)) > most).any():
        raise RejectedSource("the pipeline made values in masks that they do not hold: masks must be moved, not mixed")


def large_enough(instances: Instances, min_area: float) -> Instances:
    """Return the objects whose masks have at least a number of pixels."""
    if not min_area:
        return instances
    kept = [i for i, mask in enumerate(instances.masks()) if mask.sum() >= min_area]
    return instances.at(kept)
