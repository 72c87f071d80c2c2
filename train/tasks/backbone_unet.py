"""A U-Net whose encoder is a network of keras.applications."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from precompute.errors import PrecomputeError
from train.tasks.backbones import DROPOUT, check_backbone, family_of, make_backbone, preprocess
from train.tasks.trunk import Trunk
from train.tasks.unet import margins_of, two_convolutions

__all__ = ["PREFIX", "make_backbone_unet", "make_encoder"]

PREFIX = "unet-"  # before the network's name in --model
STRIDES = (2, 4, 8, 16)  # where the way up takes what the way down has seen; the last features are at 32


def make_backbone_unet(shape: tuple[int, int, int], *, name: str, weights: str, base_channels: int) -> Trunk:
    """Return a network of uint8 images [B, H, W, 3], whose heads predict something of each pixel.

    Args:
        shape: Height, width and channels.
        name: A network of keras.applications.
        weights: ``"none"``, ``"imagenet"``, or an .h5 file of the network without its top.
        base_channels: Number of channels of the decoder's last level; each level below has twice as many.

    Raises:
        PrecomputeError: The network does not halve its images evenly, or the weights cannot be loaded.
    """
    check_backbone(name)
    images = keras.Input(shape, dtype="uint8", name="image")
    margins = [margins_of(size, 32) for size in shape[:2]]
    padded = (shape[0] + sum(margins[0]), shape[1] + sum(margins[1]), shape[2])
    encoder = make_encoder(name, padded, weights)
    *skips, coarse = encoder(layers.ZeroPadding2D(margins, name="pad")(preprocess(images, family_of(name))))
    x = coarse
    for level, skip in reversed(list(enumerate([None, *skips]))):
        channels = base_channels << level
        x = layers.Conv2DTranspose(channels, 2, strides=2, name=f"up{level}_grow")(x)
        if skip is not None:
            x = layers.Concatenate(name=f"up{level}_join")([skip, x])
        x = two_convolutions(x, channels, f"up{level}")
    x = layers.Cropping2D(margins, name="crop")(x)
    return Trunk(images=images, coarse=coarse, fine=x, dropout=DROPOUT, name=PREFIX + name)


def make_encoder(name: str, shape: tuple[int, int, int], weights: str) -> Any:
    """Return the network with its features at strides 2, 4, 8, 16 and 32 as outputs."""
    network = make_backbone(name, shape, weights)
    last = {
        tuple(layer.output.shape[1:3]): layer.output
        for layer in network.layers
        if not isinstance(layer, layers.InputLayer) and len(getattr(layer.output, "shape", ())) == 4
    }
    sizes = [(shape[0] // stride, shape[1] // stride) for stride in STRIDES]
    if any(size not in last for size in sizes) or network.output_shape[1:3] != (shape[0] // 32, shape[1] // 32):
        raise PrecomputeError(
            f"--model {PREFIX}{name}: this network does not halve its images evenly, as a U-Net needs; use another, "
            "such as MobileNetV3Small, EfficientNetB0 or ResNet50."
        )
    return keras.Model(network.inputs, [*(last[size] for size in sizes), network.output], name=name)
