"""Records as bytes: ``tf.train.Example`` written and read without TensorFlow.

The bytes are those of ``tf.train.Example.SerializeToString(deterministic=True)``. Records of one dataset differ
in little but the image, so the bytes around it are cached: 5 µs for twelve features and an image of 30 kB.

Source: https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/core/example/feature.proto (the messages) and
https://protobuf.dev/programming-guides/encoding (the bytes)::

    Example   { Features features = 1; }
    Features  { map<string, Feature> feature = 1; }           an entry is a message { key = 1; value = 2; }
    Feature   { oneof { BytesList = 1; FloatList = 2; Int64List = 3; } }
    BytesList { repeated bytes value = 1; }      FloatList, Int64List { repeated … value = 1 [packed = true]; }
"""

from __future__ import annotations

import functools
import math
import operator
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from precompute.errors import DatasetError
from precompute.fields.feature import Value

__all__ = ["decode_example", "encode_example"]

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5  # wire types; 3 and 4 are groups, which nothing writes any more
FIELD_1, FIELD_2, FIELD_3 = (bytes([number << 3 | LENGTH]) for number in (1, 2, 3))
BYTES_LIST, FLOAT_LIST, INT64_LIST = 1, 2, 3
NO_VALUE = FIELD_2 + b"\x00"
BUFFERS = (bytes, bytearray, memoryview)


def encode_example(features: Mapping[str, Value]) -> bytes:
    """Return a serialized ``tf.train.Example``, equal to TensorFlow's deterministic serialization.

    Args:
        features: Key → bytes, an integer, a float, or a list of one of them. NumPy scalars and one-dimensional arrays
            are accepted, arrays of bytes with dtype object. The first item decides the type of a list. An empty
            list is a feature without a type, as ``tf.train.Feature()`` is; an empty array keeps the type of its dtype.

    Raises:
        TypeError: A value is of another type (text, None …), or a list mixes types.
        ValueError: An integer does not fit in 64 bits, signed.
    """
    parts: list[Any] = []
    for key in _in_order(*features):
        value = features[key]
        try:
            if isinstance(value, bytes):
                parts += (_bytes_header(key, len(value)), value)
            elif isinstance(value, int | np.integer | np.bool_):
                parts.append(_int_entry(key, int(value)))
            else:
                parts.append(_entry(key, _feature(value)))
        except TypeError as error:
            raise TypeError(f"feature {key!r}: {error}") from error
        except ValueError as error:
            raise ValueError(f"feature {key!r}: {error}") from error
    return FIELD_1 + _varint(sum(map(len, parts))) + b"".join(parts)


@functools.lru_cache(maxsize=256)
def _in_order(*keys: str) -> list[str]:
    """Return the keys in the order of their UTF-8 bytes, a key before its own beginning (``ab``, ``a``, ``b``).

    This is the order of upb, the implementation behind protobuf's Python package; those in C++ and pure Python put
    ``a`` before ``ab``. No key of this format is the beginning of another, so all of them agree on our records.

    Source: https://github.com/protocolbuffers/protobuf/blob/main/upb/message/map_sorter.c (``_upb_mapsorter_cmpstr``).
    """
    return sorted(keys, key=lambda key: key.encode() + b"\xff")  # a byte that UTF-8 does not have


@functools.lru_cache(maxsize=4096)
def _bytes_header(key: str, size: int) -> bytes:
    """Return the bytes before the only value of a feature of bytes."""
    before = FIELD_1 + _varint(size)
    for wrapper in (FIELD_1, FIELD_2):  # the list, the feature
        before = wrapper + _varint(len(before) + size) + before
    before = _field(FIELD_1, key.encode()) + before
    return FIELD_1 + _varint(len(before) + size) + before


@functools.lru_cache(maxsize=4096)
def _int_entry(key: str, value: int) -> bytes:
    return _entry(key, _field(FIELD_3, _field(FIELD_1, _signed_varint(value))))


def _entry(key: str, feature: bytes) -> bytes:
    """Return one entry of the map, with its tag and length."""
    return _field(FIELD_1, _field(FIELD_1, key.encode()) + _field(FIELD_2, feature))


def _feature(value: Any) -> bytes:
    """Return the message `Feature` for a float, a list or an array."""
    if isinstance(value, float | np.floating):
        return _field(FIELD_2, _field(FIELD_1, _pack_floats([float(value)])))
    if isinstance(value, np.ndarray):
        return _array_feature(value)
    if isinstance(value, bytearray | memoryview):
        return _list_feature([value], value)
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"expected bytes, int, float or a list of one of them, got {value!r}.")
    if not value:
        return b""
    return _list_feature(value, value[0])


def _list_feature(values: Sequence[Any], first: Any) -> bytes:
    if isinstance(first, BUFFERS):
        if not all(isinstance(item, BUFFERS) for item in values):
            raise TypeError("expected bytes throughout, as the first item is bytes.")
        return _field(FIELD_1, b"".join(_field(FIELD_1, bytes(item)) for item in values))
    if isinstance(first, float | np.floating):
        return _field(FIELD_2, _field(FIELD_1, _pack_floats([float(item) for item in values])))
    return _field(FIELD_3, _field(FIELD_1, b"".join(map(_signed_varint, values))))


