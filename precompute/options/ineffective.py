"""Options without effect: the entries of the tables that list them, and the notes about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Ineffective"]

Situation = TypeVar("Situation")


@dataclass(frozen=True)
class Ineffective(Generic[Situation]):
    """A case in which an option has no effect.

    Attributes:
        when: Returns whether this is the case; asked for options that are not at their defaults.
        why: Words that follow the option's name in the note.
        refused: Whether the option is an error in this case, since the user expects something else from it.
    """

    when: Callable[[Situation], bool]
    why: str
    refused: bool = False

    def note(self, option: str) -> str:
        """Return the note about an option; `name` is the one that the user knows."""
        return f"{option} has no effect: it {self.why}."
