"""Fields that are one encoded picture per record: what images and masks have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.fields.feature import Feature, Picture, Size, Text, Value, Values
from precompute.fields.field import Deviation, Field
from precompute.fields.pixels import GREY_LEVELS, JPEG_GREY_LEVELS
from precompute.text.format import format_count

__all__ = ["PictureField", "grey_deviation"]


def grey_deviation(stored: NDArray[Any], made: NDArray[Any], encoding: str, name: str = "pixels") -> Deviation | None:
    """Return how pixels of one shape, uint8, differ by more than 0 grey levels; None where they do not.

    Args:
        stored: Pixels of the stored picture.
        made: Pixels of the picture that was made again.
        encoding: Encoding of both.
        name: What the text calls them.
    """
    levels = np.abs(stored.astype(int) - made)
    near = levels.mean() <= JPEG_GREY_LEVELS if encoding == "jpeg" else levels.max() <= GREY_LEVELS
    text = f"its source now gives other {name}, by up to {format_count(int(levels.max()), 'grey level')}"
    return Deviation(text, is_rounding=bool(near)) if levels.any() else None


class PictureField(Field):
    """One encoded picture per record; examples have its pixels under the field's name."""

    encoding: str  # an attribute of each class below, whose order is that of manifests

    @property
    @abstractmethod
    def _prefix(self) -> str:
        """The beginning of the field's two keys."""

    @property
    @abstractmethod
    def _picture(self) -> Picture:
        """The feature of the encoded picture."""

    @abstractmethod
    def _decode(self, content: bytes, encoding: str, size: Size) -> NDArray[Any]:
        """Return the pixels of an encoded picture."""

    @abstractmethod
    def _moved(self, stored: NDArray[Any], made: NDArray[Any]) -> Deviation | None:
        """Return how pixels of one shape differ, or None."""

    @property
    def key(self) -> str:
        """The key of the encoded picture."""
        return f"{self._prefix}/encoded"

    @cached_property
    def features(self) -> Mapping[str, Feature]:
        """The picture and its encoding."""
        return {self.key: self._picture, f"{self._prefix}/format": Text()}

    @property
    def stored_entries(self) -> tuple[str, str]:
        """Names of the encoding and of the encoded bytes."""
        return f"{self.name}_format", f"{self.name}_encoded"

    def record_values(self, value: bytes, size: Size) -> dict[str, Value]:
        """Return the content of a record for an encoded picture."""
        return {self.key: value, f"{self._prefix}/format": self.encoding.encode()}

    def decode(self, values: Values, size: Size) -> dict[str, Any]:
        """Return the pixels as they are stored; and encoding and bytes under the names of `stored_entries`."""
        (key, picture), (format_key, text) = self.features.items()
        content, encoding = picture.read(values, key), text.read(values, format_key)
        format_entry, encoded_entry = self.stored_entries
        return {self.name: self._decode(content, encoding, size), format_entry: encoding, encoded_entry: content}

    def deviation(self, stored: Mapping[str, Any], made: Mapping[str, Any]) -> Deviation | None:
        """Compare decoded pixels: other bytes may hold the same."""
        entry = self.stored_entries[0]
        if stored[entry] != made[entry]:
            return Deviation(f"{entry} is {stored[entry]!r}, its source now gives {made[entry]!r}")
        if stored[self.name].shape != made[self.name].shape:
            return Deviation("its source now gives another size")
        return self._moved(stored[self.name], made[self.name])
