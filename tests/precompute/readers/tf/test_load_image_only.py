"""Images alone as tensors, and TensorFlow Datasets as the judge of the folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import precompute
from precompute.errors import DatasetError, UsageError
from tests.helpers.small_datasets import options
from tests.helpers.table_datasets import WIDTH, draw_colored, number_of, turned, unmoved
from train.tasks import make_task


@pytest.fixture(scope="module", params=["png", "raw"])
def out(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    images = [folder / path for path in draw_colored(folder)]
    pipelines = {"train": turned(), "validation": unmoved()}
    given = options(pipeline=pipelines, variants=2, image_format=request.param)
    precompute.build(images=images, output=folder / "out", **given)
    return folder / "out"


@pytest.mark.slow
@pytest.mark.parametrize("cache", [True, False])
def test_images_come_without_a_tuple(out: Path, cache: bool) -> None:
    dataset = precompute.load(out, batch_size=4, cache=cache)
    assert dataset.element_spec == tf.TensorSpec((None, 16, WIDTH, 3), tf.uint8)
    seen = [image for batch in dataset for image in batch.numpy()]
    assert sorted(map(number_of, seen)) == sorted(number_of(e["image"]) for e in precompute.read(out))
    assert all((image[0, 0] == 0).all() for image in seen)  # turned


@pytest.mark.slow
def test_keys_and_fresh_moves(out: Path) -> None:
    for images, keys in precompute.load(out, batch_size=3, with_keys=True, fresh=["horizontal"]):
        assert [f"n{number_of(image):03d}" for image in images.numpy()] == [key.decode() for key in keys.numpy()]
    with pytest.raises(UsageError, match="class_weights: the dataset holds images alone"):
        precompute.load(out, class_weights=[1.0])


@pytest.mark.slow
def test_an_autoencoder_trains_on_them(out: Path) -> None:
    model = keras.Sequential([keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(3, 3, padding="same")])
    model.compile("adam", "mse")
    pairs = precompute.load(out, batch_size=2).map(lambda image: (image, tf.cast(image, tf.float32) / 255))
    losses = model.fit(pairs, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert model.predict(precompute.load(out, split="validation"), verbose=0).shape == (2, 16, WIDTH, 3)


def test_train_fit_says_what_it_lacks(out: Path) -> None:
    with pytest.raises(DatasetError, match="train fit learns .* the dataset has images alone: read it with"):
        make_task(precompute.inspect(out).manifest)


@pytest.mark.slow
def test_tensorflow_datasets_opens_them(out: Path) -> None:
    import tensorflow_datasets as tfds

    stored: dict[str, Any] = {e["key"]: e["image"] for e in precompute.read(out)}
    builder = tfds.builder_from_directory(out)
    found = list(builder.as_dataset(split="train_r0000").as_numpy_iterator())
    assert len(found) == len(stored) == 6
    for example in found:
        np.testing.assert_array_equal(example["image/encoded"], stored[example["augment/key"].decode()])
        assert not [name for name in example if "class" in name or "object" in name]
