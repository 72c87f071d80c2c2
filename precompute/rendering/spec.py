"""What every record of a dataset has in common."""

from __future__ import annotations

from dataclasses import dataclass

from precompute.fields.skeleton import Skeleton
from precompute.images.color_modes import CHANNELS, Scale

__all__ = ["RecordSpec"]


@dataclass(frozen=True, kw_only=True)
class RecordSpec:
    """What every record of a dataset has in common.

    Attributes:
        height: Height of image and mask, pixels; None while it is being found out.
        width: Width of image and mask, pixels; None while it is being found out.
        encoding: ``"jpeg"``, ``"png"`` or ``"raw"``.
        quality: Quality of JPEG, 1 to 100.
        kind: ``"class"``, ``"multilabel"``, ``"mask"``, ``"boxes"``, ``"keypoints"``, ``"instances"`` or ``"image"``.
        class_names: Name of each class index; empty for masks without names.
        mask_map: Id in the file → class id.
        mask_offset: Added to the ids in the file that the map does not name.
        mask_colors: (packed colour, class id), in the order of the colours, where masks hold colours; else empty.
        max_class_id: Largest id that a mask may hold after the map, the ignore class apart.
        ignore_class: Id that may stand in masks beside the classes.
        mask_dtype: ``"uint8"`` or ``"uint16"``.
        max_source_size: Pixels that the longer side of a source may have; larger ones are shrunk while decoding.
        skeleton: Skeleton of keypoints; None without any.
        color_mode: ``"grayscale"``, ``"rgb"`` or ``"rgba"``.
        scale: How more than 8 bits a channel become 8; None: they are refused.
        alpha: How an alpha channel is taken off where images have none.
        min_area: Pixels that must be left of the mask of a single object.
    """

    height: int | None
    width: int | None
    encoding: str
    quality: int
    kind: str
    class_names: tuple[str, ...] = ()
    mask_map: tuple[tuple[int, int], ...] = ()
    mask_offset: int = 0
    mask_colors: tuple[tuple[int, int], ...] = ()
    max_class_id: int = 255
    ignore_class: int | None = None
    mask_dtype: str = "uint8"
    max_source_size: int | None = None
    min_area: float = 0.0
    skeleton: Skeleton | None = None
    color_mode: str = "rgb"
    scale: Scale | None = None
    alpha: str = "opaque"

    @property
    def channels(self) -> int:
        """Number of channels of images: 1, 3 or 4."""
        return CHANNELS[self.color_mode]

    @property
    def mask_encoding(self) -> str:
        """Masks are raw beside raw images, else PNG."""
        return "raw" if self.encoding == "raw" else "png"
