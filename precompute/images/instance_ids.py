"""Detection of masks whose ids are numbers of objects (cells, people) and not classes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["InstanceIdMasks", "find_instance_ids"]

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
