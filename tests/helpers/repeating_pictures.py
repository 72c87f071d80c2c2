"""Pictures whose first pixels come again: of them it shows where ISA-L's compressor lies in memory, if it does at all.

Run as a program, it prints what their PNGs hash to in this process, as they are written and as they once were.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from precompute.images.png import SYNC_FLUSH, encode_png

__all__ = ["DEFLATES", "pictures"]

DEFLATES = (SYNC_FLUSH, None)
NUM_PICTURES = 200


def pictures() -> Iterator[NDArray[np.uint8]]:
    """Yield small and large ones by turns, grey, 2×24 to 90×90 pixels; each call gives the same."""
    for i in range(NUM_PICTURES):
        rng = np.random.default_rng(i)
        height, width = rng.integers([2, 24], [8, 40]) if i % 2 else rng.integers(60, 90, 2)
        pixels = rng.integers(0, (8, 32, 256)[i % 3], (height, width), dtype=np.uint8)
        pixels[0, 6:12] = pixels[0, 1:7]  # but not the pixel before
        pixels[0, 14:20] = pixels[0, 0:6]
        yield pixels


if __name__ == "__main__":
    for deflate in DEFLATES:
        print(hashlib.sha256(b"".join(encode_png(pixels, deflate) for pixels in pictures())).hexdigest())
