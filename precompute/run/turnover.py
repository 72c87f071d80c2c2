"""Which rows are written and which go, when rows are replaced beside readers: numbers alone, the original row apart."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

__all__ = ["Step", "free_rows", "make_step", "settle"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is to be done next.

    Attributes:
        num_new: Rows to write.
        gone: Listed rows that are taken away, no more of them than there are new ones unless too many are listed.
    """

    num_new: int = 0
    gone: tuple[int, ...] = ()


def free_rows(listed: Collection[int], held: Collection[int], unseen: Collection[int]) -> list[int]:
    """Return the rows that can go, oldest first: no reader holds them, and readers have had a look at them."""
    return sorted(set(listed) - set(held) - set(unseen))


def make_step(listed: Sequence[int], free: Sequence[int], *, keep: int, rows_a_pass: int, is_read: bool) -> Step:
    """Return what to do next.

    Args:
        listed: Numbers of the listed rows.
        free: Those of them that can go, oldest first.
        keep: How many shall be listed.
        rows_a_pass: How few are not worth a pass, unless they are all.
        is_read: Whether there is any reader; without one no row is replaced.
    """
    if len(listed) < keep:
        return Step(num_new=keep - len(listed))
    if len(listed) > keep:
        return Step(gone=tuple(free[: len(listed) - keep]))
    if is_read and free and len(free) >= min(rows_a_pass, len(listed)):
        return Step(num_new=len(free), gone=tuple(free))
    return Step()


def settle(listed: Sequence[int], free: Sequence[int], num_new: int, *, keep: int) -> tuple[int, set[int]]:
    """Return how many of the new rows are listed, and which rows go, now that they are written: readers went on.

    Where readers have come to hold what was free, fewer new rows are listed, so that there are never more than `keep`.
    """
    room = max(0, keep - len(listed))
    gone = free[: max(0, num_new - room)]
    return min(num_new, room + len(gone)), set(gone)
