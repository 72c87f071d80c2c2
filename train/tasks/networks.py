"""The networks by their names: the compact ones, and backbones, with a way up for predictions of pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from precompute.errors import UsageError
from train.options import FitOptions
from train.tasks.backbones import PREFIX, check_backbone_options, make_backbone_trunk, make_backbone_unet
from train.tasks.compact import make_small, make_unet
from train.tasks.trunk import Trunk

__all__ = ["check_network", "make_network_trunk"]


def check_network(name: str, options: FitOptions, *, channels: int, dense: bool, has: str) -> None:
    """Raise `UsageError` for an unknown network, or for options that do not fit it.

    Args:
        name: ``"unet"`` or ``"small"``, or a network of keras.applications; with ``unet-`` before it, it has a way up.
        options: Options of the run.
        channels: Channels of the images.
        dense: Whether pixels have predictions.
        has: Words for the dataset's targets in messages: ``"classes"``, ``"masks"`` …
    """
    compact = "unet" if dense else "small"
    if dense and name != compact and not name.startswith(PREFIX):
        raise UsageError(
            f"--model: the dataset has {has}: unet, unet- with a backbone such as unet-EfficientNetB0, or "
            f"module:function; got {options.model!r}."
        )
    if name == "unet" and not dense:
        raise UsageError(f"--model: unet is for masks; the dataset has {has}: small, or a backbone.")
    if name != compact:
        check_backbone_options(name.removeprefix(PREFIX) if dense else name, options, channels=channels)
    elif options.freeze_epochs:
        raise UsageError(f"--freeze-epochs: {compact} has no backbone to freeze, got {options.freeze_epochs}.")
    elif options.weights == "imagenet" and dense:
        raise UsageError("--weights: there are no imagenet weights for unet; none, or a file of a whole model.")
    elif options.weights == "imagenet":
        raise UsageError("--weights: imagenet is for backbones such as MobileNetV3Small, got --model small.")


def make_network_trunk(
    name: str, options: FitOptions, *, shape: tuple[int, int, int], normalize: Mapping[str, Any] | None
) -> Trunk:
    """Return a network without its heads.

    Args:
        name: Name of the network, as `check_network` takes it.
        options: Options of the run.
        shape: Height, width and channels.
        normalize: Numbers of a Normalize that was taken off the training pipeline, or None.
    """
    if name in ("small", "unet"):
        make = make_small if name == "small" else make_unet
        return make(shape, base_channels=options.base_channels, normalize=normalize)
    if name.startswith(PREFIX):
        return make_backbone_unet(
            shape, name=name.removeprefix(PREFIX), weights=options.weights, base_channels=options.base_channels
        )
    return make_backbone_trunk(shape, name=name, weights=options.weights)
