"""Drawing on an image: its mask, boxes, keypoints and objects, in the colours and patterns of classes."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from precompute.fields.layers import Layers
from precompute.fields.skeleton import HIDDEN, Skeleton, left_right_pairs
from precompute.pictures.lettering import load_font
from precompute.pictures.palette import IGNORED, PAPER, Color, class_color, class_pattern

__all__ = [
    "LEFT",
    "MIDDLE",
    "RIGHT",
    "as_rgb",
    "draw_frame",
    "draw_layers",
    "draw_overlay",
    "draw_point",
    "flip_pairs_left_first",
    "has_numbers",
    "lay_mask",
    "point_colors",
]

TINT, HALO = 0.12, 0.5  # share of a class colour laid over its pixels, and of black around its outline
HATCH, HATCHED = 8, 0.6  # pixels from one line of a pattern to the next; share of the line's colour
CHEQUER = 8  # pixels of an image
DASHES = ((6, 4), (8, 8), (3, 3), (10, 3, 3, 3))  # pixels that are drawn and left, by pattern; first: not counted
LEFT, RIGHT = (67, 160, 255), (255, 120, 40)  # of flip pairs: whoever looks sees whether they changed places
MIDDLE, DARK = (255, 225, 25), (0, 0, 0)
WHITE = 255  # of each channel
MAX_SCORED = 12  # boxes up to which each has its score written to it
NUM_PLAIN_POINTS = 8  # keypoints up to which colours of their own tell them apart
NUMBER, MAX_NUMBERED = (14, 10), 300  # pixels that the number of a keypoint takes; of more points none has room


def draw_layers(image: NDArray[np.uint8], layers: Iterable[Layers], size: int | None = None) -> Image.Image:
    """Return an image with all layers drawn on it, regions first, lines above them.

    Args:
        image: uint8 [H, W, 1, 3 or 4].
        layers: Layers to draw.
        size: Side in pixels of the square that the image is scaled to fit into; None: it keeps its size.
    """
    every = list(layers)
    picture = Image.fromarray(as_rgb(image)) if size is None else _fitted(image, size)
    for layer in every:
        for ids, ignored, first in ((layer.mask, layer.ignore_class, layer.first_color), (layer.numbers, None, 0)):
            if ids.size:
                shown = Image.fromarray(ids.astype(np.int32)).resize(picture.size, Image.Resampling.NEAREST)
                drawn = lay_mask(np.asarray(picture), np.asarray(shown), ignored, first_color=first)
                picture = Image.fromarray(drawn)
    scale = picture.width / image.shape[1]
    for layer in every:
        _draw_boxes(picture, layer, scale, width=max(1 if size is None else 2, round(max(picture.size) / 300)))
        _draw_skeletons(picture, layer.points * scale, layer.visibility, layer.skeleton)
    return picture


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
    if not any(of.mask.size or of.numbers.size or of.boxes.size or of.points.size for of in layers):
        return None
    grounds = (np.full((height, width, 3), level, np.uint8) for level in (0, WHITE))
    on_black, on_white = (np.asarray(draw_layers(ground, layers, size), np.float32) for ground in grounds)
    red, green, blue = np.split(on_white - on_black, 3, axis=-1)
    opacity = 1 - np.maximum(np.maximum(red, green), blue) / WHITE  # seven times as fast as a maximum over an axis of 3
    if not opacity.any():
        return None
    color = on_black / np.maximum(opacity, 1 / WHITE)
    drawn = np.concatenate([color, WHITE * opacity], axis=-1)
    return Image.fromarray(np.rint(drawn).clip(0, WHITE).astype(np.uint8))


def _fitted(image: NDArray[np.uint8], size: int) -> Image.Image:
    height, width = image.shape[:2]
    scale = size / max(height, width)
    # Whole multiples of the size show small images pixel by pixel, as the model gets them.
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


# Masks


def lay_mask(
    pixels: NDArray[np.uint8],
    ids: NDArray[Any],
    ignore_class: int | None = None,
    opacity: float | None = None,
    first_color: int = 0,
) -> NDArray[np.uint8]:
    """Return pixels under the colours, and patterns if there are any, of all classes but 0.

    Args:
        pixels: uint8 [H, W, 3].
        ids: [H, W] class ids; class 0 leaves its pixels as they are, unless it is ignored.
        ignore_class: Id of pixels that do not count; they are light grey.
        opacity: Share of the colours, 0 to 1; None: classes are outlined, and tinted so lightly that the image shows.
        first_color: Number of colours that other fields have.
    """
    held = np.flatnonzero(np.bincount(ids.ravel()))
    colors, shares = (np.zeros((held[-1] + 1, 3), np.float32) for _ in range(2))
    patterns = np.zeros(held[-1] + 1, np.uint8)
    for i in (i for i in held.tolist() if i or i == ignore_class):
        shown = i + first_color
        shares[i] = TINT if opacity is None else opacity
        colors[i], patterns[i] = (IGNORED, 0) if i == ignore_class else (class_color(shown), class_pattern(shown))
    # `take`, in-place steps and shares of three channels: indexing and broadcasting would take several times as long.
    drawn, step = pixels.astype(np.float32), np.take(colors, ids, axis=0)
    step -= drawn
    step *= np.take(shares, ids, axis=0)
    drawn += step
    if patterns.any():
        pattern, color = patterns[ids], colors[ids]
        y, x = np.indices(ids.shape)
        lines = [line % HATCH < 2 for line in (y + x, y - x)]
        hatched = ((pattern & 1) > 0) & lines[0] | ((pattern & 2) > 0) & lines[1]
        line = color if opacity is None else np.where(color.mean(axis=-1, keepdims=True) > 127, DARK, PAPER)
        drawn[hatched] += HATCHED * (line[hatched] - drawn[hatched])
    if opacity is None:
        edge, inside = _edges(ids), np.take(shares[:, 0] > 0, ids)
        drawn[edge & ~inside] *= 1 - HALO  # a dark line outside the bright one: it shows on light images
        drawn[edge & inside] = colors[ids[edge & inside]]
    return drawn.round().astype(np.uint8)


def _edges(ids: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the pixels with a neighbour of another class; the picture's own edge does not count."""
    found = np.zeros(ids.shape, np.bool_)
    for here, there in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differs = ids[here] != ids[there]
        found[here] |= differs
        found[there] |= differs
    return found


