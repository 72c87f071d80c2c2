"""The image: pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from precompute.fields.field import Field

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
    height: int
    width: int
    channels: int
    encoding: str

    @property
    def is_target(self) -> bool:
        """Images are inputs."""
        return False
