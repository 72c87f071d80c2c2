"""The compact networks: a U-Net of any image size, and one for predictions of whole images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from train.tasks.trunk import Trunk, scale

__all__ = [
    "convolution",
    "make_small",
    "make_unet",
    "margins_of",
    "two_convolutions",
]

DROPOUT = 0.3  # of heads that predict something of the whole image
NUM_LEVELS = 4  # of the network for whole images
LARGE = 192  # pixels of the shorter side from which a fourth level is worth its parameters

# Keras's 0.99 needs hundreds of steps before validation, which uses the moving averages, shows what was learnt: with
# 16 steps an epoch the IoU stayed below 0.2 for 12 epochs. At the peak of the learning rate validation still jumps.
# Group normalization does not, but ended 0.01 to 0.02 lower on nuclei: the noise of batches is worth something.
UNET_MOMENTUM = 0.8
MOMENTUM = 0.9  # of the network for whole images


def make_unet(shape: tuple[int, int, int], *, base_channels: int, normalize: Mapping[str, Any] | None) -> Trunk:
    """Return a network of uint8 images [B, H, W, C], whose heads predict something of each pixel.

    Images are padded to a multiple of its coarsest pixel inside the model, and the result is cropped back.

    Source: Ronneberger et al. 2015, with padded convolutions and batch normalization.
    """
    images = keras.Input(shape, dtype="uint8", name="image")
    num_levels = 4 if min(shape[:2]) >= LARGE else 3
    margins = [margins_of(size, 2**num_levels) for size in shape[:2]]
    x = layers.ZeroPadding2D(margins, name="pad")(scale(images, normalize))
    skips = []
    for level in range(num_levels):
        x = two_convolutions(x, base_channels << level, f"down{level}")
        skips.append(x)
        x = layers.MaxPooling2D(name=f"down{level}_pool")(x)
    coarse = x = two_convolutions(x, base_channels << num_levels, "bottom")
    for level in reversed(range(num_levels)):
        x = layers.Conv2DTranspose(base_channels << level, 2, strides=2, name=f"up{level}_grow")(x)
        x = layers.Concatenate(name=f"up{level}_join")([skips[level], x])
        x = two_convolutions(x, base_channels << level, f"up{level}")
    x = layers.Cropping2D(margins, name="crop")(x)
    return Trunk(images=images, coarse=coarse, fine=x, dropout=DROPOUT, name="unet")


def margins_of(size: int, stride: int) -> tuple[int, int]:
    """Return how much to add before and after to reach a multiple of `stride`."""
    missing = -size % stride
    return missing // 2, missing - missing // 2


def two_convolutions(x: Any, channels: int, name: str) -> Any:
    """Return x after two 3×3 convolutions with batch normalization."""
    for part in "ab":
        x = convolution(x, channels, f"{name}{part}", momentum=UNET_MOMENTUM)
        x = layers.Activation("relu", name=f"{name}{part}_relu")(x)
    return x


# For whole images


def make_small(shape: tuple[int, int, int], *, base_channels: int, normalize: Mapping[str, Any] | None) -> Trunk:
    """Return a network of uint8 images [B, H, W, C], whose heads predict something of each image."""
    images = keras.Input(shape, dtype="uint8", name="image")
    x = scale(images, normalize)
    for level in range(NUM_LEVELS):
        x = _relu(convolution(x, base_channels << level, f"level{level}a"))
        if level:  # one is enough at full size, where it costs most
            detour = convolution(x, base_channels << level, f"level{level}b")
            x = _relu(layers.Add(name=f"level{level}_add")([x, detour]))
        x = layers.MaxPooling2D(padding="same", name=f"level{level}_pool")(x)
    x = _relu(convolution(x, base_channels << NUM_LEVELS, "top"))
    return Trunk(images=images, coarse=x, dropout=DROPOUT, name="small")


def convolution(x: Any, channels: int, name: str, *, strides: int = 1, momentum: float = MOMENTUM) -> Any:
    """Return x after a 3×3 convolution with batch normalization."""
    x = layers.Conv2D(
        channels,
        3,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return layers.BatchNormalization(momentum=momentum, name=f"{name}_norm")(x)


def _relu(x: Any) -> Any:
    return layers.Activation("relu")(x)
