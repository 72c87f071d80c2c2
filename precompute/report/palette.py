"""Colours of classes: as many as are asked for, each as far as can be from those before it."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["FIRST_COLORS", "Color", "class_color", "to_lab"]

Color = tuple[int, int, int]
# Easy to tell apart; the first ones stand out from dark, light and stained images alike.
# Source: https://sashamaps.net/docs/resources/20-colors, a brighter green first, without white, grey and black.
FIRST_COLORS: Sequence[Color] = (
    (0, 235, 100), (230, 25, 75), (67, 99, 216), (255, 225, 25), (245, 130, 49), (145, 30, 180), (66, 212, 244),
    (240, 50, 230), (191, 239, 69), (250, 190, 212), (70, 153, 144), (220, 190, 255), (154, 99, 36), (170, 255, 195),
    (128, 0, 0), (128, 128, 0), (255, 216, 177), (0, 0, 117),
)  # fmt: skip
NUM_COLORS = 255  # then they come again; ids of one byte, without 0
TAKEN = ((0, 0, 0), (128, 128, 128), (255, 255, 255))  # outlines, paper, what is ignored
STEPS = 18  # of each channel in the grid that further colours are chosen from
# Source: IEC 61966-2-1 (sRGB to XYZ, D65), CIE 15 (XYZ to L*a*b*).
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = TO_XYZ.sum(axis=1)


def class_color(class_id: int) -> Color:
    """Return the colour, RGB, of a class id from 1 on."""
    red, green, blue = _colors()[(class_id - 1) % NUM_COLORS].tolist()
    return red, green, blue


def to_lab(colors: ArrayLike) -> NDArray[np.float64]:
    """Return colours, [N, 3] RGB from 0 to 255, as L*a*b*, where distances are as people see them."""
    share = np.asarray(colors, np.float64) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    x = linear @ TO_XYZ.T / WHITE
    f = np.where(x > (6 / 29) ** 3, np.cbrt(x), x * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


@functools.cache
def _colors() -> NDArray[np.int64]:
    """Return all colours: the first ones, then always the colour of a grid that is farthest from all before it."""
    levels = np.linspace(0, 255, STEPS).round().astype(np.int64)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    grid_lab, chosen = to_lab(grid), list(FIRST_COLORS)
    nearest = np.full(len(grid), np.inf)
    for color in to_lab([*TAKEN, *chosen]):
        nearest = np.minimum(nearest, np.linalg.norm(grid_lab - color, axis=1))
    while len(chosen) < NUM_COLORS:
        farthest = int(nearest.argmax())
        red, green, blue = grid[farthest].tolist()
        chosen.append((red, green, blue))
        nearest = np.minimum(nearest, np.linalg.norm(grid_lab - grid_lab[farthest], axis=1))
    return np.array(chosen)
