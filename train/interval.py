"""How often a run writes a checkpoint: after so many batches, or so many seconds."""

from __future__ import annotations

import re
from dataclasses import dataclass

from precompute.errors import UsageError

__all__ = ["Interval"]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """The interval between checkpoints within an epoch; with neither value, there are only those at its end.

    Attributes:
        batches: Number of training batches.
        seconds: Number of seconds by the clock.
    """

    batches: int | None = None
    seconds: int | None = None

    @classmethod
    def parse(cls, text: str) -> Interval:
        """Return the interval of ``"60s"`` (seconds), ``"200"`` (batches) or ``"0"`` (neither).

        Raises:
            UsageError: The text has another form.
        """
        if not re.fullmatch(r"[0-9]+s?", text) or text == "0s":
            raise UsageError(
                f"--checkpoint-every: expected seconds such as 60s, batches such as 200, or 0, got {text!r}."
            )
        if text.endswith("s"):
            return cls(seconds=int(text[:-1]))
        return cls(batches=int(text) or None)

    def is_over(self, *, batches: int, seconds: float) -> bool:
        """Return whether a checkpoint is due, given what has passed since the last one."""
        if self.batches is not None:
            return batches >= self.batches
        return self.seconds is not None and seconds >= self.seconds
