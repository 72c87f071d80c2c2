"""A compact detector of any image size: features at four sizes, joined from coarse to fine, and two heads.

Source: Lin et al. 2017 (feature pyramids) for how features are joined; the heads as in Zhou et al. 2019 (CenterNet).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from train.detection.grid import NUM_SIDES, Grid
from train.tasks.backbones import family_of, make_encoder, preprocess
from train.tasks.compact import convolution
from train.tasks.trunk import scale

__all__ = ["PREFIX", "make_detector"]

PREFIX = "detector-"  # before a backbone's name in --model
COARSEST = 32
PRIOR = 0.05  # probability that a new network gives everywhere: there is nothing in most cells
MOMENTUM = 0.9  # as in the other networks: 0.99 needs hundreds of steps before validation shows what was learnt


def make_detector(
    shape: tuple[int, int, int],
    num_classes: int,
    *,
    base_channels: int,
    normalize: Mapping[str, Any] | None,
    backbone: str | None = None,
    weights: str = "none",
) -> Any:
    """Return a model from uint8 images [B, H, W, C] to float32 [B, cells, classes + 4], the cells of `Grid`.

    Images are padded at the right and below to a multiple of 32 inside the model; cells outside of the image are cut.

    Args:
        shape: Height, width and channels.
        num_classes: Number of classes.
        base_channels: Number of channels of the first features; the heads have four times as many.
        normalize: Numbers of a Normalize that was taken off the pipeline, or None. A backbone has its own scaling.
        backbone: A network of keras.applications in place of the compact one.
        weights: Weights of the backbone: ``"none"``, ``"imagenet"``, or a file.

    Raises:
        PrecomputeError: The backbone does not halve its images evenly, or its weights cannot be loaded.
    """
    grid = Grid(*shape[:2])
    images = keras.Input(shape, dtype="uint8", name="image")
    margins = [(0, -size % COARSEST) for size in shape[:2]]
    padded = (shape[0] + margins[0][1], shape[1] + margins[1][1], shape[2])
    pad = layers.ZeroPadding2D(margins, name="pad")
    if backbone is None:
        features = _compact(pad(scale(images, normalize)), base_channels)
    else:
        encoder = make_encoder(backbone, padded, weights)
        features = dict(zip((2, 4, 8, 16, 32), encoder(pad(preprocess(images, family_of(backbone)))), strict=True))
    x = _join(features, grid.stride, 4 * base_channels)
    cut = [(0, size // grid.stride - cells) for size, cells in zip(padded, (grid.rows, grid.columns), strict=False)]
    x = layers.Cropping2D(cut, name="crop")(x)
    prior = keras.initializers.Constant(-math.log((1 - PRIOR) / PRIOR))
    classes = _head(x, num_classes, "classes", prior)
    sides = _head(x, NUM_SIDES, "sides", "zeros")
    joined = layers.Concatenate(dtype="float32", name="join")([classes, sides])
    outputs = layers.Reshape((grid.num_cells, num_classes + NUM_SIDES), dtype="float32", name="outputs")(joined)
    return keras.Model(images, outputs, name="detector" if backbone is None else PREFIX + backbone)


def _compact(x: Any, channels: int) -> dict[int, Any]:
    """Return features by their stride: 4, 8, 16 and 32."""
    features = {}
    x = _convolution(x, channels, "stem", strides=2)
    for level in range(1, 5):
        wide = channels << min(level, 3)
        x = _residual(_convolution(x, wide, f"level{level}_down", strides=2), wide, f"level{level}")
        features[2 << level] = x
    return features


def _join(features: dict[int, Any], finest: int, channels: int) -> Any:
    """Return features of the finest stride, to which coarser ones are added step by step."""
    x = None
    for stride in sorted((stride for stride in features if stride >= finest), reverse=True):
        own = layers.Conv2D(channels, 1, use_bias=False, name=f"lateral{stride}")(features[stride])
        if x is not None:
            grown = layers.UpSampling2D(2, interpolation="nearest", name=f"grow{stride}")(x)
            own = layers.Add(name=f"add{stride}")([own, grown])
        own = layers.BatchNormalization(momentum=MOMENTUM, name=f"lateral{stride}_norm")(own)
        own = layers.Activation("relu", name=f"lateral{stride}_relu")(own)
        x = own if stride == finest else _convolution(own, channels, f"join{stride}")
    return x


def _head(x: Any, num_values: int, name: str, bias: Any) -> Any:
    x = _convolution(x, x.shape[-1], f"{name}_head")
    return layers.Conv2D(num_values, 1, bias_initializer=bias, dtype="float32", name=name)(x)


def _residual(x: Any, channels: int, name: str) -> Any:
    detour = _convolution(_convolution(x, channels, f"{name}a"), channels, f"{name}b", activation=None)
    return layers.Activation("relu", name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, detour]))


def _convolution(x: Any, channels: int, name: str, *, strides: int = 1, activation: str | None = "relu") -> Any:
    x = convolution(x, channels, name, strides=strides, momentum=MOMENTUM)
    return x if activation is None else layers.Activation(activation, name=f"{name}_relu")(x)
