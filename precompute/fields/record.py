"""What each record holds besides its fields: its source, its draw, and the size of its pictures."""

from __future__ import annotations

from typing import Any

from precompute.errors import DatasetError
from precompute.fields.feature import Feature, Number, Size, Text, Value, Values
from precompute.text.format import format_shape

__all__ = ["MAX_PIXELS", "RECORD_FEATURES", "decode_origin", "decode_size", "origin_values"]

RECORD_FEATURES: dict[str, Feature] = {
    **dict.fromkeys(("augment/key", "image/filename", "image/source_id"), Text()),
    **dict.fromkeys(("augment/seed", "augment/variant", "augment/copy"), Number(dtype="int64")),
    **dict.fromkeys(("image/height", "image/width"), Number(dtype="int64")),
}
MAX_PIXELS = 2**28  # of an image
MAX_DIGITS = 20


def origin_values(
    *, key: str, filename: str, source_id: int, seed: int, variant: int, copy: int, size: Size
) -> dict[str, Value]:
    """Return the content of a record about its source, its draw and its size."""
    return {
        "augment/copy": copy,
        "augment/key": key.encode(),
        "augment/seed": seed,
        "augment/variant": variant,
        "image/filename": filename.encode(),
        "image/height": size[0],
        "image/source_id": str(source_id).encode(),
        "image/width": size[1],
    }


def decode_size(values: Values) -> Size:
    """Return height and width of a record's image.

    Raises:
        DatasetError: They are missing, or no image has such a size.
    """
    height, width = (_read(values, key) for key in ("image/height", "image/width"))
    if min(height, width) < 1 or height * width > MAX_PIXELS:
        raise DatasetError(f"image/height and image/width: {format_shape((height, width))} is no size of an image.")
    return height, width


def decode_origin(values: Values) -> dict[str, Any]:
    """Return `key` and `filename` (str), `seed`, `variant` (−1 in the original row), `copy` and `source_id` (int).

    Raises:
        DatasetError: One of them is missing, or of another type.
    """
    return {
        "key": _read(values, "augment/key"),
        "seed": _read(values, "augment/seed"),
        "variant": _read(values, "augment/variant"),
        "copy": _read(values, "augment/copy"),
        "filename": _read(values, "image/filename"),
        "source_id": _number(_read(values, "image/source_id"), "image/source_id"),
    }


def _read(values: Values, key: str) -> Any:
    return RECORD_FEATURES[key].read(values, key)


def _number(text: str, key: str) -> int:
    if not text.isdecimal() or len(text) > MAX_DIGITS:
        raise DatasetError(f"{key}: expected a decimal number, got {text!r:.60}.")
    return int(text)
