"""Fields of several types in one record: parsed, moved alike, handed out by name, weighed; and a type of the test's."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import albumentations as A
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import precompute
from precompute.dataset.manifest import Manifest
from precompute.dataset.paths import DatasetPaths
from precompute.errors import UsageError
from precompute.fields.feature import Feature
from precompute.fields.field import Field, Schema
from precompute.fields.label import LabelField
from precompute.fields.mask import MaskField
from precompute.fields.objects import ObjectsField
from precompute.fields.value import ValueField
from precompute.readers.tf.batches import make_twins
from precompute.readers.tf.fields import tensors_of
from precompute.readers.tf.memory import KEY_BYTES, plan_cache
from precompute.records.tfrecord import frame, read_records
from tests.helpers.angle_tensors import AngleTensors
from tests.helpers.angles import AngleField
from tests.helpers.fields_in_pixels import (
    AGE,
    CLASSES,
    HEIGHT,
    IMAGE,
    LABEL,
    MASK,
    OBJECTS,
    SITE,
    SKELETON,
    WEIGHT,
    WIDTH,
    check_example,
    draw,
    encode,
    manifest_of,
    reader_of,
    value_at,
)
from tests.helpers.small_datasets import draw_classes, options

# Fields together


# With keypoints alone objects have no masks.
OBJECT_FORMS = [
    {},
    {"has_masks": True},
    {"has_masks": True, "keypoints": SKELETON},
    {"keypoints": SKELETON},
    {"keypoints": dataclasses.replace(SKELETON, has_boxes=False)},
]


@st.composite
def schemas(draw: Any) -> list[Field]:
    """Return fields that one record may have beside the image, in any order."""
    fields: list[Field] = [
        LabelField(name="label", several=draw(st.booleans()), **CLASSES),
        dataclasses.replace(MASK, ignore_class=draw(st.sampled_from([None, 1, 255]))),
        ObjectsField(name="objects", **draw(st.sampled_from(OBJECT_FORMS)), **CLASSES),
        dataclasses.replace(AGE, learnt=draw(st.booleans())),
        SITE,
        WEIGHT,
    ]
    return [fields[i] for i in draw(st.lists(st.sampled_from(range(len(fields))), unique=True))]


@settings(max_examples=25)
@given(schemas(), st.sampled_from(["off", "auto", ["horizontal"]]), st.integers(0, 99), st.integers(0, 9))
def test_all_fields_of_a_record_move_alike(fields: list[Field], fresh: Any, seed: int, first: int) -> None:
    several = any(isinstance(field, LabelField) and field.several for field in fields)
    drawn = [draw(number) for number in range(first, first + 4)]
    records = [encode(one, b"%d" % i, several=several) for i, one in enumerate(drawn)]
    extra = [field.name for field in fields if not field.is_target]
    found = reader_of(fields, fresh=fresh, seed=seed, extra=extra, sample_weights=False, with_keys=True)(records)
    images, *others, keys = found
    assert keys.numpy().tolist() == [b"0", b"1", b"2", b"3"]
    targets = [field.name for field in fields if field.is_target]
    values = dict(others[-1]) if extra else {}
    assert list(values) == extra
    if targets:
        values |= others[0] if len(targets) > 1 else {targets[0]: others[0]}
    assert len(others) == bool(targets) + bool(extra) and set(values) == {*targets, *extra}
    for i, one in enumerate(drawn):
        check_example(
            images[i].numpy(), {name: value_at(value, i) for name, value in values.items()}, one, several=several
        )
    if fresh == "off":
        assert np.array_equal(images, [one["image"] for one in drawn])


def test_what_is_held_in_memory_counts_all_fields() -> None:
    manifest = manifest_of([LABEL, MASK, AGE, SITE])
    [row] = manifest.splits["train"].rows
    twins = make_twins(manifest, manifest.schema)
    assert plan_cache("auto", manifest, [row], reads_part=False).num_bytes == 8 * (
        HEIGHT * WIDTH * (3 + 1) + 8 + twins["age"].num_bytes + twins["site"].num_bytes + KEY_BYTES
    )


# Weights

RECORDS = [encode(draw(number), b"k") for number in range(4)]
OF_SOURCES = [number / 8 for number in range(4)]
WEIGHTS = np.array([1, 2, 3], np.float32)


def test_one_learnt_value_is_the_target() -> None:
    _, ages = reader_of([AGE])(RECORDS)
    assert ages.dtype == tf.float32 and ages.numpy().tolist() == [number / 4 for number in range(4)]
    _, ages, weights = reader_of([WEIGHT, AGE])(RECORDS)
    assert ages.shape == weights.shape == [4] and weights.numpy().tolist() == OF_SOURCES


def test_each_of_several_targets_has_weights() -> None:
    fields = [LABEL, MASK, OBJECTS, AGE, WEIGHT]
    _, targets, weights = reader_of(fields)(RECORDS)
    assert list(weights) == list(targets) == ["label", "mask", "objects", "age"]
    for name in ("label", "objects", "age"):
        assert weights[name].numpy().tolist() == OF_SOURCES
    known = targets["mask"].numpy() != 2
    assert np.array_equal(weights["mask"], known * np.float32(OF_SOURCES)[:, None, None])  # Keras wants one a pixel
    assert len(reader_of(fields, sample_weights=False)(RECORDS)) == 2


def test_weights_of_classes_by_target() -> None:
    fields = [LABEL, MASK, OBJECTS, AGE]
    asked = {"label": [1, 2, 3], "objects": {"a": 1, "b": 2, "c": 3}}
    _, targets, weights = reader_of(fields, class_weights=asked)(RECORDS)
    assert np.array_equal(weights["label"], WEIGHTS[targets["label"]])
    objects = targets["objects"]
    assert np.array_equal(weights["objects"], np.where(objects["mask"], WEIGHTS[objects["labels"]], 0))
    assert np.array_equal(weights["mask"], targets["mask"].numpy() != 2)
    assert weights["age"].numpy().tolist() == [1, 1, 1, 1]
    weighed = reader_of([*fields, WEIGHT], class_weights=asked)(RECORDS)[2]
    assert np.array_equal(weighed["label"], weights["label"].numpy() * OF_SOURCES)


@pytest.mark.parametrize("asked", [[1, 2, 3], {"a": 1, "b": 2, "c": 3}, {"label": [1, 2, 3]}])
def test_weights_of_the_only_target_with_classes(asked: Any) -> None:
    _, targets, weights = reader_of([AGE, LABEL], class_weights=asked)(RECORDS)
    assert np.array_equal(weights["label"], WEIGHTS[targets["label"]]) and list(weights) == ["age", "label"]


@pytest.mark.parametrize(
    ("fields", "asked", "message"),
    [
        (
            [LABEL, MASK],
            [1, 2, 3],
            r"expected .* by target, out of label, mask, which all have classes; got \[1, 2, 3\]",
        ),
        ([LABEL, MASK], {"lable": [1, 2, 3]}, "expected a dictionary of weights by target, out of label, mask"),
        ([LABEL, AGE], {"age": [1]}, "'age' has no classes; targets that have: label"),
        ([LABEL, AGE], {}, "these classes have none:\n  0: 'a'"),
        ([LABEL, MASK], {"label": [1, 2]}, "expected 3 numbers, one a class"),
        ([LABEL, AGE], [1, 2], "expected 3 numbers, one a class"),
        ([AGE], [1, 2], "no target of the dataset has classes: age"),
        ([], [1, 2], "the dataset holds images alone, of no classes"),
    ],
)
def test_weights_that_fit_no_target_are_refused(fields: list[Field], asked: Any, message: str) -> None:
    with pytest.raises(UsageError, match=f"class_weights: {message}"):
        reader_of(fields, class_weights=asked)


def test_an_extra_value_goes_by_the_name_that_its_user_gave_it() -> None:
    called = ValueField(name="extra/age", dtype="float")
    _, _, extra = reader_of([LABEL, called], extra=["age"])(RECORDS)
    assert list(extra) == ["age"] and extra["age"].numpy().tolist() == [number / 4 for number in range(4)]


def test_a_target_is_no_extra_value() -> None:
    with pytest.raises(UsageError, match="extra: the dataset has no 'age'; its extra values: site"):
        reader_of([AGE, SITE], extra=["age"])


# Through `load`


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of two classes whose records are put in the place of those that were built."""
    folder = tmp_path_factory.mktemp("combined")
    pipeline = A.Compose([A.Resize(HEIGHT, WIDTH), A.HorizontalFlip(p=0.5)])
    sources = draw_classes(folder / "sources", per_class=8)
    precompute.build(sources, folder / "out", **options(pipeline=pipeline, variants=1, image_format="raw"))
    number = 0
    for shard in sorted((folder / "out/data").rglob("*.tfrecord-*")):
        records = []
        for _ in read_records(shard):
            records.append(encode(draw(number), str(number).encode()))
            number += 1
        shard.write_bytes(b"".join(map(frame, records)))
    return folder / "out"


