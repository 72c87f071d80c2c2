"""Numbers, labels and names as people read them."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["format_bytes", "format_count", "format_duration", "format_label", "format_shape", "is_unicode"]


def format_bytes(number: int) -> str:
    """Return a size for people: ``"3.1 MB"``, powers of 1000."""
    if number < 1000:
        return f"{number} bytes"
    power = min(3, (len(str(number)) - 1) // 3)
    size = number / 1000**power
    return f"{size:,.{0 if size >= 100 else 1}f} {('kB', 'MB', 'GB')[power - 1]}"


def format_count(number: int, singular: str, plural: str | None = None) -> str:
    """Return a number with its noun: ``"1 row"``, ``"1,200 rows"``, ``"2 boxes"``.

    Args:
        number: The number.
        singular: The noun, with the verb that follows it where there is one: ``"row"``, ``"image has"``.
        plural: The same of several, where it is not the noun with ``s`` or ``es``: ``"images have"``.
    """
    return f"{number:,} {singular if number == 1 else plural or _plural(singular)}"


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun.removesuffix("y") + "ies"
    hissing = noun.endswith(("s", "x", "z", "ch", "sh")) and not noun.endswith("epoch")
    return noun + ("es" if hissing else "s")


def format_duration(seconds: float) -> str:
    """Return a time for people: ``"0.4 s"``, ``"12 min"``, ``"3.1 hours"``."""
    for unit, size, until in (("s", 1, 90), ("min", 60, 90)):
        if seconds < until * size:
            number = seconds / size
            return f"{number:.{0 if number >= 10 else 1}f} {unit}"
    hours = seconds / 3600
    return f"{hours:,.{0 if hours >= 100 else 1}f} hours"


def format_label(label: int | tuple[int, ...], class_names: Sequence[str]) -> str:
    """Return the names of the class or the classes of an image: ``"cat, dog"``; ``"no label"`` without any."""
    indices = (label,) if isinstance(label, int) else label
    return ", ".join(class_names[index] for index in indices) or "no label"


def format_shape(shape: Sequence[int]) -> str:
    """Return a shape as people read it: ``"480×640×3"``."""
    return "×".join(map(str, shape))


def is_unicode(text: str) -> bool:
    """Return whether a text can be written as UTF-8; names on a disk may be other bytes, which no text can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a pair of surrogates
        return False
    return True
