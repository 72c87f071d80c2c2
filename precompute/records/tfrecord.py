"""TFRecord framing: records as one file, each with its length and checksums.

Source: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details and the mask in
https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/core/lib/hash/crc32c.h::

    uint64 length · uint32 masked CRC-32C of the length · length bytes · uint32 masked CRC-32C of these

all little endian.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import google_crc32c

from precompute.errors import DatasetError
from precompute.storage.paths import as_path

__all__ = [
    "FRAMING_BYTES",
    "Framed",
    "frame",
    "read_framed",
    "read_frames",
    "read_records",
    "record_footer",
    "record_header",
]

HEADER_BYTES = 12
FOOTER_BYTES = 4
FRAMING_BYTES = HEADER_BYTES + FOOTER_BYTES
CRC_MASK = 0xA282EAD8

_uint32 = struct.Struct("<I")
_uint64 = struct.Struct("<Q")


def record_header(record: bytes) -> bytes:
    """Return the 12 bytes that stand before a record."""
    length = _uint64.pack(len(record))
    return length + _masked_crc(length)


def record_footer(record: bytes) -> bytes:
    """Return the 4 bytes that stand after a record."""
    return _masked_crc(record)


def frame(record: bytes) -> bytes:
    """Return a record with its frame, as it stands in a file. Writing the three parts one by one saves this copy."""
    return record_header(record) + record + record_footer(record)


def read_records(path: str | Path) -> Iterator[bytes]:
    """Yield the records of a TFRecord file; lengths and checksums are verified.

    A file that was cut exactly between two records looks whole from here: compare the number of records.

    Raises:
        DatasetError: The file cannot be read, ends within a record or has altered bytes; names file and byte.
    """
    try:
        with as_path(path).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            yield from _read_framed(file, size, path)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}.") from error


class Framed(NamedTuple):
    """Where a record stands in its file, and the checksum that stands behind it.

    Attributes:
        position: First byte of its header.
        length: Number of bytes of the record.
        crc: Masked CRC-32C of the record, as it was written.
    """

    position: int
    length: int
    crc: int


def read_frames(path: str | Path) -> Iterator[Framed]:
    """Yield the frames of a TFRecord file and read no record: two files are compared in a fraction of the time.

    Raises:
        DatasetError: The file cannot be read, ends within a record, or the length of one fails its checksum.
    """
    try:
        with as_path(path).open("rb") as file:
            size, position = file.seek(0, os.SEEK_END), 0
            file.seek(0)
            header = file.read(HEADER_BYTES)
            while header:
                length = _checked_length(header, size, position, path)
                file.seek(position + HEADER_BYTES + length)
                footer = file.read(FOOTER_BYTES)
                yield Framed(position, length, _uint32.unpack(footer)[0])
                position += HEADER_BYTES + length + FOOTER_BYTES
                header = file.read(HEADER_BYTES)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}.") from error


def read_framed(path: str | Path, frame: Framed) -> bytes:
    """Return one record of a file; its checksum is verified.

    Raises:
        DatasetError: The file cannot be read, or the record is altered.
    """
    try:
        with as_path(path).open("rb") as file:
            file.seek(frame.position + HEADER_BYTES)
            record = file.read(frame.length)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}.") from error
    if _masked_crc(record) != _uint32.pack(frame.crc):
        where = f"the record at byte {frame.position} ({frame.length} bytes)"
        raise DatasetError(f"{path}: altered: {where} fails its checksum.")
    return record


def _checked_length(header: bytes, size: int, position: int, path: str | Path) -> int:
    """Return the length of the record behind a header.

    Raises:
        DatasetError: The header is cut short or altered, or the file ends within the record.
    """
    if len(header) < HEADER_BYTES:
        raise DatasetError(f"{path}: cut short: {len(header)} bytes of a record's header at byte {position}.")
    if header[8:] != _masked_crc(header[:8]):
        raise DatasetError(f"{path}: altered: the length of the record at byte {position} fails its checksum.")
    (length,) = _uint64.unpack(header[:8])
    left = size - position - HEADER_BYTES
    if length + FOOTER_BYTES > left:  # also keeps an absurd length from being asked of memory
        raise DatasetError(
            f"{path}: cut short: the record at byte {position} should have {length} bytes "
            f"and a checksum, and {left} are left."
        )
    return int(length)


def _read_framed(file: BinaryIO, size: int, path: str | Path) -> Iterator[bytes]:
    position = 0
    while header := file.read(HEADER_BYTES):
        length = _checked_length(header, size, position, path)
        record, footer = file.read(length), file.read(FOOTER_BYTES)
        if footer != _masked_crc(record):
            raise DatasetError(f"{path}: altered: the record at byte {position} ({length} bytes) fails its checksum.")
        yield record
        position += HEADER_BYTES + length + FOOTER_BYTES


def _masked_crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return _uint32.pack(((crc >> 15 | crc << 17) + CRC_MASK) & 0xFFFF_FFFF)
