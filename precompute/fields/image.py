"""The field of the image: pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from precompute.fields.feature import MAX_PIXELS, Picture, Size
from precompute.fields.field import Deviation
from precompute.fields.layers import Layers
from precompute.fields.picture import PictureField, grey_deviation
from precompute.fields.pixels import decode_pixels
from precompute.text.format import format_shape

__all__ = ["ImageField"]

IMAGE = "image"  # the one that every record has, under the keys of TensorFlow's own readers


@dataclass(frozen=True, kw_only=True)
class ImageField(PictureField):
    """Pixels, uint8 [height, width, channels]: grey, RGB or RGBA.

    Attributes:
        height: Height in pixels.
        width: Width in pixels.
        channels: 1, 3 or 4.
        encoding: ``"jpeg"``, ``"png"`` or ``"raw"``.
    """

    type: ClassVar[str] = "image"
    is_target: ClassVar[bool] = False
    name: str = IMAGE
    height: int
    width: int
    channels: int
    encoding: str

    def limits(self) -> Iterator[tuple[str, Any, bool]]:
        """Yield the limits of the attributes, for manifests."""
        size = (self.height, self.width)
        yield "size", size, min(size) > 0 and self.height * self.width <= MAX_PIXELS
        yield "channels", self.channels, self.channels in (1, 3, 4)
        yield "encoding", self.encoding, self.encoding in ("jpeg", "png", "raw")

    # The field in a record

    @property
    def stored_entries(self) -> tuple[str, str]:
        """Names of the entries; they are short."""
        return "format", "encoded"

    def difference(self, example: Mapping[str, Any]) -> str | None:
        """Compare size, channels and encoding."""
        shape, expected = example[self.name].shape, (self.height, self.width, self.channels)
        if shape != expected:
            return f"its {self.name} is {format_shape(shape)}, expected {format_shape(expected)}"
        encoding = example[self.stored_entries[0]]
        if encoding != self.encoding:
            return f"its {self.name} is stored as {encoding}, expected {self.encoding}"
        return None

    @property
    def _prefix(self) -> str:
        return IMAGE

    @property
    def _picture(self) -> Picture:
        return Picture(channels=self.channels, pixels="uint8", encoding=self.encoding)

    def _decode(self, content: bytes, encoding: str, size: Size) -> NDArray[Any]:
        return decode_pixels(content, encoding, size, self.key)

    def _moved(self, stored: NDArray[Any], made: NDArray[Any]) -> Deviation | None:
        return grey_deviation(stored, made, self.encoding)

    # Descriptions

    counters: ClassVar[Mapping[str, tuple[str, str]]] = {
        "opaque_alpha": (
            "alpha channel that is 255 everywhere was taken off, of",
            "alpha channels that are 255 everywhere were taken off, of",
        ),
        "turned": (
            "image carries an EXIF orientation and was turned upright by it; if it was annotated as it is stored, "
            "boxes and masks lie beside their objects, which `precompute preview` shows:",
            "images carry an EXIF orientation and were turned upright by it; if they were annotated as they are "
            "stored, boxes and masks lie beside their objects, which `precompute preview` shows:",
        ),
    }

    def describe(self, pixels: Mapping[str, Any], most_objects: int) -> str:
        """Return size, colours and encoding."""
        colors = {1: "grayscale", 3: "3 channels"}.get(self.channels, "RGBA")
        encoding = f"{self.encoding} of quality {pixels['quality']}" if self.encoding == "jpeg" else self.encoding
        return f"{self.height}×{self.width} (height × width), {colors}, {encoding}"

    def draw(self, example: Mapping[str, Any]) -> Layers:
        """Return nothing: the image is the picture itself."""
        return Layers()
