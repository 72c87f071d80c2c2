"""Objects with masks as tensors: padding, fresh moves; TensorFlow Datasets and the Object Detection API as judges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError
from precompute.records.tfrecord import read_records
from tests.helpers.instance_datasets import NAMES, SIDE, identity, lists_of, make_truth, turning, write_classes
from tests.helpers.small_datasets import options

TRUTH = make_truth(15)
MAX_OBJECTS = 4


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("instanced")
    write_classes(folder, TRUTH)
    given = options(pipeline={"train": turning(), "validation": identity()}, variants=3, validation_split=0.2)
    precompute.build(output=folder / "out", **lists_of(folder, TRUTH), **given)
    return folder / "out"


def stored_of(out: Path, row: int = 0) -> dict[str, dict[str, Any]]:
    return {example["key"]: example for example in precompute.read(out, row=row)}


def test_dense_tensors_have_static_shapes(out: Path) -> None:
    images, targets = precompute.load(out, batch_size=4, drop_remainder=True, cache=False).element_spec
    assert images.shape == (4, SIDE, SIDE, 3)
    assert {name: (spec.shape, spec.dtype) for name, spec in targets.items()} == {
        "boxes": ((4, MAX_OBJECTS, 4), tf.float32),
        "labels": ((4, MAX_OBJECTS), tf.int64),
        "mask": ((4, MAX_OBJECTS), tf.bool),
        "crowd": ((4, MAX_OBJECTS), tf.bool),
        "difficult": ((4, MAX_OBJECTS), tf.bool),
        "masks": ((4, MAX_OBJECTS, SIDE, SIDE), tf.bool),
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "given", [{}, {"batch_size": 1, "cache": False}, {"ragged": True, "batch_size": 1}, {"max_boxes": 2}], ids=str
)
def test_what_is_loaded_is_what_is_stored(given: dict[str, Any], out: Path) -> None:
    stored, seen = stored_of(out), 0
    for _, targets, keys in precompute.load(out, rows=[0], with_keys=True, **{"batch_size": 5, **given}):
        for i, key in enumerate(keys.numpy()):
            example = stored[key.decode()]
            number = min(len(example["labels"]), given.get("max_boxes", MAX_OBJECTS))
            there = np.ones(number, bool) if "ragged" in given else targets["mask"][i].numpy()
            masks = targets["masks"][i].numpy() if number else np.zeros((len(there), SIDE, SIDE), bool)
            assert there.sum() == number
            assert np.array_equal(masks[there], example["masks"][:number])
            assert not masks[~there].any()
            np.testing.assert_allclose(targets["boxes"][i].numpy()[there], example["boxes"][:number], atol=1e-4)
            assert targets["labels"][i].numpy()[there].tolist() == example["labels"][:number].tolist()
            seen += number
    assert seen > 10


@pytest.mark.slow
def test_fresh_moves_take_masks_and_boxes_along(out: Path) -> None:
    moved = 0
    for images, targets in precompute.load(out, batch_size=8, rows=[0], fresh="auto"):
        for image, masks, boxes, there in zip(
            images.numpy(), *(targets[name].numpy() for name in ("masks", "boxes", "mask")), strict=True
        ):
            planes = [plane for k in range(MAX_OBJECTS) if (plane := (image[..., 0] >> k & 1).astype(bool)).any()]
            assert len(planes) == there.sum()
            for mask, box in zip(masks[there], boxes[there], strict=True):
                assert any(np.array_equal(mask, plane) for plane in planes)
                y, x = np.nonzero(mask)
                assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
                moved += 1
            assert not masks[~there].any() and not boxes[~there].any()
    assert moved > 10


def test_the_room_in_memory_is_known(out: Path) -> None:
    from precompute.readers.tf.memory import plan_cache

    manifest = Manifest.load(out)
    rows = manifest.splits["train"].rows[:1]
    plan = plan_cache("auto", manifest, rows, reads_part=False)
    assert plan.num_bytes > rows[0].num_records * MAX_OBJECTS * SIDE * SIDE


@pytest.mark.slow
def test_weights_are_those_of_boxes(out: Path) -> None:
    for _, targets, weights in precompute.load(out, rows=[0], class_weights=[1.0, 2.0, 3.0]):
        expected = np.where(targets["mask"], np.array([1.0, 2.0, 3.0, 0.0])[targets["labels"]], 0)
        assert np.array_equal(weights, expected)


def test_train_fit_says_what_to_do(out: Path, tmp_path: Path) -> None:
    from train.fit import fit

    with pytest.raises(DatasetError, match=r"train fit learns .* the dataset has instances: read it"):
        fit(out, run=tmp_path / "run")


def decode_png_masks(record: bytes) -> Any:
    """Do what `TfExampleDecoder._decode_png_instance_masks` of the Object Detection API does."""
    key = "image/object/mask"
    features = tf.io.parse_single_example(record, {key: tf.io.VarLenFeature(tf.string)})
    pngs = tf.sparse.to_dense(features[key], default_value="")

    def decode(buffer: Any) -> Any:
        image = tf.squeeze(tf.io.decode_image(buffer, channels=1, expand_animations=False), axis=2)
        image.set_shape([None, None])
        return tf.cast(tf.greater(image, 0), tf.float32)

    empty = tf.zeros([0, SIDE, SIDE])
    return tf.cond(tf.greater(tf.size(pngs), 0), lambda: tf.map_fn(decode, pngs, dtype=tf.float32), lambda: empty)


def test_the_object_detection_api_reads_masks(out: Path) -> None:
    stored, counts = stored_of(out), set()
    for shard in sorted((out / "data").rglob("*train_r0000.tfrecord-*")):
        for record in read_records(shard):
            (key,) = tf.train.Example.FromString(record).features.feature["augment/key"].bytes_list.value
            masks = decode_png_masks(record).numpy()
            assert np.array_equal(masks > 0, stored[key.decode()]["masks"])
            counts.add(len(masks))
    assert 0 in counts and len(counts) > 2


def test_tfds_opens_the_folder(out: Path) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder_from_directory(out)
    assert builder.info.features["image/object/class/label"].feature.names == NAMES
    stored, seen = stored_of(out, row=1), 0
    for example in tfds.as_numpy(builder.as_dataset(split="train_r0001")):
        expected = stored[example["augment/key"].decode()]
        masks = example["image/object/mask"]
        assert masks.dtype == np.uint8 and masks.shape == (len(expected["labels"]), SIDE, SIDE, 1)
        assert np.array_equal(masks[..., 0] > 0, expected["masks"])
        assert example["image/object/class/label"].tolist() == expected["labels"].tolist()
        seen += len(masks)
    assert seen > 10
