"""The losses: one number per image, pixel, label or value, so that Keras's sample weights work on all of them.

Weights scale but do not normalize: as everywhere in Keras, the loss is divided by the number of images, pixels, labels
or values that count, not by the sum of their weights. Under `tf.distribute` each replica's loss is a mean over its part
of the batch, and the whole loss is the mean of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from train.image_scores import similarity

__all__ = ["ClassLoss", "ImageLoss", "LabelLoss", "MaskLoss", "ValueLoss"]


def smooth(wanted: Any, smoothing: float) -> Any:
    """Spread a share of each target, float32 [..., C], evenly over its classes; the sum stays the same."""
    if not smoothing:
        return wanted
    return wanted * (1 - smoothing) + ops.mean(wanted, axis=-1, keepdims=True) * smoothing


@keras.saving.register_keras_serializable(package="augment_once")
class ClassLoss(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy of class ids [B], or of shares of the classes [B, C], which sum to the weight of the image."""

    def __init__(self, *, label_smoothing: float = 0.0, name: str = "class_loss", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each image, float32 [B]."""
        shares = y_true
        if len(y_true.shape) < len(y_pred.shape):
            shares = ops.one_hot(ops.cast(y_true, "int32"), y_pred.shape[-1], dtype="float32")
        return -ops.sum(smooth(shares, self.label_smoothing) * ops.log_softmax(y_pred, axis=-1), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return what the loss is made from."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable(package="augment_once")
class LabelLoss(keras.losses.Loss):  # type: ignore[misc]
    """Binary cross-entropy of multi-hot labels [B, C], each weighted by itself, as the mean over labels and images."""

    def __init__(self, *, label_smoothing: float = 0.0, name: str = "label_loss", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the loss; weights are [B] or [B, C]."""
        if sample_weight is not None and len(sample_weight.shape) == 1:
            sample_weight = ops.expand_dims(sample_weight, -1)
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each label, float32 [B, C]."""
        wanted = y_true * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
        return ops.binary_crossentropy(wanted, y_pred, from_logits=True)

    def get_config(self) -> dict[str, Any]:
        """Return what the loss is made from."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable(package="augment_once")
class MaskLoss(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy plus soft Dice, both over the pixels that count.

    Cross-entropy alone hardly changes when a rare class is left out; Dice counts each class in the batch by itself.
    Dice is taken over the batch, not over an image, since a class may fill a few pixels of one image only. As it treats
    all classes equally, weights scale only the cross-entropy; pixels of weight 0 are left out of both.

    Source: Milletari et al. 2016 for the soft Dice; the sum of both as in nnU-Net (Isensee et al. 2021).
    """

    def __init__(
        self,
        *,
        num_classes: int,
        ignore_class: int | None = None,
        label_smoothing: float = 0.0,
        name: str = "mask_loss",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.num_classes = num_classes
        self.ignore_class = ignore_class
        self.label_smoothing = label_smoothing
        self._cross_entropy = _PixelCrossEntropy(name="cross_entropy", **kwargs)
        self._missing_dice = _MissingDice(name="dice", **kwargs)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the loss, a scalar, of class ids [B, H, W] and logits [B, H, W, C]; weights are [B] or [B, H, W]."""
        truth = ops.cast(y_true, "int32")
        # An id without an output has a row of zeros, which adds nothing to any sum.
        counts = truth != (self.ignore_class if self.ignore_class is not None else -1)
        if sample_weight is not None:
            if len(sample_weight.shape) == 1:
                sample_weight = ops.reshape(sample_weight, (-1, 1, 1))
            counts = ops.logical_and(counts, sample_weight > 0)
        counts = ops.cast(counts, "float32")
        wanted = ops.one_hot(truth, self.num_classes, dtype="float32") * counts[..., None]
        smoothed = smooth(wanted, self.label_smoothing)
        return self._cross_entropy((smoothed, counts), y_pred, sample_weight) + self._missing_dice(
            (wanted, counts), y_pred
        )

    def get_config(self) -> dict[str, Any]:
        """Return what the loss is made from."""
        own = {name: getattr(self, name) for name in ("num_classes", "ignore_class", "label_smoothing")}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="augment_once")
class ValueLoss(keras.losses.Loss):  # type: ignore[misc]
    """Squared error of values [B, K] in standard deviations of training, as the mean over those that are not NaN.

    In standard deviations, no value outweighs another by its unit, and learning rates mean the same for all datasets.
    The error is squared: the best prediction is then the mean of the values that an image may have, and the loss equals
    1 − R² where training and validation have the same spread.
    """

    def __init__(self, *, stds: Sequence[float], name: str = "value_loss", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.stds = list(stds)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the loss; weights are [B] or [B, K]."""
        if sample_weight is not None and len(sample_weight.shape) == 1:
            sample_weight = ops.expand_dims(sample_weight, -1)
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each value, float32 [B, K], scaled so that its mean over all is that over known ones."""
        known = ops.logical_not(ops.isnan(y_true))
        errors = (y_pred - ops.where(known, y_true, y_pred)) / ops.cast(self.stds, "float32")  # no NaN in gradients
        counts = ops.cast(known, "float32")
        return ops.square(errors) / ops.maximum(ops.mean(counts), 1 / ops.cast(ops.size(counts), "float32"))

    def get_config(self) -> dict[str, Any]:
        """Return what the loss is made from."""
        return {**super().get_config(), "stds": self.stds}


@keras.saving.register_keras_serializable(package="augment_once")
class ImageLoss(keras.losses.Loss):  # type: ignore[misc]
    """Absolute error, in halves of the span of values, plus 1 − structural similarity, of images [B, H, W, C].

    Absolute error alone blurs; similarity alone hardly minds a shift of all values.

    Source: Zhao et al. 2017 for the sum of both.
    """

    def __init__(self, *, span: float, name: str = "image_loss", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.span = span

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each image, float32 [B]."""
        errors = ops.mean(ops.abs(y_true - y_pred), axis=(1, 2, 3)) / (self.span / 2)
        return errors + 1 - similarity(y_true, y_pred, self.span)

    def get_config(self) -> dict[str, Any]:
        """Return what the loss is made from."""
        return {**super().get_config(), "span": self.span}


class _PixelCrossEntropy(keras.losses.Loss):  # type: ignore[misc]
    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each pixel [B, H, W], scaled so that its mean over all is that over pixels that count."""
        wanted, counts = y_true
        losses = -ops.sum(wanted * ops.log_softmax(y_pred, axis=-1), axis=-1)
        return losses / ops.maximum(ops.mean(counts), 1 / ops.cast(ops.size(counts), "float32"))


class _MissingDice(keras.losses.Loss):  # type: ignore[misc]
    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return 1 − Dice [C] of each class that occurs, scaled so that its mean over all classes is over these."""
        wanted, counts = y_true
        probabilities = ops.softmax(y_pred, axis=-1) * counts[..., None]
        hits, sizes = _per_class(probabilities * wanted), _per_class(wanted)
        dice = (2 * hits + 1) / (_per_class(probabilities) + sizes + 1)
        occurs = ops.cast(sizes > 0, "float32")
        return (1 - dice) * occurs / ops.maximum(ops.mean(occurs), 1 / occurs.shape[0])


def _per_class(values: Any) -> Any:
    return ops.sum(values, axis=(0, 1, 2))
