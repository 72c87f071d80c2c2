"""The specification that all records of a dataset share; and the part that decides pixels, as JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from precompute.fields.feature import Picture
from precompute.fields.field import Schema
from precompute.fields.image import ImageField
from precompute.images.color_modes import CHANNELS, Scale, parse_scale
from precompute.images.png import SYNC_FLUSH
from precompute.options.build_options import BuildOptions
from precompute.rendering.fields import extra_image, mask, objects  # noqa: F401  # they register their renderers
from precompute.rendering.fields.renderer import Renderer, renderer_type

__all__ = ["RecordSpec", "pixel_settings"]


@dataclass(frozen=True, kw_only=True)
class RecordSpec:
    """The specification that all records of a dataset share.

    Attributes:
        height: Height of images in pixels; None before the pipeline was tried.
        width: Width of images in pixels; None before the pipeline was tried.
        encoding: ``"jpeg"``, ``"png"`` or ``"raw"``.
        quality: Quality of JPEG, 1 to 100.
        fields: Renderer of each field beside the image, in the order of the schema.
        max_source_size: Longer side of a source in pixels, above which it is shrunk while decoding.
        color_mode: ``"grayscale"``, ``"rgb"`` or ``"rgba"``.
        scale: How more than 8 bits per channel become 8; None: they are refused.
        alpha: How an alpha channel is removed where images have none.
        png_deflate: How PNGs are deflated, as `encode_png` takes it.
    """

    height: int | None
    width: int | None
    encoding: str
    quality: int
    fields: tuple[Renderer, ...] = ()
    max_source_size: int | None = None
    color_mode: str = "rgb"
    scale: Scale | None = None
    alpha: str = "opaque"
    png_deflate: str | None = None

    @classmethod
    def of_settings(cls, pixels: Mapping[str, Any], schema: Schema) -> RecordSpec:
        """Return the specification of settings.

        Args:
            pixels: Settings from `pixel_settings`.
            schema: Schema of records; the sides of its image are 0 before the pipeline was tried.
        """
        image: Any
        image, *fields = schema.values()
        return cls(
            height=image.height or None,
            width=image.width or None,
            encoding=image.encoding,
            quality=pixels["quality"] or 95,  # None where it plays no part
            fields=tuple(renderer_type(field).of_settings(field, pixels) for field in fields),
            max_source_size=pixels.get("max_source_size"),
            color_mode=pixels.get("color_mode", "rgb"),
            scale=parse_scale(pixels["scale"]) if "scale" in pixels else None,
            alpha=pixels.get("alpha", "opaque"),
            png_deflate=pixels.get("png_deflate"),
        )

    @property
    def pipeline_rules(self) -> dict[str, Any]:
        """Arguments of `prepare` that pipelines need for the fields."""
        rules = {name: rule for one in self.fields for name, rule in one.pipeline_rules.items()}
        further = {target: known for one in self.fields for target, known in one.further_targets.items()}
        declared = [target for one in self.fields for target in one.declared_targets]
        of_targets: dict[str, Any] = {"further_targets": further, "declared_targets": declared}
        return rules | {name: targets for name, targets in of_targets.items() if targets}

    @property
    def ignore_class(self) -> int | None:
        """The id of pixels of masks that count neither in loss nor in metrics, or None."""
        return next((one.ignore_class for one in self.fields if one.ignore_class is not None), None)

    @property
    def has_class_ids(self) -> bool:
        """Whether there are masks, whose ids may include an ignore class."""
        return any(one.has_class_ids for one in self.fields)

    @cached_property
    def image(self) -> ImageField:
        """The field of the image; its sides are 0 before the pipeline was tried."""
        return ImageField(
            name="image",
            height=self.height or 0,
            width=self.width or 0,
            channels=self.channels,
            encoding=self.encoding,
        )

    @cached_property
    def schema(self) -> Schema:
        """The fields of each record by their names."""
        return Schema([self.image, *(one.field for one in self.fields)])

    @property
    def channels(self) -> int:
        """Number of channels of images: 1, 3 or 4."""
        return CHANNELS[self.color_mode]


def pixel_settings(options: BuildOptions, schema: Schema) -> dict[str, Any]:
    """Return the settings that decide the pixels of records, besides pipelines and versions, as JSON.

    Settings that format 1.0 did not know are named only where they are used.

    Args:
        options: Options of the build.
        schema: Schema, as far as it is known before all sources are read.
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
    if _has_pngs(schema):
        pixels["png_deflate"] = SYNC_FLUSH
    for field in schema.values():
        for name, value in renderer_type(field).settings(field, options).items():
            pixels[name] = {**pixels[name], **value} if name in pixels else value
    negated = sorted(field.own_name for field in schema.values() if field.mirror_negates)
    return pixels | {"mirror_negates": negated} if negated else pixels


def _has_pngs(schema: Schema) -> bool:
    features = (feature for field in schema.values() for feature in field.features.values())
    return any(isinstance(feature, Picture) and feature.encoding == "png" for feature in features)
