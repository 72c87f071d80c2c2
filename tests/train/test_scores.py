"""Scores and loss against NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from train.scores import PooledScores, count_confusion, mask_scores, mask_scores_by_class, recalls
from train.tasks.losses import MaskLoss


@st.composite
def labelled_batches(draw):
    """Return number of classes, ignored class, and batches of (truth, logits)."""
    num_classes = draw(st.integers(2, 5))
    ignore_class = draw(st.sampled_from([None, 255, 0, num_classes - 1]))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    present = draw(st.integers(1, num_classes))  # later classes may not occur
    batches = []
    for _ in range(draw(st.integers(1, 3))):
        shape = (draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 4)))
        truth = generator.integers(0, present, shape)
        if ignore_class is not None:
            truth[generator.random(shape) < 0.3] = ignore_class
        batches.append((truth, generator.normal(size=(*shape, num_classes)).astype(np.float32)))
    return num_classes, ignore_class, batches


def by_hand(num_classes, ignore_class, truth, predicted):
    """Scores from sets of pixels, without a confusion matrix."""
    counted = np.ones(truth.shape, bool) if ignore_class is None else truth != ignore_class
    truth, predicted = truth[counted], predicted[counted]
    ious, dices = {}, {}
    for c in range(num_classes):
        both, either = ((truth == c) & (predicted == c)).sum(), ((truth == c) | (predicted == c)).sum()
        if either and c != ignore_class:
            ious[c], dices[c] = both / either, 2 * both / (both + either)
    scores = {
        "pixel_accuracy": (truth == predicted).mean() if truth.size else 0.0,
        "mean_iou": np.mean(list(ious.values())) if ious else 0.0,
        "mean_dice": np.mean(list(dices.values())) if dices else 0.0,
    }
    if num_classes == 2 and ignore_class not in (0, 1):
        scores |= {"foreground_iou": ious.get(1, 0.0), "foreground_dice": dices.get(1, 0.0)}
    return scores


@settings(max_examples=150)
@given(labelled_batches())
@pytest.mark.slow
def test_metric_equals_numpy_pooled_over_batches(case):
    num_classes, ignore_class, batches = case
    metric = PooledScores(num_classes, ignore_class)
    for truth, logits in batches:
        metric.update_state(tf.constant(truth.astype(np.uint8)), logits)
    truth = np.concatenate([t.ravel() for t, _ in batches])
    predicted = np.concatenate([logits.argmax(-1).ravel() for _, logits in batches])
    expected = by_hand(num_classes, ignore_class, truth, predicted)
    found = {name: float(value) for name, value in metric.result().items()}
    assert found == pytest.approx(expected, abs=1e-6)

    confusion = count_confusion(truth, predicted, num_classes=num_classes, ignore_class=ignore_class)
    assert mask_scores(confusion, ignore_class=ignore_class) == pytest.approx(expected, abs=1e-12)
    np.testing.assert_array_equal(np.asarray(metric.cells).reshape(num_classes, num_classes), confusion)


@pytest.mark.slow
@settings(max_examples=100)
@given(labelled_batches())
def test_loss_equals_numpy_without_the_ignored_pixels(case):
    num_classes, ignore_class, batches = case
    truth, logits = batches[0]
    loss = float(MaskLoss(num_classes=num_classes, ignore_class=ignore_class)(truth.astype(np.uint8), logits))

    counted = np.ones(truth.shape, bool) if ignore_class is None else truth != ignore_class
    probabilities = np.exp(logits[counted].astype(np.float64))
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    wanted = np.eye(num_classes)[truth[counted]]
    if not counted.any():
        assert loss == 0
        return
    cross_entropy = -np.log((probabilities * wanted).sum(axis=-1)).mean()
    occur = np.flatnonzero(wanted.sum(axis=0))
    sums = probabilities.sum(axis=0) + wanted.sum(axis=0)
    dice = (2 * (probabilities * wanted).sum(axis=0) + 1) / (sums + 1)
    assert loss == pytest.approx(cross_entropy + (1 - dice[occur]).mean(), rel=1e-4)


def test_ignored_pixels_have_no_gradient():
    truth = np.array([[[0, 1], [255, 255]]], np.uint8)
    logits = tf.Variable(np.random.default_rng(0).normal(size=(1, 2, 2, 2)).astype(np.float32))
    with tf.GradientTape() as tape:
        loss = MaskLoss(num_classes=2, ignore_class=255)(truth, logits)
    gradient = tape.gradient(loss, logits).numpy()
    assert (gradient[0, 1] == 0).all()
    assert (gradient[0, 0] != 0).all()


def test_counts_stay_exact_beyond_what_float32_holds():
    metric = PooledScores(2)
    metric.cells.assign([2**25, 0, 0, 0])
    metric.update_state(np.zeros((1, 1, 1), np.uint8), np.array([[[[1.0, 0.0]]]], np.float32))
    assert int(metric.cells[0]) == 2**25 + 1


def test_metric_and_loss_are_made_again_from_their_config():
    for made in (PooledScores(3, 255), MaskLoss(num_classes=3, ignore_class=255)):
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
        assert again.get_config() == made.get_config()


def test_a_class_that_does_not_occur_has_no_score():
    confusion = count_confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), num_classes=3)
    assert confusion.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert mask_scores_by_class(confusion)[2] == {"iou": None, "dice": None}
    assert mask_scores_by_class(confusion)[1] == {"iou": 0.5, "dice": pytest.approx(2 / 3)}
    assert recalls(confusion) == [0.5, 1.0, None]
