"""Several labels an image: scores against definitions, and training, measuring and drawing on arrays made by hand."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from precompute.errors import DatasetError, UsageError
from tests.helpers.trainer_datasets import CLASSES, SIZE
from train.compiled import compile_model, make_network
from train.data import _guard_targets, translate_errors
from train.label_scores import LabelScores, count_labels, label_scores, label_scores_by_class
from train.measure import measure
from train.options import FitOptions
from train.tasks.multilabel import MultiLabel

TASK = MultiLabel(shape=(SIZE, SIZE, 3), num_classes=3, class_names=tuple(CLASSES), normalize=None)


@st.composite
def labelled(draw):
    """Return multi-hot labels, some of which nobody has, and logits in steps that bins tell apart."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(1, 12)), draw(st.integers(1, 4)))
    truth = (generator.random(shape) < generator.random(shape[1])).astype(np.uint8)
    spread = draw(st.sampled_from([2, 60]))  # few values: many are equal
    return truth, (generator.integers(-spread, spread, shape) * 0.1 + 0.025).astype(np.float32)


def average_precision(truth, logits):
    """By its definition: a step a distinct logit, from the highest down."""
    total, recall, area = truth.sum(), 0.0, 0.0
    for limit in sorted(set(logits), reverse=True):
        given = logits >= limit
        hits = (truth[given] > 0).sum()
        area += (hits / total - recall) * hits / given.sum()
        recall = hits / total
    return area


@pytest.mark.slow
@settings(max_examples=60)
@given(labelled())
def test_scores_are_those_of_the_definitions_and_the_metric_has_the_same(case):
    truth, logits = case
    given_labels, half = logits >= 0, len(truth) // 2
    precisions = [average_precision(t, x) for t, x in zip(truth.T, logits.T, strict=True) if t.any()]
    f1 = [
        2 * (t & g).sum() / (t.sum() + g.sum()) for t, g in zip(truth.T, given_labels.T, strict=True) if (t | g).any()
    ]
    expected = {
        "mean_average_precision": np.mean(precisions) if precisions else 0.0,
        "macro_f1": np.mean(f1) if f1 else 0.0,
    }
    assert label_scores(count_labels(truth, logits)) == pytest.approx(expected, abs=1e-9)

    metric = LabelScores(truth.shape[1])
    for part in (slice(0, half), slice(half, None)):
        metric.update_state(tf.constant(truth[part]), tf.constant(logits[part]))
    expected["exact_match"] = (given_labels == truth).all(axis=1).mean()
    assert {name: float(value) for name, value in metric.result().items()} == pytest.approx(expected, abs=1e-5)


def test_a_label_that_nobody_has_is_left_out_of_the_means():
    truth = np.array([[1, 0], [0, 0]], np.uint8)
    counts = count_labels(truth, np.array([[2.0, -3], [-2, -3]], np.float32))
    assert label_scores(counts) == {"mean_average_precision": 1.0, "macro_f1": 1.0}
    none = {"num_images": 0, "average_precision": None, "f1": None, "precision": None, "recall": None}
    assert label_scores_by_class(counts)[1] == none


def test_an_even_chance_is_enough_and_extreme_logits_are_counted():
    counts = count_labels(np.array([[1], [1], [0]], np.uint8), np.array([[0.0], [99], [-99]], np.float32))
    row = label_scores_by_class(counts)[0]
    assert (row["precision"], row["recall"], row["average_precision"]) == (1.0, 1.0, 1.0)


def test_the_metric_is_made_again_from_its_config():
    made = LabelScores(3)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    assert again.get_config() == made.get_config()


def make_data(num_images):
    """Return images whose channels are bright where the label is there, and the labels."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, (num_images, 3)).astype(np.uint8)
    images = generator.integers(0, 60, (num_images, SIZE, SIZE, 3), dtype=np.uint8)
    return images + labels[:, None, None, :] * np.uint8(150), labels


@pytest.fixture(scope="module")
def trained():
    """A model that has learnt the labels, with the log of its last epoch."""
    images, labels = make_data(64)
    options = FitOptions(epochs=6, learning_rate=0.02, base_channels=2, label_smoothing=0.02)
    TASK.check_options(options)
    keras.utils.set_random_seed(0)
    network = make_network(TASK, options, started=False)
    model = compile_model(network, TASK, options, steps=8)
    weights = np.where(labels > 0, [1.0, 2.0, 1.0], 1.0).astype(np.float32)
    data, weighted = (
        _guard_targets(tf.data.Dataset.from_tensor_slices(parts).batch(8), TASK)
        for parts in ((images, labels), (images, labels, weights))
    )
    logs = model.fit(weighted, validation_data=data, epochs=6, verbose=0, shuffle=False)
    return network, data, {name: values[-1] for name, values in logs.history.items()}


@pytest.mark.slow
def test_labels_are_learnt_and_measured_as_in_fit(trained):
    network, data, logs = trained
    assert logs["val_mean_average_precision"] > 0.85  # by chance, a half
    found = measure(network, TASK, data, where="validation")[""]
    summary = TASK.summarize(found.counts)
    for name in ("mean_average_precision", "macro_f1", "exact_match"):
        assert summary[name] == pytest.approx(logs[f"val_{name}"], abs=1e-5)
    assert summary["num_images"] == 64
    assert [row["name"] for row in summary["classes"]] == CLASSES
    assert sum(row["num_images"] for row in summary["classes"]) == make_data(64)[1].sum()
    lines = TASK.describe(summary)
    assert len(lines) == 5
    assert lines[-1].startswith(f"mean average precision {summary['mean_average_precision']:.3f}, macro F1")
    for sample in found.samples:
        assert sample.truth.shape == sample.predicted.shape == (3,)
        assert 0.5 <= sample.confidence <= 1
    assert TASK.draw(found.samples).startswith(b"\x89PNG")
    assert TASK.draw_scores(summary).startswith(b"\x89PNG")


def test_images_are_judged_by_what_is_true_of_them():
    scores = TASK.score_images(np.array([[1, 0, 1], [0, 1, 0]]), np.array([[9.0, -9, 9], [9, -9, 9]], np.float32))
    assert scores == pytest.approx([1, 0], abs=1e-3)


def test_weights_balance_those_that_have_a_label_with_those_that_have_not():
    batches = [np.array([[1, 0, 1], [0, 0, 1]]), np.array([[0, 0, 1], [0, 0, 1]])]
    assert TASK.balanced_weights(batches) == [3, 1, 1]


def test_what_is_not_multi_hot_is_refused(tmp_path):
    images, labels = make_data(8)
    labels[3, 1] = 2
    with pytest.raises(DatasetError, match="validation: expected labels of 0 and 1, got 2"):
        TASK.check_targets(labels, "validation")
    data = _guard_targets(tf.data.Dataset.from_tensor_slices((images, labels)).batch(4), TASK)
    with pytest.raises(DatasetError, match="expected labels of 0 and 1, got 2"), translate_errors(tmp_path, TASK):
        list(data)


def test_options_that_do_not_fit_are_refused():
    for options, message in (
        ({"mixup": 0.2}, "--mixup: it is not for several labels an image; got 0.2"),
        ({"ignore_class": 1}, "--ignore-class: this is for masks"),
        ({"model": "unet"}, "--model: unet is for masks"),
    ):
        with pytest.raises(UsageError, match=message):
            TASK.check_options(FitOptions(**options))
