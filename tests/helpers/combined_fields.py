"""Schemas of several fields with values for each, drawn by Hypothesis; one type of field is of these tests alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from precompute.dataset.manifest import Manifest
from precompute.fields.boxes import Boxes, Instances
from precompute.fields.extra_image import ExtraImageField
from precompute.fields.feature import Size, Value, origin_values
from precompute.fields.field import Field, Schema
from precompute.fields.image import ImageField
from precompute.fields.label import LabelField
from precompute.fields.mask import MaskField
from precompute.fields.objects import ObjectsField
from precompute.fields.skeleton import Skeleton
from precompute.fields.value import ValueField
from precompute.images.encode import encode_image, encode_mask
from precompute.images.png import encode_png
from precompute.records.example import encode_example
from tests.helpers.angles import MOST, AngleField

NAMES = ["cat", "dog", "ü c"]
CLASSES: dict[str, Any] = {"num_classes": len(NAMES), "class_names": NAMES}
ORIGIN = {"key": "a/é", "filename": "é.png", "seed": -1, "variant": 3, "copy": 0, "source_id": 7}


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A schema, and a record of it.

    Attributes:
        schema: The fields.
        record: A serialized tf.train.Example.
        entries: What of the fields an example of the record has, stored bytes apart.
    """

    schema: Schema
    record: bytes
    entries: dict[str, Any]


Stored = tuple[dict[str, Value], dict[str, Any]]  # of one field: values in the record, entries of the example


def _stored_image(draw: st.DrawFn, field: ImageField, size: Size) -> Stored:
    pixels = draw(arrays(np.uint8, (*size, field.channels)))
    return field.record_values(encode_image(pixels, field.encoding, 95), size), {field.name: pixels}


def _stored_mask(draw: st.DrawFn, field: MaskField, size: Size) -> Stored:
    ids = draw(arrays(np.dtype(field.dtype), size, elements=st.integers(0, 2)))
    return field.record_values(encode_mask(ids, field.encoding), size), {field.name: ids}


def _stored_label(draw: st.DrawFn, field: LabelField, size: Size) -> Stored:
    chosen = sorted(draw(st.sets(st.integers(0, 2)))) if field.several else draw(st.integers(0, 2))
    value = tuple(chosen) if isinstance(chosen, list) else chosen
    return field.record_values(value, size), {field.name: chosen}


def _stored_value(draw: st.DrawFn, field: ValueField, size: Size) -> Stored:
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "int": st.integers(-(2**63), 2**63 - 1),
        "float": st.floats(width=32, allow_nan=False),
        "text": st.text("aü→𝄞 ", max_size=5),  # of any letter, it would first make tables of all
    }
    value = draw(kinds[field.dtype])
    entry = {"weight": value} if field.name == "weight" else {"extra": {field.name: value}}
    return field.record_values(value, size), entry


def _stored_angles(draw: st.DrawFn, field: AngleField, size: Size) -> Stored:
    value = draw(arrays(np.float32, st.integers(0, MOST), elements=st.floats(-9, 9, width=32)))
    return field.record_values(value, size), {field.name: value}


def _stored_objects(draw: st.DrawFn, field: ObjectsField, size: Size) -> Stored:
    number, (height, width) = draw(st.integers(0, 3)), size
    labels = np.array(draw(st.lists(st.integers(0, 2), min_size=number, max_size=number)), np.int32)
    sides = [(0, 0, draw(st.integers(1, width)), draw(st.integers(1, height))) for _ in range(number)]
    pixels = np.array(sides, np.float32).reshape(-1, 4)
    given: dict[str, Any] = {
        "corners": (pixels / np.array([width, height] * 2)).astype(np.float32),
        "labels": labels,
        "flags": np.zeros(number, np.uint8),
    }
    entries: dict[str, Any] = {"labels": labels, "crowd": np.zeros(number, bool)}
    if field.has_boxes:
        entries["boxes"] = pixels
    if field.keypoints is not None:
        given["points"] = np.tile(np.array([[0.5, 0.25, 2], [0, 0, 0]], np.float32), (number, 1, 1))
        points = np.array([[0.5 * width, 0.25 * height], [0, 0]], np.float32)
        entries |= {"keypoints": np.tile(points, (number, 1, 1)), "keypoint_names": field.keypoints.names}
    if not field.has_masks:
        return field.record_values(Boxes(**given), size), entries
    masks = np.zeros((number, height, width), bool)
    for mask, (_, _, x_max, y_max) in zip(masks, sides, strict=True):
        mask[:y_max, :x_max] = True
    layers = np.concatenate([masks, np.zeros((1, *size), bool)]).astype(np.uint8)
    layer_index = np.stack([np.arange(number), np.ones(number)], axis=1).astype(np.int32)
    instances = Instances(**given, layers=layers, layer_index=layer_index)
    return field.record_values(instances, size, encode_png), {**entries, "masks": masks}


