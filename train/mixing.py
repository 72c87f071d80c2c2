"""MixUp and CutMix as part of the training step, by Keras's own layers.

Their generators are variables of the model, so that a checkpoint holds them and a continued run goes on with them.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from train.options import FitOptions

__all__ = ["MixingModel"]


class MixingModel(keras.Model):  # type: ignore[misc]
    """A functional model that mixes the images of a batch, and their targets, before it learns from them.

    It is only for training: the network that it shares its layers with is saved.
    """

    def mix_by(self, options: FitOptions, *, num_classes: int) -> None:
        """Set the layer that mixes; call this once, before the model is compiled."""
        self._num_classes = num_classes
        if options.mixup:
            self._mixer = keras.layers.MixUp(options.mixup, seed=options.seed, dtype="float32")
        else:  # one number would be the upper end of a range that Beta's parameter is drawn from
            self._mixer = keras.layers.CutMix((options.cutmix, options.cutmix), seed=options.seed, dtype="float32")

    def train_step(self, data: Any) -> Any:
        """Train on one batch of (images, targets[, weights])."""
        images, targets, *weights = data
        mixed = self._mix_classes if len(targets.shape) == 1 else self._paste_masks
        return super().train_step(mixed(images, targets, *weights))

    def _mix_classes(self, images: Any, ids: Any, *weights: Any) -> tuple[Any, Any]:
        """Return mixed images, and shares of the classes [B, C] times the weights, so that losses add up correctly."""
        shares = ops.one_hot(ops.cast(ids, "int32"), self._num_classes, dtype="float32")
        for weight in weights:
            shares *= ops.expand_dims(weight, -1)
        mixed = self._mixer({"images": images, "labels": shares})
        return _to_pixels(mixed["images"]), mixed["labels"]

    def _paste_masks(self, images: Any, masks: Any, *weights: Any) -> tuple[Any, ...]:
        """Return images, class ids and, if given, weights, pasted from the same boxes. For CutMix alone."""
        mixer = self._mixer
        drawn = mixer.get_random_transformation(ops.cast(images, "float32"))

        def paste(values: Any) -> Any:  # a channel for each of the box's, all equal
            return mixer.transform_segmentation_masks(ops.expand_dims(values, -1), drawn)[..., 0]

        return _to_pixels(mixer.transform_images(images, drawn)), paste(masks), *map(paste, weights)


def _to_pixels(images: Any) -> Any:
    return ops.cast(ops.round(images), "uint8")
