"""Hashes of many texts at once, as columns of numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

__all__ = ["hash_all", "order_of"]


def hash_all(messages: Iterable[bytes], *, digest_size: int, person: bytes) -> NDArray[np.uint64]:
    """Return the BLAKE2b digest of each message, as numbers in the same order as the digests.

    Args:
        digest_size: Bytes of each digest, a multiple of 8.
        person: Name of the use, so that no two uses share their hashes.

    Returns:
        uint64 [number of messages, digest_size / 8], the most significant number first.
    """
    # Copying a hash object that is set up takes two thirds of the time of setting up a new one.
    blank, digests = hashlib.blake2b(digest_size=digest_size, person=person), bytearray()
    for message in messages:
        one = blank.copy()
        one.update(message)
        digests += one.digest()
    return np.frombuffer(digests, ">u8").astype(np.uint64).reshape(-1, digest_size // 8)


def order_of(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the positions of hashes from the lowest to the highest; equal ones keep their order.

    Args:
        hashes: uint64 [number of hashes, numbers of each], the most significant number first.
    """
    first = np.ascontiguousarray(hashes[:, 0])
    order = np.argsort(first)  # a seventh of the time of a stable sort by all numbers
    ordered = first[order]
    if (ordered[1:] == ordered[:-1]).any():  # of ten million hashes that are all different, once in 370,000 times
        order = np.lexsort(hashes.T[::-1])
    return order
