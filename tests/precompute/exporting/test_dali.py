"""Index files for NVIDIA DALI, against what its own `tfrecord2idx` writes."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

import precompute
from precompute.cli import main
from precompute.errors import BuildError, DatasetError, UsageError
from precompute.records.example import decode_example
from tests.helpers.small_datasets import draw_classes, options, rows_of, shard_hashes


@pytest.fixture
def out(tmp_path: Path) -> Path:
    precompute.build(draw_classes(tmp_path / "sources"), tmp_path / "out", **options())
    return tmp_path / "out"


def published(shard: Path) -> str:
    """Return what DALI's tool writes for a file.

    Follows tools/tfrecord2idx of NVIDIA/DALI at 4aba0b4: eight bytes of length, four of its checksum, the record, four
    of checksum; a line holds where that starts and how long it is.
    """
    content, position, lines = shard.read_bytes(), 0, []
    while position < len(content):
        (length,) = struct.unpack_from("<q", content, position)
        lines.append(f"{position} {8 + 4 + length + 4}\n")
        position += 8 + 4 + length + 4
    assert position == len(content)
    return "".join(lines)


def test_each_shard_has_the_index_that_dali_writes(out: Path) -> None:
    found = precompute.dali_index(out)
    assert [str(path.relative_to(out)) for path in found.shards] != [] and found.num_records == 8 * 3 + 4
    assert {str(path.relative_to(out)) for path in found.shards} == set(shard_hashes(out))
    assert (sorted(found.shards), sorted(found.indexes)) == (found.shards, found.indexes)  # one belongs to one
    for shard, index in zip(found.shards, found.indexes, strict=True):
        assert index == shard.parent / "dali" / f"{shard.name.replace('.tfrecord-', '.')}.idx"
        assert index.read_text(encoding="ascii") == published(shard)


def test_its_lines_lead_to_records(out: Path) -> None:
    found = precompute.dali_index(out, split="train", rows="1")
    keys = []
    for shard, index in zip(found.shards, found.indexes, strict=True):
        for line in index.read_text().splitlines():
            offset, size = map(int, line.split())
            framed = shard.read_bytes()[offset : offset + size]
            keys.append(decode_example(framed[12:-4])["augment/key"][0].decode())
    assert keys == [example["key"] for example in precompute.read(out, row=1)]


def test_indexes_disturb_nobody_and_go_with_their_rows(out: Path, tmp_path: Path) -> None:
    precompute.dali_index(out)
    folder = out / "data/g0001/dali"
    assert precompute.verify(out, jobs=1).problems == []
    precompute.build(tmp_path / "sources", out, **options(variants=4))
    assert len(list(folder.glob("*-train_r*.idx"))) == 3 * len(
        precompute.dali_index(out, split="train", rows=[3]).shards
    )
    precompute.drop(out, rows="0-1")
    assert [row for row, _, _ in rows_of(out)] == [2, 3]
    assert {path.name.split(".")[0][-5:] for path in folder.glob("*-train_*.idx")} == {"r0002", "r0003"}
    assert list(folder.glob("*-validation_*.idx"))
    precompute.regenerate(out, seed=9, jobs=1, backend="sequential", quiet=True)
    assert not list(folder.glob("*-train_*.idx"))
    precompute.build(tmp_path / "sources", out, **options(replace=True, quality=90, image_format="jpeg"))
    assert not folder.exists()
    tfds = pytest.importorskip("tensorflow_datasets")
    precompute.dali_index(out)
    assert len(list(tfds.builder_from_directory(str(out)).as_dataset(split="train"))) == 8


def test_the_command(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dali-index", str(out), "--split", "train", "--rows", "0-1"]) == 0
    said = capsys.readouterr().out
    assert "of 16 records" in said and str(out / "data/g0001/dali") in said
    names = {path.name for path in (out / "data/g0001/dali").iterdir()}
    shards = [shard for row in (0, 1) for shard in out.rglob(f"*-train_r000{row}.tfrecord-*")]
    assert names == {shard.name.replace("tfrecord-", "") + ".idx" for shard in shards}


def test_what_cannot_be_indexed(out: Path, tmp_path: Path) -> None:
    from precompute.building.folder import write_lock

    with pytest.raises(UsageError, match="row numbers belong to a split"):
        precompute.dali_index(out, rows="0")
    with pytest.raises(UsageError, match="split: the dataset has train, validation; got 'test'"):
        precompute.dali_index(out, split="test")
    with pytest.raises(UsageError, match=r"that train lists \(0-2\), got \[7\]"):
        precompute.dali_index(out, split="train", rows=[7])
    with pytest.raises(DatasetError, match="build the dataset first"):
        precompute.dali_index(tmp_path / "none")
    with write_lock(out), pytest.raises(BuildError, match="another build is writing here"):
        precompute.dali_index(out)
    shard = next(out.rglob("*-train_r0001.tfrecord-*"))
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DatasetError, match=f"{shard.name}: altered"):
        precompute.dali_index(out)
