"""Framing, with TensorFlow's writer and reader as the judge."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import google_crc32c
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from precompute.errors import DatasetError
from precompute.records.tfrecord import FRAMING_BYTES, frame, read_records, record_footer, record_header

tf = pytest.importorskip("tensorflow")

RECORDS = [b"first", b"", bytes(range(256)) * 3, b"last"]
SMALL_FILES = st.lists(st.one_of(st.binary(max_size=50), st.binary(min_size=250, max_size=300)), max_size=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples of a property: each overwrites the files of the one before."""
    return tmp_path_factory.mktemp("tfrecord")


def write(path: Path, records: list[bytes]) -> Path:
    path.write_bytes(b"".join(map(frame, records)))
    return path


@settings(max_examples=60)
@given(records=SMALL_FILES)
@example(records=RECORDS)
@example(records=[])
def test_files_equal_those_of_tensorflows_writer(folder: Path, records: list[bytes]) -> None:
    theirs, ours = folder / "theirs", write(folder / "ours", records)
    with tf.io.TFRecordWriter(str(theirs)) as writer:
        for record in records:
            writer.write(record)
    assert ours.read_bytes() == theirs.read_bytes()
    assert list(read_records(theirs)) == records


@settings(max_examples=30)
@given(records=SMALL_FILES)
@example(records=RECORDS)
def test_tensorflow_reads_our_files(folder: Path, records: list[bytes]) -> None:
    path = write(folder / "read_by_tf", records)
    assert list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator()) == records


def test_header_record_and_footer_make_the_frame() -> None:
    for record in RECORDS:
        assert record_header(record) + record + record_footer(record) == frame(record)
        assert len(frame(record)) == len(record) + FRAMING_BYTES


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    content = write(tmp_path / "good", [*RECORDS[:2], b"third record"]).read_bytes()
    bad = tmp_path / "bad"
    for bit in range(len(content) * 8):
        altered = bytearray(content)
        altered[bit // 8] ^= 1 << bit % 8
        bad.write_bytes(altered)
        with pytest.raises(DatasetError, match=r"bad: altered: .* at byte \d+"):
            list(read_records(bad))


def test_every_cut_is_found_but_between_records(tmp_path: Path) -> None:
    content = write(tmp_path / "good", RECORDS).read_bytes()
    ends = {sum(len(frame(record)) for record in RECORDS[:count]): count for count in range(len(RECORDS) + 1)}
    bad = tmp_path / "bad"
    for length in range(len(content)):
        bad.write_bytes(content[:length])
        if length in ends:
            assert list(read_records(bad)) == RECORDS[: ends[length]]
            continue
        with pytest.raises(DatasetError, match="bad: cut short"):
            list(read_records(bad))


def test_the_records_before_the_damage_are_given_and_the_byte_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "shard", [b"good", b"bad"])
    content = bytearray(path.read_bytes())
    content[20 + 12] ^= 1
    path.write_bytes(content)
    records = read_records(path)
    assert next(records) == b"good"
    with pytest.raises(DatasetError, match=rf"{path}: altered: the record at byte 20 \(3 bytes\) fails its checksum"):
        next(records)


@pytest.mark.parametrize("length", [1 << 40, (1 << 63) + 5, (1 << 64) - 1])
def test_an_absurd_length_is_not_asked_of_memory(tmp_path: Path, length: int) -> None:
    header = struct.pack("<Q", length)
    crc = google_crc32c.value(header)
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    path = tmp_path / "absurd"
    path.write_bytes(header + struct.pack("<I", masked) + b"x" * 100)
    tracemalloc.start()
    with pytest.raises(DatasetError, match=f"at byte 0 should have {length} bytes and a checksum, and 100 are left"):
        list(read_records(path))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@settings(max_examples=200)
@given(content=st.binary(min_size=1, max_size=80))
def test_garbage_only_ever_raises_dataset_error(folder: Path, content: bytes) -> None:
    path = folder / "garbage"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="garbage"):
        list(read_records(path))


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"missing: cannot be read: No such file"):
        list(read_records(tmp_path / "missing"))
    with pytest.raises(DatasetError, match="cannot be read: Is a directory"):
        list(read_records(str(tmp_path)))
