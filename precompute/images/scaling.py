"""Images of more than 8 bits per channel, and images of fractions → 8 bits, as --scale says."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from precompute.errors import RejectedSource
from precompute.images.alpha import is_premultiplied
from precompute.images.color_modes import Scale

__all__ = ["scaled_picture"]


def scaled_picture(picture: Image.Image, content: bytes, scale: Scale, *, upright: bool) -> Image.Image:
    """Return a picture with 8 bits per channel.

    Args:
        picture: Loaded picture whose file has more bits.
        content: Content of the file. It is needed for colours, which Pillow cuts to 8 bits.
        scale: Values that become 0 and 255, the same in all colour channels; alpha is scaled by its bits.
        upright: Whether the picture was turned as its EXIF orientation says.

    Raises:
        RejectedSource: It holds NaN or infinite values, or is of a kind that is not read here.
    """
    if len(picture.getbands()) == 1 and picture.mode not in ("L", "P"):
        return Image.fromarray(scaled(np.asarray(picture), scale))
    values = _as_stored(content)
    if is_premultiplied(picture):
        values = _straight(values)
    alpha = values[..., 3:]
    colors = scaled(values[..., :3], scale)
    whole = np.concatenate([colors, np.asarray(alpha // 257, np.uint8)], axis=-1)
    made = Image.fromarray(whole if alpha.shape[-1] else colors)
    return _turned(made, content) if upright else made


def scaled(values: NDArray[Any], scale: Scale) -> NDArray[np.uint8]:
    """Return values of any numeric type as uint8 of the same shape."""
    numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise RejectedSource("holds values that are no finite numbers (NaN or infinite); fill them first")
    low, high = scale.low, scale.high
    if scale.kind == "minmax":
        low, high = float(numbers.min()), float(numbers.max())
    elif scale.kind == "percentile":
        low, high = map(float, np.percentile(numbers, (scale.low, scale.high)))
    if high <= low:  # one value all over
        return np.zeros(values.shape, np.uint8)
    return np.rint(np.clip((numbers - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def _as_stored(content: bytes) -> NDArray[Any]:
    """Return the file's pixels, uint16 [H, W, 3 or 4], RGB, not turned."""
    stored = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is None or stored.dtype != np.uint16 or stored.ndim != 3 or stored.shape[2] not in (3, 4):
        raise RejectedSource("holds colours of a depth that is not read here; save it as PNG or TIFF of 16 bits")
    return np.asarray(stored[..., [2, 1, 0, *range(3, stored.shape[2])]])


def _straight(values: NDArray[Any]) -> NDArray[Any]:
    """Return uint16 [H, W, 4] whose colours are not multiplied by their alpha; black where alpha is 0."""
    alpha = np.maximum(values[..., 3:], 1).astype(np.float64)
    colors = np.rint(np.minimum(values[..., :3] * (65_535 / alpha), 65_535)).astype(np.uint16)
    return np.concatenate([np.where(values[..., 3:] > 0, colors, np.uint16(0)), values[..., 3:]], axis=-1)


def _turned(picture: Image.Image, content: bytes) -> Image.Image:
    with Image.open(io.BytesIO(content)) as opened:
        picture.getexif()[ExifTags.Base.Orientation] = opened.getexif().get(ExifTags.Base.Orientation, 1)
    ImageOps.exif_transpose(picture, in_place=True)
    return picture
