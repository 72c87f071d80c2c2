"""A contact sheet: rows of small pictures with their masks drawn on them. Pillow draws; nothing else is needed."""

from __future__ import annotations

import bisect
import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from precompute.errors import UsageError, accessible
from precompute.fields.field import Schema
from precompute.fields.layers import Layers
from precompute.report.drawing import color_of, draw_layers, skeleton_legend
from precompute.report.palette import Color

__all__ = ["Cell", "Line", "Sheet", "cell_of", "check_output", "draw_sheet", "save_sheet"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
WIDTH = 1800  # of a sheet, pixels, where its cells do not become too small or too large by it
CELL_SIZES = (112, 256)
GAP, MARGIN, HEADING, CAPTION = 6, 20, 36, 18
MAX_CLASSES = 24  # in the legend
INK, FAINT, PAPER, EMPTY, BAD = (32, 33, 36), (105, 110, 118), (255, 255, 255), (236, 238, 241), (253, 232, 230)


Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One picture, or the reason why there is none.

    Attributes:
        image: uint8 [H, W, 1, 3 or 4], grey, RGB or RGBA; None when there is only text.
        layers: What is drawn on the image and written under it, by the name of the field that it comes from.
        text: Shown in place of the image.
    """

    image: NDArray[np.uint8] | None = None
    layers: Mapping[str, Layers] = field(default_factory=dict)
    text: str = ""

    @property
    def caption(self) -> str:
        """What is written under the image."""
        return ", ".join(layers.text for layers in self.layers.values() if layers.text)

    @property
    def remarks(self) -> list[str]:
        """What is to be said of the source."""
        return [layers.remark for layers in self.layers.values() if layers.remark]


def cell_of(example: Mapping[str, Any], schema: Schema) -> Cell:
    """Return the picture of a decoded record, with all that its fields show."""
    return Cell(image=example["image"], layers={name: field.draw(example) for name, field in schema.items()})


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
    """

    title: str
    subtitle: str = ""
    columns: Sequence[str]
    lines: Sequence[Line]

    @property
    def layers(self) -> dict[str, list[Layers]]:
        """What all cells show of each field, by its name."""
        found: dict[str, list[Layers]] = {}
        for line in self.lines:
            for cell in line.cells:
                for name, layers in cell.layers.items():
                    found.setdefault(name, []).append(layers)
        return found


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
    line_height = 26 + size + 14 + (CAPTION if any(cell.caption for line in sheet.lines for cell in line.cells) else 0)
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
        _draw_line(picture, line, (MARGIN, top + i * line_height), size, (caption, small))
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
        drawn = draw_layers(cell.image, cell.layers.values(), size)
        draw.rectangle((*place, place[0] + size - 1, place[1] + size - 1), EMPTY)
        picture.paste(drawn, (place[0] + (size - drawn.width) // 2, place[1] + (size - drawn.height) // 2))
        if cell.caption:
            draw.text((place[0], place[1] + size + 4), _shortened(cell.caption, small, size), FAINT, small)


def _draw_text_cell(draw: ImageDraw.ImageDraw, text: str, place: tuple[int, int], size: int, font: Font) -> None:
    draw.rectangle((*place, place[0] + size - 1, place[1] + size - 1), BAD if text else EMPTY)
    letters = max(8, int((size - 16) / font.getlength("n")))
    lines = textwrap.wrap(_printable(text), letters, max_lines=(size - 16) // 18, placeholder=" ...")
    draw.multiline_text((place[0] + 8, place[1] + 8), "\n".join(lines), INK, font, spacing=3)


def _legend(sheet: Sheet) -> list[tuple[str, Color | None]]:
    """Return name and colour of what is on the sheet, behind the field's name where several fields have some."""
    of_fields = {name: entries for name, layers in sheet.layers.items() if (entries := _entries(layers))}
    if len(of_fields) > 1:
        return [entry for name, entries in of_fields.items() for entry in ((f"{_printable(name)}:", None), *entries)]
    return [entry for entries in of_fields.values() for entry in entries]


def _entries(layers: Sequence[Layers]) -> list[tuple[str, Color | None]]:
    """Return name and colour of what the cells show of one field."""
    names = [_printable(name) for name in layers[0].class_names]
    if any(cell.numbers.size for cell in layers):
        return [(f"each object in a colour of its own, of {', '.join(names[:5])}", None)]
    found = sorted({int(label) for cell in layers for label in cell.labels})
    entries = [(names[label], color_of(label + 1, None)) for label in found[:MAX_CLASSES]]
    skeleton = layers[0].skeleton
    points = skeleton_legend(skeleton) if skeleton.names else []
    return [*entries, *((_printable(name), color) for name, color in points), *_mask_entries(layers, names)]


def _mask_entries(layers: Sequence[Layers], names: Sequence[str]) -> list[tuple[str, Color | None]]:
    ids = sorted({int(i) for cell in layers for i in np.unique(cell.mask)})
    ignored = layers[0].ignore_class
    entries: list[tuple[str, Color | None]] = []
    for i in ids[:MAX_CLASSES]:
        name = names[i] if i < len(names) else f"class {i}"
        if i == ignored:
            entries.append((f"{i}: ignored", color_of(i, ignored)))
        else:
            entries.append((name, color_of(i, ignored)) if i else (f"{name}: as it is", None))
    if len(ids) > MAX_CLASSES:
        entries.append((f"and {len(ids) - MAX_CLASSES} more", None))
    return entries


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
