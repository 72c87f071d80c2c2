"""Scores of predicted images: peak signal-to-noise ratio, structural similarity and absolute error, one an image.

Source: Wang et al. 2004 for structural similarity, by `tf.image.ssim`, whose window is as there, 11 pixels wide, or as
wide as a smaller image.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

__all__ = ["SCORES", "ImageScores", "score_images", "similarity"]

WINDOW = 11  # pixels
LEAST_ERROR = 1e-10  # share of the squared span: 100 dB, for images that are predicted exactly
SCORES = ("psnr", "ssim", "mae")


def similarity(truth: Any, predicted: Any, span: float) -> Any:
    """Return the structural similarity, at most 1, of images [B, H, W, C], float32 [B].

    Args:
        truth: Images, float32.
        predicted: Images of the same shape.
        span: Difference of the greatest and the least value that images have.
    """
    return tf.image.ssim(truth, predicted, span, filter_size=min(WINDOW, *truth.shape[1:3]))


def score_images(truth: Any, predicted: Any, span: float) -> dict[str, Any]:
    """Return the scores of images by name, float32 [B]: `psnr` in dB, `ssim`, and `mae` in the unit of the images."""
    truth, predicted = (tf.cast(images, tf.float32) for images in (truth, predicted))
    errors = truth - predicted
    squared = tf.maximum(tf.reduce_mean(tf.square(errors / span), axis=[1, 2, 3]), LEAST_ERROR)
    return {
        "psnr": -10 * tf.math.log(squared) / tf.math.log(10.0),
        "ssim": similarity(truth, predicted, span),
        "mae": tf.reduce_mean(tf.abs(errors), axis=[1, 2, 3]),
    }


@keras.saving.register_keras_serializable(package="augment_once")
class ImageScores(keras.metrics.Metric):  # type: ignore[misc]
    """The mean scores of images as one Keras metric, over an epoch; its result is a dictionary."""

    def __init__(self, span: float, name: str = "scores", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.span = span
        self.sums = self.add_weight(shape=(len(SCORES),), initializer="zeros", dtype="float64", name="sums")
        self.count = self.add_weight(shape=(), initializer="zeros", dtype="float64", name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch; weights are not used."""
        found = score_images(y_true, y_pred, self.span)
        sums = [ops.sum(ops.cast(found[name], "float64")) for name in SCORES]
        self.sums.assign_add(ops.stack(sums))
        self.count.assign_add(ops.cast(ops.shape(y_true)[0], "float64"))

    def result(self) -> dict[str, Any]:
        """Return the means over all images so far."""
        means = self.sums / ops.maximum(self.count, 1.0)
        return {name: means[place] for place, name in enumerate(SCORES)}

    def get_config(self) -> dict[str, Any]:
        """Return what the metric is made from."""
        return {**super().get_config(), "span": self.span}
