"""Glob patterns of files and folders below a folder, as the simple ones in a `.gitignore`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from precompute.errors import UsageError

__all__ = ["Pattern", "checked_patterns"]

ANY = "**"  # folders in any number, none too


@dataclass(frozen=True, slots=True)
class Pattern:
    """One pattern.

    Attributes:
        text: As it was given.
        parts: Patterns of the names on the way from the top.
        folders_only: Files do not fit.
    """

    text: str
    parts: tuple[str, ...]
    folders_only: bool

    @classmethod
    def of(cls, text: str) -> Pattern:
        """Read a pattern; one without a slash before its end fits at any depth.

        Raises:
            UsageError: It is none.
        """
        path = text.removeprefix("./")
        parts = tuple(part for part in path.removesuffix(f"/{ANY}").split("/") if part)
        if not parts or text.startswith("!"):
            raise UsageError(
                f"exclude (--exclude): expected a pattern such as *.tif, old/, train/rejected/* or **/thumbs/**, got "
                f"{text!r}."
            )
        is_anchored = "/" in path.rstrip("/")
        return cls(text, parts if is_anchored else (ANY, *parts), path.endswith(("/", f"/{ANY}")))

    def fits(self, path: Sequence[str], *, is_folder: bool) -> bool:
        """Tell whether a file or folder is meant, by the names on its way from the top."""
        return (is_folder or not self.folders_only) and _fits(path, self.parts)


def _fits(path: Sequence[str], parts: Sequence[str]) -> bool:
    if not parts:
        return not path
    if parts[0] == ANY:
        if len(parts) == 2:
            return bool(path) and fnmatchcase(path[-1], parts[1])
        return any(_fits(path[i:], parts[1:]) for i in range(len(path) + 1))
    return bool(path) and fnmatchcase(path[0], parts[0]) and _fits(path[1:], parts[1:])


def checked_patterns(given: Any) -> list[str] | None:
    """Return patterns as a list; None without any.

    Args:
        given: One pattern, or several.

    Raises:
        UsageError: They are none.
    """
    several = [given] if isinstance(given, str | os.PathLike) else given
    if several is None:
        return None
    if not isinstance(several, list | tuple | set | frozenset) or not all(
        isinstance(one, str | os.PathLike) for one in several
    ):
        raise UsageError(f"exclude (--exclude): expected a pattern, or a list of them, got {given!r:.80}.")
    return [Pattern.of(os.fspath(one)).text for one in several] or None
