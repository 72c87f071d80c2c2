"""Names in one text, as options and CSV files list them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from precompute.errors import UsageError
from precompute.text.files import lines_of, read_text

__all__ = ["format_names", "parse_names"]


def parse_names(text: str) -> list[str]:
    """Return ["cat", "dog"] of ``"cat,dog"``; all options list names in this way.

    Names that hold a comma stand in quotation marks, as in CSV: ``'"Pepper, bell",dog'``. ``"@names.txt"`` is a file
    with one name per line.

    Raises:
        UsageError: A quotation mark is not closed, or the file cannot be read.
    """
    if text.startswith("@"):
        lines = lines_of(read_text(Path(text[1:]), UsageError))
        return [line.strip() for line in lines if line.strip()]
    if text.count('"') % 2 or len(text.splitlines()) > 1:
        raise UsageError(f"expected names separated by commas, those with a comma in quotation marks; got {text!r}.")
    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True), [""])]


def format_names(names: Iterable[str]) -> str:
    """Return names as `parse_names` reads them."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(names)
    first, comma, others = text.getvalue().partition(",")
    # A name that begins with @ stands in quotation marks, or it would name a file.
    return f'"{first}"{comma}{others}' if first.startswith("@") else text.getvalue()
