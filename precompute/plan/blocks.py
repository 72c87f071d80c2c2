"""The grid's columns: one order of all places, cut into blocks. Pure functions of the data."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from precompute.errors import UsageError
from precompute.plan.hashes import hash_all, order_of
from precompute.text.format import format_count

__all__ = ["PlaceOrder", "block_bounds", "choose_num_blocks", "order_places", "place_order"]

PERSON = b"augonce-order-1"
MIB = 2**20
FIRST = struct.pack("<q", 0)  # copy 0, as it is hashed


class PlaceOrder(NamedTuple):
    """All places of a split, as columns, in the order from which blocks are cut.

    Attributes:
        sources: int64 [number of places]: index of the source among those of the split.
        copies: int64 [number of places]: number of the place among those of its source, from 0.
    """

    sources: NDArray[np.int64]
    copies: NDArray[np.int64]

    def pairs(self) -> list[tuple[int, int]]:
        """Return (index of the source, copy) of each place."""
        return list(zip(self.sources.tolist(), self.copies.tolist(), strict=True))


def place_order(
    keys: Iterable[str], copies: Iterable[int] | None = None, segments: Iterable[int] | None = None
) -> PlaceOrder:
    """Return all places of a split: segment by segment, each sorted by a hash of key and copy.

    Args:
        keys: Keys of the split's sources, each once.
        copies: Copies of each source; one each when None.
        segments: Index of the segment that each source belongs to; the first one when None.
    """
    if copies is None:
        hashes = _hashes(key.encode() + FIRST for key in keys)
        sources, of_source = np.arange(len(hashes)), np.zeros(len(hashes), np.int64)
    else:
        counts = np.fromiter(copies, np.int64)
        sources = np.repeat(np.arange(len(counts)), counts)
        of_source = np.arange(len(sources)) - np.repeat(np.cumsum(counts) - counts, counts)
        hashes = _hashes(
            key.encode() + struct.pack("<q", copy)
            for key, count in zip(keys, counts.tolist(), strict=True)
            for copy in range(count)
        )
    order = order_of(hashes)  # two places with one hash would be a collision of 128 bits
    if segments is not None:
        order = order[np.argsort(np.fromiter(segments, np.int64)[sources[order]], kind="stable")]
    return PlaceOrder(sources[order], of_source[order])


def _hashes(messages: Iterable[bytes]) -> NDArray[np.uint64]:
    return hash_all(messages, digest_size=16, person=PERSON)


def order_places(
    keys: Sequence[str], copies: Sequence[int] | None = None, segments: Sequence[int] | None = None
) -> list[tuple[int, int]]:
    """Return `place_order` as pairs: (index into `keys`, copy)."""
    return place_order(keys, copies, segments).pairs()


def choose_num_blocks(num_places: int, record_bytes: int, shard_bytes: int | None = None) -> int:
    """Return the number of blocks of a split; it never depends on workers, rows, or what is on disk.

    Args:
        record_bytes: Mean size of a record in a fixed sample.
        shard_bytes: Size that shards should have, or None to derive one: 1/1024 of a row, from 64 to 512 MiB.
    """
    row_bytes = num_places * record_bytes
    target = min(max(-(-row_bytes // 1024), 64 * MIB), 512 * MIB) if shard_bytes is None else shard_bytes
    wanted = -(-row_bytes // target)
    if wanted > 16:
        return min(16 * -(-wanted // 16), num_places)
    num_blocks = 16
    while num_blocks > 1 and num_blocks * 8 > num_places:
        num_blocks //= 2
    return num_blocks


def block_bounds(segments: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the first and the one-past-last place of each block of a split, segment by segment.

    Args:
        segments: Number of places and of blocks of each segment.
    """
    bounds, before = list[tuple[int, int]](), 0
    for num_places, num_blocks in segments:
        if not 1 <= num_blocks <= max(1, num_places):
            raise UsageError(
                f"{format_count(num_places, 'place')} cannot be cut into {format_count(num_blocks, 'block')}."
            )
        cuts = [before + block * num_places // num_blocks for block in range(num_blocks + 1)]
        bounds += itertools.pairwise(cuts)
        before += num_places
    return bounds
