"""A contact sheet: rows of small pictures with their masks drawn on them. Pillow draws; nothing else is needed."""

from __future__ import annotations

import bisect
import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from precompute.errors import UsageError, accessible
from precompute.fields.skeleton import Skeleton
from precompute.report.drawing import color_of, draw_boxes, draw_skeletons, fitted, instance_id_map, skeleton_legend
from precompute.report.palette import Color

__all__ = ["Cell", "Line", "Sheet", "cell_of", "check_output", "draw_sheet", "save_sheet"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
WIDTH = 1800  # of a sheet, pixels, where its cells do not become too small or too large by it
CELL_SIZES = (112, 256)
GAP, MARGIN, HEADING = 6, 20, 36
MAX_CLASSES = 24  # in the legend
INK, FAINT, PAPER, EMPTY, BAD = (32, 33, 36), (105, 110, 118), (255, 255, 255), (236, 238, 241), (253, 232, 230)


Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One picture, or the reason why there is none.

    Attributes:
        image: uint8 [H, W, 1, 3 or 4], grey, RGB or RGBA; None when there is only text.
        mask: [H, W] class ids drawn on the image; None without.
        boxes: float [N, 4] x_min, y_min, x_max, y_max in its pixels, drawn on the image; None without.
        labels: Class index of each box.
        points: float [N, K, 2] x, y of each object's keypoints in its pixels, drawn on the image; None without.
        visibility: [N, K] of these.
        numbers: [H, W] number of the object in each pixel, from 1, drawn on the image; None without.
        text: Shown in place of the image.
    """

    image: NDArray[np.uint8] | None = None
    mask: NDArray[Any] | None = None
    boxes: NDArray[Any] | None = None
    labels: NDArray[Any] | None = None
    points: NDArray[Any] | None = None
    visibility: NDArray[Any] | None = None
    numbers: NDArray[Any] | None = None
    text: str = ""


def cell_of(example: dict[str, Any]) -> Cell:
    """Return the picture of a decoded record, with its mask, boxes, keypoints or objects."""
    if "masks" in example:
        return Cell(image=example["image"], numbers=instance_id_map(example["masks"]))
    return Cell(
        image=example["image"],
        mask=example.get("mask"),
        boxes=example.get("boxes"),
        labels=example.get("labels") if "boxes" in example else None,
        points=example.get("keypoints"),
        visibility=example.get("visibility"),
    )


@dataclass(frozen=True, kw_only=True)
class Line:
    """One source: its caption above its pictures.

    Attributes:
        caption: Key of the source.
        remark: What else is said beside the key, such as the class.
        cells: One a column.
    """

    caption: str
    cells: Sequence[Cell]
    remark: str = ""


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """All that is drawn.

    Attributes:
        title: First line of the sheet.
        subtitle: Second line, smaller.
        columns: Heading of each column.
        lines: Lines of the sheet from top to bottom.
        class_names: Name of each class id, for the legend; may be shorter than the ids are many.
        ignore_class: Id of pixels that do not count.
        skeleton: Skeleton of keypoints, where there are some.
    """

    title: str
    subtitle: str = ""
    columns: Sequence[str]
    lines: Sequence[Line]
    class_names: Sequence[str] = field(default_factory=list)
    ignore_class: int | None = None
    skeleton: Skeleton | None = None


def check_output(path: Path) -> None:
    """Refuse, before any work, a file that no picture can be saved as.

    Raises:
        UsageError: Its name has no suffix of a picture, it is a folder, or its folder cannot be looked into.
    """
    with accessible(path, UsageError, "written"):
        is_folder = path.is_dir()
    if path.suffix.lower() not in SUFFIXES or is_folder:
        raise UsageError(f"output: expected a file that ends with {', '.join(SUFFIXES)}, got {str(path)!r}.")


def save_sheet(sheet: Sheet, path: Path) -> Path:
    """Draw a sheet into a file; returns its path.

    Raises:
        UsageError: It cannot be written there.
    """
    check_output(path)
    picture = draw_sheet(sheet)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    except OSError as error:
        raise UsageError(f"output: {path} cannot be written: {error.strerror or error}.") from error
    return path


def draw_sheet(sheet: Sheet) -> Image.Image:
    """Return the sheet as a picture, RGB."""
    size = _cell_size(len(sheet.columns))
    heading, caption, small = (ImageFont.load_default(points) for points in (22, 15, 13))
    legend = _legend(sheet)
    width = max(2 * MARGIN + len(sheet.columns) * (size + GAP) - GAP, 480)
    # Once to find out how high it becomes, once to draw.
    draw = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    legend_height = _draw_legend(draw, legend, small, width, top=0)
    top = MARGIN + 34 + (24 if sheet.subtitle else 0) + legend_height + HEADING
    line_height = 26 + size + 14
    picture = Image.new("RGB", (width, top + len(sheet.lines) * line_height + MARGIN - 14), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((MARGIN, MARGIN), _shortened(sheet.title, heading, width - 2 * MARGIN), INK, heading)
    if sheet.subtitle:
        draw.text((MARGIN, MARGIN + 32), _shortened(sheet.subtitle, caption, width - 2 * MARGIN), FAINT, caption)
    _draw_legend(draw, legend, small, width, top=top - HEADING - legend_height)
    draw.line((MARGIN, top - 3, width - MARGIN, top - 3), EMPTY)
    for i, text in enumerate(sheet.columns):
        draw.text((MARGIN + i * (size + GAP), top - HEADING + 8), _shortened(text, caption, size), FAINT, caption)
    for i, line in enumerate(sheet.lines):
        _draw_line(picture, line, (MARGIN, top + i * line_height), size, (caption, small), sheet)
    return picture


def _cell_size(num_columns: int) -> int:
    wanted = (WIDTH - 2 * MARGIN) // max(1, num_columns) - GAP
    return min(max(wanted, CELL_SIZES[0]), CELL_SIZES[1])


def _draw_line(
    picture: Image.Image,
    line: Line,
    corner: tuple[int, int],
    size: int,
    fonts: tuple[Font, Font],
    sheet: Sheet,
) -> None:
    draw, (left, top), (caption, small) = ImageDraw.Draw(picture), corner, fonts
    width = picture.width - 2 * MARGIN
    remark_width = int(small.getlength(line.remark)) + 14 if line.remark else 0
    name = _shortened(line.caption, caption, width - min(remark_width, width // 2))
    draw.text((left, top + 3), name, INK, caption)
    if line.remark:
        start = int(caption.getlength(name)) + 14
        draw.text((left + start, top + 5), _shortened(line.remark, small, width - start), FAINT, small)
    for i, cell in enumerate(line.cells):
        place = (left + i * (size + GAP), top + 26)
        if cell.image is None:
            _draw_text_cell(draw, cell.text, place, size, small)
            continue
        if cell.numbers is not None:
            drawn = fitted(cell.image, cell.numbers, size, None)
        else:
            drawn = fitted(cell.image, cell.mask, size, sheet.ignore_class)
        scale = drawn.width / cell.image.shape[1]
        if cell.boxes is not None and cell.labels is not None:
            draw_boxes(drawn, cell.boxes * scale, cell.labels)
        if cell.points is not None and cell.visibility is not None and sheet.skeleton is not None:
            draw_skeletons(drawn, cell.points * scale, cell.visibility, sheet.skeleton)
        draw.rectangle((*place, place[0] + size - 1, place[1] + size - 1), EMPTY)
        picture.paste(drawn, (place[0] + (size - drawn.width) // 2, place[1] + (size - drawn.height) // 2))


def _draw_text_cell(draw: ImageDraw.ImageDraw, text: str, place: tuple[int, int], size: int, font: Font) -> None:
    draw.rectangle((*place, place[0] + size - 1, place[1] + size - 1), BAD if text else EMPTY)
    letters = max(8, int((size - 16) / font.getlength("n")))
    lines = textwrap.wrap(_printable(text), letters, max_lines=(size - 16) // 18, placeholder=" ...")
    draw.multiline_text((place[0] + 8, place[1] + 8), "\n".join(lines), INK, font, spacing=3)


def _legend(sheet: Sheet) -> list[tuple[str, Color | None]]:
    """Return name and colour of the class ids that are on the sheet."""
    if any(cell.numbers is not None for line in sheet.lines for cell in line.cells):
        return [(f"each object in a colour of its own, of {', '.join(map(_printable, sheet.class_names[:5]))}", None)]
    if sheet.skeleton is not None:
        return [
            *_classes_of_boxes(sheet),
            *((_printable(name), color) for name, color in skeleton_legend(sheet.skeleton)),
        ]
    if any(cell.labels is not None for line in sheet.lines for cell in line.cells):
        return _classes_of_boxes(sheet)
    masks = [cell.mask for line in sheet.lines for cell in line.cells if cell.mask is not None]
    ids = sorted({int(i) for mask in masks for i in np.unique(mask)})
    entries: list[tuple[str, Color | None]] = []
    for i in ids[:MAX_CLASSES]:
        name = _printable(sheet.class_names[i]) if i < len(sheet.class_names) else f"class {i}"
        if i == sheet.ignore_class:
            entries.append((f"{i}: ignored", color_of(i, sheet.ignore_class)))
        else:
            entries.append((name, color_of(i, sheet.ignore_class)) if i else (f"{name}: as it is", None))
    if len(ids) > MAX_CLASSES:
        entries.append((f"and {len(ids) - MAX_CLASSES} more", None))
    return entries


def _classes_of_boxes(sheet: Sheet) -> list[tuple[str, Color | None]]:
    labels = [cell.labels for line in sheet.lines for cell in line.cells if cell.labels is not None]
    found = sorted({int(label) for of_cell in labels for label in of_cell})
    return [(_printable(sheet.class_names[label]), color_of(label + 1, None)) for label in found[:MAX_CLASSES]]


def _draw_legend(
    draw: ImageDraw.ImageDraw, legend: Sequence[tuple[str, Color | None]], font: Font, width: int, *, top: int
) -> int:
    """Draw the legend in as many lines as it needs; returns its height."""
    if not legend:
        return 0
    x, y = MARGIN, top
    for text, color in legend:
        indent = 20 if color else 0
        step = indent + int(font.getlength(text)) + 18
        if x > MARGIN and x + step > width - MARGIN:
            x, y = MARGIN, y + 22
        if color:
            draw.rectangle((x, y + 2, x + 13, y + 15), color, FAINT)
        draw.text((x + indent, y), text, INK, font)
        x += step
    return y - top + 30


def _shortened(text: str, font: Font, width: int) -> str:
    """Return the text, its middle left out where it is wider than there is room: keys differ at both ends."""
    text = _printable(text)
    if font.getlength(text) <= width:
        return text

    def shorter(kept: int) -> str:
        return f"{text[: kept // 2]}...{text[len(text) - (kept - kept // 2) :]}"

    fitting = bisect.bisect_right(range(len(text)), width, key=lambda kept: int(font.getlength(shorter(kept))))
    return shorter(max(0, fitting - 1))


def _printable(text: str) -> str:
    """Return the text in ASCII, all that Pillow's own font has: accents go, the rest becomes a question mark."""
    plain = unicodedata.normalize("NFKD", text.replace("×", "x").replace("…", "..."))
    return "".join(c for c in plain if not unicodedata.combining(c)).encode("ascii", "replace").decode()
