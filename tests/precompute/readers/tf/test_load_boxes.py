"""Boxes as tensors: formats, padding, fresh moves, weights; and TensorFlow Datasets as the judge of the folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
import tensorflow as tf

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import UsageError
from tests.helpers.box_datasets import NAMES, draw_boxed, examples_of, seen_boxes, turning
from tests.helpers.small_datasets import options

SIDE = 60


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("boxed")
    truth = draw_boxed(folder / "images", 16)
    images = [folder / "images" / f"{name}.png" for name in truth]
    square = A.Compose([A.PadIfNeeded(SIDE, SIDE, border_mode=0, position="top_left")])
    given = options(pipeline={"train": turning(), "validation": square}, variants=3)
    precompute.build(output=folder / "out", images=images, boxes=list(truth.values()), **given)
    return folder / "out"


def stored_of(out: Path, row: int = 0) -> dict[str, dict[str, Any]]:
    return {example["key"]: example for example in precompute.read(out, row=row)}


def test_dense_tensors_have_static_shapes(out: Path) -> None:
    dataset = precompute.load(out, batch_size=4, drop_remainder=True, cache=False)
    images, targets = dataset.element_spec
    assert images.shape == (4, SIDE, SIDE, 3)
    found = {name: (spec.shape, spec.dtype) for name, spec in targets.items()}
    assert found == {
        "boxes": ((4, 3, 4), tf.float32),
        "labels": ((4, 3), tf.int64),
        "mask": ((4, 3), tf.bool),
        "crowd": ((4, 3), tf.bool),
        "difficult": ((4, 3), tf.bool),
    }


def test_what_is_loaded_is_what_is_stored(out: Path) -> None:
    stored, seen = stored_of(out), 0
    for _, targets, keys in precompute.load(out, batch_size=5, rows=[0], with_keys=True):
        for i, key in enumerate(keys.numpy()):
            example, mask = stored[key.decode()], targets["mask"][i].numpy()
            number = len(example["labels"])
            assert mask.tolist() == [True] * number + [False] * (3 - number)
            np.testing.assert_allclose(targets["boxes"][i].numpy()[mask], example["boxes"], atol=1e-4)
            assert targets["labels"][i].numpy().tolist() == [*example["labels"].tolist(), *[-1] * (3 - number)]
            assert not targets["boxes"][i].numpy()[~mask].any()
            seen += number
    assert seen == sum(len(example["labels"]) for example in stored.values()) > 10


def as_format(box: np.ndarray[Any, Any], name: str) -> list[float]:
    """Definitions, written out once more."""
    left, top, right, bottom = (box / SIDE if name.startswith("rel_") else box).tolist()
    match name.removeprefix("rel_"):
        case "xyxy":
            return [left, top, right, bottom]
        case "yxyx":
            return [top, left, bottom, right]
        case "xywh":
            return [left, top, right - left, bottom - top]
        case _:
            return [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]


@pytest.mark.parametrize(
    "name",
    [
        *("xyxy", "yxyx", "rel_center_xywh"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("xywh", "center_xywh")),
        *(pytest.param(f"rel_{name}", marks=pytest.mark.slow) for name in ("xyxy", "yxyx", "xywh")),
    ],
)
def test_box_formats(out: Path, name: str) -> None:
    stored = stored_of(out)
    given = {"batch_size": 16, "rows": [0], "with_keys": True, "cache": False}
    for _, targets, keys in precompute.load(out, box_format=name, **given):
        for boxes, mask, key in zip(targets["boxes"].numpy(), targets["mask"].numpy(), keys.numpy(), strict=True):
            wanted = [as_format(box, name) for box in stored[key.decode()]["boxes"]]
            np.testing.assert_allclose(boxes[mask].reshape(-1, 4), np.reshape(wanted, (-1, 4)), atol=1e-4)


@pytest.mark.slow
def test_ragged(out: Path) -> None:
    stored = stored_of(out)
    for cache in (False, True):
        for _, targets, keys in precompute.load(out, batch_size=5, rows=[0], ragged=True, with_keys=True, cache=cache):
            assert set(targets) == {"boxes", "labels", "crowd", "difficult"}
            for i, key in enumerate(keys.numpy()):
                example = stored[key.decode()]
                np.testing.assert_allclose(targets["boxes"][i].numpy().reshape(-1, 4), example["boxes"], atol=1e-4)
                assert targets["labels"][i].numpy().tolist() == example["labels"].tolist()


@pytest.mark.slow
def test_max_boxes_cuts_and_pads(out: Path) -> None:
    stored = stored_of(out)
    for size in (1, 7):
        for _, targets, keys in precompute.load(out, batch_size=16, rows=[0], max_boxes=size, with_keys=True):
            assert targets["boxes"].shape[1:] == (size, 4)
            counts = [min(size, len(stored[key.decode()]["labels"])) for key in keys.numpy()]
            assert targets["mask"].numpy().sum(axis=1).tolist() == counts


def test_more_boxes_than_known_are_an_error(out: Path, tmp_path: Path) -> None:
    from precompute.readers.tf.batches import batch_parser, make_twins
    from precompute.records.tfrecord import read_records

    (shard, *_) = sorted((out / "data").rglob("*-train_r0000*"))
    manifest = Manifest.load(out)
    twins = make_twins(manifest, manifest.schema)
    twins["objects"].size = 1
    parse = batch_parser(twins)
    with pytest.raises(tf.errors.InvalidArgumentError, match="more boxes than the 1 known when it was opened"):
        parse(tf.constant(list(read_records(shard))))


@pytest.mark.slow
def test_cached_rows_are_equal(out: Path) -> None:
    def sorted_labels(dataset: Any) -> list[Any]:
        return sorted((key, labels.tolist()) for _, t, keys in dataset for key, labels in zip(keys.numpy(), t["labels"].numpy(), strict=True))  # fmt: skip # noqa: E501

    plain = precompute.load(out, batch_size=5, rows=[1], with_keys=True)
    assert sorted_labels(plain) == sorted_labels(
        precompute.load(out, batch_size=5, rows=[1], with_keys=True, cache=True)
    )


@pytest.mark.slow
def test_fresh_moves_take_boxes_along(out: Path) -> None:
    """Flips alone: what a shift uncovers is reflected, so that colours appear there once more."""
    assert set(Manifest.load(out).mirroring) == {"horizontal", "vertical"}
    stored, moved = stored_of(out), 0
    dataset = precompute.load(out, batch_size=16, rows=[0], fresh=["horizontal", "vertical"], with_keys=True)
    for images, targets, keys in dataset:
        for i, key in enumerate(keys.numpy()):
            seen, mask = seen_boxes(images[i].numpy()), targets["mask"][i].numpy()
            assert len(seen) == mask.sum()
            for box, label in zip(targets["boxes"][i].numpy()[mask], targets["labels"][i].numpy()[mask], strict=True):
                np.testing.assert_allclose(box, seen[NAMES[label]], atol=1e-3)
            boxes = stored[key.decode()]["boxes"]
            moved += bool(len(boxes)) and not np.allclose(targets["boxes"][i].numpy()[mask], boxes, atol=1e-3)
    assert moved > 3


def test_boxes_that_a_shift_takes_out_are_padding(out: Path) -> None:
    from precompute.readers.tf.fields import tensors_of
    from precompute.readers.tf.fresh import Moves

    zero = tf.zeros([1], tf.bool)
    moves = Moves(
        mirror_x=zero, mirror_y=zero, shift_x=tf.constant([-4]), shift_y=tf.constant([0]), height=20, width=20
    )
    boxes = tf.constant([[[1.0, 1, 5, 4], [2, 3, 9, 9], [0, 0, 0, 0]]])
    manifest = Manifest.load(out)
    found = tensors_of(manifest.schema["objects"], manifest).move(
        {
            "boxes": boxes,
            "labels": tf.constant([[2, 1, -1]], tf.int64),
            "mask": tf.constant([[True, True, False]]),
            "crowd": tf.constant([[True, True, False]]),
            "difficult": tf.constant([[False, True, False]]),
        },
        moves,
    )
    assert found["boxes"].numpy().tolist() == [[[0, 0, 0, 0], [2, 0, 9, 5], [0, 0, 0, 0]]]
    assert found["labels"].numpy().tolist() == [[-1, 1, -1]]
    assert found["mask"].numpy().tolist() == found["crowd"].numpy().tolist() == [[False, True, False]]


def test_class_weights(out: Path) -> None:
    for _, targets, weights in precompute.load(out, batch_size=16, rows=[0], class_weights=[1, 2, 3], cache=False):
        labels = targets["labels"].numpy()
        assert np.array_equal(weights.numpy(), np.where(labels < 0, 0, labels + 1))


@pytest.mark.slow
def test_a_model_trains_on_them(out: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((SIDE, SIDE, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    counts = precompute.load(out, batch_size=8).map(
        lambda images, targets: (
            tf.cast(images, tf.float32) / 255,
            tf.reduce_sum(tf.one_hot(targets["labels"], 3), axis=1),
        )
    )
    assert np.isfinite(model.fit(counts, epochs=2, verbose=0).history["loss"]).all()


def test_wrong_arguments(out: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="box_format: expected one of xyxy, yxyx, .*, got 'voc'"):
        precompute.load(out, box_format="voc")
    with pytest.raises(UsageError, match="max_boxes: ragged tensors hold all boxes"):
        precompute.load(out, max_boxes=3, ragged=True)
    with pytest.raises(UsageError, match="max_boxes: expected an integer of 1 or more, got 0"):
        precompute.load(out, max_boxes=0)
    from tests.helpers.small_datasets import draw_classes

    precompute.build(draw_classes(tmp_path / "classes"), tmp_path / "out", **options())
    with pytest.raises(UsageError, match="the records of out have no boxes"):
        precompute.load(tmp_path / "out", box_format="xyxy")


# TensorFlow Datasets


def test_tfds_opens_the_folder(out: Path) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder_from_directory(out)
    assert builder.info.features["image/object/class/label"].feature.names == NAMES
    assert isinstance(builder.info.features["objects/bbox"].feature, tfds.features.BBoxFeature)
    stored = stored_of(out, row=1)
    seen = 0
    for example in tfds.as_numpy(builder.as_dataset(split="train_r0001")):
        expected = stored[example["augment/key"].decode()]
        shares = [example[f"image/object/bbox/{side}"] for side in ("xmin", "ymin", "xmax", "ymax")]
        np.testing.assert_allclose(np.stack(shares, axis=-1) * SIDE, expected["boxes"], atol=1e-4)
        assert all(side.dtype == np.float32 for side in shares)
        np.testing.assert_array_equal(example["objects/bbox"], np.stack(shares, axis=-1)[:, [1, 0, 3, 2]])
        assert example["image/object/class/label"].tolist() == expected["labels"].tolist()
        assert [text.decode() for text in example["image/object/class/text"]] == expected["class_names"]
        assert example["image/object/is_crowd"].tolist() == [0] * len(expected["labels"])
        assert len(example["image/object/area"]) == len(expected["labels"])
        assert np.array_equal(example["image/encoded"], expected["image"])
        seen += 1
    assert seen == len(stored)
    assert sum(1 for _ in examples_of(out)) == sum(
        builder.info.splits[name].num_examples for name in builder.info.splits if "_r" in name
    )
