"""All that is wrong with sources, told at once: what, where, and what to do."""

from __future__ import annotations

from collections.abc import Sequence

from precompute.errors import SourceError, first_few

__all__ = ["Problems"]


class Problems:
    """What is found wrong on the way, until it is told.

    Args:
        heading: First line of the message: what cannot be used.
    """

    def __init__(self, heading: str) -> None:
        self._heading = heading
        self._texts: list[str] = []

    def add(self, what: str, lines: Sequence[str], remedy: str) -> None:
        """Add a problem with a line for each place where it is; none without any line."""
        if lines:
            self._texts.append(f"{what} ({len(lines):,}):\n{first_few(lines)}\n{remedy}")

    def add_text(self, text: str) -> None:
        """Add a sentence that stands for itself."""
        self._texts.append(text)

    def __bool__(self) -> bool:
        return bool(self._texts)

    def check(self) -> None:
        """Raise a SourceError that tells all of them, if there are any."""
        if self._texts:
            raise SourceError("\n".join([self._heading, *self._texts]))
