"""A compact network for small datasets and first tries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from train.tasks.scaling import scale
from train.tasks.trunk import Trunk

__all__ = ["make_small"]

NUM_LEVELS = 4
DROPOUT = 0.3

# Keras's 0.99 needs hundreds of steps before validation, which uses the moving averages, shows what was learnt.
MOMENTUM = 0.9


def make_small(shape: tuple[int, int, int], *, base_channels: int, normalize: Mapping[str, Any] | None) -> Trunk:
    """Return a network of uint8 images [B, H, W, C], whose heads predict something of each image."""
    images = keras.Input(shape, dtype="uint8", name="image")
    x = scale(images, normalize)
    for level in range(NUM_LEVELS):
        x = _relu(_convolution(x, base_channels << level, f"level{level}a"))
        if level:  # one is enough at full size, where it costs most
            detour = _convolution(x, base_channels << level, f"level{level}b")
            x = _relu(layers.Add(name=f"level{level}_add")([x, detour]))
        x = layers.MaxPooling2D(padding="same", name=f"level{level}_pool")(x)
    x = _relu(_convolution(x, base_channels << NUM_LEVELS, "top"))
    return Trunk(images=images, coarse=x, dropout=DROPOUT, name="small")


def _convolution(x: Any, channels: int, name: str) -> Any:
    x = layers.Conv2D(channels, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv")(
        x
    )
    return layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_norm")(x)


def _relu(x: Any) -> Any:
    return layers.Activation("relu")(x)
