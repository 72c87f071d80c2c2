"""The legend of a sheet: the meaning of colours and patterns, in as many columns as fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from precompute.fields.layers import Layers
from precompute.fields.skeleton import Skeleton
from precompute.pictures.drawing import (
    LEFT,
    MIDDLE,
    RIGHT,
    draw_frame,
    draw_point,
    flip_pairs_left_first,
    has_numbers,
    lay_mask,
    point_colors,
)
from precompute.pictures.lettering import load_font, shorten
from precompute.pictures.palette import IGNORED, PAPER, Color, class_color, class_pattern
from precompute.text.format import format_few

__all__ = ["Entry", "draw_legend", "draw_swatch", "legend_of", "mask_entries", "skeleton_entries"]

MAX_ENTRIES, MAX_ROWS = 200, 12  # more would leave the pictures no room
ROW, SWATCH, SPACE, MAX_TEXT = 21, 15, 18, 260  # pixels
MAX_OF_PAIRS = 3
INK, EDGE = (32, 33, 36), (105, 110, 118)


class Entry(NamedTuple):
    """One line of a legend.

    Attributes:
        text: Text of the line.
        color: Colour of the sign before it; None for no sign.
        shape: Shape of the sign: an area, the frame of a box, a dashed frame, or a keypoint.
        class_id: Class whose pattern the sign has, from 1 on; 0 for none.
    """

    text: str
    color: Color | None = None
    shape: Literal["area", "frame", "dashed", "point"] = "area"
    class_id: int = 0


def draw_legend(entries: Sequence[Entry], width: int) -> Image.Image:
    """Return a picture of the legend of a width in pixels; a last line counts entries that do not fit."""
    font = load_font(12)
    room = min(MAX_TEXT, width - SWATCH - 6) if len(entries) > 1 else width
    shown = [entry._replace(text=shorten(entry.text, font, room)) for entry in entries[:MAX_ENTRIES]]
    widths = [_width(entry) for entry in shown]
    rows = _num_rows(widths, width) if len(shown) == len(entries) else None
    while rows is None:
        shown.pop()
        more = Entry(f"and {len(entries) - len(shown)} more")
        widths = [*widths[: len(shown)], _width(more)]
        rows = _num_rows(widths, width)
    if len(shown) < len(entries):
        shown.append(more)
    picture, left = Image.new("RGB", (width, ROW * rows), PAPER), 0
    draw = ImageDraw.Draw(picture)
    for first in range(0, len(shown), rows or 1):
        for row, entry in enumerate(shown[first : first + rows]):
            if entry.color:
                _draw_swatch(picture, (left, row * ROW + 2), entry, entry.color)
            draw.text((left + _indent(entry), row * ROW + 2), entry.text, INK, font)
        left += max(widths[first : first + rows])
    return picture


def _num_rows(widths: Sequence[int], width: int) -> int | None:
    """Return the smallest number of rows for entries of these widths, filled by column; None if they need too many."""
    for rows in range(min(1, len(widths)), MAX_ROWS + 1):
        columns = (max(widths[first : first + rows]) for first in range(0, len(widths), rows or 1))
        if sum(columns) - SPACE <= width:
            return rows
    return None


def _width(entry: Entry) -> int:
    return int(_indent(entry) + load_font(12).getlength(entry.text)) + SPACE


def _indent(entry: Entry) -> int:
    return SWATCH + 6 if entry.color else 0


def draw_swatch(entry: Entry) -> Image.Image | None:
    """Return the sign of an entry, RGBA and transparent around it; None where it has none."""
    if entry.color is None:
        return None
    picture = Image.new("RGBA", (SWATCH, SWATCH))
    _draw_swatch(picture, (0, 0), entry, entry.color)
    return picture


def _draw_swatch(picture: Image.Image, corner: tuple[int, int], entry: Entry, color: Color) -> None:
    draw, (left, top), end = ImageDraw.Draw(picture), corner, SWATCH - 1
    pattern = class_pattern(entry.class_id) if entry.class_id else 0
    if entry.shape == "point":
        draw_point(draw, (left + end / 2, top + end / 2), 5, color)
    elif entry.shape != "area":
        box = (left + 1, top + 1, left + end - 1, top + end - 1)
        draw_frame(draw, box, color, 3, pattern=pattern, dashed=entry.shape == "dashed")
    else:
        draw.rectangle((left, top, left + end, top + end), color, EDGE)
        if pattern:
            inner = np.full((end - 1, end - 1), entry.class_id)
            hatched = lay_mask(np.zeros((*inner.shape, 3), np.uint8), inner, opacity=1)
            picture.paste(Image.fromarray(hatched), (left + 1, top + 1))


# Entries of layers


def legend_of(layers: Sequence[Layers]) -> list[Entry]:
    """Return the legend's entries for one field."""
    names, skeleton = layers[0].class_names, layers[0].skeleton
    if any(cell.numbers.size for cell in layers):
        return [Entry(f"each object in a colour of its own; classes: {format_few(names, 5)}")]
    found = sorted({int(label) for cell in layers for label in cell.labels})
    first = layers[0].first_color
    classes = [Entry(names[i], class_color(i + 1 + first), "frame", i + 1 + first) for i in found]
    dashed = [Entry("not counted", EDGE, "dashed")] if any(cell.not_counted.any() for cell in layers) else []
    points = skeleton_entries(skeleton) if skeleton.names else []
    masks = mask_entries((cell.mask for cell in layers), names, layers[0].ignore_class, first_color=first)
    return [*classes, *dashed, *points, *masks]


