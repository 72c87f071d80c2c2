"""From a batch of records to what `load` hands out: fields are chosen, parsed, moved, normalized and weighed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import tensorflow as tf

from precompute.dataset.manifest import Manifest
from precompute.errors import UsageError
from precompute.fields.field import Schema
from precompute.readers.tf import objects  # noqa: F401  # it registers its twin
from precompute.readers.tf.fields import BoxArguments, FieldTensors, Parts, tensors_of
from precompute.readers.tf.fresh import Moves
from precompute.readers.tf.weights import ClassWeights, make_weigher

__all__ = ["ChosenFields", "Twins", "batch_finisher", "batch_parser", "choose_fields", "make_twins"]

SOURCE_KEY = "augment/key"
NOTHING_ASKED = BoxArguments()
Twins: TypeAlias = dict[str, FieldTensors[Any]]  # by the names of their fields


# Which fields are read


@dataclass(frozen=True, kw_only=True)
class ChosenFields:
    """The fields that `load` hands out.

    Attributes:
        inputs: Names of the fields that a model sees.
        targets: Names of the fields that it learns.
        weights: Name of the field that says how much each source counts, if there is one.
        extra: Names of further fields, as users know them → names in the schema.
    """

    inputs: list[str]
    targets: list[str]
    weights: list[str]
    extra: dict[str, str]

    @property
    def names(self) -> list[str]:
        """Names of all fields that are parsed, each once."""
        return list(dict.fromkeys([*self.inputs, *self.targets, *self.weights, *self.extra.values()]))


def choose_fields(
    schema: Schema,
    *,
    inputs: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    sample_weights: bool = True,
    extra: Sequence[str] = (),
) -> ChosenFields:
    """Return the fields that are read of a dataset; no other is parsed.

    Args:
        schema: Fields of the dataset.
        inputs: Names of the inputs, as users know them; None: the first field, which is the image.
        targets: Names of the targets; None: all fields that a model learns and that are no inputs.
        sample_weights: Whether the weights of sources are handed out; never without targets, for weights come third.
        extra: Names of further fields.

    Raises:
        UsageError: The dataset has no such field, or a field is named twice.
    """
    image, *_ = schema
    seen = [image] if inputs is None else _named_fields(schema, "inputs", inputs)
    learnt = [name for name, field in schema.items() if field.is_target and name not in seen]
    learnt = learnt if targets is None else _named_fields(schema, "targets", targets)
    if not seen:
        raise UsageError(f"inputs: expected at least one field, out of {_names_of(schema)}; got none.")
    _refuse_text("extra", extra)
    known = {field.own_name: name for name, field in schema.items() if name not in (*seen, *learnt)}
    unknown = [name for name in extra if name not in known]
    if unknown:
        raise UsageError(f"extra: the dataset has no {unknown[0]!r}; its extra values: {', '.join(known) or 'none'}.")
    weights = [name for name, field in schema.items() if field.is_weight and sample_weights and learnt]
    return ChosenFields(inputs=seen, targets=learnt, weights=weights, extra={name: known[name] for name in extra})


def _named_fields(schema: Schema, argument: str, given: Sequence[str]) -> list[str]:
    """Return the fields that an argument names.

    Raises:
        UsageError: It is no list of names, or names a field that is not there, or one twice.
    """
    _refuse_text(argument, given)
    known = {field.own_name: name for name, field in schema.items()} | {name: name for name in schema}
    unknown = [name for name in given if name not in known]
    if unknown:
        raise UsageError(f"{argument}: the dataset has no field {unknown[0]!r}; its fields: {_names_of(schema)}.")
    names = [known[name] for name in given]
    if len(set(names)) < len(names):
        raise UsageError(f"{argument}: expected each field once, got {', '.join(given)}.")
    return names


def _refuse_text(argument: str, given: Sequence[str]) -> None:
    if isinstance(given, str):
        raise UsageError(f"{argument}: expected a list of names, got the text {given!r}.")


def _names_of(schema: Schema) -> str:
    return ", ".join(field.own_name for field in schema.values())


def make_twins(
    manifest: Manifest, names: Iterable[str], boxes: BoxArguments = NOTHING_ASKED, *, held: bool = False
) -> Twins:
    """Return the twins of fields.

    Args:
        manifest: Manifest of the dataset.
        names: Names of the fields that are read.
        boxes: How boxes are handed out.
        held: Whether rows are held in memory, all batches together.

    Raises:
        UsageError: A field cannot hand out boxes as asked, or no field has boxes.
    """
    twins = {name: tensors_of(manifest.schema[name], manifest) for name in names}
    formed = {name: twin.with_box_arguments(boxes, held=held) for name, twin in twins.items()}
    if boxes != NOTHING_ASKED and not any(formed.values()):
        picked = "" if manifest.schema.targets.keys() <= twins.keys() else f" among what is read, {', '.join(twins)}"
        raise UsageError(f"box_format, max_boxes, ragged: the records of {manifest.name} have no boxes{picked}.")
    return {name: formed[name] or twin for name, twin in twins.items()}


# From a batch of records to tensors


def batch_parser(twins: Twins) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function: encoded records, string [B] → the parts of all fields in order, and the sources' keys.

    Args:
        twins: Twins of the fields that are read.
    """
    spec: dict[str, Any] = {SOURCE_KEY: tf.io.FixedLenFeature([], tf.string)}
    for twin in twins.values():
        spec |= twin.spec()

    def parse(records: Any) -> tuple[Any, ...]:
        features = tf.io.parse_example(records, spec)
        parts = [twin.parse(features, records.shape[0]) for twin in twins.values()]
        flat = [of_field[name] for twin, of_field in zip(twins.values(), parts, strict=True) for name in twin.parts]
        return *flat, features[SOURCE_KEY]

    return parse


