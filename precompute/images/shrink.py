"""Sources larger than a pipeline needs are made smaller while they are decoded; masks stay aligned with images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

__all__ = ["Shrinking", "load_smaller", "shrink_mask", "shrunk_size"]

# This filter takes in all pixels, weighted by a triangle. Sharper filters move shapes by up to 0.2 pixels where the
# factor is nearly 1, as it often is after decoding at a fraction; this one by less than 0.001 (measured with discs).
FILTER = Image.Resampling.BILINEAR
TURNED = (5, 6, 7, 8)  # Source: Exif 2.3, Orientation: those whose rows stand upright


def shrunk_size(size: tuple[int, int], max_size: int | None) -> tuple[int, int]:
    """Return the two sides of a source, in their order, after its longer side was reduced to `max_size` if above it."""
    longer = max(size)
    if max_size is None or longer <= max_size:
        return size
    first, second = (max(1, (2 * side * max_size + longer) // (2 * longer)) for side in size)  # rounded, exactly
    return first, second


def shrink_mask(mask: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Return a mask [H, W] at a smaller height and width; each pixel takes the id that lies under its middle."""
    # Exact: plain INTER_NEAREST takes the pixel under the corner, and would move the mask against its image.
    small: NDArray[Any] = cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return small


@dataclass(frozen=True, kw_only=True)
class Shrinking:
    """What is left to do to a picture that was loaded at a fraction of its size: resize it and turn it upright.

    Attributes:
        size: Width and height to resize to, before it is turned.
        box: Part of the loaded picture that is the picture; its last column and row may reach beyond.
        orientation: EXIF orientation of the picture.
        full: Height and width of the whole picture, upright.
    """

    size: tuple[int, int]
    box: tuple[float, float, float, float]
    orientation: Any
    full: tuple[int, int]

    def apply(self, pixels: Image.Image) -> Image.Image:
        """Return the loaded picture, whose colours are converted already, at its size and upright."""
        small = pixels.resize(self.size, FILTER, box=self.box, reducing_gap=3.0)
        small.info = {}  # orientation alone, whatever the file's kind keeps it in
        small.getexif()[ExifTags.Base.Orientation] = self.orientation
        ImageOps.exif_transpose(small, in_place=True)
        return small


def load_smaller(picture: Image.Image, size: tuple[int, int]) -> Shrinking:
    """Load an opened picture with no more pixels than a size needs, if its kind can be decoded at a fraction.

    Args:
        picture: Picture that is opened, not loaded.
        size: Width and height that it shall have, before it is turned.

    Returns:
        What is left to do to the picture.
    """
    width, height = picture.size
    drafted = picture.draft(None, size)  # None where its kind cannot be decoded at a fraction
    picture.load()
    orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
    return Shrinking(
        size=size,
        box=(0, 0, width, height) if drafted is None else drafted[1],
        orientation=orientation,
        full=(width, height) if orientation in TURNED else (height, width),
    )
