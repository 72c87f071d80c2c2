"""Optimizers, how the learning rate goes, and which weights decay."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from train.compiled import make_optimizer, warm_up_callbacks
from train.options import FitOptions


class Rates(keras.callbacks.Callback):
    """Notes the learning rate that each step used."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_begin(self, batch, logs=None):
        self.seen.append(float(self.model.optimizer.learning_rate))


def make_model(options, *, steps=5):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.BatchNormalization()])
    model.compile(make_optimizer(options, model.trainable_variables, steps=steps), "mse")
    return model


def train(model, options, *more, epochs=None, initial_epoch=0):
    """Train 5 steps an epoch and return the learning rate of each."""
    x = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    rates = Rates()
    model.fit(
        x,
        np.zeros((10, 4), np.float32),
        batch_size=2,
        shuffle=False,
        epochs=epochs or options.epochs,
        initial_epoch=initial_epoch,
        callbacks=[*warm_up_callbacks(options, steps=5), rates, *more],
        verbose=0,
    )
    return rates.seen


@pytest.mark.slow
def test_a_constant_rate_warms_up_step_by_step_and_stays():
    options = FitOptions(epochs=2, schedule="constant", warm_up=0.4, learning_rate=0.1)
    rates = train(make_model(options), options)
    assert rates == pytest.approx([0.025, 0.05, 0.075, *[0.1] * 7])


@pytest.mark.slow
def test_without_warm_up_the_first_step_is_at_the_peak():
    for schedule in ("constant", "plateau", "cosine"):
        options = FitOptions(epochs=1, schedule=schedule, warm_up=0.0, learning_rate=0.1)
        assert train(make_model(options), options)[0] == pytest.approx(0.1)


@pytest.mark.slow
def test_a_plateau_lowers_the_rate_and_warm_up_does_not_raise_it_again():
    options = FitOptions(epochs=4, schedule="plateau", warm_up=0.1, learning_rate=0.1)
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=1, min_delta=1e9)
    rates = train(make_model(options), options, plateau)
    assert rates[:3] == pytest.approx([0.05, 0.1, 0.1])
    assert rates[5:] == pytest.approx([0.1] * 5 + [0.05] * 5 + [0.025] * 5)


@pytest.mark.slow
def test_warm_up_goes_on_from_the_optimizers_count_of_steps():
    options = FitOptions(epochs=2, schedule="constant", warm_up=0.9, learning_rate=0.9)
    whole = train(make_model(options), options)
    model = make_model(options)
    parts = train(model, options, epochs=1) + train(model, options, initial_epoch=1)
    assert parts == pytest.approx(whole)
    assert whole[4:6] == pytest.approx([0.5, 0.6])


def test_a_cosine_rises_to_its_peak_and_falls_to_a_hundredth():
    options = FitOptions(epochs=4, warm_up=0.25, learning_rate=0.1)
    rate = make_optimizer(options, [], steps=10)._learning_rate
    assert float(rate(10)) == pytest.approx(0.1)
    assert float(rate(5)) == pytest.approx(0.1 * (0.01 + 0.99 * 0.5))
    assert float(rate(40)) == pytest.approx(0.001)


@pytest.mark.parametrize(("optimizer", "decay"), [("adamw", None), ("adamw", 0.5), ("sgd", 0.5), ("sgd", None)])
def test_kernels_decay_and_biases_and_normalization_do_not(optimizer, decay):
    """With gradients of zero nothing moves but by decay."""
    options = FitOptions(optimizer=optimizer, weight_decay=decay, schedule="constant", learning_rate=0.1)
    kernel, bias = (keras.Variable(np.ones(shape, np.float32)) for shape in ((2, 3), (3,)))
    made = make_optimizer(options, [kernel, bias], steps=1)
    made.apply([keras.ops.zeros((2, 3)), keras.ops.zeros((3,))], [kernel, bias])
    share = {"adamw": 0.01, "sgd": 0.0}[optimizer] if decay is None else decay
    np.testing.assert_allclose(kernel, np.full((2, 3), 1 - 0.1 * share), rtol=1e-6)
    np.testing.assert_array_equal(bias, np.ones(3))


def test_sgd_has_nesterov_momentum():
    made = make_optimizer(FitOptions(optimizer="sgd"), [], steps=1)
    assert (made.momentum, made.nesterov) == (0.9, True)
