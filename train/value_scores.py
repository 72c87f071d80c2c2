"""Scores of numbers, all from sums over batches, so that they are the same in `fit` and in `evaluate`.

Truths are summed as distances from a centre, the mean of the training split. So the sums stay precise even for values
around a million that hardly differ. They also give the errors of the baseline, which always predicts that mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

__all__ = ["ValueScores", "count_values", "mean_r2", "value_scores"]

# Rows of the sums: how many are known; distances from the centre, absolute and squared; errors, absolute and squared.
KNOWN, DISTANCE, DISTANCE_ABS, DISTANCE_SQUARED, ERROR_ABS, ERROR_SQUARED = range(6)
NUM_SUMS = 6
LEAST_SPREAD = 1e-12  # share of the squared distances from the centre: a smaller spread is what rounding leaves

Sums = npt.NDArray[np.float64]


def count_values(truth: npt.NDArray[Any], predicted: npt.NDArray[Any], centers: Sequence[float]) -> Sums:
    """Return the sums from which the scores of each value follow.

    Args:
        truth: Numbers [N, K]; unknown ones are NaN and do not count.
        predicted: Numbers of the same shape.
        centers: Means of the K values in the training split.

    Returns:
        float64 [6, K].
    """
    known = ~np.isnan(truth)
    distance = np.where(known, truth.astype(np.float64) - np.asarray(centers, np.float64), 0)
    error = np.where(known, predicted.astype(np.float64) - truth.astype(np.float64), 0)
    rows = [known, distance, abs(distance), distance**2, abs(error), error**2]
    return np.asarray(np.stack(rows).sum(axis=1), np.float64)


def value_scores(sums: Sums) -> list[dict[str, Any]]:
    """Return the scores of each value, in its unit: mean absolute error, root of the mean squared error, R², baseline.

    All scores are None for a value that no image has. R² is also None if all truths are equal, or there is only one.
    """
    scores = []
    for known, distance, distance_abs, distance_squared, error_abs, error_squared in sums.T.tolist():
        spread = distance_squared - distance**2 / max(known, 1)
        defined = known > 1 and spread > LEAST_SPREAD * distance_squared
        scores.append(
            {
                "num_images": int(known),
                "mae": error_abs / known if known else None,
                "rmse": (error_squared / known) ** 0.5 if known else None,
                "r2": 1 - error_squared / spread if defined else None,
                "baseline_mae": distance_abs / known if known else None,
                "baseline_rmse": (distance_squared / known) ** 0.5 if known else None,
            }
        )
    return scores


def mean_r2(scores: Sequence[dict[str, Any]]) -> float | None:
    """Return the mean R² over the values that have one; None if none has."""
    known = [row["r2"] for row in scores if row["r2"] is not None]
    return float(np.mean(known)) if known else None


@keras.saving.register_keras_serializable(package="augment_once")
class ValueScores(keras.metrics.Metric):  # type: ignore[misc]
    """The scores of `value_scores` as one Keras metric, pooled over an epoch.

    Takes numbers [B, K] beside numbers [B, K], of which those that are NaN count nowhere. Its result is a dictionary:
    ``mae``, ``rmse`` and ``r2`` of one value; of several ``mae_<name>`` and so on for each, and ``r2``, their mean.
    What is not defined is 0 here: logs and the comparison of epochs want a number.
    """

    def __init__(self, names: Sequence[str], centers: Sequence[float], name: str = "scores", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.names, self.centers = list(names), list(centers)
        self.sums = self.add_weight(shape=(NUM_SUMS, len(names)), initializer="zeros", dtype="float64", name="sums")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch; weights are not used."""
        truth, predicted = ops.cast(y_true, "float64"), ops.cast(y_pred, "float64")
        known = ops.logical_not(ops.isnan(truth))
        nothing = ops.zeros_like(truth)
        distance = ops.where(known, truth - np.asarray(self.centers, np.float64), nothing)
        error = ops.where(known, predicted - truth, nothing)
        counted = ops.cast(known, "float64")
        rows = [counted, distance, ops.abs(distance), ops.square(distance), ops.abs(error), ops.square(error)]
        self.sums.assign_add(ops.sum(ops.stack(rows), axis=1))

    def result(self) -> dict[str, Any]:
        """Return the scores of all images counted so far."""
        known, distance, _, distance_squared, error_abs, error_squared = ops.unstack(self.sums, NUM_SUMS)
        at_least_one = ops.maximum(known, 1.0)
        spread = distance_squared - ops.square(distance) / at_least_one
        defined = ops.logical_and(known > 1, spread > LEAST_SPREAD * distance_squared)
        r2 = ops.where(defined, 1 - error_squared / ops.where(defined, spread, 1.0), 0.0)
        by_value = {"mae": error_abs / at_least_one, "rmse": ops.sqrt(error_squared / at_least_one), "r2": r2}
        num_defined = ops.maximum(ops.sum(ops.cast(defined, "float64")), 1.0)
        mean = {"r2": ops.sum(r2) / num_defined}
        if len(self.names) == 1:
            return {score: ops.sum(numbers) for score, numbers in by_value.items()}
        of_each = {
            f"{score}_{name}": numbers[k] for k, name in enumerate(self.names) for score, numbers in by_value.items()
        }
        return of_each | mean

    def get_config(self) -> dict[str, Any]:
        """Return what the metric is made from."""
        return {**super().get_config(), "names": self.names, "centers": self.centers}
