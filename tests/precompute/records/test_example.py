"""encode_example and decode_example, with TensorFlow's own messages as the judge."""

from __future__ import annotations

import struct
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from precompute.errors import DatasetError
from precompute.records.example import decode_example, encode_example

tf = pytest.importorskip("tensorflow")
from google.protobuf.message import DecodeError  # noqa: E402 - comes with TensorFlow

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
SMALL_OR_ANY_INT = st.one_of(st.integers(-3, 300), INT64)
FLOATS = st.floats(allow_nan=True, allow_infinity=True)
KEYS = st.one_of(st.sampled_from(["image/encoded", "augment/key", "", "é", "￿", "𐀀"]), st.text(max_size=200))
VALUES = st.one_of(
    st.binary(max_size=20),
    st.binary(min_size=120, max_size=140),
    SMALL_OR_ANY_INT,
    FLOATS,
    st.lists(st.binary(max_size=20), max_size=5),
    st.lists(SMALL_OR_ANY_INT, max_size=70),
    st.lists(FLOATS, max_size=70),
)
FEATURES = st.dictionaries(KEYS.filter(lambda key: key.isprintable() or key.isascii()), VALUES, max_size=8)


def tf_feature(value: Any) -> Any:
    values = list(value) if isinstance(value, list | tuple) else [value]
    if not values:
        return tf.train.Feature()
    if isinstance(values[0], bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    if isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def tf_encode(features: dict[str, Any]) -> bytes:
    message = tf.train.Features(feature={key: tf_feature(value) for key, value in features.items()})
    return tf.train.Example(features=message).SerializeToString(deterministic=True)


def tf_decode(record: bytes) -> dict[str, list[Any]] | None:
    try:
        feature = tf.train.Example.FromString(record).features.feature
    except (DecodeError, UnicodeDecodeError):
        return None
    return {
        key: list(getattr(value, value.WhichOneof("kind")).value) if value.WhichOneof("kind") else []
        for key, value in feature.items()
    }


def float_bits(values: list[Any]) -> list[Any]:
    """NaN differs from itself: compare floats by their bits."""
    return [struct.pack("<d", value) if isinstance(value, float) else value for value in values]


def comparable(features: dict[str, list[Any]] | None) -> Any:
    return features and {key: float_bits(values) for key, values in features.items()}


@settings(max_examples=150)
@given(FEATURES)
def test_bytes_equal_tensorflows_deterministic_serialization(features: dict[str, Any]) -> None:
    assert encode_example(features) == tf_encode(features)


@settings(max_examples=300)
@given(FEATURES)
@pytest.mark.slow
def test_decoding_gives_back_what_was_encoded(features: dict[str, Any]) -> None:
    expected = {key: value if isinstance(value, list) else [value] for key, value in features.items()}
    with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, to TensorFlow as to us
        for key, values in expected.items():
            if values and isinstance(values[0], float):
                expected[key] = np.array(values).astype(np.float32).astype(float).tolist()
    assert comparable(decode_example(encode_example(features))) == comparable(expected)


@pytest.mark.parametrize(
    "wanted",
    [
        lambda f: len(f) >= 5,
        lambda f: any(not key.isascii() for key in f),
        lambda f: any(isinstance(v, bytes) and len(v) > 128 for v in f.values()),
        lambda f: any(isinstance(v, int) and v < 0 for v in f.values()),
        lambda f: any(isinstance(v, int) and v >= 1 << 62 for v in f.values()),
        lambda f: any(isinstance(v, float) and v != v for v in f.values()),
        lambda f: any(isinstance(v, float) and 4e38 < v < float("inf") for v in f.values()),
        lambda f: any(isinstance(v, list) and not v for v in f.values()),
        lambda f: any(isinstance(v, list) and len(v) > 32 for v in f.values()),
    ],
    ids=["many", "unicode", "two-byte length", "negative", "big", "nan", "beyond float32", "empty list", "long list"],
)
@pytest.mark.slow
def test_the_properties_see_the_hard_cases(wanted: Any) -> None:
    found = find(
        FEATURES, wanted, settings=settings(max_examples=1000, derandomize=True, database=None, phases=[Phase.generate])
    )
    assert len(encode_example(found)) > 4


def test_keys_stand_in_the_order_of_their_bytes_on_every_implementation_of_protobuf() -> None:
    keys = ["image/encoded", "image/class/label", "augment/seed", "image/class/text", "Z", "é", "𐀀", "\uffff"]
    positions = [encode_example(dict.fromkeys(keys, 1)).index(key.encode()) for key in sorted(keys)]
    assert positions == sorted(positions)


def test_the_oracle_tells_different_features_apart() -> None:
    records = {
        tf_encode(features)
        for features in ({}, {"a": 1}, {"a": 2}, {"b": 1}, {"a": b"1"}, {"a": 1.0}, {"a": []}, {"a": [1, 1]})
    }
    assert len(records) == 8
    assert min(map(len, records)) >= 2


@pytest.mark.parametrize("size", [0, 100, 127, 128, 16_370, 16_384, 30_000, 2_097_152])
def test_lengths_around_the_steps_of_a_varint(size: int) -> None:
    features = {"image/encoded": bytes(size), "z": b"x" * (size % 130)}
    assert encode_example(features) == tf_encode(features)


@pytest.mark.parametrize(
    ("given_value", "plain"),
    [
        (np.int64(-5), -5),
        (np.uint8(200), 200),
        (True, 1),
        (np.bool_(True), 1),
        (np.float32(0.1), float(np.float32(0.1))),
        (np.arange(4, dtype=np.int32), [0, 1, 2, 3]),
        (np.array([0.5, 1.5]), [0.5, 1.5]),
        (np.array([True, False]), [1, 0]),
        ((1, 2), [1, 2]),
        ([np.int64(1), 2], [1, 2]),
        ([0.5, 2], [0.5, 2]),
        (bytearray(b"abc"), b"abc"),
        (memoryview(b"abc"), b"abc"),
        (memoryview(np.arange(3, dtype=np.uint16)), np.arange(3, dtype=np.uint16).tobytes()),
    ],
)
def test_numpy_and_buffers_are_welcome(given_value: Any, plain: Any) -> None:
    assert encode_example({"a": given_value}) == tf_encode({"a": plain})


@pytest.mark.parametrize(
    ("dtype", "kind"), [(np.float32, "float_list"), (np.int64, "int64_list"), (object, "bytes_list")]
)
def test_an_empty_array_keeps_its_type(dtype: Any, kind: str) -> None:
    feature = tf.train.Example.FromString(encode_example({"a": np.empty(0, dtype)})).features.feature["a"]
    assert feature.WhichOneof("kind") == kind


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ("text", TypeError, "feature 'a': expected bytes, int, float or a list of one of them, got 'text'"),
        (None, TypeError, "got None"),
        ([b"x", 1], TypeError, "bytes throughout"),
        ([1, 2.5], TypeError, "feature 'a'"),
        (1 << 63, ValueError, "feature 'a': expected an integer of 64 bits, got 9223372036854775808"),
        ([0, -(1 << 63) - 1], ValueError, "64 bits"),
        (np.zeros((2, 2)), TypeError, "one-dimensional"),
    ],
)
def test_other_values_are_refused_by_name(value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        encode_example({"a": value})


def test_a_key_that_is_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        encode_example({"\ud800": 1})


# Reading what others wrote.


def _field(number: int, content: bytes) -> bytes:
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


def _example(*entries: bytes) -> bytes:
    return _field(1, b"".join(_field(1, entry) for entry in entries))


def _entry(feature: bytes, key: bytes = b"a") -> bytes:
    return _field(1, key) + _field(2, feature)


@pytest.mark.parametrize(
    "record",
    [
        b"",
        _example(_entry(_field(3, b"\x08\x05\x08\x06"))),  # unpacked int64
        _example(_entry(_field(2, b"\x0d\x00\x00\x80\x3f"))),  # an unpacked float
        _example(_entry(_field(3, b"\x08\x05" + _field(1, b"\x06\x07")))),  # both in one list
        _example(_entry(_field(3, b"\x08\x01")), _entry(_field(3, b"\x08\x02"))),  # the last entry wins
        _example(_entry(_field(1, _field(1, b"x")) + _field(3, b"\x08\x02"))),  # another kind takes its place
        _example(_entry(_field(3, b"\x08\x01") + _field(3, b"\x08\x02"))),  # one list in two pieces
        _example(_field(2, _field(3, b"\x08\x01")) + _entry(_field(3, b"\x08\x02"))),  # one feature in two pieces
        _example(_field(1, b"a")),  # no value
        _example(_field(2, _field(3, b"\x08\x01"))),  # no key
        _example(_entry(_field(3, b"\x08\x01")))
        + _example(_entry(_field(3, b"\x08\x02"), b"b")),  # two maps are joined
        _field(9, b"new") + b"\x50\x01" + b"\x59" + bytes(8) + _example(_entry(b"\x25" + bytes(4))),  # unknown fields
        _example(_entry(_field(3, b"\x0a\x00"))),  # a packed list of nothing
        b"\x08\x01",  # a known number with another wire type is an unknown field
    ],
)
def test_every_way_to_write_it_reads_as_tensorflow_reads_it(record: bytes) -> None:
    expected = tf_decode(record)
    assert expected is not None
    assert decode_example(record) == expected
    assert decode_example(memoryview(record)) == expected


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"\x0a", "ends within a number"),
        (b"\x0a\x05\x00", "a field of 5 bytes where 1 are left"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "bytes where 0 are left"),
        (b"\x08" + b"\xff" * 11, "more than 64 bits"),
        (b"\x02\x00", "field number 0"),
        (b"\x0b\x0c", "wire type 3"),
        (b"\x0f", "wire type 7"),
        (_example(_entry(_field(3, b"\x08\x01"), b"\xff")), "not UTF-8"),
        (_example(_entry(_field(2, _field(1, b"abc")))), "not a multiple of 4"),
        (_example(_entry(b"") + b"\x18\x01"), "a field 3 of wire type 0 beside its key and value"),
    ],
)
def test_malformed_bytes_are_named(record: bytes, message: str) -> None:
    with pytest.raises(DatasetError, match=f"{len(record)} bytes that are not a tf.train.Example: .*{message}"):
        decode_example(record)


