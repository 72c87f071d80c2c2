"""Models, their preprocessing, and what reaches them."""

from __future__ import annotations

import importlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError, PrecomputeError, UsageError
from tests.helpers.trainer_datasets import write_classes, write_masks
from train.checkpoint import TrainingState, load_state, restore_model, save_state
from train.compiled import find_backbone, make_network
from train.data import _guard_targets, translate_errors
from train.options import FitOptions
from train.tasks import backbones, make_task
from train.tasks.backbones import make_backbone_unet
from train.tasks.compact import make_small, make_unet
from train.tasks.trunk import scale


def random_images(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("size", [(16, 16), (37, 50), (9, 70)])
@pytest.mark.slow
def test_unet_takes_images_of_any_size(size):
    trunk = make_unet((*size, 3), base_channels=2, normalize=None)
    model = keras.Model(trunk.images, trunk.head(4, "logits", dense=True))
    logits = model.predict(random_images(1, *size, 3), verbose=0)
    assert logits.shape == (1, *size, 4)
    assert logits.dtype == np.float32


def test_small_takes_tiny_images():
    trunk = make_small((9, 5, 3), base_channels=2, normalize=None)
    assert trunk.head(4, "logits", dense=False).shape == (None, 4)


def test_scaling_is_that_of_the_normalize_that_was_taken_off(tmp_path):
    normalize = {"mean": [0.5, 0.4, 0.3], "std": [0.1, 0.2, 0.3], "max_pixel_value": 255.0}
    images, inputs = random_images(2, 4, 4, 3), keras.Input((4, 4, 3), dtype="uint8")
    scaled = keras.Model(inputs, scale(inputs, normalize)).predict(images, verbose=0)
    expected = (images - 255 * np.array(normalize["mean"])) / (255 * np.array(normalize["std"]))
    np.testing.assert_allclose(scaled, expected, rtol=1e-5, atol=1e-5)
    plain = keras.Model(inputs, scale(inputs, None)).predict(images, verbose=0)
    np.testing.assert_allclose(plain, images / 127.5 - 1, atol=1e-6)
    manifest = Manifest.load(write_masks(tmp_path, normalize={"train": normalize}))
    assert make_task(manifest).normalize == normalize


def families():
    known = (backbones.BUILT_IN, backbones.CAFFE, backbones.TORCH, backbones.MINUS_ONE_TO_ONE)
    return sorted({name for group in known for name in group})


@pytest.mark.parametrize(
    "family", [f if i % 4 == 0 else pytest.param(f, marks=pytest.mark.slow) for i, f in enumerate(families())]
)
def test_preprocessing_is_that_of_keras(family, tmp_path):
    images, inputs = random_images(2, 8, 8, 3), keras.Input((8, 8, 3), dtype="uint8")
    model = keras.Model(inputs, backbones.preprocess(inputs, family))
    module = importlib.import_module(f"keras.applications.{family}")
    expected = module.preprocess_input(images.astype(np.float32))
    np.testing.assert_allclose(model.predict(images, verbose=0), expected, rtol=1e-4, atol=1e-4)
    if family == "vgg16":  # the one with an operation that is not a layer
        model.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(again.predict(images, verbose=0), model.predict(images, verbose=0))


def test_every_network_of_keras_has_a_known_family():
    assert len(backbones.backbone_names()) > 30
    for name in backbones.backbone_names():
        assert backbones.family_of(name) in families()


def test_a_backbone_that_cannot_be_had_is_explained():
    with pytest.raises(UsageError, match=r"got 'EfficentNetB0'. Did you mean EfficientNetB0"):
        backbones.check_backbone("EfficentNetB0")
    with pytest.raises(PrecomputeError, match="--model VGG16 cannot be made for images of 8×8×3"):
        backbones.make_backbone_trunk((8, 8, 3), name="VGG16", weights="none")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV3Small", "ResNet50"])
def test_a_backbone_is_saved_and_starts_from_a_file(name, tmp_path):
    task = make_task(Manifest.load(write_classes(tmp_path / "data")))
    model = task.make_model(FitOptions(model=name))
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    assert max(layer.momentum for layer in norms) <= 0.9
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    images = random_images(2, 32, 32, 3)
    np.testing.assert_allclose(again.predict(images, verbose=0), model.predict(images, verbose=0), atol=1e-5)

    network = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    network.save(tmp_path / "notop.h5")  # the format of the files that Keras offers
    other = task.make_model(FitOptions(model=name, weights=str(tmp_path / "notop.h5")))
    loaded = next(layer for layer in other.layers if isinstance(layer, keras.Model))
    for one, two in zip(network.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(one, two)
    with pytest.raises(PrecomputeError, match="cannot be made"):
        task.make_model(FitOptions(model=name, weights=str(tmp_path / "missing.h5")))


@pytest.mark.parametrize(
    "name", ["MobileNetV3Small", *(pytest.param(n, marks=pytest.mark.slow) for n in ("EfficientNetB0", "ResNet50"))]
)
@pytest.mark.slow
def test_a_backbone_is_the_way_down_of_a_unet_of_any_size(name, tmp_path):
    backbone = backbones.make_backbone(name, (64, 64, 3), "none")
    backbone.save(tmp_path / "notop.h5")
    trunk = make_backbone_unet((50, 37, 3), name=name, weights=str(tmp_path / "notop.h5"), base_channels=2)
    model = keras.Model(trunk.images, trunk.head(4, "logits", dense=True))
    logits = model.predict(random_images(1, 50, 37, 3), verbose=0)
    assert logits.shape == (1, 50, 37, 4)
    assert logits.dtype == np.float32
    inner = find_backbone(model)
    assert len(inner.outputs) == 5
    for one, two in zip(backbone.weights, inner.weights, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.slow
def test_a_network_that_does_not_halve_evenly_is_no_way_down():
    with pytest.raises(PrecomputeError, match="--model unet-Xception: this network does not halve its images evenly"):
        make_backbone_unet((96, 96, 3), name="Xception", weights="none", base_channels=2)


@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5"])
@pytest.mark.slow
def test_a_run_starts_from_the_weights_of_a_whole_model(name, tmp_path):
    task = make_task(Manifest.load(write_masks(tmp_path / "data")))
    model, path = task.make_model(FitOptions(base_channels=2)), tmp_path / name
    model.save(path) if name == "model.keras" else model.save_weights(path)
    started = make_network(task, FitOptions(base_channels=2, weights=str(path)), started=False)
    for one, two in zip(model.weights, started.weights, strict=True):
        np.testing.assert_array_equal(one, two)
    with pytest.raises(PrecomputeError, match="does not fit this model"):
        make_network(task, FitOptions(base_channels=3, weights=str(path)), started=False)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(PrecomputeError, match="does not fit this model"):
        make_network(task, FitOptions(base_channels=2, weights=str(path)), started=False)


def test_options_that_do_not_fit_the_target_are_refused(tmp_path):
    masks = make_task(Manifest.load(write_masks(tmp_path / "masks")))
    classes = make_task(Manifest.load(write_classes(tmp_path / "classes")))
    for task, options, message in (
        (masks, {"model": "small"}, "--model: the dataset has masks: unet, .* got 'small'"),
        (masks, {"weights": "imagenet"}, "--weights: there are no imagenet weights for unet"),
        (masks, {"model": "unet-Nothing"}, "got 'Nothing'"),
        (masks, {"model": "unet-ResNet50", "freeze_epochs": 1}, "ResNet50 starts from random weights"),
        (classes, {"model": "unet"}, "--model: unet is for masks"),
        (classes, {"ignore_class": 0}, "--ignore-class: this is for masks"),
        (classes, {"weights": "imagenet"}, "imagenet is for backbones"),
    ):
        with pytest.raises(UsageError, match=message):
            task.check_options(FitOptions(**options))


def test_a_class_id_without_an_output_stops_training_with_its_name(tmp_path):
    """Also one that only a later row has, which the look before training does not see."""
    task = make_task(Manifest.load(write_masks(tmp_path)))
    targets = np.zeros((4, 32, 32), np.uint8)
    targets[3, 5, 5] = 7
    images = np.zeros((4, 32, 32, 3), np.uint8)
    dataset = _guard_targets(tf.data.Dataset.from_tensor_slices((images, targets)).batch(2), task)
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(2, 1)])
    model.compile(loss=task.make_loss(FitOptions()))
    with pytest.raises(DatasetError, match="outside its 2 classes") as error, translate_errors(tmp_path, task):
        model.fit(dataset, verbose=0, shuffle=False)
    assert "\n  7\n" in str(error.value)


def test_a_damaged_shard_is_explained(tmp_path):
    task = make_task(Manifest.load(write_masks(tmp_path)))
    shard = next(tmp_path.rglob("*train*tfrecord*"))
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    with (
        pytest.raises(DatasetError, match=rf"{shard.name}: record 0 is damaged(.|\n)*--check full"),
        translate_errors(tmp_path, task),
    ):
        list(tf.data.TFRecordDataset(str(shard)))


@pytest.mark.slow
def test_checkpoint_brings_back_weights_optimizer_and_generators(tmp_path):
    def make(seed):
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((4,))
        outputs = keras.layers.Dense(2)(keras.layers.Dropout(0.5)(keras.layers.BatchNormalization()(inputs)))
        model = keras.Model(inputs, outputs)
        model.compile("adam", "mse")
        return model

    x = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    model, other, path = make(0), make(1), tmp_path / "checkpoint.npz"
    model.fit(x, x[:, :2], epochs=2, verbose=0)
    save_state(path, model, TrainingState(epochs=2, history=[{"epoch": 1}], best_epoch=1, best_score=0.5))
    assert load_state(path) == TrainingState(epochs=2, history=[{"epoch": 1}], best_epoch=1, best_score=0.5)
    restore_model(path, other)
    losses = [m.fit(x, x[:, :2], epochs=2, verbose=0, shuffle=False).history["loss"] for m in (model, other)]
    assert losses[0] == losses[1]  # Dropout draws on, and Adam's moments are the same


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    path = tmp_path / "checkpoint.npz"
    assert load_state(path) == TrainingState()
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(PrecomputeError, match="cannot be read as a checkpoint .*--restart"):
        load_state(path)
    small, large = (keras.Sequential([keras.Input((2,)), keras.layers.Dense(n)]) for n in (2, 3))
    for model in (small, large):
        model.compile("adam", "mse")
        model.optimizer.build(model.trainable_variables)
    save_state(path, small, TrainingState(epochs=1))
    with pytest.raises(PrecomputeError, match="of another model"):
        restore_model(path, large)
