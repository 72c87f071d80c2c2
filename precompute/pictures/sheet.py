"""A contact sheet: rows of small pictures, with a title, a legend and captions; drawn by Pillow alone."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from precompute.errors import UsageError, accessible
from precompute.fields.field import Schema
from precompute.fields.layers import Layers
from precompute.pictures.drawing import draw_layers
from precompute.pictures.legend import Entry, draw_legend, legend_of
from precompute.pictures.lettering import load_font, printable, shorten
from precompute.pictures.palette import PAPER, Color

__all__ = ["Cell", "Line", "Sheet", "cell_of", "check_output", "draw_sheet", "legend_entries", "save_sheet"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
WIDTH = 1800  # of a sheet, pixels, where its cells do not become too small or too large by it
MIN_WIDTHS = (440, 920)  # likewise, without margins; the second where the legend is long
LONG_LEGEND = 24  # entries
MIN_CELL = 112
GAP, MARGIN, FRAME = 6, 20, 3
TITLE, TEXT, SMALL = 20, 14, 12  # sizes of letters
ROW = 17  # of small text
INK, FAINT, EMPTY, BAD = (32, 33, 36), (105, 110, 118), (236, 238, 241), (253, 232, 230)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One picture, or the reason why there is none.

    Attributes:
        image: uint8 [H, W, 1, 3 or 4], grey, RGB or RGBA; None when there is only text.
        layers: Name of a field → what it draws on the image and writes under it.
        text: Text in place of the image.
        notes: Further lines under the image.
        color: Colour of a frame around the image and of the text under it; None: no frame.
    """

    image: NDArray[np.uint8] | None = None
    layers: Mapping[str, Layers] = field(default_factory=dict)
    text: str = ""
    notes: Sequence[str] = ()
    color: Color | None = None

    @property
    def caption(self) -> str:
        """The text of its fields under the image."""
        return ", ".join(layers.text for layers in self.layers.values() if layers.text)

    @property
    def remarks(self) -> list[str]:
        """The remarks of its fields on the source."""
        return [layers.remark for layers in self.layers.values() if layers.remark]

    @property
    def written(self) -> list[str]:
        """All lines under the image."""
        return [line for line in (self.caption, *self.notes) if line]


def cell_of(example: Mapping[str, Any], schema: Schema) -> Cell:
    """Return the cell of a decoded record, with the layers of its fields."""
    return Cell(image=example["image"], layers=schema.draw(example))


@dataclass(frozen=True, kw_only=True)
class Line:
    """Pictures side by side, mostly those of one source.

    Attributes:
        caption: Key of the source, above its pictures.
        remark: Further text beside the key, such as the class.
        cells: One cell per column, or fewer.
    """

    caption: str = ""
    cells: Sequence[Cell]
    remark: str = ""


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """The content of a contact sheet.

    Attributes:
        title: First line of the sheet.
        subtitle: Second line, smaller.
        columns: Heading of each column; may be empty.
        lines: Lines of the sheet from top to bottom.
        legend: Entries of the legend that come before those of the cells' layers.
        max_cell: Largest longer side of a picture, in pixels.
    """

    title: str = ""
    subtitle: str = ""
    columns: Sequence[str]
    lines: Sequence[Line]
    legend: Sequence[Entry] = ()
    max_cell: int = 256

    @property
    def cell_size(self) -> int:
        """Side in pixels of the square that a picture is scaled to fit into."""
        wanted = (WIDTH - 2 * MARGIN) // max(1, len(self.columns)) - GAP
        return min(max(wanted, MIN_CELL), self.max_cell)


def check_output(path: Path) -> None:
    """Refuse, before any work, an output file that a picture cannot be saved as.

    Raises:
        UsageError: Its name has no suffix of a picture, it is a folder, or its folder cannot be accessed.
    """
    with accessible(path, UsageError, "written"):
        is_folder = path.is_dir()
    if path.suffix.lower() not in SUFFIXES or is_folder:
        raise UsageError(f"output: expected a file that ends with {', '.join(SUFFIXES)}, got {str(path)!r}.")


