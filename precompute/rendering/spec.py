"""What every record of a dataset has in common, and what of it decides pixels, as JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from precompute.dataset.manifest import OBJECTS, Target
from precompute.fields.field import Schema
from precompute.fields.image import ImageField
from precompute.fields.registry import schema_of_target
from precompute.fields.skeleton import Skeleton, skeleton_settings
from precompute.images.color_modes import CHANNELS, Scale, parse_scale
from precompute.images.mask_files import packed_colors
from precompute.options.build_options import BuildOptions
from precompute.pipelines.box_rules import BoxRules

__all__ = ["RecordSpec", "pixel_settings"]


@dataclass(frozen=True, kw_only=True)
class RecordSpec:
    """What every record of a dataset has in common.

    Attributes:
        height: Height of image and mask, pixels; None while it is being found out.
        width: Width of image and mask, pixels; None while it is being found out.
        encoding: ``"jpeg"``, ``"png"`` or ``"raw"``.
        quality: Quality of JPEG, 1 to 100.
        kind: ``"class"``, ``"multilabel"``, ``"mask"``, ``"boxes"``, ``"keypoints"``, ``"instances"`` or ``"image"``.
        class_names: Name of each class index; empty for masks without names.
        mask_map: Id in the file → class id.
        mask_offset: Added to the ids in the file that the map does not name.
        mask_colors: (packed colour, class id), in the order of the colours, where masks hold colours; else empty.
        max_class_id: Largest id that a mask may hold after the map, the ignore class apart.
        ignore_class: Id that may stand in masks beside the classes.
        mask_dtype: ``"uint8"`` or ``"uint16"``.
        max_source_size: Pixels that the longer side of a source may have; larger ones are shrunk while decoding.
        skeleton: Skeleton of keypoints; None without any.
        color_mode: ``"grayscale"``, ``"rgb"`` or ``"rgba"``.
        scale: How more than 8 bits a channel become 8; None: they are refused.
        alpha: How an alpha channel is taken off where images have none.
        min_visibility: Share of the area of a box that each transform must leave.
        min_area: Pixels that must be left of a box, or of the mask of a single object.
    """

    height: int | None
    width: int | None
    encoding: str
    quality: int
    kind: str
    class_names: tuple[str, ...] = ()
    mask_map: tuple[tuple[int, int], ...] = ()
    mask_offset: int = 0
    mask_colors: tuple[tuple[int, int], ...] = ()
    max_class_id: int = 255
    ignore_class: int | None = None
    mask_dtype: str = "uint8"
    max_source_size: int | None = None
    min_visibility: float = 0.0
    min_area: float = 0.0
    skeleton: Skeleton | None = None
    color_mode: str = "rgb"
    scale: Scale | None = None
    alpha: str = "opaque"

    @classmethod
    def of_settings(cls, pixels: Mapping[str, Any], target: Target, size: tuple[int, int] | None) -> RecordSpec:
        """Return what these settings make of every record.

        Args:
            pixels: As `pixel_settings` returns them.
            target: What is known of it before masks are read, or all of it.
            size: Height and width of records; None while these are being found out.
        """
        height, width = size or (None, None)
        return cls(
            height=height,
            width=width,
            encoding=pixels["image_format"],
            quality=pixels["quality"] or 95,  # None where it plays no part
            kind=target.kind,
            class_names=tuple(target.class_names),
            mask_map=tuple(sorted((int(old), new) for old, new in pixels.get("mask_map", {}).items())),
            mask_offset=pixels.get("mask_offset", 0),
            mask_colors=packed_colors(pixels.get("mask_colors")),
            max_class_id=target.num_classes - 1,
            ignore_class=target.ignore_class,
            mask_dtype=pixels.get("mask_dtype") or "uint16",
            max_source_size=pixels.get("max_source_size"),
            skeleton=target.keypoints,
            color_mode=pixels.get("color_mode", "rgb"),
            alpha=pixels.get("alpha", "opaque"),
            scale=parse_scale(pixels["scale"]) if "scale" in pixels else None,
            min_visibility=pixels.get("min_visibility", 0.0),
            min_area=pixels.get("min_area", 0.0),
        )

    @property
    def box_rules(self) -> BoxRules | None:
        """Which boxes are kept, where images have boxes."""
        if self.kind not in OBJECTS:
            return None
        return BoxRules(min_visibility=self.min_visibility, min_area=self.min_area, points=self.skeleton is not None)

    @property
    def channels(self) -> int:
        """Number of channels of images: 1, 3 or 4."""
        return CHANNELS[self.color_mode]

    @cached_property
    def schema(self) -> Schema:
        """The fields of each record by their names, extra values apart."""
        size = {"height": self.height or 0, "width": self.width or 0}
        image = ImageField(name="image", channels=self.channels, encoding=self.encoding, **size)
        return schema_of_target(
            image,
            self.kind,
            num_classes=self.max_class_id + 1 if self.kind == "mask" else len(self.class_names),
            class_names=self.class_names,
            encoding=self.mask_encoding,
            dtype=self.mask_dtype,
            ignore_class=self.ignore_class,
            keypoints=self.skeleton,
        )

    @property
    def mask_encoding(self) -> str:
        """Masks are raw beside raw images, else PNG."""
        return "raw" if self.encoding == "raw" else "png"


def pixel_settings(options: BuildOptions, target: Target, *, of_instances: bool) -> dict[str, Any]:
    """Return what decides the pixels of records besides pipelines and versions, as JSON.

    What format 1.0 did not know is named only where it is set.

    Args:
        options: Of the build.
        target: What is known of it before masks are read.
        of_instances: It is made of masks of single objects.
    """
    pixels: dict[str, Any] = {
        "image_format": options.image_format,
        "quality": options.quality if options.image_format == "jpeg" else None,
    }
    if options.max_source_size is not None:
        pixels["max_source_size"] = options.max_source_size
    if options.color_mode != "rgb":
        pixels["color_mode"] = options.color_mode
    if options.scale is not None:
        pixels["scale"] = options.scale
    if options.alpha != "opaque":
        pixels["alpha"] = options.alpha
    if target.kind == "mask":
        pixels["mask_map"] = {str(old): new for old, new in sorted(options.mask_map.items())}
        pixels["mask_dtype"] = target.dtype
        pixels |= {name: getattr(options, name) for name in ("mask_offset", "mask_colors") if getattr(options, name)}
    if of_instances:
        pixels["of_instances"] = target.kind  # what became of the masks of single objects
    rules = ("min_visibility", "min_area")
    pixels |= {name: float(getattr(options, name)) for name in rules if getattr(options, name)}
    if target.keypoints is not None:
        pixels |= skeleton_settings(target.keypoints)
    return pixels
