"""The grid's columns: a global order of places, cut into blocks. Pure functions of the data."""

from __future__ import annotations

import hashlib
import itertools
import struct
from collections.abc import Sequence

from precompute.errors import UsageError

__all__ = ["block_bounds", "choose_num_blocks", "order_places"]

PERSON = b"augonce-order-1"
MIB = 2**20


def order_places(keys: Sequence[str], copies: Sequence[int] | None = None) -> list[tuple[int, int]]:
    """Return all places of a split, as (index into `keys`, copy), in the order that blocks are cut from.

    Args:
        keys: Keys of the split's sources.
        copies: Copies of each source; one each when None.
    """
    places = [(i, copy) for i in range(len(keys)) for copy in range(1 if copies is None else copies[i])]
    return sorted(places, key=lambda place: (_hash(keys[place[0]], place[1]), keys[place[0]], place[1]))


def _hash(key: str, copy: int) -> bytes:
    return hashlib.blake2b(key.encode() + struct.pack("<q", copy), digest_size=16, person=PERSON).digest()


def choose_num_blocks(num_places: int, record_bytes: int, shard_bytes: int | None = None) -> int:
    """Return how many blocks a split is cut into; never a function of workers, rows, or what is on disk.

    Args:
        num_places: Places of the split.
        record_bytes: Mean size of a record, of a fixed sample.
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


def block_bounds(num_places: int, num_blocks: int) -> list[tuple[int, int]]:
    """Return first and one-past-last place of each block."""
    if not 1 <= num_blocks <= max(1, num_places):
        raise UsageError(f"{num_places} places cannot be cut into {num_blocks} blocks.")
    cuts = [block * num_places // num_blocks for block in range(num_blocks + 1)]
    return list(itertools.pairwise(cuts))
