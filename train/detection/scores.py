"""Average precision as a Keras metric, pooled over an epoch from histograms of the scores.

It runs in the graph and serves to compare epochs. COCO's own evaluation, at the end of a run, gives slightly other
numbers.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from train.detection.decode import decode
from train.detection.grid import Grid
from train.detection.matching import OVERLAPS, match
from train.detection.truth import COUNTED, KIND, LABEL

__all__ = ["BoxScores"]

NUM_BINS = 200  # of scores from 0 to 1


@keras.saving.register_keras_serializable(package="augment_once")
class BoxScores(keras.metrics.Metric):  # type: ignore[misc]
    """`map`, the mean over classes and ten overlaps from 0.5 to 0.95, and `ap50`, at an overlap of 0.5.

    It takes objects [B, N, 7] and outputs [B, cells, classes + 4]; its result is a dictionary.
    """

    def __init__(self, *, height: int, width: int, num_classes: int, name: str = "scores", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.height, self.width, self.num_classes = height, width, num_classes
        self._grid = Grid(height, width)
        self._shape = (len(OVERLAPS), num_classes, 2, NUM_BINS)
        size = int(np.prod(self._shape))
        self.cells = self.add_weight(shape=(size,), initializer="zeros", dtype="int64", name="cells")
        self.objects = self.add_weight(shape=(num_classes,), initializer="zeros", dtype="int64", name="objects")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch; weights are not used."""
        truth = ops.cast(y_true, "float32")
        found = decode(ops.cast(y_pred, "float32"), self._grid)
        right, counts = match(truth, found)
        overlaps, num_classes, _, num_bins = self._shape
        bins = ops.clip(ops.cast(found.scores * num_bins, "int32"), 0, num_bins - 1)
        overlap = ops.reshape(ops.arange(overlaps, dtype="int32"), (1, 1, -1))
        cell = (overlap * num_classes + found.labels[..., None]) * 2 + ops.cast(right, "int32")
        outside = int(np.prod(self._shape))  # one more cell, for what is not counted
        cell = ops.reshape(ops.where(counts, cell * num_bins + bins[..., None], outside), (-1,))
        self.cells.assign_add(_histogram(cell, outside))
        labels = ops.where(ops.equal(truth[..., KIND], COUNTED), ops.cast(truth[..., LABEL], "int32"), -1)
        labels = ops.reshape(ops.where(labels < 0, num_classes, labels), (-1,))
        self.objects.assign_add(_histogram(labels, num_classes))

    def result(self) -> dict[str, Any]:
        """Return the scores of all images counted so far; classes without objects are left out of means."""
        from_above = ops.flip(ops.cast(ops.reshape(self.cells, self._shape), "float32"), axis=-1)
        wrong, right = from_above[:, :, 0], from_above[:, :, 1]
        hits, total = ops.cumsum(right, axis=-1), ops.cast(self.objects, "float32")
        precision = ops.divide_no_nan(hits, hits + ops.cumsum(wrong, axis=-1))
        envelope = _highest_behind(precision)
        average = ops.divide_no_nan(ops.sum(envelope * right, axis=-1), total)  # [overlaps, classes]
        occurs = ops.cast(total > 0, "float32")
        by_overlap = ops.divide_no_nan(ops.sum(average * occurs, axis=-1), ops.sum(occurs))
        return {"map": ops.mean(by_overlap), "ap50": by_overlap[0]}

    def get_config(self) -> dict[str, Any]:
        """Return what the metric is made from."""
        own = {name: getattr(self, name) for name in ("height", "width", "num_classes")}
        return {**super().get_config(), **own}


def _highest_behind(values: Any) -> Any:
    """Return for each position of [..., n] the highest value from there on; `associative_scan` does not compile."""
    size, reach = values.shape[-1], 1
    while reach < size:
        behind = ops.pad(values[..., reach:], [(0, 0)] * (len(values.shape) - 1) + [(0, reach)])  # none is below 0
        values, reach = ops.maximum(values, behind), 2 * reach
    return values


def _histogram(cells: Any, size: int) -> Any:
    """Return how often each number below `size` occurs, int64; `size` itself is not counted."""
    counts = ops.segment_sum(ops.ones_like(cells), cells, num_segments=size + 1)
    return ops.cast(counts[:-1], "int64")
