"""The devices of a run, and the part of a batch that each of them gets."""

from __future__ import annotations

import functools
from typing import Any

import tensorflow as tf

from precompute.errors import UsageError
from precompute.text.format import format_count

__all__ = ["find_devices", "fits", "fitting_batch_size", "make_strategy"]


def make_strategy(devices: str, *, batch_size: int) -> Any:
    """Return the `tf.distribute` strategy of a run.

    Args:
        devices: ``"one"``: TensorFlow's default; ``"all"``: every GPU, or every logical CPU if there is no GPU.
        batch_size: Images per step, of all devices together.

    Raises:
        UsageError: The batch cannot be shared out evenly.
    """
    if devices == "one":
        return tf.distribute.get_strategy()
    found = find_devices()
    if batch_size % len(found):
        raise UsageError(
            f"--batch-size: expected a multiple of the {len(found)} devices that --devices all takes, got "
            f"{batch_size}: it is shared out among them."
        )
    if len(found) == 1:
        return tf.distribute.get_strategy()
    return _mirrored(tuple(device.name for device in found))


def find_devices() -> list[Any]:
    """Return the devices of ``"all"``: every GPU, or every logical CPU if there is no GPU."""
    found: list[Any] = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return found


@functools.cache
def _mirrored(devices: tuple[str, ...]) -> Any:
    """Return the only strategy of these devices: a second one would give its collective operations the same numbers."""
    return tf.distribute.MirroredStrategy(devices)


def fits(num_images: int, *, batch_size: int, num_devices: int) -> bool:
    """Return whether every device gets images of the last batch, too.

    TensorFlow gives each of n devices ceil(size / n) images until none are left. A device without images has a loss of
    0 / 0, which makes all weights NaN.
    """
    last = num_images % batch_size
    return not last or -(-last // num_devices) * (num_devices - 1) < last


def fitting_batch_size(num_images: int, *, batch_size: int, num_devices: int) -> int:
    """Return the batch size, at least the given one, with which every device always gets images.

    Raises:
        UsageError: There is no such batch size.
    """
    for size in range(batch_size, batch_size + num_images + num_devices, num_devices):
        if num_images >= num_devices and fits(num_images, batch_size=size, num_devices=num_devices):
            return size
    raise UsageError(
        f"--devices: {format_count(num_images, 'image')} of validation cannot be shared out so that each of "
        f"{num_devices} devices "
        "always gets some; pass --devices one, or build the dataset with another --validation-split."
    )
