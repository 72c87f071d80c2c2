"""What holds for sources wherever they come from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from precompute.errors import SourceError, UsageError, first_few

__all__ = ["check_class_names", "check_keys", "class_order", "key_problem"]

_WHOLE_NUMBER = re.compile(r"-?[0-9]+")

MAX_KEY_BYTES = 1_024

CHUNK = 4096  # keys that are looked at together

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SUSPECT = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff]|\.\.|\|/")  # a key that starts with / follows a bar


def key_problem(key: object) -> str | None:
    """Return what is wrong with a key, or None."""
    if not isinstance(key, str):
        return f"expected text, got {type(key).__name__}"
    try:
        num_bytes = len(key.encode())
    except UnicodeEncodeError:
        return "not valid Unicode"
    if not key:
        return "empty"
    if num_bytes > MAX_KEY_BYTES:
        return f"{num_bytes:,} bytes of UTF-8, at most {MAX_KEY_BYTES:,} are allowed"
    if key.startswith("/"):
        return "starts with '/'"
    if "\\" in key:
        return "holds a backslash"
    if _CONTROL.search(key):
        return "holds a control character"
    if ".." in key and ".." in key.split("/"):
        return "holds a '..' part"
    return None


def _surely_fine(keys: list[Any]) -> bool:
    """Tell whether a look at all keys at once finds none to look at closely, which takes ten times as long."""
    try:
        joined = "|" + "|".join(keys)
    except TypeError:
        return False
    return all(keys) and max(map(len, keys)) * 4 <= MAX_KEY_BYTES and _SUSPECT.search(joined) is None


def check_keys(keys: Iterable[object], *, where: str, remedy: str) -> None:
    """Check that each key can be stored and be told from a path that leads elsewhere.

    Raises:
        SourceError: The first five that cannot, each with its reason.
    """
    rest, problems = iter(keys), list[str]()
    while chunk := list(islice(rest, CHUNK)):
        if not _surely_fine(chunk):
            # ascii() shows what a terminal could not print, and does not let control characters through.
            problems += [f"{ascii(key)[:200]}: {problem}" for key in chunk if (problem := key_problem(key)) is not None]
    if problems:
        raise SourceError(f"{where}: keys that cannot be used:\n{first_few(sorted(problems))}\n{remedy}")


def check_class_names(
    class_names: Sequence[str] | None, where: str = "class_names (--class-names)"
) -> list[str] | None:
    """Return the names as a list of their own.

    Args:
        class_names: Names from the option, or from a file.
        where: What says the names, for messages.

    Raises:
        UsageError: They are not a list of different, non-empty texts.
    """
    if class_names is None:
        return None
    if isinstance(class_names, str):
        raise UsageError(f"{where}: expected a list of names, got the text {class_names!r}.")
    names = list(class_names)
    if not names:
        raise UsageError(f"{where}: expected at least one name, got none.")
    for name in names:
        if not isinstance(name, str) or not name:
            raise UsageError(f"{where}: expected non-empty texts, got {name!r}.")
    duplicates = sorted(name for name, count in Counter(names).items() if count > 1)
    if duplicates:
        raise UsageError(f"{where}: each name once, but these appear again:\n{first_few(duplicates)}")
    return [str(name) for name in names]


def class_order(names: Iterable[str]) -> list[str]:
    """Return the names of classes in the order that their indices have where nobody gives another.

    Names that are all whole numbers are sorted as numbers (2 before 10), others as text.
    """
    names = list(names)
    if all(map(_WHOLE_NUMBER.fullmatch, names)):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)