def save_sheet(sheet: Sheet, path: Path) -> Path:
    """Draw a sheet into a file; returns its path.

    Raises:
        UsageError: The file cannot be written.
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
    """Return the sheet as a picture, RGB: strips of one width, one under the other."""
    legend = legend_entries(sheet)
    least = MIN_WIDTHS[len(legend) > LONG_LEGEND]
    width = max(len(sheet.columns) * (sheet.cell_size + GAP) - GAP, least)
    strips = [_draw_words(width, (sheet.title, TITLE, INK)), _draw_words(width, (sheet.subtitle, TEXT, FAINT))]
    strips += [draw_legend(legend, width), _draw_headings(sheet, width)]
    for line in sheet.lines:
        strips += [_draw_words(width, (line.caption, TEXT, INK), (line.remark, SMALL, FAINT))]
        strips += [_draw_cells(line.cells, sheet.cell_size, width)]
    strips = [strip for strip in strips if strip.height]
    height = 2 * MARGIN + sum(strip.height + GAP for strip in strips)
    picture, top = Image.new("RGB", (width + 2 * MARGIN, height), PAPER), MARGIN
    for strip in strips:
        picture.paste(strip, (MARGIN, top))
        top += strip.height + GAP
    return picture


def legend_entries(sheet: Sheet) -> list[Entry]:
    """Return the legend's entries, after the field's name if several fields have entries."""
    layers: dict[str, list[Layers]] = {}
    for name, of_cell in (item for line in sheet.lines for cell in line.cells for item in cell.layers.items()):
        layers.setdefault(name, []).append(of_cell)
    of_fields = {name: entries for name, of_field in layers.items() if (entries := legend_of(of_field))}
    heads = {name: [Entry(f"{name}:")] if len(of_fields) > 1 else [] for name in of_fields}
    return [*sheet.legend, *(entry for name in of_fields for entry in (*heads[name], *of_fields[name]))]


def _draw_words(width: int, *words: tuple[str, int, Color]) -> Image.Image:
    """Return a line of texts in their sizes and colours; the first is cut so that half of the others shows."""
    texts = [(text, load_font(size), color) for text, size, color in words if text]
    strip = Image.new("RGB", (width, TITLE + 4 if texts else 0), PAPER)
    draw, left = ImageDraw.Draw(strip), 0
    for number, (text, font, color) in enumerate(texts):
        others = sum(int(font.getlength(text)) + TEXT for text, font, _ in texts[number + 1 :])
        shown = shorten(text, font, width - left - min(others, width // 2))
        draw.text((left, TITLE - 2), shown, color, font, anchor="ls")
        left += int(font.getlength(shown)) + TEXT
    return strip


def _draw_headings(sheet: Sheet, width: int) -> Image.Image:
    """Return the headings of the columns above a line; nothing where there are none."""
    strip, font = Image.new("RGB", (width, 28 if any(sheet.columns) else 0), PAPER), load_font(TEXT)
    draw = ImageDraw.Draw(strip)
    for i, text in enumerate(sheet.columns):
        draw.text((i * (sheet.cell_size + GAP), 6), shorten(text, font, sheet.cell_size), FAINT, font)
    draw.line((0, strip.height - 1, width, strip.height - 1), EMPTY)
    return strip


def _draw_cells(cells: Sequence[Cell], size: int, width: int) -> Image.Image:
    """Return pictures side by side, as high as the highest, with the text under them."""
    drawn = [None if cell.image is None else _stacked(list(_pictures(cell, size))) for cell in cells]
    height = max(MIN_CELL if picture is None else picture.height for picture in drawn)
    num_written = max(len(cell.written) for cell in cells)
    strip, font = Image.new("RGB", (width, height + num_written * ROW + ROW), PAPER), load_font(SMALL)
    draw = ImageDraw.Draw(strip)
    for i, (cell, picture) in enumerate(zip(cells, drawn, strict=True)):
        left = i * (size + GAP)
        box = (left, 0, left + size - 1, height - 1)
        draw.rectangle(box, BAD if cell.text else EMPTY)
        if picture:
            strip.paste(picture, (left + (size - picture.width) // 2, (height - picture.height) // 2))
        else:
            _draw_reason(draw, cell.text, (left + 8, 8), (size - 16, height - 16))
        if cell.color:
            draw.rectangle(box, outline=cell.color, width=FRAME)
        for row, text in enumerate(cell.written):
            draw.text((left, height + 4 + row * ROW), shorten(text, font, size), cell.color or FAINT, font)
    return strip


def _pictures(cell: Cell, size: int) -> Iterator[Image.Image]:
    """Yield the image under its layers, then the fields' own pictures."""
    if cell.image is not None:
        yield draw_layers(cell.image, cell.layers.values(), size)
        yield from (draw_layers(of_field.beside, (), size) for of_field in cell.layers.values() if of_field.beside.size)


def _stacked(pictures: Sequence[Image.Image]) -> Image.Image:
    """Return pictures one below the other."""
    if len(pictures) == 1:
        return pictures[0]
    height = sum(picture.height + GAP for picture in pictures) - GAP
    stacked, top = Image.new("RGB", (max(picture.width for picture in pictures), height), PAPER), 0
    for picture in pictures:
        stacked.paste(picture, (0, top))
        top += picture.height + GAP
    return stacked


def _draw_reason(draw: ImageDraw.ImageDraw, text: str, place: tuple[int, int], room: tuple[int, int]) -> None:
    font = load_font(SMALL)
    letters = max(8, int(room[0] / font.getlength("n")))
    lines = textwrap.wrap(printable(text, font), letters, max_lines=max(1, room[1] // ROW), placeholder=" ...")
    draw.multiline_text(place, "\n".join(lines), INK, font, spacing=3)
