"""Keypoints drawn on a picture: a dot each, hollow where it is hidden, and lines between those that are joined."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray
from PIL import Image, ImageDraw

from precompute.look.palette import Color
from precompute.targets.keypoints import HIDDEN, Skeleton

__all__ = ["draw_skeletons", "skeleton_legend"]

LEFT, RIGHT = (67, 160, 255), (255, 120, 40)  # of flip pairs: whoever looks sees whether they changed places
MIDDLE, DARK = (0, 235, 100), (0, 0, 0)
MOST_NAMES = 24  # in a legend


def draw_skeletons(picture: Image.Image, points: NDArray[Any], visibility: NDArray[Any], skeleton: Skeleton) -> None:
    """Draw the keypoints of all objects; those that are not labelled are left out.

    Args:
        picture: What is drawn on.
        points: float [N, K, 2], x and y in its pixels, by edges.
        visibility: [N, K].
        skeleton: Says what is joined; of a flip pair the first is blue, the second orange.
    """
    draw = ImageDraw.Draw(picture)
    radius = max(2, round(min(picture.size) / 80))
    colors = _colors(skeleton)
    for places, seen in zip(points.tolist(), visibility.tolist(), strict=True):
        middles = [(x - 0.5, y - 0.5) for x, y in places]  # Pillow counts the middles of pixels
        for a, b in skeleton.edges:
            if seen[a] and seen[b]:
                ends = (*middles[a], *middles[b])
                draw.line(ends, DARK, radius + 2)
                draw.line(ends, colors[b] if colors[a] == colors[b] else (255, 255, 255), max(1, radius - 1))
        for (x, y), visible, color in zip(middles, seen, colors, strict=True):
            if visible:
                box = (x - radius, y - radius, x + radius, y + radius)
                draw.ellipse(box, None if visible == HIDDEN else color, color if visible == HIDDEN else DARK)


def skeleton_legend(skeleton: Skeleton) -> list[tuple[str, Color | None]]:
    """Return what the colours of keypoints mean: sides where they are known, else each one's name."""
    if skeleton.flip_pairs:
        in_middle = len(skeleton) > 2 * len(skeleton.flip_pairs)
        sides: list[tuple[str, Color | None]] = [("first of a flip pair", LEFT), ("second of it", RIGHT)]
        return [*sides, *([("of no pair", MIDDLE)] if in_middle else []), ("hollow: hidden", None)]
    named: list[tuple[str, Color | None]] = list(zip(skeleton.names, _colors(skeleton), strict=True))
    more = [(f"and {len(named) - MOST_NAMES} more", None)] if len(named) > MOST_NAMES else []
    return [*named[:MOST_NAMES], *more, ("hollow: hidden", None)]


def _colors(skeleton: Skeleton) -> Sequence[Color]:
    """Return the colour of each keypoint: by side where sides are known, else all around the circle of colours."""
    sides = {index: color for pair in skeleton.flip_pairs for index, color in zip(pair, (LEFT, RIGHT), strict=True)}
    num = len(skeleton)
    hues = [colorsys.hsv_to_rgb(i / num, 0.85, 1.0) for i in range(num)]
    return [
        sides.get(i, MIDDLE if sides else (round(255 * r), round(255 * g), round(255 * b)))
        for i, (r, g, b) in enumerate(hues)
    ]
