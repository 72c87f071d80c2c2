"""Colours of classes, each as different as possible from those before it, and patterns for further classes.

Distances are CIEDE2000: people can just tell two colours side by side apart at 1, and find a colour in a legend at 10.
The first eight colours stay apart also for people who lack one kind of cone.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "IGNORED",
    "NUM_COLORS",
    "NUM_PLAIN",
    "PAPER",
    "Color",
    "class_color",
    "class_pattern",
    "color_distance",
    "to_lab",
]

Color = tuple[int, int, int]
Floats = NDArray[np.float64]

FIRST: Color = (0, 235, 100)  # stands out from dark, light and stained images alike
PAPER: Color = (255, 255, 255)
IGNORED: Color = (199, 199, 199)  # pixels and objects that do not count
TAKEN = ((0, 0, 0), (128, 128, 128), IGNORED, PAPER)  # outlines, paper, what is ignored
NUM_COLORS = 255  # then they come again; ids of one byte, without 0
NUM_PLAIN, NUM_PATTERNS = 80, 4  # colours that need no pattern; after so many classes the next pattern begins
STEPS = 12  # of each channel in the grid that colours are chosen from
NUM_SAFE = 8  # colours that stay apart without one kind of cone
SAFE_WEIGHT = 3.0  # distances without a cone count so much there; they are small
LIGHTNESS, SAFE_CHROMA = (40, 92), 40  # none is too dark for dark images, or too pale; those eight are not grey either
# Source: IEC 61966-2-1 (sRGB to XYZ, D65), CIE 15 (XYZ to L*a*b*).
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = TO_XYZ.sum(axis=1)
# Linear RGB as seen without the cones for long, middle and short waves.
# Source: Machado, Oliveira and Fernandes 2009, table 1, severity 1.
WITHOUT_CONE = np.array(
    [
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ]
)


def class_color(class_id: int) -> Color:
    """Return the colour, RGB, of a class id from 1 on."""
    return _chosen(NUM_COLORS)[(class_id - 1) % NUM_COLORS]


def class_pattern(class_id: int) -> int:
    """Return the pattern of a class id from 1 on: 0 none, 1 to 3 lines of one direction, of the other, of both."""
    return (class_id - 1) // NUM_PLAIN % NUM_PATTERNS


def to_lab(colors: ArrayLike, without_cone: int | None = None) -> Floats:
    """Return colours, [N, 3] RGB from 0 to 255, as L*a*b*; as seen without the long, middle or short cones: 0, 1, 2."""
    share = np.asarray(colors, np.float64) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    if without_cone is not None:
        linear = np.clip(linear @ WITHOUT_CONE[without_cone].T, 0, 1)
    x = linear @ TO_XYZ.T / WHITE
    f = np.where(x > (6 / 29) ** 3, np.cbrt(x), x * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def color_distance(first: Floats, second: Floats) -> Floats:
    """Return how far colours lie apart, CIEDE2000, of two arrays [..., 3] of L*a*b* that broadcast.

    Source: Sharma, Wu and Dalal 2005, equations 2 to 22.
    """
    (l1, a1, b1), (l2, a2, b2) = np.moveaxis(first, -1, 0), np.moveaxis(second, -1, 0)
    grey = 1.5 - 0.5 * _saturation(
        (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    )  # stretches a* where there is little of it
    c1, c2 = np.hypot(grey * a1, b1), np.hypot(grey * a2, b2)
    h1, h2 = np.arctan2(b1, grey * a1), np.arctan2(b2, grey * a2)
    turn = (h2 - h1 + np.pi) % (2 * np.pi) - np.pi
    lightness, chroma, hue = (l1 + l2) / 2, (c1 + c2) / 2, h1 + turn / 2
    degrees = np.degrees(hue) % 360
    tone = 1 - 0.17 * np.cos(hue - np.radians(30)) + 0.24 * np.cos(2 * hue)
    tone += 0.32 * np.cos(3 * hue + np.radians(6)) - 0.20 * np.cos(4 * hue - np.radians(63))
    by_lightness = (l2 - l1) / (1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2))
    by_chroma = (c2 - c1) / (1 + 0.045 * chroma)
    by_hue = 2 * np.sqrt(c1 * c2) * np.sin(turn / 2) / (1 + 0.015 * chroma * tone)
    blue = -2 * _saturation(chroma) * np.sin(np.radians(60 * np.exp(-(((degrees - 275) / 25) ** 2))))
    return np.asarray(np.sqrt(by_lightness**2 + by_chroma**2 + by_hue**2 + blue * by_chroma * by_hue))


def _saturation(chroma: Floats) -> Floats:
    return np.asarray(np.sqrt(chroma**7 / (chroma**7 + 25.0**7)))


@functools.cache
def _chosen(num: int) -> list[Color]:
    """Return a number of colours: each is the one of a grid that is farthest from all before it."""
    levels = np.linspace(0, 255, STEPS).round().astype(np.int64)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    safe = num <= NUM_SAFE
    chosen = [FIRST] if safe else [*_chosen(NUM_SAFE)]
    weights: dict[int | None, float] = {None: 1.0}
    if safe:
        weights |= dict.fromkeys(range(len(WITHOUT_CONE)), SAFE_WEIGHT)
    seen = {cone: to_lab(grid, cone) for cone in weights}
    lightness, chroma = seen[None][:, 0], np.hypot(seen[None][:, 1], seen[None][:, 2])
    shows = (lightness >= LIGHTNESS[0]) & (lightness <= LIGHTNESS[1]) & ((chroma >= SAFE_CHROMA) | (not safe))
    nearest = np.where(shows, np.inf, -np.inf)
    for color in TAKEN:
        nearest = np.minimum(nearest, _distances(seen, color, weights))
    for position in range(num):
        if position == len(chosen):
            red, green, blue = grid[nearest.argmax()].tolist()
            chosen.append((red, green, blue))
        nearest = np.minimum(nearest, _distances(seen, chosen[position], weights))
    return chosen


def _distances(seen: Mapping[int | None, Floats], color: Color, weights: Mapping[int | None, float]) -> Floats:
    """Return the distances of a grid's colours from one colour, each the smallest over all kinds of vision."""
    each = [weight * color_distance(seen[cone], to_lab([color], cone)) for cone, weight in weights.items()]
    return np.asarray(np.min(each, axis=0))
