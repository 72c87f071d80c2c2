"""Ids or colours of mask files → class ids; see `mask_offset`, `mask_map` and `mask_colors` of a build."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from precompute.errors import RejectedSource
from precompute.fields.colors import shown_color
from precompute.text.format import format_count

__all__ = [
    "InstanceIdMasks",
    "UnlistedColors",
    "changed_ids",
    "count_colors",
    "find_instance_ids",
    "ids_of_colors",
    "packed_colors",
    "unpacked_color",
]

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


# Masks whose ids are numbers of objects (cells, people) and not classes


NUM_LOOKED_AT = 16  # masks whose patches are counted, which takes 0.1 s each where they are large
SINGLE = 0.95  # share of a mask's ids that are one patch: some objects are cut in two by others before them
MIN_SHARE = 0.8  # share of the masks that look so
MIN_OBJECTS = 4  # in one of the masks: cup and disc of an eye are classes, and always nested
CHANCE_BITS = 20.0  # one in a million
MANY_IDS, MANY_A_MASK = 100, 10  # ids with gaps, as where masks were cropped after they were numbered


class InstanceIdMasks(NamedTuple):
    """Masks that seem to hold numbers of objects.

    Attributes:
        positions: Positions of these masks among those that were given.
        num_looked_at: Number of masks that were looked at; masks without any object are not.
    """

    positions: list[int]
    num_looked_at: int


class _Numbered(NamedTuple):
    position: int
    mask: NDArray[Any]
    ids: list[int]


def find_instance_ids(masks: Sequence[NDArray[Any]], ignore_class: int | None = None) -> InstanceIdMasks | None:
    """Return which masks seem to number objects, or None where their ids may well be classes.

    Numbers of objects run from 1 without a gap to a number that changes from mask to mask, and each is one patch.
    Classes leave gaps, or are always all there, or lie in several patches.

    Args:
        masks: uint8 or uint16 [H, W] each; 0 is background.
        ignore_class: Class id of pixels that do not count.
    """
    found = []
    for position, mask in enumerate(masks):
        ids = [i for i in np.flatnonzero(np.bincount(mask.reshape(-1))).tolist() if i not in (0, ignore_class)]
        found += [_Numbered(position, mask, ids)] if ids else []
    found = found[:NUM_LOOKED_AT]
    if not (_changes([len(one.ids) for one in found]) and (_runs_from_one(found) or _is_beyond_classes(found))):
        return None
    single = [one.position for one in found if _share_of_single(one.mask, one.ids) >= SINGLE]
    return InstanceIdMasks(single, len(found)) if len(single) >= MIN_SHARE * len(found) else None


def _changes(counts: Sequence[int]) -> bool:
    """Return whether masks hold different numbers of ids; two numbers may come from a mask that lacks a class."""
    return len(set(counts)) >= 3 or (len(set(counts)) == 2 == len(counts))


def _runs_from_one(found: Sequence[_Numbered]) -> bool:
    """Return whether the ids of nearly all masks are 1 … k, too often for classes to be so by chance."""
    counts = [len(one.ids) for one in found if one.ids[-1] == len(one.ids)]
    most = max(counts, default=0)
    bits = sum(math.log2(math.comb(most, count)) for count in counts)
    return most >= MIN_OBJECTS and len(counts) >= SINGLE * len(found) and bits >= CHANCE_BITS


def _is_beyond_classes(found: Sequence[_Numbered]) -> bool:
    """Return whether ids are too many for classes, in single masks and in all; they may leave gaps."""
    num_ids = sum(len(one.ids) for one in found)
    return max(one.ids[-1] for one in found) >= MANY_IDS and num_ids >= MANY_A_MASK * len(found)


def _share_of_single(mask: NDArray[Any], ids: Sequence[int]) -> float:
    """Return the share of ids whose pixels are one connected patch, corners counted as connected."""
    return sum(_is_one_patch(patch) for patch in _patches(mask, ids)) / len(ids)


def _patches(mask: NDArray[Any], ids: Sequence[int]) -> Iterator[NDArray[np.bool_]]:
    """Yield each id's pixels within its bounding box, so that hundreds of ids cost no more than a few."""
    flat = mask.reshape(-1)
    order = np.argsort(flat, kind="stable")
    starts, ends = (np.searchsorted(flat, ids, side=side, sorter=order) for side in ("left", "right"))
    for id_, start, end in zip(ids, starts, ends, strict=True):
        rows, columns = np.divmod(order[start:end], mask.shape[1])
        yield mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] == id_


def _is_one_patch(patch: NDArray[np.bool_]) -> bool:
    return int(cv2.connectedComponents(patch.astype(np.uint8), connectivity=8)[0]) == 2  # the background is one of them
