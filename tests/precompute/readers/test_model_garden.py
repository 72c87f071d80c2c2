"""The records under the decoders of TensorFlow Model Garden, whose package cannot be installed beside this one.

Each function here makes the TensorFlow calls that a decoder of theirs makes, with the same features and defaults.

Source: https://github.com/tensorflow/models at 00b830c7ca641413f37e5147cf059c89f79b0e8e (2023):
official/vision/dataloaders/classification_input.py (Decoder, `_parse_eval_image`, `_parse_eval_data`),
official/vision/dataloaders/segmentation_input.py (Decoder, `_prepare_image_and_label`); and at
00d83f37e2de5852699ed339d0c51085ab065651: official/vision/dataloaders/tf_example_decoder.py (TfExampleDecoder).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest

import precompute
from tests.helpers.decoded_sources import random_pixels
from tests.helpers.small_datasets import draw_classes, draw_pairs, options, save

tf = pytest.importorskip("tensorflow")

REFUSALS = (tf.errors.InvalidArgumentError,)
INT64, STRING = tf.int64, tf.string


def records_of(out: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yield each serialized record of the first train row beside what `precompute.read` makes of it."""
    shards = sorted(map(str, out.glob("data/g0001/*-train_r0000.tfrecord-*")))
    yield from zip(tf.data.TFRecordDataset(shards).as_numpy_iterator(), precompute.read(out), strict=True)


# Their decoders.


def classify(record: bytes, *, jpeg_only: bool = True, num_labels: int | None = None) -> tuple[Any, Any]:
    """Return image and label, or a vector of labels, as the classification parser sees them before it resizes."""
    label = tf.io.FixedLenFeature((), INT64, -1) if num_labels is None else tf.io.VarLenFeature(INT64)
    features = {"image/encoded": tf.io.FixedLenFeature((), STRING, ""), "image/class/label": label}
    parsed = tf.io.parse_single_example(record, features)
    encoded, label = parsed["image/encoded"], tf.cast(parsed["image/class/label"], tf.int32)
    if jpeg_only:
        shape = tf.image.extract_jpeg_shape(encoded)
        window = tf.stack([0, 0, shape[0], shape[1]])  # theirs is a crop from the middle
        image = tf.image.decode_and_crop_jpeg(encoded, window, channels=3)
    else:
        image = tf.io.decode_image(encoded, channels=3)
        image.set_shape([None, None, 3])
    if num_labels is not None:
        label = tf.reduce_sum(tf.one_hot(tf.sparse.to_dense(label), num_labels), axis=0)
    return image, label


def segment(record: bytes) -> tuple[Any, Any]:
    """Return image [H, W, 3] and ids, float32 [1, H, W], as the segmentation parser prepares them."""
    text, number = tf.io.FixedLenFeature((), STRING, ""), tf.io.FixedLenFeature((), INT64, 0)
    features = {"image/encoded": text, "image/segmentation/class/encoded": text}
    parsed = tf.io.parse_single_example(record, features | {"image/height": number, "image/width": number})
    height, width = parsed["image/height"], parsed["image/width"]
    ids = tf.io.decode_image(parsed["image/segmentation/class/encoded"], channels=1)
    image = tf.io.decode_image(parsed["image/encoded"], channels=3, dtype=tf.uint8)
    return tf.reshape(image, (height, width, 3)), tf.cast(tf.reshape(ids, (1, height, width)), tf.float32)


def detect(record: bytes) -> dict[str, Any]:
    """Return what the detection decoder takes from a record apart from boxes, with the number of those."""
    features = {
        "image/encoded": tf.io.FixedLenFeature((), STRING),
        "image/height": tf.io.FixedLenFeature((), INT64, -1),
        "image/width": tf.io.FixedLenFeature((), INT64, -1),
        "image/source_id": tf.io.FixedLenFeature((), STRING),
        "image/object/bbox/xmin": tf.io.VarLenFeature(tf.float32),
        "image/object/class/label": tf.io.VarLenFeature(INT64),
    }
    parsed = tf.io.parse_single_example(record, features)
    image = tf.io.decode_image(parsed["image/encoded"], channels=3)
    return {**parsed, "image": image, "num_boxes": tf.size(parsed["image/object/bbox/xmin"].values)}


# On datasets of every kind and encoding.


def build(sources: Any, out: Path, image_format: str, **changes: Any) -> Path:
    given = options(image_format=image_format, variants=1, **changes)
    if isinstance(sources, dict):
        precompute.build(output=out, **sources, **given)
    else:
        precompute.build(sources, out, **given)
    return out