def mask_entries(
    masks: Iterable[NDArray[Any]],
    names: Sequence[str],
    ignore_class: int | None,
    background: Color | None = None,
    first_color: int = 0,
) -> list[Entry]:
    """Return the entries of the classes in masks; class 0 has the background's colour, if there is one."""
    entries = []
    held = {int(i) for mask in masks for i in np.unique(mask)}
    for i in sorted(held, key=lambda i: (i != ignore_class, i)):
        name = names[i] if i < len(names) else f"class {i}"
        if i == ignore_class:
            entries.append(Entry(f"{i}: ignored", IGNORED))
        elif i == 0:
            entries.append(Entry(name, background) if background else Entry(f"{name}: as it is"))
        else:
            entries.append(Entry(name, class_color(i + first_color), class_id=i + first_color))
    return entries


def skeleton_entries(skeleton: Skeleton) -> list[Entry]:
    """Return the entries of keypoints: the sides that colours mean, if known, or the names of single points."""
    entries = []
    if skeleton.flip_pairs:
        words, others = _words_of_sides(skeleton)
        entries = [Entry(word, color, "point") for word, color in zip(words, (LEFT, RIGHT), strict=True)]
        entries += [Entry(others, MIDDLE, "point")] if len(skeleton) > 2 * len(skeleton.flip_pairs) else []
    numbered = has_numbers(skeleton)
    if numbered or not skeleton.flip_pairs:
        named = enumerate(zip(skeleton.names, point_colors(skeleton), strict=True), 1)
        entries += [Entry(f"{i} {name}" if numbered else name, color, "point") for i, (name, color) in named]
    return [*entries, Entry("hollow: hidden")]


def _words_of_sides(skeleton: Skeleton) -> tuple[list[str], str]:
    """Return the words for the two sides of flip pairs, and for keypoints without a pair."""
    if flip_pairs_left_first(skeleton) is not None:
        return ["left", "right"], "neither left nor right"
    words = []
    for which, side in enumerate(("first", "second")):
        names = [skeleton.names[pair[which]] for pair in skeleton.flip_pairs]
        more = ", …" if len(names) > MAX_OF_PAIRS else ""
        words.append(f"{', '.join(names[:MAX_OF_PAIRS])}{more}: {side} of {'their' if names[1:] else 'its'} flip pair")
    return words, "in no flip pair"
