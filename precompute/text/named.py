"""Values by name on the command line: ``fine=9 coarse=3`` after one flag."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

__all__ = ["NAME", "repeat_flags", "split_named"]

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_NAMED = re.compile(rf"({NAME.pattern})=(.*)", re.DOTALL)


def split_named(text: Any) -> Any:
    """Return ``{"fine": "9"}`` of ``"fine=9"``; what names no field is returned as it is."""
    named = _NAMED.fullmatch(text) if isinstance(text, str) else None
    return {named[1]: named[2]} if named else text


def repeat_flags(args: Sequence[str], flags: Callable[[str], bool]) -> Iterator[str]:
    """Yield arguments with the flag before each ``TARGET=…`` that follows another one.

    Args:
        args: Arguments of the command line.
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
