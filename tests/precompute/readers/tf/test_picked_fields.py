"""Which fields `load` hands out, and as what: `inputs`, `targets`, weights and the rest."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from precompute.errors import UsageError
from precompute.fields.field import Schema
from precompute.fields.value import ValueField
from precompute.readers.tf.batches import ChosenFields, choose_fields, make_twins
from precompute.readers.tf.fields import BoxArguments
from tests.helpers.fields_in_pixels import (
    AGE,
    IMAGE,
    LABEL,
    MASK,
    OBJECTS,
    SITE,
    WEIGHT,
    draw,
    encode,
    manifest_of,
    reader_of,
)

EVERY = [LABEL, MASK, OBJECTS, AGE, SITE, WEIGHT]
SCHEMA = Schema([IMAGE, *EVERY])
RECORDS = [encode(draw(number), b"k") for number in range(4)]
OF_SOURCES = [number / 8 for number in range(4)]


def chosen(inputs: list[str], targets: list[str], weights: list[str], **extra: str) -> ChosenFields:
    return ChosenFields(inputs=inputs, targets=targets, weights=weights, extra=extra)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, chosen(["image"], ["label", "mask", "objects", "age"], ["weight"])),
        ({"targets": ["mask"]}, chosen(["image"], ["mask"], ["weight"])),
        ({"targets": ("mask", "label")}, chosen(["image"], ["mask", "label"], ["weight"])),
        ({"inputs": ["image", "age"]}, chosen(["image", "age"], ["label", "mask", "objects"], ["weight"])),
        ({"inputs": ["mask"], "targets": ["image"]}, chosen(["mask"], ["image"], ["weight"])),
        ({"targets": ["image"]}, chosen(["image"], ["image"], ["weight"])),
        ({"targets": []}, chosen(["image"], [], [])),
        ({"targets": ["site"], "sample_weights": False}, chosen(["image"], ["site"], [])),
        ({"targets": ["mask"], "extra": ["label"]}, chosen(["image"], ["mask"], ["weight"], label="label")),
        ({"inputs": ["site"], "targets": [], "extra": ["image"]}, chosen(["site"], [], [], image="image")),
    ],
)
def test_fields_are_picked_by_name(asked: dict[str, Any], expected: ChosenFields) -> None:
    assert choose_fields(SCHEMA, **asked) == expected


def test_a_value_is_picked_by_the_name_that_its_user_gave_it() -> None:
    schema = Schema([IMAGE, MASK, ValueField(name="extra/label", dtype="float", learnt=True)])
    assert choose_fields(schema, targets=["label"]).targets == ["extra/label"]
    assert choose_fields(Schema([*schema.values(), LABEL]), targets=["label"]).targets == ["label"]


FIELDS = "image, label, mask, objects, age, site, weight"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"inputs": ["depth"]}, f"inputs: the dataset has no field 'depth'; its fields: {FIELDS}"),
        ({"targets": ["label", "x"]}, f"targets: the dataset has no field 'x'; its fields: {FIELDS}"),
        ({"targets": "mask"}, "targets: expected a list of names, got the text 'mask'"),
        ({"inputs": "image"}, "inputs: expected a list of names, got the text 'image'"),
        ({"inputs": []}, f"inputs: expected at least one field, out of {FIELDS}; got none"),
        ({"targets": ["mask", "mask"]}, "targets: expected each field once, got mask, mask"),
        (
            {"targets": ["mask"], "extra": ["mask"]},
            "extra: the dataset has no 'mask'; its extra values: label, objects",
        ),
    ],
)
def test_what_cannot_be_picked_is_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        choose_fields(SCHEMA, **asked)


def test_arguments_for_fields_that_are_not_picked_are_refused() -> None:
    with pytest.raises(UsageError, match="class_weights: no target .* has classes: age"):
        reader_of(EVERY, targets=["age"], class_weights={"label": [1, 2, 3]})
    with pytest.raises(UsageError, match="normalize: is for images; the inputs are mask"):
        reader_of(EVERY, inputs=["mask"], normalize=True)

    with pytest.raises(UsageError, match="the records of d have no boxes among what is read, image, mask"):
        make_twins(manifest_of(EVERY), ["image", "mask"], BoxArguments(ragged=True))


@pytest.mark.parametrize(
    "asked", [[1, 2, 3], {"a": 1, "b": 2, "c": 3}, {"label": [1, 2, 3]}, {"label": {0: 1, 1: 2, 2: 3}}]
)
def test_weights_of_the_only_target_that_is_picked(asked: Any) -> None:
    _, labels, weights = reader_of(EVERY, targets=["label"], class_weights=asked, sample_weights=False)(RECORDS)
    assert weights.numpy().tolist() == [label + 1 for label in labels.numpy().tolist()]


def test_a_picked_target_is_weighed_alone() -> None:
    _, masks, weights = reader_of(EVERY, targets=["mask"])(RECORDS)
    assert np.array_equal(weights, (masks.numpy() != 2) * np.float32(OF_SOURCES)[:, None, None])


def test_an_image_as_target_has_a_weight_per_pixel() -> None:
    images, same, weights = reader_of(EVERY, targets=["image"])(RECORDS)
    assert same.dtype == tf.uint8 and np.array_equal(images, same)
    assert weights.shape == images.shape[:3] and np.array_equal(weights[:, 0, 0], OF_SOURCES)


def test_inputs_alone_are_normalized() -> None:
    fields = [dataclasses.replace(AGE, learnt=False), MASK]
    numbers = {"mean": [0.5] * 3, "std": [0.25] * 3, "max_pixel_value": 255.0}
    asked = {"inputs": ["image", "age"], "targets": ["image"], "normalize": True, "normalizes": numbers}
    inputs, targets = reader_of(fields, **asked)(RECORDS)
    assert np.allclose(inputs["image"], (targets.numpy() / 255 - 0.5) / 0.25, atol=1e-5)
    assert inputs["age"].numpy().tolist() == [number / 4 for number in range(4)]
