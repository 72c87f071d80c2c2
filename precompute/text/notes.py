"""Notes for the user that know what a summary of the sources tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

__all__ = ["SummarizedNote"]


class SummarizedNote(str):
    """A note whose content the summary of what was found shows as well, or a part of it.

    Attributes:
        left_out: What options have left out, such as ``"images without boxes (--drop-empty)"`` → how many.
        is_whole: The summary says all that the note says, which need not be said again.
    """

    __slots__ = ("is_whole", "left_out")

    left_out: Mapping[str, int]
    is_whole: bool

    def __new__(cls, text: str, *, left_out: Mapping[str, int] | None = None, is_whole: bool = True) -> Self:
        """Return the note."""
        note = super().__new__(cls, text)
        note.left_out, note.is_whole = left_out or {}, is_whole
        return note
