"""The optimizer and the schedule of its learning rate.

With a cosine, the learning rate follows from the step alone. Otherwise it is a plain variable: `WarmUp` raises it over
the first steps, `keras.callbacks.ReduceLROnPlateau` can lower it, and a checkpoint keeps it.
"""

from __future__ import annotations

from typing import Any

import keras

from train.options import FitOptions

__all__ = ["WarmUp", "make_optimizer", "warm_up_callbacks"]

LAST = 0.01  # share of the peak with which a cosine begins and ends
MOMENTUM = 0.9
ADAMW_DECAY = 0.01


def make_optimizer(options: FitOptions, variables: list[Any], *, steps: int) -> Any:
    """Return the optimizer, not yet built.

    Args:
        options: Options of the run.
        variables: Variables that it will train.
        steps: Number of steps in an epoch.
    """
    rate = _learning_rate(options, steps=steps)
    match options.optimizer:
        case "sgd":
            optimizer = keras.optimizers.SGD(
                rate, momentum=MOMENTUM, nesterov=True, weight_decay=options.weight_decay or None
            )
        case "adamw":
            decay = ADAMW_DECAY if options.weight_decay is None else options.weight_decay
            optimizer = keras.optimizers.AdamW(rate, weight_decay=decay)
        case _:
            optimizer = keras.optimizers.Adam(rate)
    # No weight decay for biases and for scale and offset of normalization: it would regularize nothing.
    optimizer.exclude_from_weight_decay(var_list=[variable for variable in variables if len(variable.shape) <= 1])
    return optimizer


def warm_up_steps(options: FitOptions, *, steps: int) -> int:
    """Return the number of steps over which the learning rate rises; at least one, if warm-up is wanted."""
    return max(1, round(options.warm_up * steps * options.epochs)) if options.warm_up else 0


def warm_up_callbacks(options: FitOptions, *, steps: int) -> list[Any]:
    """Return the callback that warms up a learning rate without a cosine, if that is wanted."""
    num_steps = warm_up_steps(options, steps=steps)
    return [WarmUp(options.learning_rate, num_steps)] if options.schedule != "cosine" and num_steps else []


class WarmUp(keras.callbacks.Callback):  # type: ignore[misc]
    """Raises the learning rate from 1/n of its peak to the peak over the first n steps.

    It has no state: the optimizer's own count of steps decides, also in a continued run. A plateau's reduction within
    these steps is overwritten.
    """

    def __init__(self, peak: float, num_steps: int) -> None:
        super().__init__()
        self._peak = peak
        self._num_steps = num_steps
        self._done = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Reset the callback."""
        self._done = False

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Set the learning rate of the next step."""
        if self._done:  # asking for the count makes a GPU wait
            return
        step = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))
        self._done = step >= self._num_steps
        if not self._done:
            self.model.optimizer.learning_rate = self._peak * (step + 1) / self._num_steps


def _learning_rate(options: FitOptions, *, steps: int) -> Any:
    if options.schedule != "cosine":
        return options.learning_rate
    total, warm_up = steps * options.epochs, warm_up_steps(options, steps=steps)
    peak, remaining = options.learning_rate, max(1, total - warm_up)
    if not warm_up:
        return keras.optimizers.schedules.CosineDecay(peak, remaining, alpha=LAST)
    return keras.optimizers.schedules.CosineDecay(
        peak * LAST, remaining, alpha=LAST, warmup_target=peak, warmup_steps=warm_up
    )