def batch_finisher(
    manifest: Manifest,
    split: str,
    chosen: ChosenFields,
    twins: Twins,
    draw_moves: Callable[[Any, Any, Any], Moves] | None,
    class_weights: ClassWeights | Mapping[str, ClassWeights] | None,
    *,
    normalize: bool,
    with_keys: bool,
) -> Callable[..., Any]:
    """Return a function: epoch, number of the batch, parts of all fields, and keys → what `load` hands out.

    Args:
        manifest: Manifest of the dataset.
        split: Name of the split.
        chosen: The fields that are handed out, and as what.
        twins: Twins of these fields.
        draw_moves: Draws fresh moves; see `move_drawer`.
        class_weights: Weight of each class, or those of each target.
        normalize: Whether Normalize is applied.
        with_keys: Whether the sources' keys are handed out.

    Raises:
        UsageError: The dataset cannot serve an argument.
    """
    scaled = [name for name in chosen.inputs if normalize and twins[name].is_normalized]
    if normalize and not scaled:
        raise UsageError(f"normalize: is for images; the inputs are {', '.join(chosen.inputs)}.")
    scale = _normalizer(manifest, split) if normalize else None
    weigh = make_weigher(
        {name: twins[name] for name in chosen.targets}, {name: twins[name] for name in chosen.weights}, class_weights
    )

    def finish(epoch: Any, batch: Any, *parts_and_keys: Any) -> Any:
        *flat, keys = parts_and_keys
        parts = dict(_by_field(twins, flat))
        if draw_moves:
            moves = draw_moves(epoch, batch, tf.shape(keys)[0])
            parts = {name: twin.move(parts[name], moves) for name, twin in twins.items()}
        values = {name: twin.hand_out(parts[name]) for name, twin in twins.items()}
        handed_out = [_one_or_all(values | {name: scale(values[name]) for name in scaled if scale}, chosen.inputs)]
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


def _normalizer(manifest: Manifest, split: str) -> Callable[[Any], Any]:
    numbers = manifest.normalize.get(split)
    if numbers is None:
        raise UsageError(f"normalize: no Normalize was taken off {split}'s pipeline; scale inside the model instead.")
    scale = float(numbers["max_pixel_value"])
    mean = tf.constant(numbers["mean"], tf.float32) * scale
    std = tf.constant(numbers["std"], tf.float32) * scale
    return lambda images: (tf.cast(images, tf.float32) - mean) / std
