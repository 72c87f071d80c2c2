"""Pictures inside of a page, as data: photos, and what is drawn over them."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

__all__ = ["Embedded", "data_uri", "embed", "embed_shares"]

QUALITY = 82  # of photos
METHOD = 2  # of WebP, 0 to 6: a third of the time of 4, for a twentieth more bytes


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """A picture as a page holds it.

    Attributes:
        photo: Data URI of the image.
        overlay: Data URI of what is drawn on it, transparent elsewhere; empty where nothing is drawn.
        height: Height in pixels at which it is shown.
        width: Width in pixels at which it is shown.
        is_enlarged: Whether its pixels are shown as squares.
    """

    photo: str
    overlay: str = ""
    height: int
    width: int
    is_enlarged: bool = False

    @property
    def num_bytes(self) -> int:
        """Number of bytes that it adds to a page."""
        return len(self.photo) + len(self.overlay)


def embed(
    photo: NDArray[np.uint8], overlay: NDArray[np.uint8] | None = None, *, size: int, quality: int = QUALITY
) -> Embedded:
    """Return an image, and what is drawn over it, as data.

    Args:
        photo: uint8 [H, W, 3].
        overlay: uint8 [h, w, 4] of the same proportions, as `draw_overlay` makes it; None if nothing is drawn.
        size: Longer side in pixels at which it is shown; smaller images are stored as they are.
        quality: Quality of the photo, 1 to 100.
    """
    scale = size / max(photo.shape[:2])
    height, width = (max(1, round(side * scale)) for side in photo.shape[:2])
    picture = Image.fromarray(photo)
    if scale < 1:
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    drawn = None if overlay is None else Image.fromarray(overlay)
    if drawn is not None and max(drawn.size) > size:
        drawn = drawn.resize((width, height), Image.Resampling.BOX)
    return Embedded(
        photo=data_uri(picture, quality=quality),
        overlay="" if drawn is None else data_uri(drawn),
        height=height,
        width=width,
        is_enlarged=scale >= 2,
    )


def embed_shares(shares: NDArray[Any], color: tuple[int, int, int], *, size: int = 256) -> Embedded:
    """Return shares of 0 to 1, float [H, W], as squares of a colour, each as opaque as its share."""
    opacity = np.rint(255 * shares.clip(0, 1)).astype(np.uint8)
    ground = np.broadcast_to(np.array(color, np.uint8), (*opacity.shape, 3))
    picture = Image.fromarray(np.concatenate([ground, opacity[..., None]], axis=-1))
    height, width = (max(1, round(side * size / max(opacity.shape))) for side in opacity.shape)
    return Embedded(photo=data_uri(picture), height=height, width=width, is_enlarged=True)


def data_uri(picture: Image.Image, *, quality: int | None = None) -> str:
    """Return a picture as a data URI: with a quality as WebP or JPEG, else without loss as WebP or PNG."""
    options: dict[str, Any] = {"lossless": True} if quality is None else {"quality": quality, "method": METHOD}
    kind = "webp" if features.check("webp") else "png" if quality is None else "jpeg"
    content = io.BytesIO()
    picture.save(content, kind, **({} if kind == "png" else options))
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode()}"