def same_pixels(image: Any, example: dict[str, Any], image_format: str) -> bool:
    difference = np.abs(image.numpy().astype(int) - example["image"])
    if image_format == "jpeg":  # TensorFlow's DCT is the fast one, and these pixels are noise
        return bool(difference.mean() < 6)
    return bool(difference.max() == 0)


@pytest.mark.parametrize(("image_format", "jpeg_only"), [("jpeg", True), ("jpeg", False), ("png", False)])
def test_classification(tmp_path: Path, image_format: str, jpeg_only: bool) -> None:
    out, seen = build(draw_classes(tmp_path / "data"), tmp_path / "out", image_format), 0
    for record, example in records_of(out):
        image, label = classify(record, jpeg_only=jpeg_only)
        assert same_pixels(image, example, image_format) and int(label) == example["label"]
        seen += 1
    assert seen == 8


@pytest.mark.parametrize(("image_format", "jpeg_only"), [("png", True), ("raw", True), ("raw", False)])
def test_what_classification_does_not_decode(tmp_path: Path, image_format: str, jpeg_only: bool) -> None:
    out = build(draw_classes(tmp_path / "data"), tmp_path / "out", image_format)
    record, _ = next(records_of(out))
    with pytest.raises(REFUSALS):
        classify(record, jpeg_only=jpeg_only)


@pytest.mark.parametrize("image_format", ["jpeg", "png"])
def test_several_labels(tmp_path: Path, image_format: str) -> None:
    images = sorted(draw_classes(tmp_path / "data").rglob("*.png"))
    sources = {"images": images, "labels": [["cat", "dog"][: i % 3] for i in range(len(images))]}
    counts = []
    for record, example in records_of(build(sources, tmp_path / "out", image_format, validation_split=0)):
        image, labels = classify(record, jpeg_only=image_format == "jpeg", num_labels=2)
        assert same_pixels(image, example, image_format)
        assert labels.numpy().tolist() == [float(i in example["labels"]) for i in range(2)]
        counts.append(len(example["labels"]))
    assert sorted(counts) == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]


@pytest.mark.parametrize("image_format", ["jpeg", "png"])
def test_segmentation(tmp_path: Path, image_format: str) -> None:
    train = A.Compose([A.HorizontalFlip(p=0.5), A.Resize(12, 20)])  # reshaped by what the record says of its size
    out, seen = build(draw_pairs(tmp_path / "data"), tmp_path / "out", image_format, pipeline={"train": train}), 0
    for record, example in records_of(out):
        image, ids = segment(record)
        assert same_pixels(image, example, image_format) and image.shape == (12, 20, 3)
        np.testing.assert_array_equal(ids.numpy()[0], example["mask"])
        seen += 1
    assert seen == 9


def test_raw_records_are_no_files_to_segmentation(tmp_path: Path) -> None:
    record, _ = next(records_of(build(draw_pairs(tmp_path / "data"), tmp_path / "out", "raw")))
    with pytest.raises(REFUSALS):
        segment(record)


def test_segmentation_cuts_ids_above_255(tmp_path: Path) -> None:
    """It decodes to 8 bits, so that masks with more ids come out wrong without a word: the guide says so."""
    for i in range(4):
        save(tmp_path / f"data/images/{i}.png", random_pixels(16, 16, 3, seed=i))
        save(tmp_path / f"data/masks/{i}.png", np.full((16, 16), 300, np.uint16))
    plain = {"train": A.Compose([A.Resize(16, 16)])}
    for record, example in records_of(build(tmp_path / "data", tmp_path / "out", "png", pipeline=plain)):
        _, ids = segment(record)
        assert (example["mask"] == 300).all() and not (ids.numpy() == 300).any()


@pytest.mark.parametrize("image_format", ["jpeg", "png"])
def test_detection_reads_what_is_there_of_it(tmp_path: Path, image_format: str) -> None:
    for record, example in records_of(build(draw_pairs(tmp_path / "data"), tmp_path / "out", image_format)):
        found = detect(record)
        assert same_pixels(found["image"], example, image_format) and int(found["num_boxes"]) == 0
        size = (int(found["image/height"]), int(found["image/width"]))
        assert size == example["image"].shape[:2]
        assert int(tf.strings.to_number(found["image/source_id"], INT64)) >= 0