RECORD = encode_example({"image/encoded": b"\xff\xd8" * 20, "label": [3, -1], "é": [0.5, 2.5], "none": []})


def _agrees_with_tensorflow(record: bytes) -> None:
    """Either it is refused with DatasetError, or it reads as TensorFlow reads it."""
    try:
        decoded = decode_example(record)
    except DatasetError:
        return
    assert comparable(decoded) == comparable(tf_decode(record))


@settings(max_examples=500)
@given(st.binary(max_size=60))
def test_garbage_only_ever_raises_dataset_error(record: bytes) -> None:
    _agrees_with_tensorflow(record)


@pytest.mark.slow
@settings(max_examples=500)
@given(st.lists(st.tuples(st.integers(0, len(RECORD) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_altered_records_only_ever_raise_dataset_error(changes: list[tuple[int, int]]) -> None:
    record = bytearray(RECORD)
    for position, value in changes:
        record[position] = value
    _agrees_with_tensorflow(bytes(record))


def test_a_record_cut_anywhere_is_refused_or_empty() -> None:
    assert decode_example(b"") == {}
    for length in range(1, len(RECORD)):
        with pytest.raises(DatasetError):
            decode_example(RECORD[:length])


def test_what_tensorflow_reads_is_mostly_read() -> None:
    """Else refusing everything would pass the properties above."""
    num_read = num_refused_by_us_alone = 0
    for position in range(len(RECORD)):
        record = bytearray(RECORD)
        record[position] ^= 1
        try:
            decode_example(bytes(record))
            num_read += 1
        except DatasetError:
            num_refused_by_us_alone += tf_decode(bytes(record)) is not None
    assert num_read > len(RECORD) / 2
    assert num_refused_by_us_alone <= 3  # fields beside an entry's key and value


def test_nothing_is_warned_about() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encode_example({"a": 1e300, "b": [1e300, -1e300], "c": np.array([1e300])})