# Boxes


def _draw_boxes(picture: Image.Image, layer: Layers, scale: float, *, width: int) -> None:
    """Outline boxes in the colours of their classes, and write their scores beside the first ones."""
    draw, font = ImageDraw.Draw(picture), load_font(11)
    boxes = (layer.boxes * scale).round().astype(int).tolist()
    labels, dashed = layer.labels[: len(boxes)].tolist(), layer.not_counted.tolist() or [False] * len(boxes)
    for (left, top, right, bottom), label, is_dashed in zip(boxes, labels, dashed, strict=True):
        # The last pixel inside; a box smaller than a pixel of the picture is a point.
        inner = (left, top, max(left, right - 1), max(top, bottom - 1))
        shown = label + 1 + layer.first_color
        draw_frame(draw, inner, class_color(shown), width, pattern=class_pattern(shown), dashed=is_dashed)
    for (left, top, *_), score in zip(boxes, layer.scores[:MAX_SCORED].tolist(), strict=False):
        text, place = f"{score:.2f}".lstrip("0"), (left + width + 2, top + width)
        draw.text(place, text, PAPER, font, stroke_width=1, stroke_fill=DARK)


def draw_frame(
    draw: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    color: Color,
    width: int,
    *,
    pattern: int = 0,
    dashed: bool = False,
) -> None:
    """Draw a frame, a dark line around the bright one: dashed on white for a pattern, on nothing for `dashed`."""
    left, top, right, bottom = box
    if not dashed:
        draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=DARK)
        draw.rectangle(box, outline=PAPER if pattern else color, width=width)
    if pattern or dashed:
        inset = width - 1
        for start, end in _dashes(right - left + 1, DASHES[0 if dashed else pattern]):
            draw.rectangle((left + start, top, left + end, top + inset), color)
            draw.rectangle((left + start, bottom - inset, left + end, bottom), color)
        for start, end in _dashes(bottom - top + 1, DASHES[0 if dashed else pattern]):
            draw.rectangle((left, top + start, left + inset, top + end), color)
            draw.rectangle((right - inset, top + start, right, top + end), color)


