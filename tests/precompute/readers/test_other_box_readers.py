"""Boxes in readers that are not ours: Model Garden's detection decoder, the guide's PyTorch dataset, `tfrecord`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import precompute
from tests.helpers.box_datasets import NAMES, draw_boxed, turning
from tests.helpers.other_readers import BOXES_SNIPPET, SNIPPET, Tensor, read_by_tfrecord, torch_stand_in  # noqa: F401 (a fixture)
from tests.helpers.small_datasets import options

tf = pytest.importorskip("tensorflow")


def build(folder: Path, image_format: str) -> Path:
    """Build a dataset whose images have none to three objects, some of them in crowds."""
    truth = draw_boxed(folder / "images", 16)
    boxes: list[list[tuple[Any, ...]]] = [list(rows) for rows in truth.values()]
    for rows in boxes[::3]:
        rows[:1] = [(*rows[0], "crowd")] if rows else []
    given = options(image_format=image_format, pipeline={"train": turning()}, variants=2, validation_split=0)
    images = [folder / "images" / f"{name}.png" for name in truth]
    precompute.build(images=images, boxes=boxes, output=folder / "out", **given)
    return folder / "out"


# TensorFlow Model Garden.
# Source: https://github.com/tensorflow/models at 00d83f37e2de5852699ed339d0c51085ab065651,
# official/vision/dataloaders/tf_example_decoder.py (TfExampleDecoder): features, defaults, and what it does where a
# list is empty. It is not installed beside this package; the TensorFlow calls are the same.

TEXT, WHOLE = tf.string, tf.int64
SIDES = ("ymin", "xmin", "ymax", "xmax")


def detect(record: bytes) -> dict[str, Any]:
    features = {
        "image/encoded": tf.io.FixedLenFeature((), TEXT),
        "image/source_id": tf.io.FixedLenFeature((), TEXT),
        **{f"image/{side}": tf.io.FixedLenFeature((), WHOLE, -1) for side in ("height", "width")},
        **{f"image/object/bbox/{side}": tf.io.VarLenFeature(tf.float32) for side in SIDES},
        "image/object/class/label": tf.io.VarLenFeature(WHOLE),
        "image/object/area": tf.io.VarLenFeature(tf.float32),
        "image/object/is_crowd": tf.io.VarLenFeature(WHOLE),
    }
    parsed = tf.io.parse_single_example(record, features)
    parsed = {k: tf.sparse.to_dense(v) if isinstance(v, tf.SparseTensor) else v for k, v in parsed.items()}
    boxes = tf.stack([parsed[f"image/object/bbox/{side}"] for side in SIDES], axis=-1)
    crowd = parsed["image/object/is_crowd"]
    return {
        "image": tf.io.decode_image(parsed["image/encoded"], channels=3),
        "source_id": parsed["image/source_id"],
        "height": parsed["image/height"],
        "width": parsed["image/width"],
        "boxes": boxes,
        "labels": parsed["image/object/class/label"],
        "area": parsed["image/object/area"],
        "crowd": tf.cast(crowd, tf.bool) if len(crowd) else tf.zeros_like(crowd, tf.bool),
    }


@pytest.mark.slow
@pytest.mark.parametrize("image_format", ["jpeg", "png"])
def test_model_gardens_detection_decoder(tmp_path: Path, image_format: str) -> None:
    out, seen, empty = build(tmp_path, image_format), 0, 0
    shards = sorted(map(str, out.glob("data/g0001/*-train_r0001.tfrecord-*")))
    records = tf.data.TFRecordDataset(shards).as_numpy_iterator()
    for record, example in zip(records, precompute.read(out, row=1), strict=True):
        found = detect(record)
        height, width = example["image"].shape[:2]
        assert found["image"].shape == (height, width, 3)
        assert (int(found["height"]), int(found["width"])) == (height, width)
        assert int(tf.strings.to_number(found["source_id"], WHOLE)) >= 0  # RetinaNet parses it as a number
        pixels = found["boxes"].numpy().reshape(-1, 4) * [height, width, height, width]
        np.testing.assert_allclose(pixels[:, [1, 0, 3, 2]], example["boxes"], atol=1e-4)
        np.testing.assert_array_equal(found["labels"], example["labels"])
        np.testing.assert_array_equal(found["crowd"], example["crowd"])
        sizes = example["boxes"][:, 2:] - example["boxes"][:, :2]
        np.testing.assert_allclose(found["area"], sizes.prod(axis=1), rtol=1e-4)
        seen, empty = seen + len(example["boxes"]), empty + (not len(example["boxes"]))
    assert seen > 15 and empty >= 4


# PyTorch.


@pytest.mark.usefixtures("torch_stand_in")
def test_the_pytorch_dataset_of_the_guide_with_boxes(tmp_path: Path) -> None:
    out = build(tmp_path, "png")
    found: dict[str, Any] = {"__name__": "guide"}
    exec(SNIPPET, found)
    exec(BOXES_SNIPPET, found)
    dataset = found["PrecomputedBoxes"](out)
    dataset.epoch = 1
    examples = list(precompute.read(out, row=1))
    images, targets = found["collate"](list(dataset))
    assert len(images) == len(targets) == len(examples) == 16
    for image, target, example in zip(images, targets, examples, strict=True):
        assert isinstance(image, Tensor) and image.shape == (3, *example["image"].shape[:2])
        kept = ~example["crowd"]
        np.testing.assert_array_equal(target["boxes"].values, example["boxes"][kept])
        assert [NAMES[label - 1] for label in target["labels"].values] == [
            name for name, there in zip(example["class_names"], kept, strict=True) if there
        ]
    assert any(example["crowd"].any() for example in examples)


def test_the_tfrecord_package_reads_boxes(tmp_path: Path) -> None:
    out = build(tmp_path, "raw")
    stored = {example["key"]: example for example in precompute.read(out)}
    index = precompute.dali_index(out, split="train", rows=[0])
    description = {"augment/key": "byte", "image/encoded": "byte", "image/object/class/label": "int"}
    description |= {f"image/object/bbox/{side}": "float" for side in SIDES} | {"image/object/is_crowd": "int"}
    seen = set()
    for record in read_by_tfrecord(index, description, indexed=True):
        example = stored[record["augment/key"].decode()]
        height, width = example["image"].shape[:2]
        assert record["image/encoded"] == example["image"].tobytes()
        sides = np.stack([record[f"image/object/bbox/{side}"] for side in ("xmin", "ymin", "xmax", "ymax")], axis=1)
        np.testing.assert_allclose(sides * [width, height, width, height], example["boxes"], atol=1e-4)
        np.testing.assert_array_equal(record["image/object/class/label"], example["labels"])
        np.testing.assert_array_equal(np.array(record["image/object/is_crowd"]) > 0, example["crowd"])
        seen.add(example["key"])
    assert seen == stored.keys()
