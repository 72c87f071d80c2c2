"""Losses with weights and smoothing against NumPy and Keras's own, and the weights of classes."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError, UsageError
from tests.helpers.trainer_datasets import write_classes, write_masks
from train.balance import class_weights_of_run, keep_class_weights
from train.checkpoint import TrainingState
from train.data import load_train, translate_errors
from train.options import FitOptions
from train.run_folder import RunFolder
from train.tasks import make_task
from train.tasks.losses import ClassLoss, LabelLoss, MaskLoss
from train.weights import balanced_weights, parse_weights


def draw(*shape, num_classes=3, ignored=0.0):
    """Return class ids, some 255, logits and weights."""
    generator = np.random.default_rng(0)
    truth = generator.integers(0, num_classes, shape).astype(np.uint8)
    truth[generator.random(shape) < ignored] = 255
    logits = generator.normal(size=(*shape, num_classes)).astype(np.float32)
    return truth, logits, generator.uniform(0.5, 2, shape).astype(np.float32)


def softmax_losses(truth, logits):
    """Cross-entropy of each element whose class is not 255, 0 for the others."""
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    found = -np.take_along_axis(logs, np.minimum(truth, 2)[..., None].astype(int), -1)[..., 0]
    return np.where(truth == 255, 0, found)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_class_loss_is_that_of_keras(smoothing):
    truth, logits, weights = draw(7)
    wanted = keras.ops.one_hot(truth, 3)
    expected = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    loss = ClassLoss(label_smoothing=smoothing)
    assert float(loss(truth, logits, weights)) == pytest.approx(float(expected(wanted, logits, weights)), rel=1e-5)
    # Shares that carry the weight are what blended images have.
    assert float(loss(wanted * weights[:, None], logits)) == pytest.approx(float(loss(truth, logits, weights)))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_label_loss_is_that_of_keras(smoothing):
    labels, logits, weights = (np.random.default_rng(i).normal(size=(5, 3)).astype(np.float32) for i in range(3))
    labels = (labels > 0).astype(np.uint8)
    expected = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing)
    loss = LabelLoss(label_smoothing=smoothing)
    assert float(loss(labels, logits)) == pytest.approx(float(expected(labels, logits)), rel=1e-5)
    per_image = np.abs(weights[:, 0])
    assert float(loss(labels, logits, per_image)) == pytest.approx(float(expected(labels, logits, per_image)), rel=1e-5)
    each = np.stack(
        [[float(loss(labels[i : i + 1, c : c + 1], logits[i : i + 1, c : c + 1])) for c in range(3)] for i in range(5)]
    )
    assert float(loss(labels, logits, np.abs(weights))) == pytest.approx((each * np.abs(weights)).mean(), rel=1e-5)


def test_weights_scale_the_cross_entropy_of_each_pixel_that_counts():
    truth, logits, weights = draw(2, 4, 5, ignored=0.3)
    loss = MaskLoss(num_classes=3, ignore_class=255)
    counted = (truth != 255).sum()
    losses = softmax_losses(truth, logits)
    difference = float(loss(truth, logits, weights)) - float(loss(truth, logits))
    assert difference == pytest.approx((losses * (weights - 1)).sum() / counted, rel=1e-4)
    per_image = np.array([0.5, 3], np.float32)
    spread = np.broadcast_to(per_image[:, None, None], truth.shape)
    assert float(loss(truth, logits, per_image)) == pytest.approx(float(loss(truth, logits, spread)))


def test_pixels_that_weigh_nothing_are_as_ignored():
    truth, logits, _ = draw(2, 4, 5)
    kept = np.random.default_rng(1).random(truth.shape) < 0.6
    loss = MaskLoss(num_classes=3, ignore_class=255)
    ignored = np.where(kept, truth, 255).astype(np.uint8)
    assert float(loss(truth, logits, kept.astype(np.float32))) == pytest.approx(float(loss(ignored, logits)), rel=1e-6)


def test_smoothing_of_masks_leaves_dice_as_it_is():
    truth, logits, _ = draw(2, 4, 5)
    one_hot = keras.ops.one_hot(truth, 3)
    plain, smooth = (keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=s) for s in (0.0, 0.1))
    expected = float(smooth(one_hot, logits)) - float(plain(one_hot, logits))
    losses = [float(MaskLoss(num_classes=3, label_smoothing=s)(truth, logits)) for s in (0.1, 0.0)]
    assert losses[0] - losses[1] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("shape", [(4,), (4, 6, 6)])
@pytest.mark.slow
def test_keras_trains_with_weights_of_images_and_of_pixels(shape):
    truth, _, weights = draw(*shape)
    layer = keras.layers.Dense(3) if len(shape) == 1 else keras.layers.Conv2D(3, 1)
    model = keras.Sequential([keras.Input((*shape[1:], 2)), layer])
    loss = ClassLoss() if len(shape) == 1 else MaskLoss(num_classes=3)
    model.compile(keras.optimizers.SGD(0.0), loss)
    images = np.random.default_rng(2).normal(size=(*shape, 2)).astype(np.float32)
    logged = model.fit(images, truth, sample_weight=weights, batch_size=4, verbose=0).history["loss"][0]
    assert logged == pytest.approx(float(loss(truth, model.predict(images, verbose=0), weights)), rel=1e-5)


@pytest.mark.parametrize(
    ("text", "expected"), [("red=3", [1, 1, 3]), ("0=2, green = 0.5", [2, 0.5, 1]), ("a=b=4", [1, 1, 1, 4])]
)
def test_weights_are_read_by_name_or_id(text, expected):
    assert parse_weights(text, ["blue", "green", "red", "a=b"][: len(expected)]) == expected


def test_weights_of_classes_with_commas():
    assert parse_weights('"Pepper, bell"=2', ["Pepper, bell", "dog"]) == [2.0, 1.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rad=3", "expected none, balanced, or a number for some of the classes blue, green, red .* got 'rad=3'"),
        ("7=3", "got '7=3'"),
        ("red", "got 'red'"),
        ("red=much", "expected a number of 0 or more for red, got 'much'"),
        ("red=-1", "got '-1'"),
        ("2=1,red=2", "red is given twice"),
    ],
)
def test_weights_that_cannot_be_read_are_refused(text, message):
    with pytest.raises(UsageError, match=message):
        parse_weights(text, ["blue", "green", "red"])


def test_balanced_classes_weigh_the_same_in_the_end():
    counts = np.array([60, 30, 0, 10])
    weights = balanced_weights(counts)
    assert weights[2] == 1
    assert (counts * weights)[[0, 1, 3]] == pytest.approx([100 / 3] * 3)


@pytest.mark.slow
def test_weights_come_with_the_targets_and_ids_without_an_output_are_still_found(tmp_path):
    data = write_masks(tmp_path / "data", border=255)
    manifest, options = Manifest.load(data), FitOptions(batch_size=4)
    given = (data, manifest, make_task(manifest, ignore_class=255), options, TrainingState())
    for _, masks, weights in load_train(*given, class_weights=[1.0, 5.0])[0]:
        np.testing.assert_array_equal(weights, np.select([masks == 0, masks == 1], [1, 5], 0))
    task = make_task(manifest)
    with pytest.raises(DatasetError, match="has class ids outside its 2 classes"), translate_errors(data, task):
        list(load_train(data, manifest, task, options, TrainingState(), class_weights=[1.0, 5.0])[0])


def test_a_run_keeps_the_weights_that_it_began_with(tmp_path):
    data, folder = write_masks(tmp_path / "data", border=255, ignore_class=255), RunFolder(tmp_path)
    manifest = Manifest.load(data)
    task, options = make_task(manifest), FitOptions(class_weights="balanced")
    weights = class_weights_of_run(data, manifest, task, folder, options, is_new=True)
    foreground = 14 * 14 / (32 * 32 - 16 * 16 + 14 * 14)  # without the border
    assert weights == pytest.approx([0.5 / (1 - foreground), 0.5 / foreground])
    keep_class_weights(folder, task, weights)
    assert json.loads(folder.class_weights.read_text()) == dict(zip(("background", "foreground"), weights, strict=True))
    folder.class_weights.write_text('{"background": 1.0, "foreground": 9.0}')
    assert class_weights_of_run(data, manifest, task, folder, options, is_new=False) == [1, 9]
    assert class_weights_of_run(data, manifest, task, folder, FitOptions(), is_new=False) is None


def test_balanced_weights_of_classes(tmp_path):
    data = write_classes(tmp_path / "data", sizes={"train": 25})
    manifest = Manifest.load(data)
    options = FitOptions(class_weights="balanced")
    weights = class_weights_of_run(data, manifest, make_task(manifest), RunFolder(tmp_path), options, is_new=True)
    assert weights == pytest.approx([25 / 27, 25 / 24, 25 / 24])
