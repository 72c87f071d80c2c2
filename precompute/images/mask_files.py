"""Ids or colours of mask files → class ids; see `mask_offset`, `mask_map` and `mask_colors` of a build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.errors import RejectedSource
from precompute.fields.colors import shown_color
from precompute.text.format import format_count

__all__ = ["UnlistedColors", "changed_ids", "count_colors", "ids_of_colors", "packed_colors", "unpacked_color"]

Pairs = Sequence[tuple[int, int]]


class UnlistedColors(RejectedSource):
    """A mask holds colours that no class has.

    Attributes:
        counts: Packed colour → number of pixels.
    """

    def __init__(self, counts: dict[int, int], where: str = "") -> None:
        self.counts = counts
        most = sorted(counts, key=lambda color: -counts[color])[:5]
        shown = ", ".join(f"{unpacked_color(color)} ({format_count(counts[color], 'pixel')})" for color in most)
        super().__init__(
            f"{where}holds {format_count(len(counts), 'colour')} that --mask-colors does not list: {shown}"
            f"{' …' if len(counts) > len(most) else ''}"
        )


def changed_ids(stored: NDArray[Any], mask_map: Pairs, offset: int) -> NDArray[Any]:
    """Return class ids for a file's ids: the map replaces those that it names, the offset is added to the others.

    Args:
        stored: Ids in the file, uint8 or uint16 [H, W].
        mask_map: (id in the file, class id) of each entry of the map.
        offset: Added to each id that the map does not name.

    Returns:
        int64 [H, W], or `stored` itself when nothing changes.

    Raises:
        RejectedSource: An id would fall outside of 0 to 65535.
    """
    if not mask_map and not offset:
        return stored
    table = np.arange(65_536 if stored.dtype == np.uint16 else 256, dtype=np.int64) + offset
    for old, new in mask_map:
        if old < len(table):
            table[old] = new
    ids: NDArray[Any] = table[stored]
    if offset and ids.size and (ids.min() < 0 or ids.max() > 65_535):
        wrong = np.unique(stored[(ids < 0) | (ids > 65_535)])
        first = int(wrong[0])
        raise RejectedSource(
            f"holds the id {first}, which --mask-offset {offset} makes {first + offset}: say with --mask-map what it "
            f"is, {first}:255 with --ignore-class 255 if it means void"
        )
    return ids


def packed_colors(ids: Mapping[str, int] | None) -> tuple[tuple[int, int], ...]:
    """Return (packed colour, class id) for ``{"#rrggbb": class id}``, sorted by colour."""
    return tuple(sorted((int(color.removeprefix("#"), 16), i) for color, i in (ids or {}).items()))


def unpacked_color(packed: int) -> str:
    """Return a packed colour as ``"#rrggbb"``."""
    return shown_color(packed >> 16, packed >> 8 & 255, packed & 255)


def ids_of_colors(pixels: NDArray[np.uint8], colors: Pairs) -> NDArray[np.uint16]:
    """Return the class ids of a colour mask.

    Args:
        pixels: uint8 [H, W, 3], RGB.
        colors: (packed colour, class id), sorted by colour.

    Returns:
        uint16 [H, W].

    Raises:
        UnlistedColors: A pixel has another colour.
    """
    packed = _pack(pixels)
    known = np.array([color for color, _ in colors], np.int32)
    found = np.minimum(np.searchsorted(known, packed), len(known) - 1)
    unlisted = known[found] != packed
    if unlisted.any():
        raise UnlistedColors(_counts(packed[unlisted]))
    ids: NDArray[np.uint16] = np.array([i for _, i in colors], np.uint16)[found]
    return ids


def count_colors(pixels: NDArray[np.uint8]) -> dict[int, int]:
    """Return packed colour → number of pixels for a colour mask."""
    return _counts(_pack(pixels))


def _pack(pixels: NDArray[np.uint8]) -> NDArray[np.int32]:
    channels = pixels.astype(np.int32)
    packed: NDArray[np.int32] = channels[..., 0] << 16 | channels[..., 1] << 8 | channels[..., 2]
    return packed


def _counts(packed: NDArray[np.int32]) -> dict[int, int]:
    colors, counts = np.unique(packed, return_counts=True)
    return dict(zip(colors.tolist(), counts.tolist(), strict=True))