def _stored_extra_image(draw: st.DrawFn, field: ExtraImageField, size: Size) -> Stored:
    elements = st.floats(-1e6, 1e6, width=32) if field.dtype == "float32" else None
    pixels = draw(arrays(np.dtype(field.dtype), (*size, field.channels), elements=elements))
    return field.record_values(encode_mask(pixels, field.encoding), size), {field.name: pixels}


STORED: dict[type[Field], Callable[..., Stored]] = {
    ImageField: _stored_image,
    MaskField: _stored_mask,
    LabelField: _stored_label,
    ValueField: _stored_value,
    ObjectsField: _stored_objects,
    AngleField: _stored_angles,
    ExtraImageField: _stored_extra_image,
}
POINTS = partial(Skeleton, names=["left", "right"])
# Of each group of fields a record has one or none, so that no two have a key, or an entry of an example, in common.
GROUPS: list[list[Field]] = [
    [LabelField(name="label", **CLASSES), LabelField(name="tags", several=True, **CLASSES)],
    [LabelField(name="breed", **CLASSES)],
    [MaskField(name="mask", **CLASSES), MaskField(name="mask", encoding="raw", dtype="uint16", **CLASSES)],
    [MaskField(name="mask_fine", dtype="uint16", **CLASSES)],
    [
        ObjectsField(name="objects", **CLASSES),
        ObjectsField(name="objects", has_masks=True, **CLASSES),
        ObjectsField(name="objects", keypoints=POINTS(), **CLASSES),
        ObjectsField(name="objects", keypoints=POINTS(has_boxes=False), **CLASSES),
        LabelField(name="labels", several=True, **CLASSES),
    ],
    [ValueField(name="weight", dtype="float")],
    [ValueField(name="age", dtype="int"), ValueField(name="age", dtype="text")],
    [AngleField(name="angles")],
    [
        ExtraImageField(name="depth", channels=1, dtype="uint16", encoding="png", moves_as="mask"),
        ExtraImageField(name="depth", channels=1, dtype="uint16", encoding="raw", moves_as="mask"),
        ExtraImageField(name="depth", channels=1, dtype="float32", encoding="raw", moves_as="mask"),
        ExtraImageField(name="depth", channels=1, dtype="uint8", encoding="png", moves_as="image"),
    ],
    [
        ExtraImageField(name="clean", channels=3, dtype="uint8", encoding="raw", moves_as="image"),
        ExtraImageField(name="clean", channels=4, dtype="uint8", encoding="png", moves_as="mask"),
    ],
]


@st.composite
def combined_fields(draw: st.DrawFn) -> Drawn:
    """Return a schema of an image and any other fields, and a record of it."""
    size = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    image = ImageField(
        name="image",
        height=size[0],
        width=size[1],
        channels=draw(st.sampled_from([1, 3, 4])),
        encoding=draw(st.sampled_from(["png", "raw"])),
    )
    chosen = [field for group in GROUPS if (field := draw(st.sampled_from([None, *group]))) is not None]
    if any(field.name == "label" for field in chosen):  # those two are under the same keys
        chosen = [field for field in chosen if field.name != "labels"]
    values, entries = origin_values(**ORIGIN, size=size), dict(ORIGIN)
    for field in (image, *chosen):
        stored, of_field = STORED[type(field)](draw, field, size)
        extra = {**entries.get("extra", {}), **of_field.get("extra", {})}
        values |= stored
        entries |= of_field | ({"extra": extra} if extra else {})
    return Drawn(schema=Schema([image, *chosen]), record=encode_example(values), entries=entries)


def manifest_of(schema: Schema) -> Manifest:
    """Return a manifest of these fields that lists nothing."""
    return Manifest(
        name="combined", generation="g0001", fingerprint="", settings={}, schema=schema, normalize={}, splits={}
    )