def load(built: Path, fields: Sequence[Field], **given: Any) -> Any:
    manifest = dataclasses.replace(Manifest.load(built), schema=Schema([IMAGE, *fields]))
    DatasetPaths(built).manifest.write_bytes(manifest.to_bytes())
    return precompute.load(built, check="none", batch_size=4, **given)


@pytest.mark.parametrize("cache", [True, False])
def test_load_hands_out_several_targets(built: Path, cache: bool) -> None:
    fields = [LABEL, OBJECTS, MASK, AGE, SITE, WEIGHT]
    asked = {"fresh": "auto", "max_boxes": 2, "extra": ["site"], "with_keys": True}
    seen = 0
    for images, targets, weights, extra, keys in load(built, fields, cache=cache, **asked):
        assert list(targets) == list(weights) == ["label", "objects", "mask", "age"]
        for i, key in enumerate(keys.numpy()):
            values = {name: value_at(value, i) for name, value in {**targets, **extra}.items()}
            check_example(images[i].numpy(), values, draw(int(key)), several=False)
            assert weights["age"][i] == weights["label"][i] == draw(int(key))["weight"]
            seen += 1
    assert seen == Manifest.load(built).splits["train"].num_records > 8


def test_load_hands_out_the_fields_that_are_picked(built: Path) -> None:
    fields = [LABEL, OBJECTS, MASK, AGE, SITE, WEIGHT]
    asked = {"inputs": ["image", "age"], "targets": ["mask", "label"], "extra": ["site"], "with_keys": True}
    for inputs, targets, weights, extra, keys in load(built, fields, fresh="auto", cache=False, **asked):
        assert list(inputs) == ["image", "age"] and list(targets) == list(weights) == ["mask", "label"]
        for i, key in enumerate(keys.numpy()):
            values = {name: value_at(value, i) for name, value in {**inputs, **targets, **extra}.items()}
            check_example(values.pop("image"), values, draw(int(key)), several=False)
    masks, ages = next(iter(load(built, fields, inputs=["mask"], targets=["age"], sample_weights=False, cache=False)))
    assert masks.shape == [4, HEIGHT, WIDTH] and ages.shape == [4]
    assert next(iter(load(built, fields, targets=[], cache=False))).shape == [4, HEIGHT, WIDTH, 3]


