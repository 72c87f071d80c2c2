"""Numbers, labels and names as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = [
    "align_columns",
    "format_bytes",
    "format_count",
    "format_counts",
    "format_duration",
    "format_few",
    "format_label",
    "format_name",
    "format_shape",
    "is_unicode",
]

SHOWN = 8


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
        plural: The plural of these words, where it is not made with ``s`` or ``es``: ``"images have"``.
    """
    return f"{number:,} {singular if number == 1 else plural or _plural(singular)}"


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun.removesuffix("y") + "ies"
    hissing = noun.endswith(("s", "x", "z", "ch", "sh")) and not noun.endswith("epoch")
    return noun + ("es" if hissing else "s")


def format_counts(counts: Mapping[str, int]) -> str:
    """Return things with the number of each: ``"images without boxes: 3; sources: 1,200"``."""
    return "; ".join(f"{what}: {number:,}" for what, number in counts.items())


def format_duration(seconds: float) -> str:
    """Return a time for people: ``"0.4 s"``, ``"12 min"``, ``"3.1 hours"``."""
    for unit, size, until in (("s", 1, 90), ("min", 60, 90)):
        if seconds < until * size:
            number = seconds / size
            return f"{number:.{0 if number >= 10 else 1}f} {unit}"
    hours = seconds / 3600
    return f"{hours:,.{0 if hours >= 100 else 1}f} hours"


def format_label(label: int | tuple[int, ...], class_names: Sequence[str]) -> str:
    """Return the names of the classes of an image: ``"cat, dog"``; ``"no label"`` without any."""
    indices = (label,) if isinstance(label, int) else label
    return ", ".join(class_names[index] for index in indices) or "no label"


def format_few(items: Sequence[str], shown: int = SHOWN) -> str:
    """Return the first items, and how many others there are: ``"cat 4, dog 3 … and 5 others"``."""
    rest = len(items) - shown
    return ", ".join(items[:shown]) + (f" … and {format_count(rest, 'other')}" if rest > 0 else "")


def format_name(name: str) -> str:
    """Return the name of a class as it is, in quotation marks where it begins or ends with a space."""
    return name if name == name.strip() else repr(name)


def format_shape(shape: Sequence[int]) -> str:
    """Return a shape as people read it: ``"480×640×3"``."""
    return "×".join(map(str, shape))


def align_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table as lines: the first column at the left, the others, which are numbers, at the right."""
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    lines = []
    for name, *cells in rows:
        numbers = (cell.rjust(width) for cell, width in zip(cells, others, strict=True))
        lines.append("  ".join([name.ljust(first), *numbers]).rstrip())
    return lines


def is_unicode(text: str) -> bool:
    """Return whether a text can be written as UTF-8; names of files may hold other bytes, as surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a pair of surrogates
        return False
    return True
