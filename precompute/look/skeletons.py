"""Keypoints drawn on a picture: a dot each, hollow where it is hidden, and lines between those that are joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray
from PIL import Image, ImageDraw

from precompute.look.palette import FIRST_COLORS, Color, class_color
from precompute.targets.keypoints import HIDDEN, Skeleton, sided_pairs

__all__ = ["draw_skeletons", "skeleton_legend"]

LEFT, RIGHT = (67, 160, 255), (255, 120, 40)  # of flip pairs: whoever looks sees whether they changed places
MIDDLE, DARK = FIRST_COLORS[3], (0, 0, 0)
MOST_NAMES = 24  # in a legend
MOST_OF_PAIRS = 3


def draw_skeletons(picture: Image.Image, points: NDArray[Any], visibility: NDArray[Any], skeleton: Skeleton) -> None:
    """Draw the keypoints of all objects; those that are not labelled are left out.

    Args:
        picture: What is drawn on.
        points: float [N, K, 2], x and y in its pixels, by edges.
        visibility: [N, K].
        skeleton: Says what is joined; of a flip pair the left one is blue, the right one orange.
    """
    draw = ImageDraw.Draw(picture)
    radius = max(3, round(min(picture.size) / 64))
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
        sides, others = _words_of_sides(skeleton)
        colored: list[tuple[str, Color | None]] = list(zip(sides, (LEFT, RIGHT), strict=True))
        return [*colored, *([(others, MIDDLE)] if in_middle else []), ("hollow: hidden", None)]
    named: list[tuple[str, Color | None]] = list(zip(skeleton.names, _colors(skeleton), strict=True))
    more = [(f"and {len(named) - MOST_NAMES} more", None)] if len(named) > MOST_NAMES else []
    return [*named[:MOST_NAMES], *more, ("hollow: hidden", None)]


def _words_of_sides(skeleton: Skeleton) -> tuple[list[str], str]:
    """Return what the two of each flip pair are, and what the keypoints of no pair are."""
    if _left_first(skeleton) is not None:
        return ["left", "right"], "neither left nor right"
    words = []
    for which, side in enumerate(("first", "second")):
        names = [skeleton.names[pair[which]] for pair in skeleton.flip_pairs]
        more = ", …" if len(names) > MOST_OF_PAIRS else ""
        words.append(f"{', '.join(names[:MOST_OF_PAIRS])}{more}: {side} of {'their' if names[1:] else 'its'} flip pair")
    return words, "in no flip pair"


def _left_first(skeleton: Skeleton) -> list[list[int]] | None:
    """Return the flip pairs, the left one of each first, where names tell it of all."""
    names, pairs = skeleton.names, [sorted(pair) for pair in skeleton.flip_pairs]
    sided = sided_pairs(names)
    if any(pair not in sided for pair in pairs):
        return None
    # Of names that differ in left and right alone, the left one comes first in the alphabet.
    return [sorted(pair, key=lambda index: names[index].lower()) for pair in pairs]


def _colors(skeleton: Skeleton) -> Sequence[Color]:
    """Return the colour of each keypoint: by side where sides are known, else one of its own."""
    pairs = _left_first(skeleton) or skeleton.flip_pairs
    sides = {index: color for pair in pairs for index, color in zip(pair, (LEFT, RIGHT), strict=True)}
    # The first class's colour is left to it: to the boxes that most keypoints stand in.
    return [sides.get(i, MIDDLE if sides else class_color(i + 2)) for i in range(len(skeleton))]
