"""Writing files whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from precompute.errors import PrecomputeError

__all__ = [
    "TEMPORARY",
    "cannot_write",
    "encode_text",
    "of_part",
    "remove_unfinished",
    "unfinished",
    "write_bytes",
    "write_file",
    "write_json",
    "write_table",
]

TEMPORARY = ".unfinished-"  # prefix, so that the suffix still tells Keras the format
MAX_NAME = 255  # bytes that file systems take
NO_SPACE = [getattr(errno, name) for name in ("ENOSPC", "EDQUOT") if hasattr(errno, name)]


def of_part(path: Path, name: str) -> Path:
    """Return the path of a file about one of several targets, such as ``scores-mask.png``; without a name, the path."""
    return path.with_stem(f"{path.stem}-{name}") if name else path


def write_file(path: Path, save: Callable[[Path], object]) -> None:
    """Let `save` write a file under a temporary name, then give it its final one.

    A half-written file is always deleted, for on a full disk nothing else could be written before.

    Raises:
        PrecomputeError: The file cannot be written.
    """
    temporary = unfinished(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # else a crash may leave the final name on an empty file
        temporary.replace(path)
    except BaseException as error:
        remove_unfinished(path)
        if is_of_the_disk(error):
            raise cannot_write(path, error) from error
        raise


def unfinished(path: Path) -> Path:
    """Return the temporary name of a file or folder: its own with a mark, or a hash of a long name."""
    name = TEMPORARY + path.name
    if len(os.fsencode(name)) > MAX_NAME:
        name = f"{TEMPORARY}{hashlib.sha256(os.fsencode(path.name)).hexdigest()}{path.suffix}"
    return path.with_name(name)


def remove_unfinished(*paths: Path) -> None:
    """Delete half-written files and folders, if there are any."""
    for path in map(unfinished, paths):
        with contextlib.suppress(OSError):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def is_of_the_disk(error: BaseException | None) -> bool:
    """Return whether an error, or an error that caused it, is the operating system's: libraries wrap such errors."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        if isinstance(error, OSError):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def cannot_write(path: Path, error: BaseException) -> PrecomputeError:
    """Return the error for a file or folder that could not be written."""
    full = any(os.strerror(number) in str(error) for number in NO_SPACE)
    then = " Make space, then run the same command again: what was finished before is kept." if full else ""
    message = (
        re.sub(r"\{\{\w+ [^}]*\}\} ", "", str(error)).partition("\n")[0].rstrip(".")
    )  # where in its graph TensorFlow was
    return PrecomputeError(f"{path}: cannot be written: {message}.{then}")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a small file."""
    write_file(path, lambda temporary: temporary.write_bytes(content))


def encode_text(text: str) -> bytes:
    """Return a text as UTF-8; file names that are no valid text get escapes, from which JSON restores them."""
    return text.encode("utf-8", "backslashreplace")


def write_json(path: Path, value: Any) -> None:
    """Write JSON that people can read, with lists of numbers on one line."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    text = re.sub(r"\[\n[\s\d.,e+-]+\]", lambda numbers: re.sub(r"\s+", " ", numbers[0]), text)
    write_bytes(path, encode_text(text + "\n"))


def write_table(path: Path, entries: Sequence[Mapping[str, Any]]) -> None:
    """Write a CSV file, one line per entry; an empty cell where an entry lacks what others have."""
    text = io.StringIO()
    names = list(dict.fromkeys(name for entry in entries for name in entry))
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(entries)
    write_bytes(path, text.getvalue().encode())
