"""The renderer of objects: boxes, keypoints or masks of single objects, moved with the pixels and encoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from precompute.fields.boxes import UNKNOWN_SIZE, Boxes, Instances
from precompute.fields.feature import Value
from precompute.fields.field import Field
from precompute.fields.objects import ObjectsField
from precompute.fields.skeleton import skeleton_settings
from precompute.images.instance_masks import EMPTY, load_instances, plain_boxes, shrink_instances
from precompute.images.png import encode_png
from precompute.images.source_files import check_meant_size
from precompute.options.build_options import BuildOptions
from precompute.pipelines.box_rules import BoxRules, BoxTransform
from precompute.pipelines.instance_rules import InstanceTransform, large_enough
from precompute.pipelines.keypoint_rules import KeypointTransform
from precompute.pipelines.pipeline import Pipeline
from precompute.rendering.fields.renderer import Loaded, Renderer, SourceImage, renderer_type

__all__ = ["ObjectsRenderer"]

RULES = ("min_visibility", "min_area")


@dataclass(frozen=True, kw_only=True)
class ObjectsRenderer(Renderer):
    """Renders boxes with classes and flags, and keypoints or masks where objects have them.

    Attributes:
        min_visibility: Share of the area of a box that each transform must leave.
        min_area: Area in pixels that must be left of a box, or of the mask of a single object.
    """

    field: ObjectsField
    min_visibility: float = 0.0
    min_area: float = 0.0

    @classmethod
    def settings(cls, field: Field, options: BuildOptions) -> dict[str, Any]:
        """Return the settings: rules for which objects are kept, and the names of keypoints."""
        pixels = {name: float(getattr(options, name)) for name in RULES if getattr(options, name)}
        skeleton = field.keypoints  # type: ignore[attr-defined]  # of objects it is one
        return pixels if skeleton is None else pixels | skeleton_settings(skeleton)

    @classmethod
    def of_settings(cls, field: Field, pixels: Mapping[str, Any]) -> Self:
        """Return the renderer of settings; without rules in them every object is kept."""
        kept = {name: pixels.get(name, 0.0) for name in RULES}
        return cls(field=field, **kept)  # type: ignore[arg-type]  # of objects it is one

    @property
    def pipeline_rules(self) -> dict[str, Any]:
        """Rules for which boxes are kept, and names of classes for transforms that name them."""
        rules = BoxRules(
            min_visibility=self.min_visibility,
            min_area=self.min_area,
            points=self.field.keypoints is not None,
            masks=self.field.has_masks,
        )
        return {"box_rules": rules, "class_names": self.field.class_names}

    def targets(self, pipeline: Pipeline) -> tuple[str, ...]:
        """Return the targets that the pipeline has: boxes, points, masks."""
        return self._transform(pipeline).targets

    def load(self, raw: Any, image: SourceImage) -> Loaded:
        """Set the size of the image in boxes, or read the masks of single objects."""
        if not isinstance(raw, Instances):
            return Loaded(value=_of_size(raw, image), is_turned=image.is_turned())
        loaded, sha256, num_empty = load_instances(image.path, raw, image.full_size, image.alpha)
        if not self.field.has_masks:
            value = plain_boxes(loaded)
        else:
            value = loaded if image.size == image.full_size else shrink_instances(loaded, image.size)
        counters = {EMPTY: num_empty} if num_empty else {}
        return Loaded(value=value, sha256=sha256, counters=counters, is_turned=image.is_turned())

    def hand_over(self, value: Any, image: NDArray[np.uint8], pipeline: Pipeline) -> dict[str, Any]:
        """Return boxes, points or layers of masks, whichever the pipeline was prepared for."""
        transform = self._transform(pipeline)
        return transform.hand_over_none(image) if value is None else transform.hand_over(image, value)

    def take_back(self, value: Any, made: Mapping[str, Any], pipeline: Pipeline) -> Any:
        """Return the objects that are left, with left and right keypoints in their places."""
        moved = self._transform(pipeline).take_back(value, made)
        if self.field.keypoints is not None:
            moved = moved.flipped(self.field.keypoints.flip_pairs)
        return large_enough(moved, self.min_area) if isinstance(moved, Instances) else moved

    def _transform(self, pipeline: Pipeline) -> KeypointTransform | InstanceTransform | BoxTransform:
        if pipeline.points is not None:
            return pipeline.points
        return pipeline.instances if self.field.has_masks else pipeline.boxes

    def record_values(self, value: Any, size: tuple[int, int], png_deflate: str | None) -> dict[str, Value]:
        """Return boxes, classes and flags, and keypoints or masks where objects have them."""
        return self.field.record_values(value, size, partial(encode_png, deflate=png_deflate))


def _of_size(boxes: Boxes, image: SourceImage) -> Boxes:
    """Return the boxes with the full size of their image; as shares they also fit the shrunk image."""
    height, width = image.full_size
    if boxes.size == UNKNOWN_SIZE:
        return replace(boxes, size=(width, height))
    check_meant_size(image.path, image.full_size, boxes.size, "boxes")
    return boxes


@renderer_type.register
def _(field: ObjectsField) -> type[Renderer]:
    return ObjectsRenderer
