"""What is done to decoded batches before they are handed out: fresh moves, Normalize, weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from precompute.dataset.manifest import OBJECTS, Manifest, Target
from precompute.errors import UsageError
from precompute.readers.tf.boxes import BoxFormat, box_weigher, move_boxes, to_output_format
from precompute.readers.tf.class_weights import ClassWeights, weights_of_classes
from precompute.readers.tf.extras import WantedExtras, broadcast_weights
from precompute.readers.tf.fresh import choose_steps, draw_moves

__all__ = ["batch_finisher"]

NOTHING_EXTRA = WantedExtras(weighs=False, names=())


def batch_finisher(
    manifest: Manifest,
    split: str,
    *,
    fresh: str | Sequence[str],
    seed: int,
    clean_from: int | None,
    class_weights: ClassWeights | None,
    normalize: bool,
    with_keys: bool,
    box_format: BoxFormat | None = None,
    extra: WantedExtras = NOTHING_EXTRA,
) -> Callable[..., Any]:
    """Return a function from epoch, batch number, images, targets, extra values and keys to what `load` hands out.

    Raises:
        UsageError: The dataset cannot serve an argument.
    """
    steps = choose_steps(manifest, fresh)
    scale = _normalizer(manifest, split) if normalize else (lambda images: images)
    if extra.weighs and class_weights is None and manifest.target.kind == "mask":
        class_weights = [1.0] * manifest.target.num_classes  # Keras wants a weight a pixel
    weigh = None if class_weights is None else _weigher(manifest.target, class_weights)
    shape = (manifest.image.height, manifest.image.width)
    size = {"height": shape[0], "width": shape[1]}

    def finish(epoch: Any, batch: Any, images: Any, *targets_and_keys: Any) -> tuple[Any, ...]:
        *parts, keys = targets_and_keys
        first = len(parts) - len(extra.read)
        values = dict(zip(extra.read, parts[first:], strict=True))
        parts = parts[:first]
        targets: Any = (parts or [None])[0] if box_format is None else dict(zip(box_format.parts, parts, strict=True))
        if steps:
            key = tf.stack([tf.constant(seed, tf.int64), epoch * 2**32 + batch])
            active = True if clean_from is None else epoch < clean_from
            moves = draw_moves(steps, batch_size=tf.shape(images)[0], shape=shape, key=key, active=active)
            images = moves.pixels(images)
            if manifest.target.kind == "mask":
                targets = moves.pixels(targets)
            elif box_format is not None:
                targets = move_boxes(targets, moves, box_format.skeleton)
        handed_out = [scale(images)]
        if not manifest.target.image_only:
            handed_out.append(targets if box_format is None else to_output_format(targets, box_format, **size))
        if extra.weighs:
            weights = values["weight"]
            handed_out.append(weights if weigh is None else broadcast_weights(weights, weigh(targets)))
        elif weigh is not None:
            handed_out.append(weigh(targets))
        if extra.names:
            handed_out.append({name: values[name] for name in extra.names})
        handed_out += [keys] if with_keys else []
        return tuple(handed_out) if len(handed_out) > 1 else handed_out[0]

    return finish


def _weigher(target: Target, class_weights: ClassWeights) -> Callable[[Any], Any]:
    """Return a function from targets to the weight of each, float32 of their shape.

    Of class ids: 0 for the ignore class, and for ids that are no class. Of labels: 1 for those that are not there. Of
    boxes: 0 for padding.
    """
    if target.image_only:
        raise UsageError("class_weights: the dataset holds images alone, of no classes.")
    weights = weights_of_classes(target, class_weights)
    if target.kind in OBJECTS:
        return box_weigher(weights)
    if target.kind == "multilabel":
        return lambda labels: tf.where(labels > 0, tf.constant(weights, tf.float32), 1.0)
    if target.ignore_class is not None and target.ignore_class < target.num_classes:
        weights[target.ignore_class] = 0.0
    weights.append(0.0)

    def weigh(targets: Any) -> Any:
        ids = tf.cast(targets, tf.int32)
        known = (ids >= 0) & (ids < target.num_classes)
        return tf.gather(tf.constant(weights, tf.float32), tf.where(known, ids, target.num_classes))

    return weigh


def _normalizer(manifest: Manifest, split: str) -> Callable[[Any], Any]:
    numbers = manifest.normalize.get(split)
    if numbers is None:
        raise UsageError(f"normalize: no Normalize was taken off {split}'s pipeline; scale inside the model instead.")
    scale = float(numbers["max_pixel_value"])
    mean = tf.constant(numbers["mean"], tf.float32) * scale
    std = tf.constant(numbers["std"], tf.float32) * scale
    return lambda images: (tf.cast(images, tf.float32) - mean) / std
