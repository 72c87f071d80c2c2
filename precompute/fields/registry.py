"""The types of fields that there are, and the schema of a dataset that names one kind of target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from precompute.fields.field import Field, Schema
from precompute.fields.image import ImageField
from precompute.fields.label import LabelField
from precompute.fields.mask import MaskField
from precompute.fields.objects import ObjectsField
from precompute.fields.skeleton import Skeleton
from precompute.fields.value import ValueField, field_name

__all__ = ["schema_of_target"]


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
        class_names: Name of each; may be empty for masks.
        encoding: Of masks.
        dtype: Of masks.
        ignore_class: Of masks.
        keypoints: Of objects.
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
