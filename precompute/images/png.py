"""Arrays of pixels → PNG files. Owns ISA-L, which deflates at several times the speed of zlib.

Nearly all time goes into deflating the rows: ISA-L takes about a third of the time that OpenCV takes, for files about
as small. Rows are stored as differences from the row above: for class ids most of these are 0, for photographs they
are small, and TensorFlow undoes them many pixels at a time (scripts/bench_codecs.py).
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

__all__ = ["SYNC_FLUSH", "encode_png"]

# Source: PNG specification, third edition: 5.2 (signature), 11.2.1 (IHDR), 9.2 (filters)
SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOR_TYPES = {1: 0, 3: 2, 4: 6}  # by channels: grey, RGB, RGB with alpha
UP = 2
LEVEL = 1  # 2 is as quick and as small; 3, the highest, makes hardly smaller files in three times the time
SYNC_FLUSH = "sync_flush"  # as datasets name this way to deflate; those that name none were deflated in one call
NUM_FIRST_BYTES = 4  # that are flushed


def encode_png(pixels: NDArray[Any], deflate: str | None = SYNC_FLUSH) -> bytes:
    """Return a picture as a PNG file.

    Args:
        pixels: Grey, RGB or RGBA, uint8 or uint16 [H, W] or [H, W, 1, 3 or 4]; or of one bit, bool [H, W].
        deflate: `SYNC_FLUSH`: equal pixels give equal bytes. None: in one call, as in older datasets; the bytes then
            sometimes differ from process to process.
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
    deflated = _deflate(filtered.reshape(-1), deflate)
    return b"".join((SIGNATURE, *_chunk(b"IHDR", header), *_chunk(b"IDAT", deflated), *_chunk(b"IEND", b"")))


def _deflate(content: NDArray[np.uint8], how: str | None) -> bytes:
    """Return content, uint8 [N], as a zlib stream."""
    if how is None:
        return isal_zlib.compress(content, LEVEL)
    # ISA-L's loop for a stream without history hashes the third byte not from the data but from the stream's address
    # (igzip_icf_body_h1_gr_bt.asm, .write_first_byte), so which matches it finds depends on where the stream lies. The
    # first bytes of what is flushed go by other code; a sync flush keeps them as history, a full one would not.
    stream, first = isal_zlib.compressobj(LEVEL), content[:NUM_FIRST_BYTES]
    begun = stream.compress(first) + stream.flush(isal_zlib.Z_SYNC_FLUSH)
    return begun + stream.compress(content[NUM_FIRST_BYTES:]) + stream.flush()


def _chunk(name: bytes, content: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    checksum = isal_zlib.crc32(content, isal_zlib.crc32(name))
    return struct.pack(">I", len(content)), name, content, struct.pack(">I", checksum)
