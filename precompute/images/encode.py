"""Arrays of pixels → bytes of image files."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from precompute.errors import RejectedSource
from precompute.images.png import SYNC_FLUSH, encode_png

__all__ = ["encode_image", "encode_mask"]


def encode_image(image: NDArray[np.uint8], encoding: str, quality: int, png_deflate: str | None = SYNC_FLUSH) -> bytes:
    """Return an image, uint8 [H, W, C] (grey, RGB or RGBA), as JPEG (not with alpha), PNG or raw bytes."""
    if encoding == "raw":
        return image.tobytes()
    if encoding == "png":
        return encode_png(image, png_deflate)
    bgr = image if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RejectedSource(f"OpenCV could not encode {image.shape} {image.dtype} as JPEG")
    return encoded.tobytes()


def encode_mask(mask: NDArray[Any], encoding: str, png_deflate: str | None = SYNC_FLUSH) -> bytes:
    """Return a mask, uint8 or uint16 [H, W], as a PNG of one channel, or as raw bytes in little-endian order."""
    if encoding == "raw":
        return mask.astype(mask.dtype.newbyteorder("<"), copy=False).tobytes()
    return encode_png(mask, png_deflate)
