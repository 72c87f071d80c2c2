"""What fields draw on an image as a transparent picture of its own, to be laid over the image and taken off again."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from PIL import Image

from precompute.fields.layers import Layers
from precompute.pictures.drawing import draw_layers

__all__ = ["draw_overlay"]

LEVELS = 255


def draw_overlay(height: int, width: int, layers: Collection[Layers], size: int | None = None) -> Image.Image | None:
    """Return what layers draw on an image as an RGBA picture; None if they draw nothing.

    The layers are drawn on black and on white. What they draw lets through the share of the ground by which the two
    pictures still differ. Laid over an image, it looks as if they were drawn on that, but for roundings.

    Args:
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        layers: Layers to draw.
        size: Side in pixels of the square that the image is scaled to fit into; None: it keeps its size.
    """
    grounds = (np.full((height, width, 3), level, np.uint8) for level in (0, LEVELS))
    on_black, on_white = (np.asarray(draw_layers(ground, layers, size), np.float32) for ground in grounds)
    opacity = 1 - (on_white - on_black).max(axis=-1, keepdims=True) / LEVELS
    if not opacity.any():
        return None
    color = on_black / np.maximum(opacity, 1 / LEVELS)
    drawn = np.concatenate([color, LEVELS * opacity], axis=-1)
    return Image.fromarray(np.rint(drawn).clip(0, LEVELS).astype(np.uint8))
