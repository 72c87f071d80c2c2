"""One picture of a sheet: an image with its mask, boxes or objects drawn on it, and the colours of classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from precompute.look.palette import Color, class_color

__all__ = ["as_rgb", "color_of", "draw_boxes", "fitted"]

TINT, HALO = 0.12, 0.5  # share of a class colour laid over its pixels, and of black around its outline
IGNORED = (255, 255, 255)
CHEQUER = 8  # pixels of an image


def fitted(image: NDArray[np.uint8], mask: NDArray[Any] | None, size: int, ignore_class: int | None) -> Image.Image:
    """Return an image scaled to fit into its cell, its mask drawn on it."""
    height, width = image.shape[:2]
    scale = size / max(height, width)
    # Whole multiples show small images pixel by pixel, as the model gets them.
    scale = int(scale) if scale >= 2 else scale
    shown = (max(1, round(width * scale)), max(1, round(height * scale)))
    resample = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS
    picture = Image.fromarray(as_rgb(image)).resize(shown, resample)
    if mask is None:
        return picture
    rows = np.minimum((np.arange(shown[1]) + 0.5) * height / shown[1], height - 1).astype(int)
    columns = np.minimum((np.arange(shown[0]) + 0.5) * width / shown[0], width - 1).astype(int)
    return Image.fromarray(_overlay(np.asarray(picture), mask[np.ix_(rows, columns)], ignore_class))


def as_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return grey as RGB, and RGBA laid over a chequered ground."""
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    if image.shape[2] == 3:
        return image
    y, x = np.indices(image.shape[:2]) // CHEQUER
    ground = np.where((y + x) % 2 == 0, 255, 205)[..., None]
    share = image[..., 3:] / 255
    return np.rint(image[..., :3] * share + ground * (1 - share)).astype(np.uint8)


def draw_boxes(picture: Image.Image, boxes: NDArray[Any], labels: NDArray[Any]) -> None:
    """Outline boxes in the colours of their classes, a dark line around the bright one."""
    draw = ImageDraw.Draw(picture)
    for (left, top, right, bottom), label in zip(boxes.tolist(), labels.tolist(), strict=True):
        # The last pixel inside; a box smaller than a pixel of the picture is a point.
        inner = (round(left), round(top), max(round(left), round(right) - 1), max(round(top), round(bottom) - 1))
        draw.rectangle((inner[0] - 1, inner[1] - 1, inner[2] + 1, inner[3] + 1), outline=(0, 0, 0))
        draw.rectangle(inner, outline=color_of(label + 1, None), width=2)


def _overlay(pixels: NDArray[np.uint8], ids: NDArray[Any], ignore_class: int | None) -> NDArray[np.uint8]:
    """Return pixels with each class but 0 outlined in its colour, and tinted so lightly that the image stays itself."""
    drawn = pixels.astype(np.float32)
    regions = [(ids == i, np.array(color_of(i, ignore_class), np.float32)) for i in map(int, np.unique(ids)) if i != 0]
    for inside, color in regions:
        drawn[inside] += TINT * (color - drawn[inside])
    for inside, _ in regions:  # a dark line outside the bright one: it shows on light images
        drawn[~inside & ~_shrunk(~inside)] *= 1 - HALO
    for inside, color in regions:
        drawn[inside & ~_shrunk(inside)] = color
    return drawn.round().astype(np.uint8)


def _shrunk(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a region without the pixels at its border; the picture's own edge is none."""
    padded = np.pad(inside, 1, mode="edge")
    return inside & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]


def color_of(class_id: int, ignore_class: int | None) -> Color:
    """Return the colour of a class id."""
    return IGNORED if class_id == ignore_class else class_color(class_id)
