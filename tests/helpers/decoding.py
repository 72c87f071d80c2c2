"""Images as builds decode them, at their own size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from precompute.images.color_modes import Scale
from precompute.images.decode import decode_shrunk

__all__ = ["decode_image"]


def decode_image(
    content: bytes, color_mode: str = "rgb", scale: Scale | None = None, alpha: str = "opaque"
) -> NDArray[np.uint8]:
    """Return the pixels of an image file, uint8 [H, W, C]."""
    return decode_shrunk(content, None, color_mode, scale, alpha).pixels
