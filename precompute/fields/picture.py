"""Fields that are one encoded picture per record: what images and masks have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from precompute.fields.feature import Feature, Picture, Size, Text, Value, Values
from precompute.fields.field import Deviation, Field

__all__ = ["PictureField"]


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
