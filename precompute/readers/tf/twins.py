"""Which twin each type of field has in tf.data."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, TypeAlias

from precompute.dataset.manifest import Manifest
from precompute.errors import UsageError
from precompute.fields.field import Field
from precompute.fields.image import ImageField
from precompute.fields.label import LabelField
from precompute.fields.mask import MaskField
from precompute.fields.objects import ObjectsField
from precompute.fields.value import ValueField
from precompute.readers.tf.images import ImageTensors
from precompute.readers.tf.labels import LabelTensors
from precompute.readers.tf.masks import MaskTensors
from precompute.readers.tf.objects import ObjectsTensors
from precompute.readers.tf.tensors import BoxArguments, FieldTensors
from precompute.readers.tf.values import ValueTensors

__all__ = ["Twins", "make_twins", "tensors_of"]

NOTHING_ASKED = BoxArguments()
Twins: TypeAlias = dict[str, FieldTensors[Any]]  # by the names of their fields


@functools.singledispatch
def tensors_of(field: Field, manifest: Manifest) -> FieldTensors[Any]:
    """Return the twin of a field; those of new types are registered here."""
    raise TypeError(f"no twin in tf.data for fields of type {type(field).__name__}")


tensors_of.register(ImageField, ImageTensors)
tensors_of.register(LabelField, LabelTensors)
tensors_of.register(MaskField, MaskTensors)
tensors_of.register(ObjectsField, ObjectsTensors)
tensors_of.register(ValueField, ValueTensors)


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
        UsageError: A field cannot serve what was asked of boxes, or none has any.
    """
    twins = {name: tensors_of(manifest.schema[name], manifest) for name in names}
    formed = {name: twin.with_box_arguments(boxes, held=held) for name, twin in twins.items()}
    if boxes != NOTHING_ASKED and not any(formed.values()):
        raise UsageError(f"box_format, max_boxes, ragged: the records of {manifest.name} have no boxes.")
    return {name: formed[name] or twin for name, twin in twins.items()}