def _array_feature(values: np.ndarray[Any, Any]) -> bytes:
    if values.ndim != 1 or values.dtype.kind not in "biufO":
        raise TypeError(f"expected a one-dimensional array of numbers or bytes, got {values.dtype} {values.shape}.")
    if not values.size:  # an empty packed field leaves no bytes at all
        return _field({"O": FIELD_1, "f": FIELD_2}.get(values.dtype.kind, FIELD_3), b"")
    items = values.tolist()
    return _list_feature(items, items[0])


def _pack_floats(values: list[float]) -> bytes:
    try:
        return struct.pack(f"<{len(values)}f", *values)
    except OverflowError:  # beyond float32: infinite to protobuf, an error to struct
        return b"".join(map(_pack_float, values))


def _pack_float(value: float) -> bytes:
    try:
        return struct.pack("<f", value)
    except OverflowError:
        return struct.pack("<f", math.copysign(math.inf, value))


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + _varint(len(content)) + content


def _signed_varint(value: Any) -> bytes:
    number = operator.index(value)  # refuses floats, where int() would cut them
    if not -(1 << 63) <= number < 1 << 63:
        raise ValueError(f"expected an integer of 64 bits, got {number}.")
    return _varint(number & 0xFFFF_FFFF_FFFF_FFFF)  # negative numbers take all ten bytes


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


Decoded: TypeAlias = list[bytes] | list[int] | list[float]


def decode_example(record: bytes | memoryview) -> dict[str, Decoded]:
    """Read a serialized ``tf.train.Example``, whichever program wrote it.

    Packed and unpacked numbers are read alike, unknown fields are passed over, and of equal keys the last wins.

    Returns:
        The values by key, always as a list; empty for a feature without values.

    Raises:
        DatasetError: The bytes are not a serialized ``tf.train.Example``.
    """
    try:
        entries = (
            _decode_entry(entry)
            for features in _messages(memoryview(record).cast("B"), 1)
            for entry in _messages(features, 1)
        )
        return dict(entries)
    except _MalformedError as error:
        raise DatasetError(f"{len(record)} bytes that are not a tf.train.Example: {error}.") from error


class _MalformedError(Exception):
    """An error in the bytes; callers get it as a DatasetError."""


def _decode_entry(entry: memoryview) -> tuple[str, Decoded]:
    key = ""
    values: list[Any] = []
    kind = None
    for number, wire, content in _fields(entry):
        if (number, wire) == (1, LENGTH):
            key = _decode_key(bytes(content))
        elif (number, wire) == (2, LENGTH):
            for list_kind, items in _decode_feature(content):
                # As protobuf merges: pieces of a field are joined; a later kind of list replaces an earlier one.
                if list_kind != kind:
                    kind, values = list_kind, []
                values += items
        else:  # Protobuf's implementations disagree on such an entry: some drop it, some drop the field.
            raise _MalformedError(f"an entry has a field {number} of wire type {wire} beside its key and value")
    return key, values


def _decode_key(key: bytes) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError as error:
        raise _MalformedError(f"the key {key[:40]!r} is not UTF-8") from error


def _decode_feature(feature: memoryview) -> Iterator[tuple[int, list[Any]]]:
    for number, wire, content in _fields(feature):
        if wire == LENGTH and number in (BYTES_LIST, FLOAT_LIST, INT64_LIST):
            decode = (_decode_bytes, _decode_floats, _decode_ints)[number - 1]
            yield number, [item for inner in _fields(content) if inner[0] == 1 for item in decode(inner[1], inner[2])]


def _decode_bytes(wire: int, content: Any) -> Iterable[bytes]:
    return (bytes(content),) if wire == LENGTH else ()


def _decode_floats(wire: int, content: Any) -> Iterable[float]:
    if wire not in (LENGTH, FIXED32):
        return ()
    if len(content) % 4:
        raise _MalformedError(f"a list of floats has {len(content)} bytes, not a multiple of 4")
    floats: tuple[float, ...] = struct.unpack(f"<{len(content) // 4}f", content)
    return floats


def _decode_ints(wire: int, content: Any) -> Iterable[int]:
    if wire == VARINT:
        yield _to_signed(content)
    elif wire == LENGTH:
        position = 0
        while position < len(content):
            value, position = _read_varint(content, position)
            yield _to_signed(value)


def _to_signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _messages(message: memoryview, number: int) -> Iterator[memoryview]:
    """Yield the content of each field of this number that has a length."""
    return (content for found, wire, content in _fields(message) if found == number and wire == LENGTH)


def _fields(message: memoryview) -> Iterator[tuple[int, int, Any]]:
    """Yield number, wire type and content of each field: an int for a varint, else a view."""
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        number, wire = tag >> 3, tag & 7
        if number == 0 or tag >= 1 << 32:
            raise _MalformedError(f"field number {number} at byte {position}")
        if wire == VARINT:
            value, position = _read_varint(message, position)
            yield number, wire, value
            continue
        size, position = _content_size(message, position, wire)
        if size > len(message) - position:
            raise _MalformedError(f"a field of {size} bytes where {len(message) - position} are left")
        yield number, wire, message[position : position + size]
        position += size


def _content_size(message: memoryview, position: int, wire: int) -> tuple[int, int]:
    if wire == LENGTH:
        return _read_varint(message, position)
    if wire not in (FIXED32, FIXED64):
        raise _MalformedError(f"wire type {wire} at byte {position}")
    return (4 if wire == FIXED32 else 8), position


def _read_varint(data: memoryview, position: int) -> tuple[int, int]:
    """Return the number and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise _MalformedError("it ends within a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                break
            return value, position
    raise _MalformedError(f"a number of more than 64 bits before byte {position}")
