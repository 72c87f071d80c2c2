"""What a step does: mixed images, frozen backbones, mixed precision."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from precompute.errors import UsageError
from tests.helpers.trainer_datasets import CLASSES, SIZE, write_masks
from train.checkpoint import TrainingState, restore_model, save_state
from train.compiled import compile_model, make_network, step_callbacks
from train.fit import fit
from train.options import FitOptions
from train.tasks.classify import Classify
from train.tasks.segment import Segment

CLASSIFY = Classify(shape=(SIZE, SIZE, 3), num_classes=3, class_names=tuple(CLASSES), normalize=None)
SEGMENT = Segment(shape=(SIZE, SIZE, 3), num_classes=2, class_names=("off", "on"), normalize=None)
GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.integers(0, 256, (8, SIZE, SIZE, 3), dtype=np.uint8)
IDS = np.arange(8) % 3
MASKS = IMAGES[..., 0] // 128


class WithBackbone(Classify):
    """Classification with a backbone that takes no time to make."""

    def make_model(self, options):
        inputs, features = keras.Input(self.shape, dtype="uint8"), keras.Input((8, 8, 3))
        x = keras.layers.BatchNormalization(momentum=0.5)(keras.layers.Conv2D(4, 3, use_bias=False)(features))
        backbone = keras.Model(features, x, name="backbone")
        x = backbone(keras.layers.AveragePooling2D(4)(keras.layers.Rescaling(1 / 255)(inputs)))
        return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))


BACKBONE = WithBackbone(shape=(SIZE, SIZE, 3), num_classes=3, class_names=tuple(CLASSES), normalize=None)


class OneLayer(Segment):
    """Segmentation by colour alone."""

    def make_model(self, options):
        inputs = keras.Input(self.shape, dtype="uint8")
        return keras.Model(inputs, keras.layers.Conv2D(2, 1)(keras.layers.Rescaling(1 / 255)(inputs)))


COLOURS = OneLayer(shape=(SIZE, SIZE, 3), num_classes=2, class_names=("off", "on"), normalize=None)


def make(task, *, seed=0, **options):
    options = FitOptions(base_channels=2, batch_size=4, **options)
    keras.utils.set_random_seed(seed)
    network = make_network(task, options, started=False)
    return network, compile_model(network, task, options, steps=2), options


def step(model, *data, epochs=1, initial_epoch=0, callbacks=()):
    x, y, *weights = data
    model.fit(
        x, y, 4, epochs, 0, [*callbacks], shuffle=False, sample_weight=weights[0] if weights else None,
        initial_epoch=initial_epoch,
    )  # fmt: skip


# MixUp and CutMix


@pytest.mark.slow
def test_mixed_images_and_classes_have_the_same_shares():
    """Images that tell their class in their pixels still tell it when blended."""
    images = np.zeros((8, SIZE, SIZE, 3), np.uint8)
    images[np.arange(8), :, :, IDS] = 200
    for options in ({"mixup": 0.9}, {"cutmix": 0.9}):
        model = make(CLASSIFY, **options)[1]
        blended, shares = (np.asarray(part) for part in model._mix_classes(images, IDS))
        assert blended.dtype == np.uint8
        np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(blended.mean(axis=(1, 2)) / 200, shares, atol=0.05)
        assert (shares.max(axis=1) < 0.97).any()


def test_shares_carry_the_weights():
    weights = np.array([1, 5, 9] * 3, np.float32)[:8]
    shares = np.asarray(make(CLASSIFY, mixup=0.9)[1]._mix_classes(IMAGES, IDS, weights)[1])
    np.testing.assert_allclose((shares / [1, 5, 9]).sum(axis=1), 1, atol=1e-5)


def test_boxes_are_pasted_into_image_mask_and_weights_alike():
    masks = np.repeat(np.array([0, 1, 0, 1], np.uint8), SIZE * SIZE).reshape(4, SIZE, SIZE)
    images = np.repeat(masks[..., None] * 100, 3, axis=-1)
    pasted = make(SEGMENT, cutmix=1.0)[1]._paste_masks(images, masks, masks * 2.0 + 1)
    pixels, ids, weights = (np.asarray(part) for part in pasted)
    np.testing.assert_array_equal(pixels[..., 0], ids * 100)
    np.testing.assert_array_equal(weights, ids * 2 + 1)
    assert {0, 1} == set(np.unique(ids))
    assert any(0 < mask.mean() < 1 for mask in ids)


@pytest.mark.parametrize(("task", "targets"), [(BACKBONE, IDS), (COLOURS, MASKS)])
@pytest.mark.slow
def test_mixing_goes_on_from_a_checkpoint_as_if_never_stopped(task, targets, tmp_path):
    weights = np.ones(targets.shape, np.float32)
    whole, parts, again = (make(task, cutmix=0.5)[1] for _ in range(3))
    step(whole, IMAGES, targets, weights, epochs=2)
    step(parts, IMAGES, targets, weights)
    save_state(tmp_path / "state.npz", parts, TrainingState(epochs=1))
    restore_model(tmp_path / "state.npz", again)
    step(again, IMAGES, targets, weights)
    for one, two in zip(whole.variables, again.variables, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


# Backbones that are frozen for a while


def weights_after(num_epochs, *, optimizer="adamw", precision="float32", path=None):
    """Train epoch by epoch with two frozen; return all weights after each. With a path, every epoch is a new run."""
    found = []
    network, model, options = make(BACKBONE, freeze_epochs=2, optimizer=optimizer, precision=precision)
    for epoch in range(num_epochs):
        callbacks = step_callbacks(network, options, steps=2)
        step(model, IMAGES, IDS, epochs=epoch + 1, initial_epoch=epoch, callbacks=callbacks)
        assert all(layer.trainable for layer in network._flatten_layers())
        found.append([keras.ops.convert_to_numpy(weight).copy() for weight in network.weights])  # else a view
        if path:
            save_state(path, model, TrainingState(epochs=epoch + 1))
            network, model, options = make(BACKBONE, seed=9, freeze_epochs=2, optimizer=optimizer, precision=precision)
            restore_model(path, model)
    return found


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
@pytest.mark.slow
def test_a_backbone_is_frozen_for_its_epochs_and_learns_after_them(precision):
    first, second, third, fourth = weights_after(4, precision=precision)
    backbone, top = slice(0, 5), slice(5, 7)
    for one, two in zip(first[backbone], second[backbone], strict=True):
        np.testing.assert_array_equal(one, two)  # the averages of batch normalization too
    for before, after, part in ((first, second, top), (second, third, backbone), (third, fourth, backbone)):
        assert not any(np.array_equal(one, two) for one, two in zip(before[part], after[part], strict=True))


@pytest.mark.slow
def test_freezing_is_the_same_in_one_run_and_in_many(tmp_path):
    network, model, options = make(BACKBONE, freeze_epochs=2, optimizer="adamw")
    step(model, IMAGES, IDS, epochs=3, callbacks=step_callbacks(network, options, steps=2))
    for one, two in zip(network.weights, weights_after(3, path=tmp_path / "state.npz")[-1], strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


# Precision


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.slow
def test_precision_stays_inside_the_run_and_logits_are_float32(precision, tmp_path):
    before = keras.config.dtype_policy()
    network, model, _ = make(CLASSIFY, precision=precision)
    assert keras.config.dtype_policy() == before
    assert keras.layers.Dense(1).compute_dtype == "float32"
    assert network.get_layer("level0a_conv").compute_dtype == precision.removeprefix("mixed_")
    assert {weight.dtype for weight in network.trainable_weights} == {"float32"}
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (precision == "mixed_float16")
    step(model, IMAGES, IDS)
    network.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    logits = again.predict(IMAGES, verbose=0)
    assert logits.dtype == np.float32
    np.testing.assert_array_equal(logits, network.predict(IMAGES, verbose=0))


@pytest.mark.slow
def test_jit_is_what_was_asked_for():
    assert make(CLASSIFY, jit="on")[1].jit_compile is True
    assert make(CLASSIFY, jit="off")[1].jit_compile is False


def test_what_does_not_fit_the_target_is_refused():
    for task, options, message in (
        (SEGMENT, {"mixup": 0.2}, "--mixup: class ids of masks cannot be blended"),
        (SEGMENT, {"freeze_epochs": 1}, "--freeze-epochs: unet has no backbone"),
        (CLASSIFY, {"freeze_epochs": 1}, "--freeze-epochs: small has no backbone"),
        (CLASSIFY, {"freeze_epochs": 1, "model": "ResNet50"}, "ResNet50 starts from random weights"),
    ):
        with pytest.raises(UsageError, match=message):
            task.check_options(FitOptions(**options))


@pytest.mark.slow
def test_all_at_once_end_to_end(tmp_path):
    data, lines = write_masks(tmp_path / "data", border=255, ignore_class=255), []
    options = FitOptions(
        epochs=1, batch_size=6, base_channels=2, optimizer="sgd", weight_decay=1e-4, schedule="plateau",
        label_smoothing=0.1, class_weights="balanced", cutmix=1.0, precision="mixed_float16",
    )  # fmt: skip
    result = fit(data, run=tmp_path / "run", options=options, say=lines.append)
    assert 0 < result.metrics["scores"]["pixel_accuracy"] <= 1
    assert any(line.startswith("weights     background 0.6") for line in lines)
    assert (tmp_path / "run" / "class_weights.json").exists()
