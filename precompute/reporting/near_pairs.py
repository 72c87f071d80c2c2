"""Pairs of nearly equal hashes among many, without comparing each with each.

Two hashes that differ in at most d bits are equal in at least one of d + 1 bands that the bits are cut into. So only
hashes with an equal band are compared.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from precompute.images.perceptual_hash import MIRRORED, NUM_BITS

__all__ = ["mirrored_pairs", "near_pairs"]

Hashes = NDArray[np.uint64]
_ONES = np.array([number.bit_count() for number in range(2**16)], np.uint8)


def near_pairs(hashes: Hashes, max_distance: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of hashes that differ in few bits.

    Args:
        hashes: uint64 [N].
        max_distance: Largest number of bits in which the two of a pair differ.

    Returns:
        int64 [M, 2] positions, the smaller one first, and int64 [M] distances; the nearest pairs first.
    """
    bands = list(_bands(hashes, max_distance + 1))
    found = [np.zeros((0, 2), np.int64)]
    for number, band in enumerate(bands):
        for pairs in _pairs_with_equal(band, hashes, max_distance):
            again = np.zeros(len(pairs), np.bool_)  # pairs that an earlier band has found
            for earlier in bands[:number]:
                again |= earlier[pairs[:, 0]] == earlier[pairs[:, 1]]
            found.append(pairs[~again])
    pairs = np.sort(np.concatenate(found), axis=1)
    distances = _distances(hashes[pairs[:, 0]], hashes[pairs[:, 1]])
    order = np.lexsort((pairs[:, 1], pairs[:, 0], distances))
    return pairs[order], distances[order]


def mirrored_pairs(hashes: Hashes, max_distance: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of hashes of which one is nearly that of the other image mirrored left to right.

    Args:
        hashes: uint64 [N].
        max_distance: Largest number of bits in which one of a pair differs from the mirrored other.

    Returns:
        Positions and distances as `near_pairs` returns them, without pairs that are near as they are.
    """
    num = len(hashes)
    pairs, distances = near_pairs(np.concatenate([hashes, hashes ^ np.uint64(MIRRORED)]), max_distance)
    first, second = pairs[:, 0], pairs[:, 1] - num
    # Each pair comes twice, for either of the two may be the mirrored one; an image like its mirror image is no pair.
    chosen = (first < num) & (second >= 0) & (first < second)
    chosen[chosen] = _distances(hashes[first[chosen]], hashes[second[chosen]]) > max_distance
    return np.stack([first[chosen], second[chosen]], axis=1), distances[chosen]


def _distances(first: Hashes, second: Hashes) -> NDArray[np.int64]:
    """Return the number of bits in which hashes differ."""
    words = (first ^ second).view(np.uint16).reshape(-1, 4)
    found: NDArray[np.int64] = _ONES[words].sum(axis=1, dtype=np.int64)
    return found


def _bands(hashes: Hashes, number: int) -> Iterator[Hashes]:
    """Yield each band of all hashes; bands differ by a bit in length at most."""
    ends = np.linspace(0, NUM_BITS, number + 1).round().astype(int).tolist()
    for first, last in itertools.pairwise(ends):
        yield (hashes >> np.uint64(first)) & np.uint64((1 << (last - first)) - 1)


def _pairs_with_equal(band: Hashes, hashes: Hashes, max_distance: int) -> Iterator[NDArray[np.int64]]:
    """Yield near pairs among hashes with an equal band: neighbours in its order, those two apart, and so on."""
    order = np.argsort(band, kind="stable")
    band, hashes = band[order], hashes[order]
    starts = np.arange(len(order))
    apart = 1
    while len(starts := starts[starts + apart < len(order)]):
        starts = starts[band[starts] == band[starts + apart]]
        near = starts[_distances(hashes[starts], hashes[starts + apart]) <= max_distance]
        if len(near):
            yield np.stack([order[near], order[near + apart]], axis=1)
        apart += 1
