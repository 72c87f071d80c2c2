"""The known types of fields and of their columns, and schemas made from the name of one kind of target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from precompute.fields.box_column import BoxColumn
from precompute.fields.column import Column
from precompute.fields.extra_image import ExtraImageField
from precompute.fields.field import Field, Schema
from precompute.fields.file_column import ExtraImageColumn, NamedMaskColumn, PathColumn
from precompute.fields.image import ImageField
from precompute.fields.instance_column import InstanceColumn
from precompute.fields.label import LabelField
from precompute.fields.label_column import LabelColumn
from precompute.fields.mask import MaskField
from precompute.fields.objects import ObjectsField
from precompute.fields.skeleton import Skeleton
from precompute.fields.value import ValueField, field_name, value_name
from precompute.fields.value_column import ValueColumn

__all__ = [
    "COLUMN_TYPES",
    "FIELD_TYPES",
    "KINDS",
    "register",
    "schema_of_target",
    "values_of_schema",
]

FIELD_TYPES: dict[str, type[Field]] = {}  # by the names that manifests give them
COLUMN_TYPES: dict[str, type[Column]] = {  # by the key of a listing's entries whose value each reads
    "mask": PathColumn,
    "masks": NamedMaskColumn,
    "label": LabelColumn,
    "boxes": BoxColumn,
    "instances": InstanceColumn,
    "extra": ValueColumn,
    "extra_images": ExtraImageColumn,
}
KINDS = ("class", "multilabel", "mask", "boxes", "keypoints", "instances", "image")  # of targets, in format 1


def register(field_type: type[Field]) -> type[Field]:
    """Register a type of field, so that manifests can name it; a decorator of its class."""
    FIELD_TYPES[field_type.type] = field_type
    return field_type


for _field_type in (ImageField, LabelField, MaskField, ObjectsField, ExtraImageField, ValueField):
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


def values_of_schema(schema: Schema) -> dict[str, str]:
    """Return name → type (int, float, text) of a schema's values that are no targets."""
    return {
        value_name(name): field.dtype
        for name, field in schema.items()
        if isinstance(field, ValueField) and not field.is_target
    }
