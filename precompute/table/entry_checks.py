"""What an entry of a list of sources may hold; what no build writes is refused."""

from __future__ import annotations

import re
from typing import Any

from precompute.errors import DatasetError
from precompute.options.values import MAX_COPIES
from precompute.table.extras import NAME

__all__ = ["HASHES", "MAX_BYTES", "NAMES", "SURROGATE", "Entry", "check_entry"]

Entry = dict[str, Any]
MAX_BYTES = 2**62
NAMES = ("key", "image", "mask", "group")
HASHES = ("sha256", "mask_sha256")
SURROGATE = re.compile(r"[\ud800-\udfff]")
KINDS: dict[str, type] = {**dict.fromkeys((*NAMES, *HASHES), str), **dict.fromkeys(("copies", "num_bytes"), int)}


def check_entry(entry: Any, where: str) -> None:
    """Refuse what no build writes: each field is used as it stands, some as file names."""
    if not isinstance(entry, dict):
        raise DatasetError(f"{where}: expected an object, got {entry!r:.60}.")
    missing = [name for name in ("key", "image", "num_bytes") if name not in entry]
    if missing:
        raise DatasetError(f"{where}: the field {missing[0]!r} is missing.")
    for name, value in entry.items():
        kind = KINDS.get(name)
        if kind is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise DatasetError(f"{where}: {name}: expected {kind.__name__}, got {value!r:.60}.")
        if kind is str and not _is_name(value):
            raise DatasetError(f"{where}: {name}: {value!r:.60} cannot be a name.")
        if name in HASHES and not _is_hash(value):
            raise DatasetError(f"{where}: {name}: expected 64 hexadecimal digits, got {value!r:.80}.")
    if not _is_label(entry.get("label", 0)):
        raise DatasetError(f"{where}: label: expected a class index or a list of them, got {entry['label']!r:.60}.")
    _check_boxes(entry, where)
    _check_extra(entry.get("extra", {}), where)
    _check_instances(entry, where)
    if not 1 <= entry.get("copies", 1) <= MAX_COPIES:
        raise DatasetError(f"{where}: copies: expected 1 to {MAX_COPIES}, got {entry['copies']!r:.60}.")
    if abs(entry["num_bytes"]) >= MAX_BYTES:
        raise DatasetError(f"{where}: num_bytes: expected the size of files, got {entry['num_bytes']}.")


def _check_boxes(entry: Entry, where: str) -> None:
    rows = entry.get("boxes", [])
    if not (isinstance(rows, list) and all(map(_is_box, rows))):
        raise DatasetError(f"{where}: boxes: expected a list of four sides, class index and flags each.")
    _check_size("boxes_size", entry, where)
    points = entry.get("keypoints")
    if points is not None and not _are_points(points, len(rows)):
        raise DatasetError(f"{where}: keypoints: expected for each box as many numbers, three a point.")


def _check_size(name: str, entry: Entry, where: str) -> None:
    size = entry.get(name, [1, 1])
    if not (isinstance(size, list) and len(size) == 2 and all(_is_index(n) and 0 < n < 2**31 for n in size)):
        raise DatasetError(f"{where}: {name}: expected width and height, got {size!r:.60}.")


def _check_extra(extra: Any, where: str) -> None:
    if not isinstance(extra, dict) or not all(map(_is_extra, extra, extra.values())):
        raise DatasetError(f"{where}: extra: expected numbers and texts by their names, got {extra!r:.60}.")


def _is_extra(name: str, value: Any) -> bool:
    if isinstance(value, bool) or not NAME.fullmatch(name):
        return False
    if isinstance(value, str):
        return not SURROGATE.search(value)
    return isinstance(value, float) or (isinstance(value, int) and -(2**63) <= value < 2**63)


def _check_instances(entry: Entry, where: str) -> None:
    rows = entry.get("instances", [])
    if not (isinstance(rows, list) and all(map(_is_instance, rows))):
        raise DatasetError(f"{where}: instances: expected a list of shape, class index and flags each.")
    _check_size("instances_size", entry, where)


def _is_instance(row: Any) -> bool:
    if not isinstance(row, list) or len(row) != 3 or not isinstance(row[0], str) or not _is_name(row[0]):
        return False
    return all(map(_is_index, row[1:])) and 0 <= row[1] < 2**31 and 0 <= row[2] < 256


def _is_box(row: Any) -> bool:
    if not isinstance(row, list) or len(row) != 6:
        return False
    sides = all(isinstance(side, int | float) and not isinstance(side, bool) and abs(side) < 2**31 for side in row[:4])
    return sides and _is_index(row[4]) and _is_index(row[5]) and 0 <= row[4] < 2**31 and 0 <= row[5] < 256


def _are_points(points: Any, num_boxes: int) -> bool:
    if not isinstance(points, list) or len(points) != num_boxes or not all(isinstance(row, list) for row in points):
        return False
    lengths = {len(row) for row in points}
    numbers = (number for row in points for number in row)
    return (
        len(lengths) <= 1
        and all(length and length % 3 == 0 for length in lengths)
        and all(isinstance(n, int | float) and not isinstance(n, bool) and abs(n) < 2**31 for n in numbers)
        and all(visibility in (0, 1, 2) for row in points for visibility in row[2::3])
    )


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_label(value: Any) -> bool:
    return all(map(_is_index, value if isinstance(value, list) else [value]))


def _is_name(value: str) -> bool:
    try:
        return bool(value) and b"\0" not in value.encode()
    except UnicodeEncodeError:  # half of a pair of surrogates
        return False


def _is_hash(value: str) -> bool:
    return len(value) == 64 and not set(value) - set("0123456789abcdef")
