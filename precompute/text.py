"""Numbers as people read them."""

from __future__ import annotations

__all__ = ["format_bytes", "format_count"]


def format_bytes(number: int) -> str:
    """Return a size for people: ``"3.1 MB"``, powers of 1000."""
    if number < 1000:
        return f"{number} bytes"
    power = min(3, (len(str(number)) - 1) // 3)
    size = number / 1000**power
    return f"{size:,.{0 if size >= 100 else 1}f} {('kB', 'MB', 'GB')[power - 1]}"


def format_count(number: int, word: str) -> str:
    """Return a number with its noun: ``"1 row"``, ``"1,200 rows"``."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"
