"""The networks of keras.applications, with their preprocessing inside the model."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from precompute.errors import PrecomputeError, UsageError
from train.options import FitOptions
from train.tasks.compact import margins_of, two_convolutions
from train.tasks.trunk import Trunk, standardize

__all__ = [
    "PREFIX",
    "backbone_names",
    "check_backbone",
    "check_backbone_options",
    "family_of",
    "is_whole_model",
    "make_backbone",
    "make_backbone_trunk",
    "make_backbone_unet",
    "make_encoder",
    "preprocess",
]

# The preprocessing of each family; a test compares it with the family's own `preprocess_input`.
# Source: keras.applications, `imagenet_utils.preprocess_input` and the modules that call it.
BUILT_IN = ("convnext", "efficientnet", "efficientnet_v2", "mobilenet_v3")  # 0 … 255: they hold a scaling layer
CAFFE = ("resnet", "vgg16", "vgg19")
TORCH = ("densenet",)
MINUS_ONE_TO_ONE = (
    "inception_resnet_v2",
    "inception_v3",
    "mobilenet",
    "mobilenet_v2",
    "nasnet",
    "resnet_v2",
    "xception",
)

DROPOUT = 0.2
MOMENTUM = 0.9  # as in the U-Net: up to 0.999 in these networks, which short runs never warm up


def backbone_names() -> list[str]:
    """Return the names of all networks."""
    return [name for name in dir(keras.applications) if name[0].isupper()]


def check_backbone(name: str) -> None:
    """Raise `UsageError` if keras.applications has no network of that name."""
    if name in backbone_names():
        return
    lower = {n.lower(): n for n in backbone_names()}
    close = [lower[n] for n in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
    near = f" Did you mean {' or '.join(close)}?" if close else ""
    raise UsageError(
        f"--model: expected small, module:function, or a network of keras.applications "
        f"({', '.join(backbone_names())}), got {name!r}.{near}"
    )


def make_backbone_trunk(shape: tuple[int, int, int], *, name: str, weights: str) -> Trunk:
    """Return a network of uint8 images [B, H, W, 3], whose heads predict something of each image.

    Args:
        shape: Height, width and channels.
        name: A network of keras.applications.
        weights: ``"none"``, ``"imagenet"``, or an .h5 file of the network without its top.

    Raises:
        PrecomputeError: The network cannot take images of this size, or the weights cannot be had.
    """
    check_backbone(name)
    images = keras.Input(shape, dtype="uint8", name="image")
    network = make_backbone(name, shape, weights)
    x = network(preprocess(images, family_of(name)))
    return Trunk(images=images, coarse=x, dropout=DROPOUT, name=name)


def preprocess(images: Any, family: str) -> Any:
    """Return images, uint8 [B, H, W, 3] RGB, as a family of networks expects them."""
    if family in BUILT_IN:
        return layers.Rescaling(1.0, name="scale")(images)  # to float32 alone
    if family in TORCH:
        mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
        return standardize(images, mean=[255 * m for m in mean], std=[255 * s for s in std])
    if family in CAFFE:
        bgr = keras.ops.flip(images, axis=-1)
        return standardize(bgr, mean=[103.939, 116.779, 123.68], std=[1.0, 1.0, 1.0])
    return layers.Rescaling(1 / 127.5, offset=-1, name="scale")(images)


def family_of(name: str) -> str:
    """Return the module of keras.applications that a network belongs to.

    Raises:
        PrecomputeError: The family is not among those whose preprocessing is known here.
    """
    family: str = getattr(keras.applications, name).__module__.rpartition(".")[2]
    if family not in (*BUILT_IN, *CAFFE, *TORCH, *MINUS_ONE_TO_ONE):
        raise PrecomputeError(f"--model: how {name} wants its images scaled is not known here; use another network.")
    return family


def make_backbone(name: str, shape: tuple[int, int, int], weights: str) -> Any:
    """Return a network without its top, for images from `preprocess`.

    Raises:
        PrecomputeError: It cannot take images of this size, or the weights cannot be had.
    """
    network = _make_network(name, shape, None if weights == "none" or is_whole_model(weights) else weights)
    for layer in network._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = min(layer.momentum, MOMENTUM)
    return network


def is_whole_model(weights: str) -> bool:
    """Return whether a weights file is of a whole model, which is loaded later, and not of a backbone alone."""
    return weights.endswith((".keras", ".weights.h5"))


def check_backbone_options(name: str, options: FitOptions, *, channels: int) -> None:
    """Raise `UsageError` for an unknown network, or for options that do not fit it."""
    check_backbone(name)
    if options.freeze_epochs and options.weights == "none":
        raise UsageError(
            f"--freeze-epochs: {name} starts from random weights, which nothing is won by keeping; expected --weights, "
            f"got {options.freeze_epochs}."
        )
    if channels != 3:
        raise UsageError(f"--model: {name} takes images of 3 channels, the dataset's have {channels}.")


def _make_network(name: str, shape: tuple[int, int, int], weights: str | None) -> Any:
    make: Callable[..., Any] = getattr(keras.applications, name)
    try:
        return make(include_top=False, weights=weights, input_shape=shape)
    except Exception as error:  # of many kinds: too small, no network, a file of another network
        which = f" with weights {weights}" if weights else ""
        raise PrecomputeError(
            f"--model {name}{which} cannot be made for images of {shape[0]}×{shape[1]}×{shape[2]}: {error}"
        ) from error


# A U-Net whose encoder is such a network


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
