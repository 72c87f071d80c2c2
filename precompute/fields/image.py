"""The image: pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from precompute.fields.field import MAX_PIXELS, Field

__all__ = ["ImageField"]


@dataclass(frozen=True, kw_only=True)
class ImageField(Field):
    """Pixels, uint8 [height, width, channels]: grey, RGB or RGBA.

    Attributes:
        height: Pixels.
        width: Pixels.
        channels: 1, 3 or 4.
        encoding: ``"jpeg"``, ``"png"`` or ``"raw"``.
    """

    type: ClassVar[str] = "image"
    name: str = "image"
    height: int
    width: int
    channels: int
    encoding: str

    @property
    def is_target(self) -> bool:
        """Images are inputs."""
        return False

    def limits(self) -> Iterator[tuple[str, Any, bool]]:
        """Yield what manifests may say of it."""
        size = (self.height, self.width)
        yield "size", size, min(size) > 0 and self.height * self.width <= MAX_PIXELS
        yield "channels", self.channels, self.channels in (1, 3, 4)
        yield "encoding", self.encoding, self.encoding in ("jpeg", "png", "raw")

    # What is told of it

    remarks: ClassVar[Mapping[str, tuple[str, str]]] = {
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
