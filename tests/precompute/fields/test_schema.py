"""Schemas: the fields of a dataset by their names."""

from __future__ import annotations

import dataclasses

import pytest

from precompute.dataset.manifest import Manifest, Target
from precompute.fields.field import Field, Schema
from precompute.fields.image import ImageField
from precompute.fields.label import LabelField
from precompute.fields.mask import MaskField
from precompute.fields.objects import ObjectsField
from precompute.fields.registry import schema_of_target
from precompute.fields.skeleton import Skeleton
from precompute.fields.value import ValueField
from tests.helpers.schemas import schema_of

IMAGE = ImageField(name="image", height=4, width=6, channels=3, encoding="png")
NAMES = ["cat", "dog"]
POINTS = Skeleton(names=["left", "right"], has_boxes=False)
CLASSES = {"num_classes": 2, "class_names": NAMES}
KINDS = {
    "class": (Target(kind="class", **CLASSES), [LabelField(name="label", **CLASSES)]),
    "multilabel": (Target(kind="multilabel", **CLASSES), [LabelField(name="labels", several=True, **CLASSES)]),
    "mask": (
        Target(kind="mask", encoding="raw", dtype="uint16", ignore_class=1, **CLASSES),
        [MaskField(name="mask", encoding="raw", dtype="uint16", ignore_class=1, **CLASSES)],
    ),
    "boxes": (Target(kind="boxes", **CLASSES), [ObjectsField(name="objects", **CLASSES)]),
    "keypoints": (
        Target(kind="keypoints", keypoints=POINTS, **CLASSES),
        [ObjectsField(name="objects", keypoints=POINTS, **CLASSES)],
    ),
    "instances": (Target(kind="instances", **CLASSES), [ObjectsField(name="objects", has_masks=True, **CLASSES)]),
    "image": (Target(kind="image", num_classes=0, class_names=[]), []),
}


def manifest(target: Target, extra: dict[str, str]) -> Manifest:
    """Return a manifest of a dataset that lists nothing."""
    return Manifest(
        name="d",
        generation="g0001",
        fingerprint="",
        settings={},
        schema=schema_of(target, extra=extra, height=4, width=6, channels=3, encoding="png"),
        normalize={},
        splits={},
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_manifest_says_which_fields_records_have(kind: str) -> None:
    target, expected = KINDS[kind]
    values: list[Field] = [ValueField(name="weight", dtype="float"), ValueField(name="age", dtype="int")]
    schema = manifest(target, {"weight": "float", "age": "int"}).schema
    assert list(schema.values()) == [IMAGE, *expected, *values]
    assert list(schema.targets.values()) == expected


def test_no_two_fields_have_one_name() -> None:
    with pytest.raises(ValueError, match="two fields of one name: image, image"):
        Schema([IMAGE, dataclasses.replace(IMAGE, channels=1)])


def test_objects_have_boxes_unless_their_skeleton_says_otherwise() -> None:
    assert ObjectsField(name="objects", **CLASSES).has_boxes
    assert not ObjectsField(name="objects", keypoints=POINTS, **CLASSES).has_boxes
    assert ObjectsField(name="objects", keypoints=dataclasses.replace(POINTS, has_boxes=True), **CLASSES).has_boxes


def test_values_have_keys_of_their_own() -> None:
    assert ValueField(name="weight", dtype="float").key == "augment/weight"
    assert ValueField(name="age", dtype="int").key == "extra/age"
    # A value may be called as another field is; its own field has another name then, and one key as ever.
    named = schema_of_target(IMAGE, "class", num_classes=1, class_names=["a"], extra={"label": "int", "image": "text"})
    assert list(named) == ["image", "label", "extra/label", "extra/image"]
    assert [field.key for field in named.values() if isinstance(field, ValueField)] == ["extra/label", "extra/image"]
