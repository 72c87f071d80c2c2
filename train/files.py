"""Files written whole or not at all."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from precompute.errors import PrecomputeError

__all__ = ["TEMPORARY", "write_bytes", "write_file", "write_json"]

TEMPORARY = ".unfinished-"  # prefix, so that the suffix still tells Keras the format


def write_file(path: Path, save: Callable[[Path], object]) -> None:
    """Let `save` write a file under a temporary name, then give it its final one.

    Raises:
        PrecomputeError: It cannot be written.
    """
    temporary = path.with_name(TEMPORARY + path.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # else a crash may leave the final name on an empty file
        temporary.replace(path)
    except OSError as error:
        raise PrecomputeError(f"{path}: cannot be written: {error}.") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a small file."""
    write_file(path, lambda temporary: temporary.write_bytes(content))


def write_json(path: Path, value: Any) -> None:
    """Write JSON for people to look into: a list of numbers on one line."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    text = re.sub(r"\[\n[\s\d.,e+-]+\]", lambda numbers: re.sub(r"\s+", " ", numbers[0]), text)
    write_bytes(path, (text + "\n").encode())
