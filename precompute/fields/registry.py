"""The known types of fields and of their columns, and schemas made from the name of one kind of target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from precompute.fields.box_column import BoxColumn
from precompute.fields.column import Column
from precompute.fields.field import Field, Schema
from precompute.fields.image import ImageField
from precompute.fields.instance_column import InstanceColumn
from precompute.fields.label import LabelField
from precompute.fields.label_column import LabelColumn
from precompute.fields.mask import MaskField
from precompute.fields.objects import ObjectsField
from precompute.fields.path_column import PathColumn
from precompute.fields.skeleton import Skeleton
from precompute.fields.value import ValueField, field_name, value_name
from precompute.fields.value_column import ValueColumn

__all__ = [
    "COLUMN_TYPES",
    "FIELD_TYPES",
    "KINDS",
    "register",
    "schema_of_target",
    "target_of_schema",
    "values_of_schema",
]

FIELD_TYPES: dict[str, type[Field]] = {}  # by the names that manifests give them
COLUMN_TYPES: dict[str, type[Column]] = {  # by the key of a listing's entries whose value each reads
    "mask": PathColumn,
    "label": LabelColumn,
    "boxes": BoxColumn,
    "instances": InstanceColumn,
    "extra": ValueColumn,
}
KINDS = ("class", "multilabel", "mask", "boxes", "keypoints", "instances", "image")  # of targets, in format 1


def register(field_type: type[Field]) -> type[Field]:
    """Register a type of field, so that manifests can name it; a decorator of its class."""
    FIELD_TYPES[field_type.type] = field_type
    return field_type


for _field_type in (ImageField, LabelField, MaskField, ObjectsField, ValueField):
    register(_field_type)


def schema_of_target(
    image: ImageField,
    kind: str,
    *,
    num_classes: int,
    class_names: Sequence[str],
    encoding: str | None = None,
    dtype: str | None = None,
    ignore_class: int | None = None,
    keypoints: Skeleton | None = None,
    extra: Mapping[str, str] | None = None,
) -> Schema:
    """Return the schema of an image, one target and extra values, as manifests of format 1.0 and 1.1 name them.

    Args:
        image: The image.
        kind: ``"class"``, ``"multilabel"``, ``"mask"``, ``"boxes"``, ``"keypoints"``, ``"instances"`` or ``"image"``,
            which is no target.
        num_classes: Number of classes.
        class_names: Name of each class; may be empty for masks.
        encoding: Encoding of masks.
        dtype: Type of masks.
        ignore_class: Class id of mask pixels that do not count.
        keypoints: Skeleton of the objects' keypoints.
        extra: Name → type (int, float, text) of weights and extra values.
    """

    def targets() -> Iterator[Field]:
        names = list(class_names)
        match kind:
            case "class" | "multilabel":
                several = kind == "multilabel"
                name = "labels" if several else "label"
                yield LabelField(name=name, several=several, num_classes=num_classes, class_names=names)
            case "mask":
                yield MaskField(
                    name="mask",
                    encoding=encoding or "png",
                    dtype=dtype or "uint8",
                    ignore_class=ignore_class,
                    num_classes=num_classes,
                    class_names=names,
                )
            case "boxes" | "keypoints" | "instances":
                yield ObjectsField(
                    name="objects",
                    has_masks=kind == "instances",
                    keypoints=keypoints,
                    num_classes=num_classes,
                    class_names=names,
                )

    values = (ValueField(name=field_name(name), dtype=dtype) for name, dtype in (extra or {}).items())
    return Schema([image, *targets(), *values])


def target_of_schema(schema: Schema) -> dict[str, Any] | None:
    """Return the arguments of `schema_of_target` that describe the target of a schema, which may be none.

    Any number of learnt numbers is one target. For several targets of other kinds, None is returned.
    """
    match list(schema.targets.values()):
        case [LabelField() as label]:
            kind = "multilabel" if label.several else "class"
            return {"kind": kind, "num_classes": label.num_classes, "class_names": label.class_names}
        case [MaskField() as mask]:
            names = ("num_classes", "class_names", "encoding", "dtype", "ignore_class")
            return {"kind": "mask", **{name: getattr(mask, name) for name in names}}
        case [ObjectsField() as objects]:
            kind = "boxes" if objects.keypoints is None else "keypoints"
            return {
                "kind": "instances" if objects.has_masks else kind,
                "num_classes": objects.num_classes,
                "class_names": objects.class_names,
                "keypoints": objects.keypoints,
            }
        case [first, *others]:
            one = not others or {type(field) for field in (first, *others)} == {ValueField}
            return {"kind": first.type, "num_classes": 0, "class_names": []} if one else None
    return {"kind": "image", "num_classes": 0, "class_names": []}


def values_of_schema(schema: Schema) -> dict[str, str]:
    """Return name → type (int, float, text) of a schema's values that are no targets."""
    return {
        value_name(name): field.dtype
        for name, field in schema.items()
        if isinstance(field, ValueField) and not field.is_target
    }
