"""What is done to decoded batches before they are handed out: fresh moves, Normalize, weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from precompute.dataset.manifest import Manifest, Target
from precompute.errors import UsageError
from precompute.fresh import choose_steps, draw_moves

__all__ = ["batch_finisher"]


def batch_finisher(
    manifest: Manifest,
    split: str,
    *,
    fresh: str | Sequence[str],
    seed: int,
    clean_from: int | None,
    class_weights: Sequence[float] | None,
    normalize: bool,
    with_keys: bool,
) -> Callable[..., tuple[Any, ...]]:
    """Return a function from epoch, batch number, images, targets and keys to what `load` hands out.

    Raises:
        UsageError: The dataset cannot serve an argument.
    """
    steps = choose_steps(manifest, fresh)
    scale = _normalizer(manifest, split) if normalize else (lambda images: images)
    weigh = None if class_weights is None else _weigher(manifest.target, class_weights)
    shape = (manifest.image.height, manifest.image.width)

    def finish(epoch: Any, batch: Any, images: Any, targets: Any, keys: Any) -> tuple[Any, ...]:
        if steps:
            key = tf.stack([tf.constant(seed, tf.int64), epoch * 2**32 + batch])
            active = True if clean_from is None else epoch < clean_from
            moves = draw_moves(steps, batch_size=tf.shape(images)[0], shape=shape, key=key, active=active)
            images = moves.pixels(images)
            targets = moves.pixels(targets) if manifest.target.kind == "mask" else targets
        handed_out = [scale(images), targets]
        if weigh is not None:
            handed_out.append(weigh(targets))
        return (*handed_out, keys) if with_keys else tuple(handed_out)

    return finish


def _weigher(target: Target, class_weights: Sequence[float]) -> Callable[[Any], Any]:
    """Return a function from class ids to the weight of each, 0 for the ignore class."""
    weights = [float(weight) for weight in class_weights]
    if len(weights) != target.num_classes or min(weights) < 0:
        raise UsageError(
            f"class_weights: expected {target.num_classes} numbers, one a class, none below 0; got {weights}."
        )
    ignored = target.ignore_class
    if ignored is not None:
        weights += [0.0] * (ignored + 1 - len(weights))
        weights[ignored] = 0.0
    return lambda targets: tf.gather(tf.constant(weights, tf.float32), tf.cast(targets, tf.int32))


def _normalizer(manifest: Manifest, split: str) -> Callable[[Any], Any]:
    numbers = manifest.normalize.get(split)
    if numbers is None:
        raise UsageError(f"normalize: no Normalize was taken off {split}'s pipeline; scale inside the model instead.")
    scale = float(numbers["max_pixel_value"])
    mean = tf.constant(numbers["mean"], tf.float32) * scale
    std = tf.constant(numbers["std"], tf.float32) * scale
    return lambda images: (tf.cast(images, tf.float32) - mean) / std
