"""Names in one text, as options and CSV files list them; values by name, ``fine=9 coarse=3``; flags."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from precompute.errors import UsageError
from precompute.text.files import lines_of, read_text

__all__ = ["NAME", "flag", "format_names", "parse_names", "repeat_flags", "split_named", "with_flag"]

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_NAMED = re.compile(rf"({NAME.pattern})=(.*)", re.DOTALL)


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


# Values by name


def split_named(text: Any) -> Any:
    """Return ``{"fine": "9"}`` of ``"fine=9"``; what names no field is returned as it is."""
    named = _NAMED.fullmatch(text) if isinstance(text, str) else None
    return {named[1]: named[2]} if named else text


def repeat_flags(args: Sequence[str], flags: Callable[[str], bool]) -> Iterator[str]:
    """Yield arguments with the flag before each ``TARGET=…`` that follows another one.

    Args:
        flags: Whether a word is the flag of an option that takes values by field.
    """
    flag = ""
    words = iter(args)
    for word in words:
        if word == "--":
            yield from (word, *words)
            return
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            flag = name if flags(name) else ""
            yield word
            if flag and not equals:
                for value in islice(words, 1):
                    yield value
            flag = flag if _NAMED.fullmatch(value) else ""
        elif flag and _NAMED.fullmatch(word):
            yield f"{flag}={word}"
        else:
            flag = ""
            yield word


# Flags


def flag(name: str) -> str:
    """Return how the command line spells an option."""
    return "--" + name.replace("_", "-")


def with_flag(name: str) -> str:
    """Return how Python and the command line spell an option: ``"mask_map (--mask-map)"``."""
    return f"{name} ({flag(name)})"
