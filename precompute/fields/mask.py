"""Masks: a class id a pixel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from precompute.fields.field import MAX_CLASS_IDS, Field, class_limits

__all__ = ["MaskField"]


@dataclass(frozen=True, kw_only=True)
class MaskField(Field):
    """A class id a pixel, [height, width] of the image.

    Attributes:
        num_classes: One more than the largest class id.
        class_names: Name of each class; may be empty.
        encoding: ``"png"`` or ``"raw"``.
        dtype: ``"uint8"`` or ``"uint16"``.
        ignore_class: The id of pixels that count neither in loss nor in metrics, or None.
    """

    type: ClassVar[str] = "mask"
    num_classes: int
    class_names: list[str]
    encoding: str = "png"
    dtype: str = "uint8"
    ignore_class: int | None = None

    @property
    def is_target(self) -> bool:
        """Masks are learnt."""
        return True

    def limits(self) -> Iterator[tuple[str, Any, bool]]:
        """Yield what manifests may say of it."""
        yield from class_limits(self.num_classes, self.class_names)
        yield "encoding", self.encoding, self.encoding in ("png", "raw")
        yield "dtype", self.dtype, self.dtype in ("uint8", "uint16")
        yield "ignore_class", self.ignore_class, 0 <= (self.ignore_class or 0) < MAX_CLASS_IDS
