"""Features: what a record holds under each of its keys, and how that is read, whoever wrote the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from precompute.errors import DatasetError

__all__ = ["Box", "ClassIndex", "Feature", "Number", "Picture", "Size", "Text", "Value", "Values", "are_same"]

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
