"""Arrays of pixels → PNG files. Owns ISA-L, which deflates at several times the speed of zlib.

A PNG file is a few lines around deflated rows, and the rows decide what it costs: ISA-L takes about a third of the
time that OpenCV takes, for files about as small. Rows are stored as differences from the row above: of class ids most
are 0 then, of photographs they are small, and TensorFlow undoes them many pixels at a time (scripts/bench_codecs.py).
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

__all__ = ["encode_png"]

# Source: PNG specification, third edition: 5.2 (signature), 11.2.1 (IHDR), 9.2 (filters)
SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOR_TYPES = {1: 0, 3: 2, 4: 6}  # by channels: grey, RGB, RGB with alpha
UP = 2
LEVEL = 1  # 2 is as quick and as small; 3, the highest, makes hardly smaller files in three times the time


def encode_png(pixels: NDArray[Any]) -> bytes:
    """Return a picture as a PNG file.

    Args:
        pixels: Grey, RGB or RGBA, uint8 or uint16 [H, W] or [H, W, 1, 3 or 4]; or of one bit, bool [H, W].
    """
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.dtype == np.bool_:
        depth, rows = 1, np.packbits(pixels, axis=1)
    else:
        depth = 8 * pixels.dtype.itemsize
        wide = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">"))  # no copy of 8 bits
        rows = wide.reshape(height, -1).view(np.uint8)
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)  # each row after the number of its filter
    filtered[:, 0] = UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, depth, COLOR_TYPES[channels], 0, 0, 0)
    # Known: in few processes (5 of 60, by where their stack lies) a small picture comes out with other bytes, equal
    # pixels. compressobj never did so, but gives other bytes than datasets that are there have.
    deflated = isal_zlib.compress(filtered, LEVEL)
    return b"".join((SIGNATURE, *_chunk(b"IHDR", header), *_chunk(b"IDAT", deflated), *_chunk(b"IEND", b"")))


def _chunk(name: bytes, content: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    checksum = isal_zlib.crc32(content, isal_zlib.crc32(name))
    return struct.pack(">I", len(content)), name, content, struct.pack(">I", checksum)
