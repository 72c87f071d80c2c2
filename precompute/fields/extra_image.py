"""The field of further images: pixels beside the image, such as its depth, or a clean picture of the same scene."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from precompute.errors import DatasetError
from precompute.fields.feature import Picture, Size
from precompute.fields.field import Deviation
from precompute.fields.layers import Layers
from precompute.fields.picture import PictureField, grey_deviation
from precompute.fields.pixels import decode_class_ids, decode_pixels
from precompute.text.format import format_count, format_shape

__all__ = ["DTYPES", "MOVES", "ExtraImageField"]

PREFIX = "extra_image"
DTYPES = ("uint8", "uint16", "float32")  # each holds all values of those before it
MOVES = ("image", "mask")
MAX_OTHER_VALUES = 0.001  # share of the pixels, at edges, where another processor rounds otherwise
MAX_LEVEL = 255


@dataclass(frozen=True, kw_only=True)
class ExtraImageField(PictureField):
    """Pixels beside the image, [height, width, channels] of the image's height and width.

    Attributes:
        channels: 1, 3 or 4; 0 before a sample was read.
        dtype: ``"uint8"``; or, of one channel, ``"uint16"`` or ``"float32"``. Empty before a sample was read.
        encoding: ``"jpeg"``, ``"png"`` or ``"raw"``; fractions are raw.
        moves_as: ``"image"``: the pipeline changes it as it changes the image; ``"mask"``: it moves as a mask does, and
            keeps its values.
    """

    type: ClassVar[str] = "extra_image"
    is_target: ClassVar[bool] = False  # unless that is asked for
    has_own_file: ClassVar[bool] = True
    channels: int
    dtype: str
    encoding: str
    moves_as: str

    def limits(self) -> Iterator[tuple[str, Any, bool]]:
        """Yield the limits of the attributes, for manifests."""
        yield "channels", self.channels, self.channels in ((1, 3, 4) if self.dtype == "uint8" else (1,))
        yield "dtype", self.dtype, self.dtype in (DTYPES[:1] if self.moves_as == "image" else DTYPES)
        yield "encoding", self.encoding, self.encoding in (("raw",) if self.dtype == "float32" else self._encodings)
        yield "moves_as", self.moves_as, self.moves_as in MOVES

    @property
    def _encodings(self) -> tuple[str, ...]:
        return ("jpeg", "png", "raw") if self.moves_as == "image" else ("png",)

    # The field in a record

    @property
    def _prefix(self) -> str:
        return f"{PREFIX}/{self.name}"

    @property
    def _picture(self) -> Picture:
        return Picture(channels=self.channels, pixels=self.dtype, encoding=self.encoding)

    def _decode(self, content: bytes, encoding: str, size: Size) -> NDArray[Any]:
        if encoding == "raw":
            shape = (*size, self.channels)
            values = np.frombuffer(content, np.dtype(self.dtype).newbyteorder("<")) if self._fits(content) else None
            if values is None or values.size != np.prod(shape):
                expected = f"{self.dtype} {format_shape(shape)}"
                raise DatasetError(f"{self.key}: expected {expected}, got {format_count(len(content), 'byte')}.")
            return values.reshape(shape).astype(self.dtype)
        if self.dtype == "uint16":
            return decode_class_ids(content, encoding, size, self.key)[..., None]
        return decode_pixels(content, encoding, size, self.key)

    def _fits(self, content: bytes) -> bool:
        return len(content) % np.dtype(self.dtype).itemsize == 0

    def difference(self, example: Mapping[str, Any]) -> str | None:
        """Compare type of numbers, channels and encoding; the size is the image's."""
        pixels, encoding = example[self.name], example[self.stored_entries[0]]
        if (pixels.dtype.name, pixels.shape[2]) != (self.dtype, self.channels):
            found = f"{pixels.dtype} {format_shape(pixels.shape)}"
            expected = format_shape((*pixels.shape[:2], self.channels))
            return f"its {self.name} is {found}, expected {self.dtype} {expected}"
        if encoding != self.encoding:
            return f"its {self.name} is stored as {encoding}, expected {self.encoding}"
        return None

    def _moved(self, stored: NDArray[Any], made: NDArray[Any]) -> Deviation | None:
        if self.moves_as == "image":
            return grey_deviation(stored, made, self.encoding, f"pixels of {self.name}")
        moved = float((stored != made).any(axis=-1).mean())
        text = f"its source now gives other values on {moved:.1%} of {self.name}"
        return Deviation(text, is_rounding=moved <= MAX_OTHER_VALUES) if moved else None

    # Descriptions

    def describe(self, pixels: Mapping[str, Any], most_objects: int) -> str:
        """Return type of numbers, channels, encoding, and how it moves."""
        channels = format_count(self.channels, "channel")
        return f"{self.name} (further image, {self.dtype}, {channels}, {self.encoding}, moves as {self._mover})"

    @property
    def _mover(self) -> str:
        return {"image": "an image", "mask": "a mask"}[self.moves_as]

    def draw(self, example: Mapping[str, Any]) -> Layers:
        """Return the picture, to show beside the image; see `draw_source`."""
        pixels: NDArray[Any] = example[self.name]
        return self.draw_source(pixels, (pixels.shape[0], pixels.shape[1]))

    def draw_source(self, value: Any, size: tuple[int, int]) -> Layers:
        """Return the picture; of more than 8 bits, with its lowest value in black and its highest in white."""
        if value.dtype == np.uint8:
            return Layers(beside=value, text=self.name)
        low, high = (float(bound) for bound in (value.min(), value.max()))
        shown = (value - low) * (MAX_LEVEL / (high - low or 1))
        return Layers(beside=shown.astype(np.uint8), text=f"{self.name} {low:g} to {high:g}")
