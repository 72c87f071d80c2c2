"""Networks with one prediction per image: the compact one, or a backbone with a new top."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from precompute.errors import UsageError
from train.options import FitOptions
from train.tasks.backbones import check_backbone_options, make_backbone_classifier
from train.tasks.small import make_small

__all__ = ["check_image_network", "make_image_network"]


def check_image_network(name: str, options: FitOptions, *, channels: int, targets: str) -> None:
    """Raise `UsageError` for an unknown network, or for options that do not fit it.

    Args:
        name: ``"small"``, or a network of keras.applications.
        options: Options of the run.
        channels: Channels of the images.
        targets: Word for the dataset's targets in messages: ``"classes"`` or ``"numbers"``.
    """
    if name == "unet":
        raise UsageError(f"--model: unet is for masks; the dataset has {targets}: small, or a backbone.")
    if name != "small":
        check_backbone_options(name, options, channels=channels)
    elif options.freeze_epochs:
        raise UsageError(f"--freeze-epochs: small has no backbone to freeze, got {options.freeze_epochs}.")
    elif options.weights == "imagenet":
        raise UsageError("--weights: imagenet is for backbones such as MobileNetV3Small, got --model small.")


def make_image_network(
    name: str,
    options: FitOptions,
    *,
    shape: tuple[int, int, int],
    num_outputs: int,
    normalize: Mapping[str, Any] | None,
    head: str = "logits",
) -> Any:
    """Return a model from uint8 images [B, H, W, C] to float32 [B, num_outputs].

    Args:
        name: ``"small"``, or a network of keras.applications.
        options: Options of the run.
        shape: Height, width and channels.
        num_outputs: Number of classes or of values.
        normalize: Numbers of a Normalize that was taken off the training pipeline, or None.
        head: Name of the last layer.
    """
    if name == "small":
        return make_small(shape, num_outputs, base_channels=options.base_channels, normalize=normalize, head=head)
    return make_backbone_classifier(shape, num_outputs, name=name, weights=options.weights, head=head)
