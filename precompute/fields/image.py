"""The image: pixels."""

from __future__ import annotations

from collections.abc import Iterator
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
