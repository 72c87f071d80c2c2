"""Notes for the user that a summary of the sources may show in its own form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

__all__ = ["SummarizedNote"]


class SummarizedNote(str):
    """A note that the summary of found sources repeats as a whole or in part.

    Attributes:
        left_out: What options left out, such as ``"images without boxes (--drop-empty)"`` → how many.
        is_whole: The summary says all that the note says, so that the note need not be shown again.
    """

    __slots__ = ("is_whole", "left_out")

    left_out: Mapping[str, int]
    is_whole: bool

    def __new__(cls, text: str, *, left_out: Mapping[str, int] | None = None, is_whole: bool = True) -> Self:
        """Return the note."""
        note = super().__new__(cls, text)
        note.left_out, note.is_whole = left_out or {}, is_whole
        return note
