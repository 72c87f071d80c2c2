"""`precompute.read`: what is stored, as NumPy arrays."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import pytest
from PIL import Image

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError, UsageError
from precompute.readers.read import read
from precompute.records.tfrecord import frame, read_records
from tests.helpers.small_datasets import draw_classes, draw_pairs, options, save


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    precompute.build(draw_pairs(folder / "sources"), folder / "out", **options(include_original=True))
    return folder


def shards_of(out: Path, split: str, row: int) -> list[Path]:
    return sorted((out / "data").rglob(f"*-{split}_r{row:04d}.tfrecord-*"))


def test_every_source_once_with_its_draw(pairs: Path) -> None:
    out = pairs / "out"
    grid = Manifest.load(out).splits["train"]
    for row in grid.rows:
        examples = list(read(out, row=row.row))
        assert len({example["key"] for example in examples}) == len(examples) == grid.num_records
        assert {(e["seed"], e["variant"], e["copy"]) for e in examples} == {(row.seed, row.stored_variant, 0)}
        assert {(e["image"].shape, e["image"].dtype.name) for e in examples} == {((16, 16, 3), "uint8")}
        assert {(e["mask"].shape, e["mask"].dtype.name) for e in examples} == {((16, 16), "uint8")}
        assert {e["filename"] for e in examples} == {f"{e['key']}.png" for e in examples}


def test_the_first_row_is_read_when_none_is_named(pairs: Path) -> None:
    first = Manifest.load(pairs / "out").splits["train"].rows[0]
    assert {e["variant"] for e in read(pairs / "out")} == {first.stored_variant}


def test_pixels_are_those_of_the_resized_source_in_the_original_row(pairs: Path) -> None:
    resize = A.Resize(16, 16, mask_interpolation=cv2.INTER_NEAREST_EXACT)
    for example in read(pairs / "out", split="validation"):
        image = np.asarray(Image.open(pairs / "sources" / "images" / example["filename"]))
        mask = np.asarray(Image.open(pairs / "sources" / "masks" / example["filename"]))
        expected = resize(image=image, mask=mask)
        np.testing.assert_array_equal(example["image"], expected["image"])
        np.testing.assert_array_equal(example["mask"], expected["mask"])


@pytest.mark.parametrize("image_format", ["jpeg", "png", "raw"])
def test_classes_and_encodings(tmp_path: Path, image_format: str) -> None:
    draw_classes(tmp_path / "sources")
    precompute.build(tmp_path / "sources", tmp_path / "out", **options(image_format=image_format, variants=1))
    examples = list(read(tmp_path / "out"))
    assert {(e["label"], e["class_name"]) for e in examples} == {(0, "cat"), (1, "dog")}
    assert all(e["key"].startswith(e["class_name"]) and e["image"].shape == (16, 16, 3) for e in examples)
    assert not any("mask" in e for e in examples)


@pytest.mark.parametrize("image_format", ["png", "raw"])
def test_masks_of_more_than_256_classes(tmp_path: Path, image_format: str) -> None:
    for i in range(4):
        save(tmp_path / "sources" / "images" / f"{i}.png", np.full((16, 16, 3), i, np.uint8))
        save(tmp_path / "sources" / "masks" / f"{i}.png", np.full((16, 16), 40_000 + i, np.uint16))
    plain = A.Compose([A.Resize(16, 16)])
    precompute.build(
        tmp_path / "sources", tmp_path / "out", **options(pipeline=plain, image_format=image_format, variants=1)
    )
    found = {(e["key"], e["mask"].dtype.name, int(e["mask"].max())) for e in read(tmp_path / "out")}
    assert found <= {(str(i), "uint16", 40_000 + i) for i in range(4)}
    assert len(found) == 3


def test_a_shard_cut_between_records_is_named_before_the_first_example(pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(pairs / "out", out)
    shard = shards_of(out, "train", 1)[0]
    shard.write_bytes(b"".join(map(frame, list(read_records(shard))[:-1])))
    with pytest.raises(
        DatasetError, match=rf"1 of .* shards? .*not what the manifest says:\n  .*{shard.name}: \d+ bytes"
    ):
        read(out, row=1)
    assert len(list(read(out, row=0)))  # the others are whole


def test_a_shard_with_one_record_less_of_the_same_size_is_named(pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(pairs / "out", out)
    shard = shards_of(out, "train", 1)[0]
    records = list(read_records(shard))
    padded = records[-2] + b"\x12" + bytes([len(records[-1]) % 128])  # no longer a record of this format
    content = b"".join(map(frame, [*records[:-2], padded]))
    shard.write_bytes(content + b"\0" * (shard.stat().st_size - len(content)))
    with pytest.raises(DatasetError, match=shard.name):
        list(read(out, row=1))


def test_a_count_that_is_not_the_row_files_is_named(pairs: Path, tmp_path: Path) -> None:
    """Sizes agree, and every record is whole: only the count tells."""
    out = tmp_path / "out"
    shutil.copytree(pairs / "out", out)
    manifest = json.loads((out / "manifest.json").read_text())
    row_path = next((out / "data").rglob("train_r0001.json"))
    row = json.loads(row_path.read_text())
    row["shards"][0]["num_records"] += 1
    row_path.write_text(json.dumps(row))
    manifest["splits"]["train"]["rows"][1]["sha256"] = hashlib.sha256(row_path.read_bytes()).hexdigest()
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DatasetError, match=r"\d+ records, expected \d+\. Run the same `precompute build`"):
        list(read(out, row=1))


@pytest.mark.slow
def test_other_versions_do_not_keep_from_reading(pairs: Path, tmp_path: Path) -> None:
    shutil.copytree(pairs / "out", tmp_path / "out")
    path = tmp_path / "out" / "manifest.json"
    content = json.loads(path.read_text())
    versions = content["settings"]["pixels"]["versions"]
    versions.update(dict.fromkeys(versions, "0.0.1"))
    path.write_text(json.dumps(content))
    for one, other in zip(read(tmp_path / "out"), read(pairs / "out"), strict=True):
        assert np.array_equal(one["image"], other["image"]) and np.array_equal(one["mask"], other["mask"])
    dataset = precompute.load(tmp_path / "out", split="train", batch_size=4)
    assert sum(len(images) for images, _ in dataset) == Manifest.load(pairs / "out").splits["train"].num_records


def test_what_is_not_there_is_refused_with_what_is(pairs: Path) -> None:
    with pytest.raises(UsageError, match="split: the dataset has train, validation; got 'test'"):
        read(pairs / "out", split="test")
    with pytest.raises(UsageError, match=r"rows: expected row numbers that train lists \(0-3\), got \[9\]"):
        read(pairs / "out", row=9)
    with pytest.raises(DatasetError, match="build the dataset first"):
        read(pairs / "nowhere")


def test_reading_loads_neither_tensorflow_nor_albumentations_nor_opencv(pairs: Path) -> None:
    heavy = "{'tensorflow', 'keras', 'albumentations', 'cv2'}"
    reads = f"from precompute.readers.read import read; list(read({str(pairs / 'out')!r}))"
    code = f"import sys; {reads}; print({heavy} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
    seen = subprocess.run(
        [sys.executable, "-c", f"import cv2, {code[7:]}"], capture_output=True, text=True, check=True
    ).stdout
    assert seen == "{'cv2'}\n"  # the test can fail


@pytest.mark.slow
def test_tensorflow_reads_the_same_pixels(pairs: Path) -> None:
    pytest.importorskip("tensorflow")
    batch = next(iter(precompute.load(pairs / "out", split="validation", batch_size=64, with_keys=True)))
    images, masks, keys = (part.numpy() for part in batch)
    for i, example in enumerate(read(pairs / "out", split="validation")):
        assert keys[i].decode() == example["key"]
        np.testing.assert_array_equal(images[i], example["image"])
        np.testing.assert_array_equal(masks[i], example["mask"])


def test_a_reader_holds_its_row_until_it_ends(pairs: Path) -> None:
    leases = pairs / "out" / ".leases"
    examples = read(pairs / "out", row=2)
    next(examples)
    assert [json.loads(path.read_text())["rows"] for path in leases.glob("*.json")] == [[["g0001", "train", 2]]]
    list(examples)
    assert not list(leases.glob("*.json"))


# Sharing, shuffling, epochs.


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    given = options(pipeline={"train": A.Compose([A.Resize(8, 8)])}, variants=2, validation_split=0)
    precompute.build(draw_classes(folder / "sources", per_class=40), folder / "out", **given)
    return folder / "out"


def keys_of(out: Path, **chosen: Any) -> list[str]:
    return [example["key"] for example in read(out, **chosen)]


@pytest.mark.parametrize("number", [1, 2, 3, 4, 7, 100])
@pytest.mark.parametrize("shuffle_seed", [None, 5])
def test_readers_divide_a_row(many: Path, number: int, shuffle_seed: int | None) -> None:
    parts = [keys_of(many, shuffle_seed=shuffle_seed, part=(i, number)) for i in range(number)]
    assert sorted(key for part in parts for key in part) == sorted(keys_of(many)) and len(keys_of(many)) == 80
    assert number > 7 or max(map(len, parts)) - min(map(len, parts)) <= 6


def test_shuffling_follows_from_seed_row_and_epoch(many: Path) -> None:
    stored = keys_of(many)
    orders = [
        keys_of(many, **chosen)
        for chosen in (
            {"shuffle_seed": 0},
            {"shuffle_seed": 1},
            {"shuffle_seed": 0, "row": 1},
            {"shuffle_seed": 0, "epoch": 2},
        )
    ]
    assert all(sorted(order) == sorted(stored) for order in orders)
    assert len({tuple(order) for order in [stored, *orders]}) == 5
    assert keys_of(many, shuffle_seed=0) == orders[0]
    moved = np.argsort([stored.index(key) for key in orders[0]]) - np.arange(80)
    assert np.abs(moved).mean() > 15  # of 26.7 for an even shuffle


def test_records_are_mixed_in_windows(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import precompute.readers.read as reading

    monkeypatch.setattr(reading, "WINDOW_BYTES", 2_000)
    assert sorted(keys_of(many, shuffle_seed=3)) == sorted(keys_of(many))


def test_an_epoch_reads_its_row(many: Path) -> None:
    assert [next(read(many, epoch=epoch))["variant"] for epoch in range(4)] == [0, 1, 0, 1]


def test_arrays_belong_to_the_caller(tmp_path: Path, many: Path) -> None:
    for image_format in ("jpeg", "png", "raw"):
        out = tmp_path / image_format
        precompute.build(draw_pairs(tmp_path / "data"), out, **options(image_format=image_format, variants=1))
        for example in read(out):
            assert example["image"].flags.writeable and example["mask"].flags.writeable
            assert example["image"].flags.c_contiguous and example["mask"].flags.c_contiguous


def test_several_labels_are_lists(tmp_path: Path) -> None:
    folder = draw_classes(tmp_path / "sources")
    images = sorted(folder.rglob("*.png"))
    labels = [["dog", "cat"][: i % 3] for i in range(len(images))]
    precompute.build(output=tmp_path / "out", images=images, labels=labels, **options(validation_split=0))
    found = {e["filename"]: (e["labels"], e["class_names"]) for e in read(tmp_path / "out")}
    expected = [([], []), ([1], ["dog"]), ([0, 1], ["cat", "dog"])]
    assert found == {path.name: expected[i % 3] for i, path in enumerate(images)}
    assert not any({"label", "class_name", "mask"} & set(example) for example in read(tmp_path / "out"))


def test_inspect_has_what_all_examples_share(many: Path) -> None:
    found = precompute.inspect(many)
    assert found.manifest.target.class_names == ["cat", "dog"] and found.manifest.image.height == 8
    assert (found.splits["train"].num_rows, found.splits["train"].num_records) == (2, 160)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"row": 0, "epoch": 0}, "row, epoch: give one of them"),
        ({"epoch": -1}, "epoch: expected an integer of 0 or more, got -1"),
        ({"shuffle_seed": 0.5}, "shuffle_seed: expected an integer"),
        ({"part": (2, 2)}, r"part: expected \(index, number\) with an index from 0 to number - 1, got \(2, 2\)"),
        ({"part": 3}, "part: expected"),
        ({"part": (0, 0)}, "part: expected"),
    ],
)
def test_arguments_that_make_no_sense(many: Path, chosen: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(many, **chosen)
