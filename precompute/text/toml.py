"""TOML: read from files, and written one value at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from precompute.errors import UsageError
from precompute.text.files import read_text

__all__ = ["format_toml", "read_toml"]


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file.

    Raises:
        UsageError: There is no such file, or it is not TOML.
    """
    import tomllib  # here, so that --help is quick

    text = read_text(path, UsageError)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} cannot be read as TOML: {error}.") from error


def format_toml(value: Any) -> str:
    """Return a value on one line: a text, a number, a switch, a list of them, or a table with names or numbers as keys.

    Source: TOML v1.0.0, whose basic strings are those of JSON, except that DEL must be escaped.
    """
    if isinstance(value, Mapping):
        pairs = (f"{_key(str(key))} = {format_toml(one)}" for key, one in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(format_toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return _string(value) if isinstance(value, str) else repr(value)


def _key(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else _string(text)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
