"""What is drawn on an image: its mask, boxes, keypoints and objects, in the colours of classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from precompute.fields.layers import Layers
from precompute.fields.skeleton import HIDDEN, Skeleton, left_right_pairs
from precompute.report.palette import FIRST_COLORS, Color, class_color

__all__ = ["as_rgb", "color_of", "draw_boxes", "draw_layers", "draw_skeletons", "skeleton_legend"]

TINT, HALO = 0.12, 0.5  # share of a class colour laid over its pixels, and of black around its outline
IGNORED = (255, 255, 255)
CHEQUER = 8  # pixels of an image
LEFT, RIGHT = (67, 160, 255), (255, 120, 40)  # of flip pairs: whoever looks sees whether they changed places
MIDDLE, DARK = FIRST_COLORS[3], (0, 0, 0)
MAX_NAMES = 24  # in a legend
MAX_OF_PAIRS = 3


def draw_layers(image: NDArray[np.uint8], layers: Iterable[Layers], size: int) -> Image.Image:
    """Return an image scaled to fit into its cell, with all layers drawn on it: regions first, lines above them."""
    every = list(layers)
    height, width = image.shape[:2]
    picture = _fitted(image, size)
    rows = np.minimum((np.arange(picture.height) + 0.5) * height / picture.height, height - 1).astype(int)
    columns = np.minimum((np.arange(picture.width) + 0.5) * width / picture.width, width - 1).astype(int)
    for layer in every:
        for ids, ignored in ((layer.mask, layer.ignore_class), (layer.numbers, None)):
            if ids.size:
                picture = Image.fromarray(_overlay(np.asarray(picture), ids[np.ix_(rows, columns)], ignored))
    scale = picture.width / width
    for layer in every:
        draw_boxes(picture, layer.boxes * scale, layer.labels[: len(layer.boxes)])
        draw_skeletons(picture, layer.points * scale, layer.visibility, layer.skeleton)
    return picture


def _fitted(image: NDArray[np.uint8], size: int) -> Image.Image:
    height, width = image.shape[:2]
    scale = size / max(height, width)
    # Whole multiples show small images pixel by pixel, as the model gets them.
    scale = int(scale) if scale >= 2 else scale
    shown = (max(1, round(width * scale)), max(1, round(height * scale)))
    resample = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS
    return Image.fromarray(as_rgb(image)).resize(shown, resample)


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


# Keypoints drawn on a picture: a dot each, hollow where it is hidden, and lines between those that are joined


def draw_skeletons(picture: Image.Image, points: NDArray[Any], visibility: NDArray[Any], skeleton: Skeleton) -> None:
    """Draw the keypoints of all objects; those that are not labelled are left out.

    Args:
        picture: Picture that is drawn on.
        points: float [N, K, 2], x and y in its pixels, by edges.
        visibility: [N, K].
        skeleton: Skeleton that says what is joined; of a flip pair the left one is blue, the right one orange.
    """
    draw = ImageDraw.Draw(picture)
    radius = max(3, round(min(picture.size) / 64))
    colors = _colors(skeleton)
    for xy, seen in zip(points.tolist(), visibility.tolist(), strict=True):
        middles = [(x - 0.5, y - 0.5) for x, y in xy]  # Pillow counts the middles of pixels
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
    more = [(f"and {len(named) - MAX_NAMES} more", None)] if len(named) > MAX_NAMES else []
    return [*named[:MAX_NAMES], *more, ("hollow: hidden", None)]


def _words_of_sides(skeleton: Skeleton) -> tuple[list[str], str]:
    """Return what the two of each flip pair are, and what the keypoints of no pair are."""
    if _left_first(skeleton) is not None:
        return ["left", "right"], "neither left nor right"
    words = []
    for which, side in enumerate(("first", "second")):
        names = [skeleton.names[pair[which]] for pair in skeleton.flip_pairs]
        more = ", …" if len(names) > MAX_OF_PAIRS else ""
        words.append(f"{', '.join(names[:MAX_OF_PAIRS])}{more}: {side} of {'their' if names[1:] else 'its'} flip pair")
    return words, "in no flip pair"


def _left_first(skeleton: Skeleton) -> list[list[int]] | None:
    """Return the flip pairs, the left one of each first, where names tell it of all."""
    names, pairs = skeleton.names, [sorted(pair) for pair in skeleton.flip_pairs]
    sided = left_right_pairs(names)
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