@pytest.mark.parametrize("cache", [True, False])
def test_fields_that_are_not_picked_are_neither_read_nor_counted(built: Path, cache: bool) -> None:
    absent = [MaskField(name="mask_lost", **CLASSES), ObjectsField(name="objects", **CLASSES)]
    dataset = load(built, [LABEL, *absent, AGE], targets=["label"], cache=cache)
    assert all(labels.dtype == tf.int64 for _, labels in dataset)
    rows = [row.num_records for row in Manifest.load(built).splits["train"].rows]
    assert precompute.EpochRow(dataset).cache_plan.num_bytes == sum(rows) * (HEIGHT * WIDTH * 3 + 8 + KEY_BYTES)


@pytest.mark.slow
def test_a_model_learns_several_targets(built: Path) -> None:
    import keras

    keras.utils.set_random_seed(1)
    pixels = keras.Input((HEIGHT, WIDTH, 3))
    means = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(pixels))
    outputs = {
        "age": keras.layers.Dense(1)(means),
        "label": keras.layers.Dense(3, activation="softmax")(means),
        "mask": keras.layers.Conv2D(3, 1, activation="softmax")(pixels),
    }
    model = keras.Model(pixels, outputs)
    classes = "sparse_categorical_crossentropy"
    model.compile("adam", {"age": "mse", "label": classes, "mask": classes})
    batches = load(built, [LABEL, MASK, AGE], class_weights={"label": [1, 2, 3]})
    losses = model.fit(batches, epochs=2, verbose=0).history["loss"]
    assert np.isfinite(losses).all()


def test_a_field_without_a_twin_is_named() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Other(AngleField):
        type: ClassVar[str] = "other"

    assert isinstance(tensors_of(Other(name="x"), manifest_of([])), AngleTensors)  # that of the class above it

    class Nameless(Field):
        type = "nameless"
        is_target = True
        features: ClassVar[dict[str, Feature]] = {}
        record_values = decode = None

    with pytest.raises(TypeError, match="no twin in tf.data for fields of type Nameless"):
        tensors_of(Nameless(name="x"), manifest_of([]))
