"""Numbers: scores against NumPy's, the loss, the unit inside the model, what is refused, pictures and tables."""

from __future__ import annotations

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError, PrecomputeError, UsageError
from precompute.fields.field import Schema
from precompute.fields.image import ImageField
from precompute.fields.label import LabelField
from precompute.fields.value import ValueField
from tests.helpers.trainer_datasets import IMAGE, SIZE, write_classes, write_values
from train.measure import measure
from train.options import FitOptions
from train.tasks import make_task
from train.tasks.classify import Classify
from train.tasks.losses import ValueLoss
from train.tasks.regress import MOST_POINTS, Regress
from train.value_scores import ValueScores, count_values, mean_r2, value_scores

NAN = float("nan")
PNG = b"\x89PNG"
TASK = Regress(
    shape=(SIZE, SIZE, 3),
    num_classes=0,
    class_names=(),
    normalize=None,
    values=("age", "height"),
    means=(40.0, 1e6),
    stds=(10.0, 0.5),
)


@st.composite
def numbers(draw):
    """Return truths, some of which are not known, predictions, and centres near the truths, of any size and spread."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(3, 30)), draw(st.integers(1, 3)))
    center, spread = draw(st.sampled_from([0.0, -3.5, 1e6])), draw(st.sampled_from([0.5, 30.0, 1e4]))
    truth = (center + spread * generator.standard_normal(shape)).astype(np.float32)
    predicted = (truth + spread * generator.standard_normal(shape)).astype(np.float32)
    truth[generator.random(shape) < draw(st.sampled_from([0.0, 0.5]))] = NAN
    return truth, predicted, [center + spread] * shape[1]


def scores_by_definition(truth, predicted, center):
    known = ~np.isnan(truth)
    truth, predicted = truth[known].astype(np.float64), predicted[known].astype(np.float64)
    if not len(truth):
        return {"num_images": 0} | dict.fromkeys(("mae", "rmse", "r2", "baseline_mae", "baseline_rmse"))
    spread = ((truth - truth.mean()) ** 2).sum()
    return {
        "num_images": len(truth),
        "mae": abs(predicted - truth).mean(),
        "rmse": np.sqrt(((predicted - truth) ** 2).mean()),
        "r2": 1 - ((predicted - truth) ** 2).sum() / spread if spread else None,
        "baseline_mae": abs(truth - center).mean(),
        "baseline_rmse": np.sqrt(((truth - center) ** 2).mean()),
    }


@settings(max_examples=60)
@given(numbers(), st.integers(1, 7))
def test_counts_of_batches_come_to_the_scores_of_the_definitions(case, batch_size):
    truth, predicted, centers = case
    task = replace(TASK, values=("a", "b", "c")[: truth.shape[1]], means=tuple(centers), stds=(1.0,) * truth.shape[1])
    counts = {}
    for first in range(0, len(truth), batch_size):
        part = slice(first, first + batch_size)
        counts = task.add_counts(counts, task.count(truth[part], predicted[part]))
    expected = [scores_by_definition(truth[:, k], predicted[:, k], centers[k]) for k in range(truth.shape[1])]
    found = value_scores(counts["sums"])
    for of_value, by_definition in zip(found, expected, strict=True):
        known = {name: value for name, value in by_definition.items() if value is not None}
        assert {name: value for name, value in of_value.items() if value is not None} == pytest.approx(known, rel=1e-9)
    defined = [row["r2"] for row in expected if row["r2"] is not None]
    assert mean_r2(found) == (pytest.approx(np.mean(defined)) if defined else None)
    assert task.summarize(counts)["num_images"] == len(truth)


@pytest.mark.slow
@settings(max_examples=15)
@given(numbers())
def test_the_metric_has_the_same_scores(case):
    truth, predicted, centers = case
    names, half = [f"v{k}" for k in range(truth.shape[1])], len(truth) // 2
    metric = ValueScores(names, centers)
    for part in (slice(0, half), slice(half, None)):
        metric.update_state(tf.constant(truth[part]), tf.constant(predicted[part]))
    scores = value_scores(count_values(truth, predicted, centers))
    expected = {"r2": mean_r2(scores) or 0}
    if len(names) == 1:
        expected |= {name: scores[0][name] or 0 for name in ("mae", "rmse")}
    else:
        of_each = [
            (name, row, score) for name, row in zip(names, scores, strict=True) for score in ("mae", "rmse", "r2")
        ]
        expected |= {f"{score}_{name}": row[score] or 0 for name, row, score in of_each}
    assert {name: float(value) for name, value in metric.result().items()} == pytest.approx(expected)


def test_a_small_spread_around_a_million_is_told_apart():
    truth = (1e6 + np.arange(8) / 8).astype(np.float32)[:, None]
    metric = ValueScores(["age"], [1e6])
    for first in range(0, 8, 3):
        metric.update_state(truth[first : first + 3], truth[first : first + 3] + 0.125)
    (scores,) = value_scores(count_values(truth, truth + 0.125, [1e6]))
    r2 = 1 - 8 * 0.125**2 / ((np.arange(8) / 8 - 3.5 / 8) ** 2).sum()
    assert (scores["mae"], scores["rmse"], scores["r2"]) == (0.125, 0.125, pytest.approx(r2, rel=1e-12))
    assert {name: float(value) for name, value in metric.result().items()} == {
        "mae": 0.125,
        "rmse": 0.125,
        "r2": pytest.approx(r2, rel=1e-12),
    }


def test_r2_is_not_defined_where_all_truths_are_the_same():
    same = np.full((5, 1), 0.1, np.float32)
    (scores,) = value_scores(count_values(same, same + 1, [0.3]))
    assert scores["r2"] is None and scores["mae"] == pytest.approx(1)
    assert mean_r2([scores]) is None
    metric = ValueScores(["age"], [0.3])
    metric.update_state(same, same + 1)
    assert float(metric.result()["r2"]) == 0


def test_points_are_spread_over_the_split_whatever_the_batches():
    truth = np.arange(2 * MOST_POINTS + 100, dtype=np.float32)[:, None].repeat(2, axis=1)
    kept = []
    for batch_size in (7, 1640):
        counts = {}
        for first in range(0, len(truth), batch_size):
            part = truth[first : first + batch_size]
            counts = TASK.add_counts(counts, TASK.count(part, part))
        kept.append(TASK.summarize(counts)["values"][1]["points"]["truth"])
    assert kept[0] == kept[1] == list(range(0, len(truth), 4))


def test_the_loss_is_of_what_is_known_in_standard_deviations():
    truth = np.array([[30, NAN], [50, 1e6 + 1], [NAN, NAN]], np.float32)
    predicted = tf.Variable([[40.0, 3.0], [50.0, 1e6], [1.0, 2.0]])
    with tf.GradientTape() as tape:
        loss = TASK.make_loss(FitOptions())(truth, predicted)
    assert float(loss) == pytest.approx((1 + 0 + 4) / 3)
    gradients = tape.gradient(loss, predicted).numpy()
    assert np.isfinite(gradients).all() and np.count_nonzero(gradients) == 2
    weighted = ValueLoss(stds=TASK.stds)(truth, predicted, np.array([2.0, 0.5, 1.0], np.float32))
    assert float(weighted) == pytest.approx((2 * 1 + 0 + 0.5 * 4) / 3)
    nothing = ValueLoss(stds=[1.0])(np.full((2, 1), NAN, np.float32), tf.zeros((2, 1)))
    assert float(nothing) == 0
    again = ValueLoss.from_config(TASK.make_loss(FitOptions()).get_config())
    assert float(again(truth, predicted)) == float(loss)


def test_the_unit_is_inside_the_model_in_plain_layers():
    model = TASK.make_model(FitOptions(base_channels=2))
    assert {type(layer).__module__.split(".")[0] for layer in model.layers} == {"keras"}
    assert model.output_shape == (None, 2)
    standardized = keras.Model(model.inputs, model.get_layer("standardized_age_height").output)
    images = np.random.default_rng(0).integers(0, 255, (3, SIZE, SIZE, 3), dtype=np.uint8)
    in_unit = standardized.predict(images, verbose=0) * [10, 0.5] + [40, 1e6]
    np.testing.assert_allclose(model.predict(images, verbose=0), in_unit, rtol=1e-6, atol=1e-4)
    assert replace(TASK, means=(), stds=()).with_model(model) == TASK


def test_a_function_of_the_user_is_told_how_many_values_there_are(tmp_path):
    code = "from keras import Sequential, layers\ndef make(shape, n):\n    return Sequential([layers.Flatten(), {}])\n"
    for name, last in (("mine", "layers.Dense(n)"), ("wrong", "layers.Dense(n + 1)")):
        (tmp_path / f"{name}.py").write_text(code.format(last))
    options = FitOptions(model=f"{tmp_path / 'mine.py'}:make")
    TASK.check_options(options)
    assert TASK.make_model(options).output_shape == (None, 2)
    with pytest.raises(PrecomputeError, match=r"expected standardized numbers of shape \(None, 2\)"):
        TASK.make_model(FitOptions(model=f"{tmp_path / 'wrong.py'}:make"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mixup": 0.2}, "--mixup: it is not for numbers; expected 0, got 0.2"),
        ({"cutmix": 0.2}, "--cutmix: it is not for numbers"),
        ({"label_smoothing": 0.1}, "--label-smoothing: it is not for numbers"),
        ({"class_weights": "balanced"}, "--class-weights: the dataset has numbers, and no classes to weigh"),
        ({"ignore_class": 3}, "--ignore-class: this is for masks; the dataset has numbers, got 3. Values that are NaN"),
        ({"model": "unet"}, "--model: unet is for masks; the dataset has numbers: small, or a backbone"),
        ({"model": "unet-EfficientNetB0"}, "--model: expected small, module:function, or a network"),
        ({"freeze_epochs": 2}, "--freeze-epochs: small has no backbone to freeze"),
        ({"weights": "imagenet"}, "--weights: imagenet is for backbones"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(UsageError) as error:
        TASK.check_options(FitOptions(**options))
    assert message in str(error.value)


def test_targets_become_one_tensor_and_weights_one_a_source():
    columns = {"height": tf.constant([5.0, NAN]), "age": tf.constant([1, 2], tf.int64)}
    packed, weights = TASK.pack(columns, {name: tf.constant([1.0, 3.0]) for name in columns})
    np.testing.assert_array_equal(packed, np.array([[1, 5], [2, NAN]], np.float32))
    assert weights.numpy().tolist() == [1, 3]
    (one,) = replace(TASK, values=("age",)).pack(columns["age"])
    assert one.dtype == tf.float32 and one.shape == (2, 1)


def test_mean_and_standard_deviation_are_of_what_is_known():
    batches = [np.array([[1, 7], [NAN, 7]], np.float32), np.array([[3, NAN], [5, 7]], np.float32)]
    task = replace(TASK, means=(), stds=()).fitted_to(lambda: batches)
    assert task.means == (3, 7)
    assert task.stds == (pytest.approx(np.std([1, 3, 5])), 1)
    assert task == task.fitted_to(lambda: reversed(batches))
    assert task.describe_target() == "numbers, 2 values: age (3.0 ± 1.6), height (7.0 ± 1.0)"
    with pytest.raises(DatasetError, match="nothing to learn of height: its value is missing in all training images"):
        task.fitted_to(lambda: [np.array([[1, NAN]], np.float32)])
    with pytest.raises(DatasetError, match="age is infinite in 1 training images"):
        task.fitted_to(lambda: [np.array([[np.inf, 1]], np.float32)])


def test_the_task_follows_from_the_targets(tmp_path):
    manifest = Manifest.load(write_values(tmp_path, units={"age": 1.0, "label": 2.0}))
    assert isinstance(make_task(manifest), Regress)
    assert make_task(manifest).values == ("age", "label")
    label = LabelField(name="label", several=False, num_classes=2, class_names=["a", "b"])
    age = ValueField(name="age", dtype="float", learnt=True)
    mixed = replace(manifest, schema=Schema([ImageField(name="image", **IMAGE), label, age]))
    assert {name: type(part) for name, part in make_task(mixed).parts.items()} == {"label": Classify, "age": Regress}
    extra = replace(manifest, schema=Schema([ImageField(name="image", **IMAGE), label, replace(age, learnt=False)]))
    assert make_task(extra).target == "class"


def test_a_run_of_other_values_does_not_fit():
    assert TASK.misfits({"target": "value", "values": ["age", "height"]}, (None, 2)) == []
    assert TASK.misfits({"target": "value", "values": ["age"]}, (None, 1)) == [
        "values: age in the run, age, height there"
    ]


class Grey:
    """A model whose numbers follow from the mean of an image."""

    def predict_on_batch(self, images):
        mean = np.asarray(images).mean(axis=(1, 2, 3))
        return np.stack([mean, 1e6 + mean / 200], axis=1).astype(np.float32)


def test_a_split_is_measured_drawn_and_told():
    images = np.stack([np.full((SIZE, SIZE, 3), 20 * i, np.uint8) for i in range(10)])
    truth = Grey().predict_on_batch(images) + np.linspace(0, 5, 20, dtype=np.float32).reshape(10, 2)
    truth[3], truth[4, 1] = NAN, NAN
    found = measure(Grey(), TASK, tf.data.Dataset.from_tensor_slices((images, truth)).batch(4), where="validation")[""]
    summary = TASK.summarize(found.counts)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert [row["num_images"] for row in summary["values"]] == [9, 8]
    assert len(summary["values"][1]["points"]["predicted"]) == 8
    lines = TASK.describe(summary)
    assert len(lines) == 4 and lines[1].startswith("age") and lines[3].startswith("mean R²")
    assert found.samples[0].standing == "best" and np.array_equal(found.samples[0].image, images[4])
    assert not any(np.isnan(sample.truth).all() for sample in found.samples)
    for picture in (TASK.draw(found.samples), TASK.draw_scores(summary)):
        assert picture.startswith(PNG)
    nothing = TASK.summarize(TASK.count(np.full((2, 2), NAN, np.float32), np.zeros((2, 2), np.float32)))
    assert nothing["r2"] is None and TASK.draw_scores(nothing).startswith(PNG)
    assert "–" in TASK.describe(nothing)[1]


def test_a_dataset_of_classes_is_still_one_of_classes(tmp_path):
    assert make_task(Manifest.load(write_classes(tmp_path))).describe_target() == "class labels, 3 classes"
