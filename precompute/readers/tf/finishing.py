"""What is done to parsed batches before they are handed out: fresh moves, Normalize, weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from precompute.dataset.manifest import Manifest
from precompute.errors import UsageError
from precompute.readers.tf.chosen_fields import ChosenFields
from precompute.readers.tf.class_weights import ClassWeights, is_dictionary
from precompute.readers.tf.fresh import choose_steps, draw_moves
from precompute.readers.tf.tensors import Parts
from precompute.readers.tf.twins import Twins

__all__ = ["batch_finisher"]


def batch_finisher(
    manifest: Manifest,
    split: str,
    chosen: ChosenFields,
    twins: Twins,
    *,
    fresh: str | Sequence[str],
    seed: int,
    clean_from: int | None,
    class_weights: ClassWeights | Mapping[str, ClassWeights] | None,
    normalize: bool,
    with_keys: bool,
) -> Callable[..., Any]:
    """Return a function from epoch, batch number, the parts of all fields and keys to what `load` hands out.

    Args:
        manifest: Manifest of the dataset.
        split: Name of the split.
        chosen: As what fields are handed out.
        twins: Twins of these fields.
        fresh: Fresh moves that were asked for.
        seed: Seed of the fresh moves.
        clean_from: Epoch from which on nothing moves.
        class_weights: Weight of each class, or those of each target.
        normalize: Whether Normalize is applied.
        with_keys: Whether the sources' keys are handed out.

    Raises:
        UsageError: The dataset cannot serve an argument.
    """
    steps = choose_steps(manifest, fresh)
    scale = _normalizer(manifest, split) if normalize else (lambda images: images)
    weigh = _weigher(chosen, twins, class_weights)
    shape = (manifest.image.height, manifest.image.width)

    def finish(epoch: Any, batch: Any, *parts_and_keys: Any) -> Any:
        *flat, keys = parts_and_keys
        parts = dict(_by_field(twins, flat))
        if steps:
            key = tf.stack([tf.constant(seed, tf.int64), epoch * 2**32 + batch])
            active = True if clean_from is None else epoch < clean_from
            moves = draw_moves(steps, batch_size=tf.shape(keys)[0], shape=shape, key=key, active=active)
            parts = {name: twin.move(parts[name], moves) for name, twin in twins.items()}
        values = {name: twin.hand_out(parts[name]) for name, twin in twins.items()}
        values |= {name: scale(values[name]) for name in chosen.inputs}
        handed_out = [_one_or_all(values, chosen.inputs)]
        handed_out += [_one_or_all(values, chosen.targets)] if chosen.targets else []
        handed_out += [_one_or_all(weigh(parts, tf.shape(keys)), chosen.targets)] if weigh else []
        handed_out += [{known: values[name] for known, name in chosen.extra.items()}] if chosen.extra else []
        handed_out += [keys] if with_keys else []
        return tuple(handed_out) if len(handed_out) > 1 else handed_out[0]

    return finish


def _by_field(twins: Twins, flat: Sequence[Any]) -> Iterator[tuple[str, Parts]]:
    rest = iter(flat)
    for name, twin in twins.items():
        yield name, {part: next(rest) for part in twin.parts}


def _one_or_all(values: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Return the value of the only name, or those of several names in a dictionary."""
    return values[names[0]] if len(names) == 1 else {name: values[name] for name in names}


def _weigher(chosen: ChosenFields, twins: Twins, class_weights: Any) -> Callable[[Any, Any], dict[str, Any]] | None:
    """Return a function from the parts of all fields, and the shape [B], to the weights of each target by its name.

    Those are float32 [B, …]: of sources, of classes, or the product of both. None: nothing is weighed.
    """
    if not chosen.weights and class_weights is None:
        return None
    given = {} if class_weights is None else _of_targets(chosen, twins, class_weights)
    weighers = {name: twins[name].class_weigher(given.get(name)) for name in chosen.targets}

    def weigh(parts: Mapping[str, Parts], shape: Any) -> dict[str, Any]:
        of_sources = [twins[name].hand_out(parts[name]) for name in chosen.weights]
        found = {}
        for name, weigh_classes in weighers.items():
            factors = of_sources if weigh_classes is None else [*of_sources, weigh_classes(parts[name])]
            found[name] = _product(*factors) if factors else tf.ones(shape)
        return found

    return weigh


def _of_targets(chosen: ChosenFields, twins: Twins, given: Any) -> dict[str, Any]:
    """Return the weights of classes by target: as they were given so, or of the only target that has classes."""
    classed = [name for name in chosen.targets if twins[name].has_classes]
    if not chosen.targets:
        raise UsageError("class_weights: the dataset holds images alone, of no classes.")
    if not classed:
        raise UsageError(f"class_weights: no target of the dataset has classes: {', '.join(chosen.targets)}.")
    names = list(given.keys()) if is_dictionary(given) and len(chosen.targets) > 1 else []
    if names and all(name in chosen.targets for name in names):
        without = [name for name in names if name not in classed]
        if without:
            raise UsageError(f"class_weights: {without[0]!r} has no classes; targets that have: {', '.join(classed)}.")
        return dict(given.items())
    if len(classed) > 1:
        raise UsageError(
            f"class_weights: expected a dictionary of weights by target, out of {', '.join(classed)}, which all have "
            f"classes; got {given!r:.200}."
        )
    return {classed[0]: given}


def _product(weights: Any, others: Any = None) -> Any:
    """Return weights, float32 [B] or, if they are the only ones, [B, …], times others, float32 [B, …]."""
    if others is None:
        return weights
    more = tf.ones(tf.rank(others) - 1, tf.int32)
    return others * tf.reshape(weights, tf.concat([tf.shape(weights), more], axis=0))


def _normalizer(manifest: Manifest, split: str) -> Callable[[Any], Any]:
    numbers = manifest.normalize.get(split)
    if numbers is None:
        raise UsageError(f"normalize: no Normalize was taken off {split}'s pipeline; scale inside the model instead.")
    scale = float(numbers["max_pixel_value"])
    mean = tf.constant(numbers["mean"], tf.float32) * scale
    std = tf.constant(numbers["std"], tf.float32) * scale
    return lambda images: (tf.cast(images, tf.float32) - mean) / std
