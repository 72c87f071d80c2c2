"""Scores of multi-label classification, all from histograms of the logits: small, exact to sum up, the same in `fit`
and in `evaluate`.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

__all__ = ["NUM_BINS", "LabelScores", "count_labels", "label_scores", "label_scores_by_class"]

# Logits from −10 to 10, which are probabilities from 0.00005 to 0.99995, in steps of 0.05; what is beyond is in the
# outermost. A bin begins at 0, so that "0.5 or more" is exact.
LIMIT, NUM_BINS = 10.0, 400

Histograms = npt.NDArray[np.int64]


def count_labels(truth: npt.NDArray[Any], logits: npt.NDArray[np.float32]) -> Histograms:
    """Return histograms of the logits of each label.

    Args:
        truth: Multi-hot [N, C].
        logits: Logits of the same shape.

    Returns:
        int64 [C, 2, NUM_BINS]: for images without the label, then with it; bins go from low to high logits.
    """
    num_labels = truth.shape[1]
    bins = np.clip(np.floor((logits + LIMIT) * (NUM_BINS / (2 * LIMIT))), 0, NUM_BINS - 1).astype(np.int64)
    cells = (np.arange(num_labels) * 2 + (truth > 0)) * NUM_BINS + bins
    return np.bincount(cells.ravel(), minlength=num_labels * 2 * NUM_BINS).reshape(num_labels, 2, NUM_BINS)


def label_scores_by_class(counts: Histograms) -> list[dict[str, Any]]:
    """Return images, average precision, F1, precision and recall of each label, the last three at a probability of 0.5.

    A score is None where it is undefined: average precision and recall if no image has the label, precision if none was
    given it, F1 if both are so.
    """
    scores = []
    for without, having in counts:
        wrong, hits = int(without[NUM_BINS // 2 :].sum()), int(having[NUM_BINS // 2 :].sum())
        total = int(having.sum())
        found = {
            "num_images": total,
            "average_precision": _average_precision(without, having) if total else None,
            "f1": 2 * hits / (hits + wrong + total) if hits + wrong + total else None,
            "precision": hits / (hits + wrong) if hits + wrong else None,
            "recall": hits / total if total else None,
        }
        scores.append(found)
    return scores


def label_scores(counts: Histograms) -> dict[str, float]:
    """Return the means over the labels for which scores are defined; 0 if there are none."""
    by_class = label_scores_by_class(counts)

    def mean(name: str) -> float:
        known = [row[name] for row in by_class if row[name] is not None]
        return float(np.mean(known)) if known else 0.0

    return {"mean_average_precision": mean("average_precision"), "macro_f1": mean("f1")}


def _average_precision(without: npt.NDArray[np.int64], having: npt.NDArray[np.int64]) -> float:
    """Return the sum of precision × gain in recall, from the highest logit down; equal logits count together.

    Source: the definition of scikit-learn's `average_precision_score`, without interpolation.
    """
    hits, wrong = having[::-1].cumsum(), without[::-1].cumsum()
    precision = hits / np.maximum(hits + wrong, 1)
    return float((precision * having[::-1]).sum() / having.sum())


@keras.saving.register_keras_serializable(package="augment_once")
class LabelScores(keras.metrics.Metric):  # type: ignore[misc]
    """The scores of `label_scores` as one Keras metric, pooled over an epoch, and the share of images all right.

    Takes logits [B, C] beside multi-hot labels [B, C]; its result is a dictionary. Keras's own AUC takes a
    label without positives into its mean as 0, and its F1 wants probabilities.
    """

    def __init__(self, num_labels: int, name: str = "scores", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.num_labels = num_labels
        size = num_labels * 2 * NUM_BINS
        self.cells = self.add_weight(shape=(size,), initializer="zeros", dtype="int64", name="cells")
        self.images = self.add_weight(shape=(2,), initializer="zeros", dtype="int64", name="images")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch; weights are not used."""
        truth, logits = ops.cast(y_true, "int32"), ops.cast(y_pred, "float32")
        bins = ops.clip(ops.floor((logits + LIMIT) * (NUM_BINS / (2 * LIMIT))), 0, NUM_BINS - 1)
        label = ops.expand_dims(ops.arange(self.num_labels, dtype="int32"), 0)
        cells = ops.reshape((label * 2 + truth) * NUM_BINS + ops.cast(bins, "int32"), (-1,))
        counts = ops.segment_sum(ops.ones_like(cells), cells, num_segments=self.num_labels * 2 * NUM_BINS)
        self.cells.assign_add(ops.cast(counts, "int64"))
        right = ops.all(ops.equal(truth, ops.cast(logits >= 0, "int32")), axis=-1)
        wrong_and_right = ops.stack(
            [ops.sum(ops.cast(ops.logical_not(right), "int64")), ops.sum(ops.cast(right, "int64"))]
        )
        self.images.assign_add(wrong_and_right)

    def result(self) -> dict[str, Any]:
        """Return the scores of all images counted so far."""
        counts = ops.cast(ops.reshape(self.cells, (self.num_labels, 2, NUM_BINS)), "float32")
        from_above = ops.flip(counts, axis=-1)
        summed = ops.cumsum(from_above, axis=-1)
        total = summed[:, 1, -1]
        precision = ops.divide_no_nan(summed[:, 1], summed[:, 0] + summed[:, 1])
        average = ops.divide_no_nan(ops.sum(precision * from_above[:, 1], axis=-1), total)
        hits, given = summed[:, 1, NUM_BINS // 2 - 1], ops.sum(summed[:, :, NUM_BINS // 2 - 1], axis=-1)
        f1 = ops.divide_no_nan(2 * hits, given + total)
        images = ops.cast(self.images, "float32")
        return {
            "mean_average_precision": _mean_where(average, total > 0),
            "macro_f1": _mean_where(f1, given + total > 0),
            "exact_match": ops.divide_no_nan(images[1], ops.sum(images)),
        }

    def get_config(self) -> dict[str, Any]:
        """Return what the metric is made from."""
        return {**super().get_config(), "num_labels": self.num_labels}


def _mean_where(values: Any, known: Any) -> Any:
    known = ops.cast(known, "float32")
    return ops.divide_no_nan(ops.sum(values * known), ops.sum(known))
