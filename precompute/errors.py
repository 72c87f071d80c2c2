"""Everything that precompute raises on purpose.

PrecomputeError            a user can act on it; the command line prints it without a traceback
├── UsageError             an option or argument does not make sense (exit 2)
├── SourceError            the sources as a whole cannot be used: unmatched, ambiguous, empty (exit 1)
├── RejectedSource         one source cannot be used; collected into BadSourcesError
│   └── UnknownIds         the pipeline made class ids that its mask does not hold (in record.mask_ids)
├── BadSourcesError        single sources failed; all of them are listed (exit 3)
├── PipelineError          the pipeline cannot be used offline, or is not valid (exit 1)
├── SettingsError          an existing dataset was made with other settings or sources (exit 1)
├── DatasetError           a dataset on disk is missing, short, altered or of another format (exit 1)
├── StorageError           an object store cannot be reached, refuses, or fails (exit 1)
├── VerificationError      `verify` found shards that are not what the manifest says (exit 4)
└── BuildError             the job could not be carried out: workers died (exit 1)
    └── FolderInUseError   another process is writing there (in run.folder)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import Any

__all__ = [
    "BadSourcesError",
    "BuildError",
    "DatasetError",
    "PipelineError",
    "PrecomputeError",
    "RejectedSource",
    "SettingsError",
    "SourceError",
    "StorageError",
    "UsageError",
    "VerificationError",
    "accessible",
    "first_few",
    "on_one_line",
]

# Control characters, other ends of lines, marks that turn the direction of what follows, and halves of surrogate pairs.
# Source: https://www.unicode.org/reports/tr9, "Directional Formatting Characters"
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class PrecomputeError(Exception):
    """Base of all errors that a user can act on."""

    exit_code = 1


class UsageError(PrecomputeError, ValueError):
    """An option or argument is not one that the call accepts."""

    exit_code = 2


class SourceError(PrecomputeError):
    """The sources as a whole cannot be used; nothing has been written."""


class RejectedSource(PrecomputeError):  # noqa: N818 (it is a verdict on data, collected rather than shown)
    """One source cannot be used: the message says what is wrong with which file and what to do."""

    exit_code = 3


class BadSourcesError(PrecomputeError):
    """Single sources failed; the others are written and kept for the next build."""

    exit_code = 3


class PipelineError(PrecomputeError):
    """A pipeline is not valid, or its results could not be made again."""


class SettingsError(PrecomputeError):
    """An existing dataset was made with other settings or sources."""


class DatasetError(PrecomputeError):
    """A dataset on disk is missing, incomplete, altered or of another format."""


class StorageError(PrecomputeError):
    """An object store cannot be reached, refuses, or fails: nobody knows whether the object is there."""


class VerificationError(PrecomputeError):
    """Verification found shards that are not what the manifest says."""

    exit_code = 4


class BuildError(PrecomputeError):
    """The job could not be carried out."""


def first_few(items: Sequence[Any], limit: int = 5, tell: Callable[[Any], str] = str) -> str:
    """Return the first items, one indented line each, and the number of those left out.

    Args:
        items: Items to list.
        limit: Number of items that are listed at most.
        tell: Item → its line; called for listed items only.
    """
    lines = [f"  {on_one_line(tell(item))}" for item in items[:limit]]
    if len(items) > limit:
        lines.append(f"  … and {len(items) - limit} more ({len(items)} in total)")
    return "\n".join(lines)


@contextmanager
def accessible(path: str | PathLike[str], error: type[PrecomputeError], to_be: str = "read") -> Iterator[None]:
    """Turn the operating system's errors about a file or a folder into an error that names it.

    Args:
        path: File or folder that is used; an error that names another file keeps that name.
        error: Class of the error that is raised.
        to_be: What happens to it: ``"read"``, or ``"written"``.

    Raises:
        PrecomputeError: Of the class `error`: there is no right to it, its name is too long, the disk fails.
    """
    try:
        yield
    except OSError as reason:
        name = reason.filename if isinstance(reason.filename, str) else path
        denied, place = isinstance(reason, PermissionError), " or choose another place" if to_be == "written" else ""
        remedy = f" Give yourself the right to it{',' * bool(place)}{place}." if denied else ""
        raise error(f"{name}: cannot be {to_be}: {reason.strerror or reason}.{remedy}") from reason


def on_one_line(text: str) -> str:
    """Return a text, such as a file's name, on one line with escapes: ``"a\\nb"``, ``"caf\\xe9"``.

    Ends of lines and other control characters, and bytes that are no UTF-8, are written as escapes.
    """
    return _UNPRINTABLE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if "\udc80" <= character <= "\udcff":  # a byte of a name, as Python takes it from the system
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
