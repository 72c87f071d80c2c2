"""The part of a network that all its heads share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
from keras import layers

__all__ = [
    "Trunk",
    "scale",
    "standardize",
]


@dataclass(frozen=True, kw_only=True)
class Trunk:
    """Symbolic tensors that heads begin from; what no head asks for is not made.

    Attributes:
        images: Input, uint8 [B, H, W, C].
        coarse: Features [B, h, w, F] of the last level on the way down.
        fine: Features [B, H, W, F] of each pixel; None where the network has no way up.
        dropout: Share of the pooled features that training leaves out.
        name: Name of the network.
    """

    images: Any
    coarse: Any
    fine: Any = None
    dropout: float
    name: str

    @cached_property
    def pooled(self) -> Any:
        """Features [B, F] of a whole image."""
        return layers.Dropout(self.dropout, name="dropout")(layers.GlobalAveragePooling2D(name="pool")(self.coarse))

    def head(self, num_outputs: int, name: str, *, dense: bool) -> Any:
        """Return the outputs of a new last layer, float32.

        Args:
            num_outputs: Number of outputs.
            name: Name of the layer.
            dense: Whether each pixel has outputs, [B, H, W, num_outputs]; else each image has, [B, num_outputs].
        """
        x = self.fine if dense else self.pooled  # before the head: the order in which layers are made decides seeds
        if dense:
            return layers.Conv2D(num_outputs, 1, dtype="float32", name=name)(x)
        return layers.Dense(num_outputs, dtype="float32", name=name)(x)


# Scaling of uint8 pixels; always inside the model, so that a saved model takes plain images


def scale(images: Any, normalize: Mapping[str, Any] | None) -> Any:
    """Return images, uint8 [B, H, W, C], as float32 around zero.

    Args:
        images: A symbolic tensor.
        normalize: Numbers of a Normalize that was taken off the pipeline, which are then used; None: scale to −1 … 1.
    """
    if normalize is None:
        return keras.layers.Rescaling(1 / 127.5, offset=-1, name="scale")(images)
    top = float(normalize["max_pixel_value"])
    return standardize(images, mean=[m * top for m in normalize["mean"]], std=[s * top for s in normalize["std"]])


def standardize(images: Any, *, mean: list[float], std: list[float]) -> Any:
    """Return (images − mean) / std, with one mean and std per channel."""
    return keras.layers.Normalization(mean=mean, variance=[s * s for s in std], name="scale")(images)