def _dashes(length: int, lengths: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield first and last pixel of each dash on a line."""
    position = 0
    for number, pixels in enumerate(itertools.cycle(lengths)):
        if position >= length:
            return
        if number % 2 == 0:
            yield position, min(position + pixels, length) - 1
        position += pixels


# Keypoints: a dot each, hollow where it is hidden, and lines between those that are joined


def _draw_skeletons(picture: Image.Image, points: NDArray[Any], visibility: NDArray[Any], skeleton: Skeleton) -> None:
    """Draw the keypoints of all objects; those that are not labelled are left out.

    Args:
        picture: Picture that is drawn on.
        points: float [N, K, 2], x and y in its pixels, by edges.
        visibility: [N, K].
        skeleton: Skeleton with the edges to draw; of a flip pair, the left point is blue, the right one orange.
    """
    draw = ImageDraw.Draw(picture)
    radius = max(3, round(min(picture.size) / 64))
    colors = point_colors(skeleton)
    for xy, seen in zip(points.tolist(), visibility.tolist(), strict=True):
        middles = [(x - 0.5, y - 0.5) for x, y in xy]  # Pillow counts the middles of pixels
        for a, b in skeleton.edges:
            if seen[a] and seen[b]:
                ends = (*middles[a], *middles[b])
                draw.line(ends, DARK, radius + 2)
                draw.line(ends, colors[b] if colors[a] == colors[b] else PAPER, max(1, radius - 1))
        for middle, visible, color in zip(middles, seen, colors, strict=True):
            if visible:
                draw_point(draw, middle, radius, color, is_hidden=visible == HIDDEN)
    places = [(k + 1, *points[n, k].tolist()) for n, k in np.argwhere(visibility).tolist()]
    if len(places) <= MAX_NUMBERED and has_numbers(skeleton):
        _draw_numbers(draw, places, radius)


def draw_point(
    draw: ImageDraw.ImageDraw, middle: tuple[float, float], radius: float, color: Color, *, is_hidden: bool = False
) -> None:
    """Draw a keypoint as a dot, hollow where it is hidden."""
    (x, y), fill, outline = middle, None if is_hidden else color, color if is_hidden else DARK
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill, outline)


def _draw_numbers(draw: ImageDraw.ImageDraw, points: Sequence[tuple[int, float, float]], radius: int) -> None:
    """Write the numbers of keypoints, given with x and y, beside them, where they cover no keypoint and no number."""
    width, height = NUMBER
    taken = [(x, y) for _, x, y in points]
    for number, x, y in points:
        left, top = x + radius + 1, y - height / 2
        if not any(-radius < u - left < width + radius and -radius < v - top < height + radius for u, v in taken):
            draw.text((left, top), str(number), PAPER, load_font(10), stroke_width=1, stroke_fill=DARK)
            taken += [(left + width / 2, top + height / 2)]


def has_numbers(skeleton: Skeleton) -> bool:
    """Return whether keypoints are numbered, since colours do not tell them all apart."""
    return len(skeleton) > min(NUM_PLAIN_POINTS, len(set(point_colors(skeleton))))


def point_colors(skeleton: Skeleton) -> Sequence[Color]:
    """Return the colour of each keypoint: by side where sides are known, else one of its own."""
    pairs = flip_pairs_left_first(skeleton) or skeleton.flip_pairs
    sides = {index: color for pair in pairs for index, color in zip(pair, (LEFT, RIGHT), strict=True)}
    # The first class's colour is not used: the boxes around most keypoints have it.
    return [sides.get(i, MIDDLE if sides else class_color(i + 2)) for i in range(len(skeleton))]


def flip_pairs_left_first(skeleton: Skeleton) -> list[list[int]] | None:
    """Return the flip pairs with the left point first, if names tell the sides of all."""
    names, pairs = skeleton.names, [sorted(pair) for pair in skeleton.flip_pairs]
    sided = left_right_pairs(names)
    if any(pair not in sided for pair in pairs):
        return None
    # If names differ only in left and right, the left one comes first in the alphabet.
    return [sorted(pair, key=lambda index: names[index].lower()) for pair in pairs]
