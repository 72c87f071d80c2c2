"""Schemas ↔ JSON of manifests; and format 1, which knew one target: its manifests → the current format."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from precompute.dataset.json_files import parse_json
from precompute.errors import DatasetError
from precompute.fields.field import Field, Schema
from precompute.fields.image import ImageField
from precompute.fields.registry import FIELD_TYPES, KINDS, schema_of_target
from precompute.fields.skeleton import Skeleton

__all__ = ["IMAGE_ONLY", "Target", "from_format_1", "in_segments", "schema_of_json", "schema_to_json"]

NAME = re.compile(r"(extra/)?[A-Za-z_][A-Za-z0-9_]{0,63}")
IMAGE_ONLY = "image"  # kind of target of images alone, which have none: as manifests store it


def schema_to_json(schema: Schema) -> dict[str, dict[str, Any]]:
    """Return the schema as JSON: name → type and attributes of each field."""
    written = {}
    for name, field in schema.items():
        attributes = dataclasses.asdict(field)
        del attributes["name"]
        written[name] = {"type": field.type, **attributes}
    return written


def schema_of_json(value: Any, where: str) -> Schema:
    """Return the schema that `schema_to_json` has written.

    Raises:
        DatasetError: The JSON is no schema, or its values make no sense; the message names the field.
    """
    if not isinstance(value, dict) or "image" not in value:
        raise DatasetError(f"{where}: expected fields by their names, the image among them, got {value!r:.60}.")
    fields = []
    for name, content in value.items():
        kind = content.get("type") if isinstance(content, dict) else None
        if not NAME.fullmatch(name) or not isinstance(kind, str) or (kind == ImageField.type) != (name == "image"):
            raise DatasetError(f"{where}: {name[:60]!r}: {content!r:.60} is not what precompute writes.")
        if kind not in FIELD_TYPES:
            raise DatasetError(
                f"{where}: {name}: has the type {kind!r:.60}, which this version of augment-once does not know; it "
                f"knows {', '.join(FIELD_TYPES)}. Install a newer version."
            )
        field = parse_json(FIELD_TYPES[kind], {**content, "name": name}, f"{where}: {name}")
        for attribute, found, allowed in field.limits():
            if not allowed:
                raise DatasetError(f"{where}: {name}: {attribute}: {str(found)[:60]!r} is not what precompute writes.")
        fields.append(field)
    schema = Schema(fields)
    try:
        _ = schema.features
    except ValueError as error:
        raise DatasetError(f"{where}: {error}.") from error
    return schema


# Format 1: one target, under the name of a kind


@dataclass(frozen=True, kw_only=True)
class Target:
    """What records are labelled with.

    Attributes:
        kind: ``"class"``; ``"multilabel"``, any number of classes per image; ``"mask"``; ``"boxes"``; ``"keypoints"``;
            ``"instances"``, boxes with a mask each; ``"value"``, numbers; or ``"image"``, images alone.
        num_classes: Number of classes; for masks one more than the largest class id.
        class_names: Name of each class; may be empty for masks.
        encoding: Encoding of masks, ``"png"`` or ``"raw"``; else None.
        dtype: Type of masks, ``"uint8"`` or ``"uint16"``; else None.
        ignore_class: Class id of mask pixels that count neither in loss nor in metrics.
        keypoints: Skeleton of keypoints; else None.
    """

    kind: str
    num_classes: int
    class_names: list[str]
    encoding: str | None = None
    dtype: str | None = None
    ignore_class: int | None = None
    keypoints: Skeleton | None = None

    @classmethod
    def of(cls, field: Field) -> Target:
        """Return the description of a field as a target."""
        return cls(
            kind=field.form,
            num_classes=getattr(field, "num_classes", 0),
            class_names=list(getattr(field, "class_names", ())),
            encoding=getattr(field, "encoding", None),
            dtype=field.ids_dtype,
            ignore_class=getattr(field, "ignore_class", None),
            keypoints=getattr(field, "keypoints", None),
        )

    @property
    def image_only(self) -> bool:
        """Whether records are images alone, without any target."""
        return self.kind == IMAGE_ONLY


def from_format_1(content: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the content of a manifest of format 1.0 or 1.1 in the form of format 2.

    Raises:
        DatasetError: The content is not what precompute writes.
    """
    missing = [name for name in ("image", "target", "splits") if name not in content]
    if missing:
        raise DatasetError(f"{where}: the field {missing[0]!r} is missing.")
    image = parse_json(ImageField, content["image"], f"{where}: image")
    target = parse_json(Target, _with_skeleton(content["target"]), f"{where}: target")
    keypoints = (target.kind == "keypoints") == (target.keypoints is not None)
    for name, value, allowed in (
        ("kind", target.kind, target.kind in KINDS),
        ("keypoints", target.keypoints, keypoints),
    ):
        if not allowed:
            raise DatasetError(f"{where}: target: {name}: {str(value)[:60]!r} is not what precompute writes.")
    schema = schema_of_target(image, **vars(target), extra=_extra(content, where))
    return {
        **content,
        "schema": schema_to_json(schema),
        "splits": in_segments(content["splits"], where),
        "counters": content.get("remarks", {}),
    }


def _with_skeleton(target: Any) -> Any:
    """Return a target whose skeleton says under the current name whether objects have boxes, too."""
    keypoints = target.get("keypoints") if isinstance(target, dict) else None
    if not isinstance(keypoints, dict) or "boxed" not in keypoints:
        return target
    return {**target, "keypoints": {**keypoints, "has_boxes": keypoints["boxed"]}}


def _extra(content: Mapping[str, Any], where: str) -> dict[str, Any]:
    settings = content.get("settings")
    dataset = settings.get("dataset") if isinstance(settings, dict) else None
    extra = dataset.get("extra", {}) if isinstance(dataset, dict) else {}
    if not isinstance(extra, dict):
        raise DatasetError(f"{where}: settings: dataset: extra: expected an object, got {extra!r:.60}.")
    return extra


def in_segments(splits: Any, where: str) -> dict[str, Any]:
    """Return splits of a manifest or draft with segments; where they name none, places and blocks make up one.

    Raises:
        DatasetError: The splits are not what precompute writes.
    """
    if not isinstance(splits, dict):
        raise DatasetError(f"{where}: splits: expected dict, got {splits!r:.60}.")
    found = {}
    for name, split in splits.items():
        if not isinstance(split, dict) or not ("segments" in split or {"num_places", "num_blocks"} <= split.keys()):
            raise DatasetError(f"{where}: splits[{name!r}]: expected num_places and num_blocks, got {split!r:.60}.")
        one = {key: split[key] for key in ("num_places", "num_blocks") if key in split}
        found[name] = {"segments": [one], **split}
    return found
