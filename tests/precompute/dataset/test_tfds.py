"""TensorFlow Datasets opens what tfds_files writes: it is the judge."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings

import precompute
from precompute.dataset.manifest import Manifest, Row, Segment, Split, Target
from precompute.dataset.paths import DatasetPaths
from precompute.dataset.rows import RowFile, Shard
from precompute.dataset.tfds import tfds_files
from precompute.records.example import encode_example
from precompute.records.tfrecord import frame
from tests.helpers.combined_fields import Drawn, combined_fields, manifest_of
from tests.helpers.schemas import schema_of
from tests.helpers.small_datasets import draw_pairs, options

tfds = pytest.importorskip("tensorflow_datasets")

HEIGHT, WIDTH = 24, 40
NAMES = ["ankle boot", "hat", "a/b ünïcode"]
SHARD_SIZES = (3, 2)


def pixels(split: str, row: int, place: int) -> np.ndarray:
    """uint8 [H, W, 3], smooth so that JPEG keeps it, and different in every record."""
    seed = int.from_bytes(hashlib.sha256(f"{split} {row} {place}".encode()).digest()[:4], "little")
    ramp = np.linspace(0, 200, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH, 1)
    return ((ramp + np.array([seed % 50, seed // 50 % 50, seed // 2500 % 50])) % 256).astype(np.uint8)


def mask_ids(dtype: str, place: int) -> np.ndarray:
    """[H, W] class ids that need all bits of the dtype."""
    return (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) * 7 + place).astype(dtype)


def encode(image: np.ndarray, encoding: str) -> bytes:
    if encoding == "raw":
        return image.astype(image.dtype.newbyteorder("<")).tobytes()
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, {"jpeg": "JPEG", "png": "PNG"}[encoding])
    return buffer.getvalue()


def several(place: int) -> list[int]:
    """Labels of a place: none, one, two, three …"""
    return [0, 1, 2][: place % 4]


def make_record(target: Target, encoding: str, split: str, row: int, place: int) -> bytes:
    features: dict[str, Any] = {
        "image/encoded": encode(pixels(split, row, place), encoding),
        "image/format": encoding.encode(),
        "image/height": HEIGHT,
        "image/width": WIDTH,
        "image/source_id": str(place).encode(),
        "image/filename": b"%d.png" % place,
        "augment/key": f"{split}/é{place}".encode(),
        "augment/seed": -1,
        "augment/variant": row,
        "augment/copy": 0,
    }
    if target.kind == "class":
        label = place % target.num_classes
        features |= {"image/class/label": label, "image/class/text": f"class {label}".encode()}
    elif target.kind == "multilabel":
        labels = several(place)
        features["image/class/label"] = np.array(labels, np.int64)
        features["image/class/text"] = np.array([target.class_names[label].encode() for label in labels], object)
    else:
        assert target.encoding and target.dtype
        features["image/segmentation/class/encoded"] = encode(mask_ids(target.dtype, place), target.encoding)
        features["image/segmentation/class/format"] = target.encoding.encode()
    return encode_example(features)


def write_row(folder: Path, target: Target, encoding: str, split: str, row: int) -> RowFile:
    shards, place = [], 0
    for block, size in enumerate(SHARD_SIZES):
        records = [make_record(target, encoding, split, row, place + i) for i in range(size)]
        place += size
        path = DatasetPaths(folder).shard("demo_set", "g0002", split, row, block, len(SHARD_SIZES))
        path.parent.mkdir(parents=True, exist_ok=True)
        content = b"".join(map(frame, records))
        path.write_bytes(content)
        shards.append(Shard(num_records=size, num_bytes=len(content), sha256=hashlib.sha256(content).hexdigest()))
    return RowFile(generation="g0002", split=split, row=row, seed=0, variant=row, original=False, shards=shards)


def make_split(rows: list[RowFile]) -> Split:
    total = sum(SHARD_SIZES)
    listed = [
        Row(row=r.row, seed=0, variant=r.variant, original=False, num_records=total, num_bytes=1, sha256="")
        for r in rows
    ]
    return Split(
        segments=[Segment(num_places=total, num_blocks=2)],
        num_records=total,
        sources_sha256="",
        next_row=rows[-1].row + 1,
        rows=listed,
    )


def make_dataset(folder: Path, target: Target, encoding: str) -> Manifest:
    """Train has rows 2 and 3 left, validation row 0."""
    rows = {
        split: [write_row(folder, target, encoding, split, number) for number in numbers]
        for split, numbers in {"train": (2, 3), "validation": (0,)}.items()
    }
    manifest = Manifest(
        name="demo_set",
        generation="g0002",
        fingerprint="",
        settings={},
        schema=schema_of(target, height=HEIGHT, width=WIDTH, channels=3, encoding=encoding),
        normalize={},
        splits={split: make_split(files) for split, files in rows.items()},
    )
    for name, content in tfds_files(manifest, rows).items():
        (folder / name).write_bytes(content)
    return manifest


CLASSES = Target(kind="class", num_classes=3, class_names=NAMES)


def masks(encoding: str = "png", dtype: str = "uint8") -> Target:
    return Target(kind="mask", num_classes=256, class_names=[], encoding=encoding, dtype=dtype)


MULTILABEL = Target(kind="multilabel", num_classes=3, class_names=NAMES)
CASES = [
    pytest.param(MULTILABEL, "png", id="multilabel-png"),
    pytest.param(CLASSES, "jpeg", id="class-jpeg"),
    pytest.param(CLASSES, "png", id="class-png"),
    pytest.param(CLASSES, "raw", id="class-raw"),
    pytest.param(masks(), "jpeg", id="mask-jpeg"),
    pytest.param(masks(dtype="uint16"), "png", id="mask16-png"),
    pytest.param(masks(encoding="raw"), "raw", id="mask-raw"),
    pytest.param(masks(encoding="raw", dtype="uint16"), "raw", id="mask16-raw"),
]


def read(builder: Any, split: str) -> list[dict[str, Any]]:
    """All examples of a split, in the order of its files."""
    return list(tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False)))


@pytest.mark.parametrize(("target", "encoding"), CASES)
def test_it_opens_and_yields_equal_pixels(tmp_path: Path, target: Target, encoding: str) -> None:
    make_dataset(tmp_path, target, encoding)
    examples = read(tfds.builder_from_directory(tmp_path), "train_r0003")
    assert len(examples) == sum(SHARD_SIZES)
    for place, example in enumerate(examples):
        difference = example["image/encoded"].astype(int) - pixels("train", 3, place)
        assert np.abs(difference).max() <= (12 if encoding == "jpeg" else 0)
        assert example["augment/key"].decode() == f"train/é{place}"
        assert (example["augment/seed"], example["augment/variant"], example["image/height"]) == (-1, 3, HEIGHT)
        if target.kind == "class":
            assert example["image/class/label"] == place % 3
        elif target.kind == "multilabel":
            assert example["image/class/label"].tolist() == several(place)
            assert [name.decode() for name in example["image/class/text"]] == [NAMES[i] for i in several(place)]
        else:
            mask = example["image/segmentation/class/encoded"]
            assert mask.dtype == target.dtype
            np.testing.assert_array_equal(mask[..., 0], mask_ids(str(target.dtype), place))


def test_each_row_is_a_split_and_the_first_has_the_plain_name(tmp_path: Path) -> None:
    make_dataset(tmp_path, CLASSES, "png")
    builder = tfds.builder_from_directory(tmp_path)
    assert set(builder.info.splits) == {"train", "train_r0002", "train_r0003", "validation", "validation_r0000"}
    assert [e["augment/variant"] for e in read(builder, "train")] == [2] * 5
    assert [e["augment/variant"] for e in read(builder, "train_r0002+train_r0003")] == [2] * 5 + [3] * 5
    assert [e["augment/key"].decode() for e in read(builder, "validation")] == [f"validation/é{i}" for i in range(5)]
    assert builder.info.splits["train"].num_examples == 5
    assert builder.info.splits["train"].num_bytes == sum(
        p.stat().st_size for p in (tmp_path / "data/g0002").glob("*-train_r0002.tfrecord-*")
    )


@pytest.mark.parametrize("target", [CLASSES, MULTILABEL])
def test_label_names_are_known(tmp_path: Path, target: Target) -> None:
    make_dataset(tmp_path, target, "png")
    label = tfds.builder_from_directory(tmp_path).info.features["image/class/label"]
    assert getattr(label, "feature", label).names == NAMES  # of several labels, the feature of each


@pytest.mark.parametrize("names", [[" hat", "b", "c"], ["b", "", "c"], ["a", "a", "b"], ["a\nb", "c", "d"]])
def test_names_that_would_change_are_left_out_and_it_still_opens(tmp_path: Path, names: list[str]) -> None:
    make_dataset(tmp_path, Target(kind="class", num_classes=3, class_names=names), "png")
    label = tfds.builder_from_directory(tmp_path).info.features["image/class/label"]
    assert label.num_classes == 3
    assert label.names == ["0", "1", "2"]


@pytest.mark.parametrize(("target", "encoding"), CASES)
def test_features_equal_what_tensorflow_datasets_writes(tmp_path: Path, target: Target, encoding: str) -> None:
    ours = make_and_load(tmp_path, target, encoding)
    theirs = tfds.features.FeaturesDict(expected_features(target, encoding))
    (tmp_path / "theirs").mkdir()
    theirs.save_config(tmp_path / "theirs")
    assert ours == json.loads((tmp_path / "theirs/features.json").read_text())
    for labels in (tmp_path / "theirs").glob("*.labels.txt"):
        assert (tmp_path / labels.name).read_bytes() == labels.read_bytes()


def make_and_load(folder: Path, target: Target, encoding: str) -> Any:
    make_dataset(folder, target, encoding)
    return json.loads((folder / "features.json").read_text())


def expected_features(target: Target, encoding: str) -> dict[str, Any]:
    def picture(channels: int, dtype: Any, encoding: str) -> Any:
        shape = (HEIGHT, WIDTH, channels)
        if encoding == "raw":
            return tfds.features.Tensor(shape=shape, dtype=dtype, encoding="bytes")
        return tfds.features.Image(shape=shape, dtype=dtype, encoding_format=encoding)

    texts = ["image/format", "image/source_id", "image/filename", "augment/key"]
    integers = ["image/height", "image/width", "augment/seed", "augment/variant", "augment/copy"]
    features = {"image/encoded": picture(3, np.uint8, encoding)}
    if target.kind == "class":
        texts.append("image/class/text")
        features["image/class/label"] = tfds.features.ClassLabel(names=target.class_names)
    elif target.kind == "multilabel":
        label = tfds.features.ClassLabel(names=target.class_names)
        features["image/class/label"] = tfds.features.Sequence(label)
        features["image/class/text"] = tfds.features.Sequence(tfds.features.Text())
    else:
        texts.append("image/segmentation/class/format")
        dtype = np.dtype(target.dtype).type
        features["image/segmentation/class/encoded"] = picture(1, dtype, str(target.encoding))
    features |= {key: tfds.features.Text() for key in texts}
    return features | {key: tfds.features.Scalar(np.int64) for key in integers}


def test_an_empty_shard_and_a_split_without_rows_do_no_harm(tmp_path: Path) -> None:
    manifest = make_dataset(tmp_path, CLASSES, "png")
    whole = write_row(tmp_path, CLASSES, "png", "train", 2)
    DatasetPaths(tmp_path).shard("demo_set", "g0002", "train", 2, 1, 2).write_bytes(b"")
    row = dataclasses.replace(whole, shards=[whole.shards[0], Shard(num_records=0, num_bytes=0, sha256="")])
    for name, content in tfds_files(manifest, {"train": [row], "validation": []}).items():
        (tmp_path / name).write_bytes(content)
    builder = tfds.builder_from_directory(tmp_path)
    assert set(builder.info.splits) == {"train", "train_r0002"}
    assert len(read(builder, "train")) == SHARD_SIZES[0]


@settings(max_examples=10)
@given(drawn=combined_fields())
@pytest.mark.slow
def test_any_combination_of_fields_opens(drawn: Drawn) -> None:
    content = frame(drawn.record)
    shard = Shard(num_records=1, num_bytes=len(content), sha256="")
    row = RowFile(generation="g0001", split="train", row=0, seed=0, variant=0, original=False, shards=[shard])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = DatasetPaths(folder).shard("combined", "g0001", "train", 0, 0, 1)
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        for file, content in tfds_files(manifest_of(drawn.schema), {"train": [row]}).items():
            (folder / file).write_bytes(content)
        (example,) = read(tfds.builder_from_directory(folder), "train")
    assert example.keys() == drawn.schema.features.keys()
    np.testing.assert_array_equal(example["image/encoded"], drawn.entries["image"])
    assert example["augment/key"].decode() == drawn.entries["key"]


@pytest.mark.parametrize("encoding", ["png", "jpeg"])
def test_what_a_build_leaves_is_opened(tmp_path: Path, encoding: str) -> None:
    given = options(image_format=encoding, variants=2)
    precompute.build(draw_pairs(tmp_path / "data", 16), tmp_path / "cells", **given)
    builder = tfds.builder_from_directory(str(tmp_path / "cells"))
    assert set(builder.info.splits) == {"train", "train_r0000", "train_r0001", "validation", "validation_r0000"}
    for split, row in (("train", 1), ("validation", 0)):
        stored = {example["key"]: example for example in precompute.read(tmp_path / "cells", split=split, row=row)}
        seen = 0
        for example in tfds.as_numpy(builder.as_dataset(split=f"{split}_r{row:04d}")):
            expected = stored[example["augment/key"].decode()]
            np.testing.assert_array_equal(example["image/segmentation/class/encoded"][..., 0], expected["mask"])
            # TensorFlow's quick JPEG decoder, which TensorFlow Datasets takes, rounds otherwise than Pillow.
            near = np.abs(example["image/encoded"].astype(int) - expected["image"].astype(int))
            assert near.max() <= (0 if encoding == "png" else 24)
            seen += 1
        assert seen == len(stored) > 0
