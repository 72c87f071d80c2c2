"""Scaling of uint8 pixels for a network; always inside the model, so that a saved model takes plain images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

__all__ = ["scale", "standardize"]


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
