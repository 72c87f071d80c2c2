"""Features: what a record holds under each of its keys, and how that is read, whoever wrote the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from precompute.errors import DatasetError
from precompute.text.format import format_shape

__all__ = [
    "MAX_PIXELS",
    "RECORD_FEATURES",
    "Box",
    "ClassIndex",
    "Feature",
    "Number",
    "Picture",
    "Size",
    "Text",
    "Value",
    "Values",
    "are_same",
    "decode_origin",
    "decode_size",
    "origin_values",
]

Size: TypeAlias = tuple[int, int]  # height and width of a record's image, pixels
Value: TypeAlias = bytes | int | float | Sequence[bytes] | Sequence[int] | Sequence[float] | np.ndarray[Any, Any]
Values: TypeAlias = Mapping[str, Sequence[Any]]  # what a record holds by key: bytes, int or float, always as a list

TYPES = {"int64": int, "float32": float, "bytes": bytes}


def are_same(a: Any, b: Any) -> bool:
    """Return whether two values are equal; NaN equals NaN."""
    return bool(a == b or (a != a and b != b))


@dataclass(frozen=True, kw_only=True)
class Feature:
    """The kind of values that a record holds under a key.

    Attributes:
        dtype: ``"int64"``, ``"float32"`` or ``"bytes"``.
        several: Whether there are any number of values, maybe none; else there is one.
    """

    dtype: str
    several: bool = False

    def read(self, values: Values, key: str) -> Any:
        """Return the value that a record holds under a key, or the list of values, as Python's own.

        Raises:
            DatasetError: Values are of another type, or not one where one is expected.
        """
        found, expected = values.get(key), TYPES[self.dtype]
        if found is not None and self.several and all(isinstance(value, expected) for value in found):
            return list(found)
        if found is not None and not self.several and len(found) == 1 and isinstance(found[0], expected):
            return found[0]
        raise DatasetError(f"{key}: expected {self._described()}, got {found!r:.60}.")

    def _described(self) -> str:
        return f"{'a list' if self.several else 'one value'} of type {TYPES[self.dtype].__name__}"


@dataclass(frozen=True, kw_only=True)
class Number(Feature):
    """A number, int64 or float32."""


@dataclass(frozen=True, kw_only=True)
class Text(Feature):
    """A text in UTF-8."""

    dtype: str = "bytes"

    def read(self, values: Values, key: str) -> Any:
        """Return a str, or a list of them."""
        found = super().read(values, key)
        return [_decoded(text, key) for text in found] if self.several else _decoded(found, key)


@dataclass(frozen=True, kw_only=True)
class ClassIndex(Feature):
    """The index of a class.

    Attributes:
        num_classes: Number of classes.
        class_names: Name of each class.
    """

    dtype: str = "int64"
    num_classes: int
    class_names: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Picture(Feature):
    """An encoded picture of the height and width of the record's image.

    Attributes:
        channels: Number of values per pixel.
        pixels: Type of these values: ``"uint8"`` or ``"uint16"``.
        encoding: ``"jpeg"``, ``"png"``, or ``"raw"``: the bytes of the array, little-endian.
    """

    dtype: str = "bytes"
    channels: int
    pixels: str
    encoding: str

    def _described(self) -> str:
        return f"a list of {self.encoding.upper()}s" if self.several else super()._described()


@dataclass(frozen=True, kw_only=True)
class Box(Feature):
    """Boxes, four values each: y_min, x_min, y_max, x_max as shares of height and width."""

    dtype: str = "float32"
    several: bool = True


def _decoded(text: bytes, key: str) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise DatasetError(f"{key}: expected text in UTF-8, got {text!r:.60}.") from error


# What each record holds besides its fields: its source, its draw, and the size of its pictures


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
