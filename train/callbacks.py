"""Keras's own callbacks that steer a run, and their state, which they count from epoch to epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from train.options import FitOptions

__all__ = ["make_callbacks", "put_back", "states_of"]

# Attributes that change during training. Source: `on_train_begin`, `on_epoch_end` in keras/src/callbacks of Keras 3.15.
STATE = {
    keras.callbacks.EarlyStopping: ("wait", "best", "best_epoch", "stopped_epoch"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "best", "cooldown_counter"),
}


def make_callbacks(options: FitOptions, *, score: str) -> list[Any]:
    """Return the callbacks that the options ask for.

    Both watch the score that decides which epoch is best, so that a run stops when no better model comes.

    Args:
        options: Options of the run.
        score: Name of the score in an epoch's log; higher is better.
    """
    callbacks: list[Any] = []
    if options.early_stopping:
        callbacks.append(keras.callbacks.EarlyStopping(score, patience=options.early_stopping, mode="max"))
    if options.schedule == "plateau":
        callbacks.append(
            keras.callbacks.ReduceLROnPlateau(
                score, patience=options.plateau_patience, factor=options.plateau_factor, mode="max"
            )
        )
    return callbacks


def states_of(callbacks: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """Return the state of the callbacks, fit for JSON: class name → attribute → value."""
    return {
        type(callback).__name__: {name: getattr(callback, name) for name in STATE[type(callback)]}
        for callback in callbacks
    }


def put_back(callbacks: Sequence[Any], states: Mapping[str, Mapping[str, Any]]) -> None:
    """Restore the state of the callbacks; a callback without a state begins anew."""
    for callback in callbacks:
        for name, value in states.get(type(callback).__name__, {}).items():
            setattr(callback, name, value)
