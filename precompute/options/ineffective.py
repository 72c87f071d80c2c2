"""When an option has no effect: what the tables of such options hold, and the words that say it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Ineffective"]

Situation = TypeVar("Situation")


@dataclass(frozen=True)
class Ineffective(Generic[Situation]):
    """When an option has no effect.

    Attributes:
        when: Tells it, of an option that is not at its default.
        why: Words that follow its name.
        refused: Whoever gives it wants something else to happen.
    """

    when: Callable[[Situation], bool]
    why: str
    refused: bool = False

    def note(self, option: str) -> str:
        """Return the sentence that says so of an option, by the name that its user knows."""
        return f"{option} has no effect: it {self.why}."
