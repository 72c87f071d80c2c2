"""`load`: what it refuses before training starts, and in which words."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import precompute
from precompute.dataset.leases import held_rows
from precompute.errors import DatasetError, UsageError
from tests.helpers.small_datasets import draw_classes, options
from tests.helpers.stored_records import Stored, build_rows


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_rows(tmp_path_factory.mktemp("checks"), num_rows=2)


@pytest.fixture
def out(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "out"))


def shards(out: Path, split_row: str = "train_r0001") -> list[Path]:
    return sorted((out / "data").rglob(f"*-{split_row}.tfrecord-*"))


# Files


def test_a_missing_shard_is_named(out: Path) -> None:
    shards(out)[2].unlink()
    with pytest.raises(DatasetError, match=r"1 of 8 shards of train is not what the manifest says") as caught:
        precompute.load(out)
    assert f"{shards(out.parent / 'out')[0].parent}" in str(caught.value)
    assert re.search(r"-train_r0001\.tfrecord-00002-of-00004: missing\n", str(caught.value))
    assert "Run the same `precompute build` again" in str(caught.value)


def test_a_short_shard_is_named_with_its_size(out: Path) -> None:
    shard = shards(out)[0]
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-20])
    with pytest.raises(DatasetError, match=rf"00000-of-00004: {len(whole) - 20} bytes, expected {len(whole)}"):
        precompute.load(out)


def test_the_first_five_are_shown_and_the_total(out: Path) -> None:
    for shard in [*shards(out), *shards(out, "train_r0000")][:7]:
        shard.unlink()
    with pytest.raises(DatasetError, match=r"7 of 8 shards(.|\n)*… and 2 more \(7 in total\)") as caught:
        precompute.load(out)
    assert str(caught.value).count(": missing") == 5


def test_an_altered_shard_is_named_by_the_full_check_alone(out: Path) -> None:
    shard = shards(out)[3]
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    precompute.load(out)
    with pytest.raises(
        DatasetError, match=r"00003-of-00004: its content was altered \(sha256 differs\)(.|\n)*--check full"
    ):
        precompute.load(out, check="full")


@pytest.mark.slow
def test_only_what_will_be_read_is_looked_at(out: Path) -> None:
    shards(out)[0].unlink()
    stored = Stored(out)
    assert sorted(stored.epoch(precompute.load(out, rows=[0, 0]))) == stored.whole_row(0)
    precompute.load(out, split="validation", cache=False)
    precompute.load(out, check="none", cache=False)


def test_an_altered_row_file_is_named(out: Path) -> None:
    row_file = next((out / "data").rglob("rows/train_r0001.json"))
    row_file.write_bytes(row_file.read_bytes() + b" ")
    with pytest.raises(DatasetError, match=r"train_r0001\.json: this is not the row file that the manifest names"):
        precompute.load(out)


def test_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"manifest\.json(.|\n)*build the dataset first, or check the path"):
        precompute.load(tmp_path)


def test_what_is_refused_is_not_held(out: Path) -> None:
    shards(out)[0].unlink()
    with pytest.raises(DatasetError) as caught:  # an error that is kept, as a notebook does, keeps what it has seen
        precompute.load(out)
    assert held_rows(out, now=0) == set(), caught


# Leaks


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("leaking")
    draw_classes(folder / "sources", per_class=8)
    for i in range(8):
        shutil.copy(folder / f"sources/cat/cat{i:03d}.png", folder / f"sources/dog/copy{i:03d}.png")
    given = options(variants=1, validation_split=0.4, test_split=0.0)
    precompute.build(folder / "sources", folder / "out", **given)
    return folder / "out"


@pytest.mark.parametrize("split", ["train", "validation"])
def test_splits_that_share_content_are_refused(leaking: Path, split: str) -> None:
    with pytest.raises(DatasetError, match=r"train and validation share the content of \d+ sources") as caught:
        precompute.load(leaking, split=split)
    assert re.search(r"\n  (cat/cat|dog/copy)00\d = (cat/cat|dog/copy)00\d\n", str(caught.value))
    assert "Remove the duplicates and build again, or pass allow_leak=True." in str(caught.value)


def test_a_leak_may_be_allowed(leaking: Path) -> None:
    assert len(list(precompute.load(leaking, allow_leak=True))) == 1


# Arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "test"}, r"split: .* has train, validation; got 'test'\."),
        ({"batch_size": 0}, r"batch_size: expected an integer of 1 or more, got 0\."),
        ({"batch_size": 2.5}, r"batch_size: expected an integer, got 2\.5\."),
        ({"batch_size": True}, r"batch_size: expected an integer, got True\."),
        ({"shuffle_seed": 0.5}, r"shuffle_seed: expected an integer, got 0\.5\."),
        ({"shuffle_seed": 2**63}, r"shuffle_seed: expected an integer, got 9223372036854775808\."),
        ({"check": "all"}, r"check: expected one of sizes, full, none, got 'all'\."),
        ({"rows": "every"}, r"rows: expected 'cycle', 'follow', 'all' or a list of row numbers, got 'every'\."),
        ({"rows": 1}, r"rows: expected 'cycle', 'follow', 'all' or a list of row numbers, got 1\."),
        ({"rows": ["0"]}, r"rows: expected 'cycle', 'follow', 'all' or a list of row numbers, got \['0'\]\."),
        ({"rows": [0, 7, 9]}, r"rows: expected row numbers that train lists \(0-1\), got \[7, 9\]\."),
        ({"rows": []}, r"rows: expected row numbers that train lists \(0-1\), got \[\]\."),
        ({"normalize": True}, r"normalize: no Normalize was taken off train's pipeline; scale inside the model"),
        (
            {"batch_size": 33, "drop_remainder": True},
            r"batch_size: an epoch has 32 records, so that drop_remainder leaves no batch of 33\.",
        ),
    ],
    ids=lambda value: "-".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_arguments_that_make_no_sense(built: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        precompute.load(built, **arguments)


def test_integers_of_numpy_are_integers(built: Path) -> None:
    dataset = precompute.load(built, batch_size=np.int32(32), drop_remainder=True, shuffle_seed=np.int64(3))
    assert dataset.element_spec[0].shape == (32, 16, 16, 3)
