"""Further images: read from files, moved as the image or as a mask, checked, encoded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from precompute.errors import RejectedSource, SourceError, UsageError
from precompute.fields.extra_image import DTYPES, ExtraImageField
from precompute.fields.feature import Value
from precompute.fields.field import Field
from precompute.images.color_modes import Scale, parse_scale
from precompute.images.decode import decode_as_stored, decode_shrunk
from precompute.images.encode import encode_image, encode_mask
from precompute.images.shrink import shrink_mask
from precompute.images.source_files import check_same_size, read_file, with_path
from precompute.pipelines.pipeline import Pipeline
from precompute.rendering.fields.renderer import Loaded, Renderer, SourceImage, renderer_type
from precompute.storage.paths import as_path
from precompute.text.format import format_count

__all__ = ["ExtraImageRenderer"]

OPAQUE = 255


@dataclass(frozen=True, kw_only=True)
class ExtraImageRenderer(Renderer):
    """Renders further images.

    Attributes:
        quality: Quality of JPEG, 1 to 100.
        scale: How more than 8 bits per channel become 8, of what moves as an image; None: they are refused.
    """

    field: ExtraImageField
    quality: int = 95
    scale: Scale | None = None

    @classmethod
    def of_settings(cls, field: Field, pixels: Mapping[str, Any]) -> Self:
        """Return the renderer of settings."""
        return cls(
            field=field,  # type: ignore[arg-type]  # of further images it is one
            quality=pixels["quality"] or cls.quality,
            scale=parse_scale(pixels["scale"]) if "scale" in pixels else None,
        )

    @property
    def declared_targets(self) -> tuple[str, ...]:
        """The field's name."""
        return (self.name,)

    def targets(self, pipeline: Pipeline) -> tuple[str, ...]:
        """Return the field's name."""
        return (self.name,)

    def measured(self, values: Sequence[NDArray[Any]]) -> dict[str, Any]:
        """Return how it moves, and the type and channels that hold all values of a sample.

        Raises:
            SourceError: No type holds the values of all files.
            UsageError: The image's format cannot hold them.
        """
        kinds = {(value.dtype.name, value.shape[2]) for value in values}
        dtype = max((dtype for dtype, _ in kinds), key=DTYPES.index)
        channels = max(channels for _, channels in kinds)
        if channels > 1 and dtype != DTYPES[0]:
            found = " and ".join(sorted(_kind(*kind) for kind in kinds))
            raise SourceError(
                f"{self.name}: its files hold {found}; expected one kind in all: uint8 of 1, 3 or 4 channels, or "
                "uint16 or float32 of one channel."
            )
        if channels == 4 and self.field.encoding == "jpeg":
            raise UsageError(
                f"image_format (--image-format): JPEG holds no alpha channel, and {self.name} has one; give png, or "
                "take the channel off with --alpha drop, white or black."
            )
        return {"moves_as": self.field.moves_as, "dtype": dtype, "channels": channels}

    def load(self, raw: Any, image: SourceImage) -> Loaded:
        """Read a file, which must have the size of the image."""
        path = as_path(raw)
        content, (pixels, full_size) = read_file(path, lambda content: self._decode(content, image))
        check_same_size(path, full_size, image.path, image.full_size)
        return Loaded(
            value=with_path(path, lambda: self._fitted(pixels)),
            sha256=hashlib.sha256(content).hexdigest(),
            is_turned=image.is_turned(content),
        )

    def _decode(self, content: bytes, image: SourceImage) -> tuple[NDArray[Any], tuple[int, int]]:
        """Return the pixels, shrunk as the image was, and the full size."""
        is_shrunk = image.size != image.full_size
        if self.field.moves_as == "image":
            limit = max(image.size) if is_shrunk else None
            pixels, full_size, _ = decode_shrunk(content, limit, None, self.scale, image.alpha)
            return pixels, full_size
        values = decode_as_stored(content, image.alpha)
        full_size = (values.shape[0], values.shape[1])
        if is_shrunk and full_size == image.full_size:
            values = shrink_mask(values, image.size).reshape(*image.size, values.shape[2])
        return values, full_size

    def _fitted(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return pixels in type and channels of the field, as soon as these are known."""
        found = (pixels.dtype.name, pixels.shape[2])
        known = self.field.dtype, self.field.channels
        if not self.field.channels or found == known:
            return pixels
        if DTYPES.index(found[0]) > DTYPES.index(known[0]) or found[1] > known[1]:
            raise RejectedSource(
                f"holds {_kind(*found)}, and records have {_kind(*known)} for {self.name}, as the files that were "
                "looked at first: convert it, or leave its source out with --skip-bad"
            )
        return self.converted(pixels)

    def converted(self, value: NDArray[Any]) -> NDArray[Any]:
        """Return pixels in the type of records, grey repeated to colours, without alpha as opaque."""
        missing = self.field.channels - value.shape[2]
        if missing and value.shape[2] == 1:
            value, missing = np.repeat(value, 3, axis=2), missing - 2
        if missing:
            value = np.concatenate([value, np.full((*value.shape[:2], 1), OPAQUE, value.dtype)], axis=2)
        return value.astype(self.field.dtype, copy=False)

    def hand_over(self, value: Any, image: NDArray[np.uint8], pipeline: Pipeline) -> dict[str, Any]:
        """Return the pixels for Albumentations; a mask of one channel is [H, W]."""
        if value is None:
            return {}
        return {self.name: value[..., 0] if self.field.moves_as == "mask" and value.shape[2] == 1 else value}

    def take_back(self, value: Any, made: Mapping[str, Any], pipeline: Pipeline) -> Any:
        """Return the pixels, [H, W, C] again."""
        moved = made[self.name]
        return moved[..., None] if getattr(moved, "ndim", 3) == 2 else moved

    def fault(self, value: Any, size: tuple[int, int]) -> str | None:
        """Return what is wrong with size, channels or type of the pixels."""
        shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
        channels = self.field.channels or (shape[2] if shape and len(shape) == 3 else 1)
        expected = self.field.dtype or dtype
        if shape == (*size, channels) and dtype == expected:
            return None
        return f"{self.name} of shape {shape} and type {dtype} where {(*size, channels)} and {expected} are expected"

    def advice(self, channels: int) -> str:
        """Return that channels differ from those of the image, which transforms that change colours do not take."""
        if self.field.moves_as != "image" or self.field.channels in (0, channels):
            return ""
        found = format_count(self.field.channels, "channel")
        return (
            f"{self.name} has {found}, and its image {channels}: transforms that change noise or colour mostly need "
            "the same number. Leave these out, or move it as a mask (additional_targets)."
        )

    def record_values(self, value: Any, size: tuple[int, int], png_deflate: str | None) -> dict[str, Value]:
        """Return the encoded pixels, and their encoding."""
        if self.field.moves_as == "image":
            encoded = encode_image(value, self.field.encoding, self.quality, png_deflate)
        else:
            encoded = encode_mask(value, self.field.encoding, png_deflate)
        return self.field.record_values(encoded, size)


def _kind(dtype: str, channels: int) -> str:
    return f"{format_count(channels, 'channel')} of {dtype}"


@renderer_type.register
def _(field: ExtraImageField) -> type[Renderer]:
    return ExtraImageRenderer
