"""Keypoints as tensors: what is stored, in each form, and where fresh moves took the pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
import tensorflow as tf

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError
from tests.helpers.box_datasets import turning
from tests.helpers.keypoint_datasets import NAMES, SWAPPED, draw_pointed, lists_of, seen_points
from tests.helpers.small_datasets import options
from train.tasks import make_task


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pointed")
    truth = draw_pointed(folder)
    found = {}
    for name, boxed in (("boxed", True), ("alone", False)):
        found[name] = folder / name
        given = options(pipeline=turning(), variants=2, validation_split=0, flip_pairs="auto")
        precompute.build(output=found[name], **lists_of(folder, truth, has_boxes=boxed), **given)
    return found


def stored_of(out: Path, row: int = 0) -> dict[str, dict[str, Any]]:
    return {example["key"]: example for example in precompute.read(out, row=row)}


@pytest.mark.parametrize("name", ["boxed", pytest.param("alone", marks=pytest.mark.slow)])
@pytest.mark.parametrize("cache", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_what_is_loaded_is_what_is_stored(built: dict[str, Path], name: str, cache: bool) -> None:
    stored, seen = stored_of(built[name]), 0
    dataset = precompute.load(built[name], batch_size=4, with_keys=True, shuffle=False, rows=[0], cache=cache)
    spec = dataset.element_spec[1]
    assert spec["keypoints"].shape[1:] == (2, 5, 2) and spec["visibility"].shape[1:] == (2, 5)
    assert ("boxes" in spec) == (name == "boxed")
    for _, targets, keys in dataset:
        for i, key in enumerate(keys.numpy()):
            example, mask = stored[key.decode()], targets["mask"][i].numpy()
            assert mask.tolist() == [True] * len(example["labels"]) + [False] * (2 - len(example["labels"]))
            for part in ("keypoints", "visibility", "labels", *(["boxes"] if name == "boxed" else [])):
                np.testing.assert_allclose(targets[part][i].numpy()[mask], example[part], atol=1e-4)
            assert not targets["keypoints"][i].numpy()[~mask].any()
            assert not targets["visibility"][i].numpy()[~mask].any()
            seen += 1
    assert seen == len(stored) == 10


@pytest.mark.slow
def test_shares_and_ragged_and_fewer(built: dict[str, Path]) -> None:
    given: dict[str, Any] = {"batch_size": 10, "with_keys": True, "shuffle": False, "rows": [0]}
    ((_, pixels, keys),) = precompute.load(built["boxed"], **given)
    ((_, shares, same),) = precompute.load(built["boxed"], box_format="rel_yxyx", **given)
    assert keys.numpy().tolist() == same.numpy().tolist()
    np.testing.assert_allclose(shares["keypoints"] * 60, pixels["keypoints"], atol=1e-4)
    ((_, ragged, _),) = precompute.load(built["boxed"], ragged=True, **given)
    assert "mask" not in ragged
    for i in range(10):
        mask = pixels["mask"][i].numpy()
        np.testing.assert_array_equal(
            ragged["keypoints"][i].numpy().reshape(-1, 5, 2), pixels["keypoints"][i].numpy()[mask]
        )
        np.testing.assert_array_equal(
            ragged["visibility"][i].numpy().reshape(-1, 5), pixels["visibility"][i].numpy()[mask]
        )
    ((_, fewer, _),) = precompute.load(built["boxed"], max_boxes=1, **given)
    np.testing.assert_array_equal(fewer["keypoints"], pixels["keypoints"][:, :1])
    ((_, more, _),) = precompute.load(built["boxed"], max_boxes=7, **given)
    np.testing.assert_array_equal(more["visibility"][:, :2], pixels["visibility"])
    assert not more["visibility"][:, 2:].numpy().any()
    ((_, _, weights, _),) = precompute.load(built["alone"], class_weights=[3.0], **given)
    assert set(weights.numpy().ravel().tolist()) == {0.0, 3.0}


@pytest.mark.slow
@pytest.mark.parametrize("steps", [["horizontal", "vertical"], "auto"])
@pytest.mark.parametrize("name", ["boxed", "alone"])
def test_fresh_moves_take_points_where_the_pixels_go(built: dict[str, Path], name: str, steps: Any) -> None:
    compared = 0
    for images, targets in precompute.load(built[name], batch_size=4, fresh=steps, rows="all", shuffle_seed=5):
        for i in range(len(images)):
            seen = {tuple(np.round(place, 3).tolist()) for place in seen_points(images[i].numpy()).values()}
            kept = targets["mask"][i].numpy()
            points, visibility = targets["keypoints"][i].numpy()[kept], targets["visibility"][i].numpy()[kept]
            places = {tuple(place) for place in points[visibility > 0].round(3).tolist()}
            assert not points[visibility == 0].any()
            if steps != "auto":  # a shift fills by reflection: a colour may stand twice, and its middle elsewhere
                assert places == seen
            compared += len(places)
    assert compared > 60


@pytest.mark.slow
def test_fresh_mirroring_exchanges_left_and_right(tmp_path: Path) -> None:
    truth = draw_pointed(tmp_path, 9)
    never = A.Compose([A.PadIfNeeded(48, 48, border_mode=0, position="top_left"), A.HorizontalFlip(p=1e-12)])
    given = options(pipeline=never, variants=1, validation_split=0, flip_pairs="auto")
    precompute.build(output=tmp_path / "out", **lists_of(tmp_path, truth), **given)
    stored, mirrored = stored_of(tmp_path / "out"), 0
    loading: dict[str, Any] = {"batch_size": 9, "with_keys": True, "fresh": ["horizontal"], "rows": [0]}
    for _, (images, targets, keys) in zip(
        range(3), precompute.load(tmp_path / "out", **loading).repeat(3), strict=True
    ):
        for i, key in enumerate(keys.numpy()):
            example, kept = stored[key.decode()], targets["mask"][i].numpy()
            points, visibility = example["keypoints"], example["visibility"]
            if not np.array_equal(images[i], example["image"]):
                np.testing.assert_array_equal(images[i], example["image"][:, ::-1])
                points, visibility = points[:, SWAPPED], visibility[:, SWAPPED]
                points = np.where(visibility[..., None] > 0, [48, 0] + points * [-1, 1], 0)
                mirrored += len(points)
            np.testing.assert_allclose(targets["keypoints"][i].numpy()[kept], points, atol=1e-4)
            np.testing.assert_array_equal(targets["visibility"][i].numpy()[kept], visibility)
    assert mirrored > 4


def test_a_shift_out_of_the_image_and_a_mirrored_pair() -> None:
    from precompute.fields.skeleton import Skeleton
    from precompute.readers.tf.fresh import Moves
    from precompute.readers.tf.objects import move_keypoints

    moves = Moves(
        mirror_x=tf.constant([True]),
        mirror_y=tf.constant([False]),
        shift_x=tf.constant([-4]),
        shift_y=tf.constant([1]),
        height=20,
        width=30,
    )
    points = tf.constant([[[[28.5, 3.5], [10.5, 4.5], [0, 0]]]])
    found = move_keypoints(
        {"keypoints": points, "visibility": tf.constant([[[2, 1, 0]]], tf.int64)},
        moves,
        Skeleton(names=["a", "b", "c"], flip_pairs=[[1, 2]]),
    )
    # 28.5 → 1.5 → −2.5, outside; 10.5 → 19.5 → 15.5, and b is c now
    np.testing.assert_allclose(found["keypoints"][0, 0], [[0, 0], [0, 0], [15.5, 5.5]])
    assert found["visibility"].numpy().tolist() == [[[0, 0, 1]]]


@pytest.mark.slow
def test_images_without_any_object(tmp_path: Path) -> None:
    truth = draw_pointed(tmp_path, 9)
    given = options(pipeline=A.Compose([A.CenterCrop(20, 20)]), variants=1, validation_split=0)
    precompute.build(output=tmp_path / "out", **lists_of(tmp_path, truth), **given)
    for batch in precompute.load(tmp_path / "out", batch_size=1, ragged=True, rows=[0], cache=False):
        assert batch[1]["keypoints"].to_tensor().shape[0] == 1


def test_tensorflow_datasets_opens_them(built: dict[str, Path]) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    for name, out in built.items():
        stored = stored_of(out)
        builder = tfds.builder_from_directory(str(out))
        seen = 0
        for example in tfds.as_numpy(builder.as_dataset("train_r0000")):
            expected = stored[example["augment/key"].decode()]
            x, y = (example[f"image/object/keypoint/{axis}"].reshape(-1, 5) * 60 for axis in "xy")
            np.testing.assert_allclose(np.stack([x, y], axis=-1), expected["keypoints"], atol=1e-4)
            visibility = example["image/object/keypoint/visibility"].reshape(-1, 5)
            np.testing.assert_array_equal(visibility, expected["visibility"])
            names = [text.decode() for text in example["image/object/keypoint/text"]]
            assert names == NAMES * len(expected["labels"])
            assert ("image/object/bbox/xmin" in example) == (name == "boxed")
            seen += 1
        assert seen == 10


def test_training_says_that_it_does_not_learn_them(built: dict[str, Path]) -> None:
    with pytest.raises(DatasetError, match="boxed: train fit learns .* the dataset has keypoints: read it with"):
        make_task(Manifest.load(built["boxed"]))
