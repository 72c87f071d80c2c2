"""The random generators of a record: a pure function of (seed, key, variant, copy)."""

from __future__ import annotations

import hashlib
import random
import struct
from typing import Any

import numpy as np

__all__ = ["Draws", "digest"]

PERSON = b"augonce-draws-1"


def digest(seed: int, key: str, variant: int, copy: int) -> bytes:
    """Return the 32 bytes that seed a record's generators (the layout is in FORMAT.md)."""
    message = struct.pack("<qqq", seed, variant, copy) + key.encode()
    return hashlib.blake2b(message, digest_size=32, person=PERSON).digest()


class Draws:
    """One NumPy generator and one `random.Random`, set anew for each record.

    Setting the state of an existing pair costs a third of making a new pair; the draws are equal.

    Attributes:
        generator: Philox generator.
        py_random: Mersenne Twister of the standard library.
    """

    def __init__(self) -> None:
        self._philox = np.random.Philox(0)
        self._key = np.zeros(2, np.uint64)
        self._start: Any = {
            "bit_generator": "Philox",
            "state": {"counter": np.zeros(4, np.uint64), "key": self._key},
            "buffer": np.zeros(4, np.uint64),
            "buffer_pos": 4,
            "has_uint32": 0,
            "uinteger": 0,
        }
        self.generator = np.random.Generator(self._philox)
        self.py_random = random.Random(0)

    def set(self, seed: int, key: str, variant: int, copy: int) -> bytes:
        """Set both generators to the start of this record's draws; returns the digest that seeds them."""
        seeds = digest(seed, key, variant, copy)
        self._key[:] = np.frombuffer(seeds, "<u8", 2)
        self._philox.state = self._start  # which is copied
        self.py_random.seed(int.from_bytes(seeds[16:], "little"))
        return seeds
