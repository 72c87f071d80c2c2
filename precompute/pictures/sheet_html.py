"""Sheets as tables of HTML, for notebooks: the same pictures, and captions that can be read and copied."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from precompute.dataset.manifest import Manifest
from precompute.errors import PrecomputeError
from precompute.pictures.drawing import draw_layers
from precompute.pictures.legend import draw_legend
from precompute.pictures.sheet import Cell, Line, Sheet, legend_entries
from precompute.pictures.stored_sheet import first_sheet
from precompute.storage.paths import is_remote
from precompute.text.display import Html, html_image, html_lines, html_table

__all__ = ["photo_html", "pictures_of_dataset", "sheet_html"]

SIZE, LEGEND_WIDTH = 128, 640  # pixels
QUALITY = 85


def sheet_html(sheet: Sheet, size: int = SIZE) -> Iterator[Html]:
    """Yield the parts of a sheet: its title, its legend, and a table with a row a line.

    Args:
        sheet: The sheet.
        size: Side in pixels of the square that a picture is scaled to fit into.
    """
    yield html_lines(sheet.title, sheet.subtitle)
    entries = legend_entries(sheet)
    if entries:
        yield html_image(_encoded(draw_legend(entries, LEGEND_WIDTH), "png"), "png", "legend")
    has_captions = any(line.caption or line.remark for line in sheet.lines)
    heads = [*[""] * has_captions, *sheet.columns]
    yield html_table(heads if any(heads) else [], (_row(line, size, has_captions) for line in sheet.lines))


def _row(line: Line, size: int, has_caption: bool) -> list[Html]:
    caption = [html_lines(line.caption, line.remark)] if has_caption else []
    return [*caption, *(_cell(cell, size) for cell in line.cells)]


def _cell(cell: Cell, size: int) -> Html:
    if cell.image is None:
        return html_lines(cell.text)
    picture = draw_layers(cell.image, cell.layers.values(), size)
    return html_lines(html_image(_encoded(picture, "jpeg"), "jpeg", cell.caption), *cell.written)


def photo_html(photo: NDArray[np.uint8], overlay: NDArray[np.uint8] | None = None, size: int = SIZE) -> Html:
    """Return a picture that is drawn already.

    Args:
        photo: uint8 [H, W, 3].
        overlay: uint8 [h, w, 4] of the same proportions, to lay over it; None for nothing.
        size: Side in pixels of the square that it is made smaller to fit into.
    """
    picture = Image.fromarray(photo)
    if overlay is not None:
        drawn = Image.fromarray(overlay).resize(picture.size)
        picture = Image.alpha_composite(picture.convert("RGBA"), drawn).convert("RGB")
    picture.thumbnail((size, size))
    return html_image(_encoded(picture, "jpeg"), "jpeg")


def _encoded(picture: Image.Image, kind: str) -> bytes:
    content = io.BytesIO()
    picture.save(content, kind, quality=QUALITY)
    return content.getvalue()


def pictures_of_dataset(out: Path, manifest: Manifest) -> Iterator[Html]:
    """Yield pictures of the first records of a dataset, as far as they can be read: a notebook shows a result anyway.

    Of an object store nothing is shown, for whole shards would be fetched.
    """
    if is_remote(out):
        return
    split = next((name for name, split in manifest.splits.items() if split.rows), None)
    if split is not None:
        try:
            sheet = first_sheet(out, manifest, split)
        except (PrecomputeError, OSError):  # deleted or replaced since
            return
        yield from sheet_html(sheet)
