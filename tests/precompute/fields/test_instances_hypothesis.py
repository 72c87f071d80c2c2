"""Properties of masks of single objects: layers hold and move them as they are, codes are those of pycocotools."""

from __future__ import annotations

from typing import Any

import albumentations as A
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from precompute.errors import DatasetError
from precompute.fields.boxes import Instances
from precompute.fields.instance_column import InstanceColumn
from precompute.fields.objects import ObjectsField
from precompute.fields.pixels import box_around, decode_object_masks
from precompute.fields.rle import area_of, box_of, code_of_counts, code_of_polygons, decode_code
from precompute.images.instance_masks import _Layers, merge_instances, with_boxes
from precompute.images.png import encode_png
from precompute.pipelines.box_rules import BoxRules
from precompute.pipelines.pipeline import Pipeline, prepare
from precompute.records.example import decode_example, encode_example
from tests.helpers.decoded_sources import put_through

SIZE = (13, 17)


@st.composite
def masks(draw: st.DrawFn, size: tuple[int, int] = SIZE) -> list[np.ndarray[Any, Any]]:
    """Rectangles and specks, some of which overlap; none is empty."""
    found = []
    for _ in range(draw(st.integers(0, 7))):
        mask = draw(arrays(bool, size, elements=st.booleans(), fill=st.just(False))) & draw(st.booleans())
        top, left = draw(st.integers(0, size[0] - 1)), draw(st.integers(0, size[1] - 1))
        mask[top : top + draw(st.integers(1, 6)), left : left + draw(st.integers(1, 6))] = True
        found.append(mask)
    return found


def instances_of(every: list[np.ndarray[Any, Any]], size: tuple[int, int] = SIZE) -> Instances:
    layers = _Layers(size)
    layer_index = [layers.add(mask.astype(np.uint8)) for mask in every]
    number = len(every)
    return with_boxes(
        Instances(
            corners=np.zeros((number, 4), np.float32),
            labels=np.arange(number, dtype=np.int32) % 3 + 1,
            flags=(np.arange(number) % 4 == 3).astype(np.uint8),
            layers=layers.stacked(),
            layer_index=np.array(layer_index, np.int32).reshape(-1, 2),
        )
    )


@pytest.mark.slow
@given(every=masks())
def test_layers_hold_every_mask(every: list[np.ndarray[Any, Any]]) -> None:
    found = instances_of(every)
    assert np.array_equal(np.reshape(list(found.masks()), (-1, *SIZE)), np.reshape(every, (-1, *SIZE)))
    for corners, mask in zip(found.corners * np.array([SIZE[1], SIZE[0]] * 2), every, strict=True):
        np.testing.assert_allclose(corners, box_around(mask), atol=1e-4)


def test_more_masks_than_a_layer_has_numbers() -> None:
    every = list(np.eye(600, dtype=bool).reshape(600, 20, 30))
    found = instances_of(every, (20, 30))
    assert found.layers is not None and len(found.layers) == 3
    assert all(map(np.array_equal, found.masks(), every))


MOVES = A.Compose(
    [
        A.HorizontalFlip(p=0.5),
        A.Affine(rotate=(-90, 90), scale=(0.5, 2), shear=(-20, 20), p=0.7),
        A.ElasticTransform(alpha=20, sigma=4, p=0.3),
        A.Perspective(p=0.3),
        A.GridDistortion(p=0.3),
        A.RandomCrop(10, 12),
        A.Resize(19, 23),
    ]
)


GROWS = A.Compose([A.Morphological(scale=(2, 4), operation="dilation", p=0.7), A.HorizontalFlip()])
SHRINKS = A.Compose([A.Morphological(scale=(2, 3), operation="erosion", p=0.7), A.Resize(20, 20)])


@pytest.mark.slow
@pytest.mark.parametrize("moves", [MOVES, GROWS, SHRINKS], ids=["moves", "grows", "shrinks"])
@settings(max_examples=40)
@given(every=masks(), variant=st.integers(0, 10**6))
def test_layers_move_as_single_masks_do(moves: Any, every: list[np.ndarray[Any, Any]], variant: int) -> None:
    prepared = prepare(moves, "train", box_rules=BoxRules(masks=True))
    pipeline = Pipeline(prepared.pickled)
    image, draw = np.zeros((*SIZE, 3), np.uint8), {"seed": 0, "key": "k", "variant": variant, "copy": 0}
    _, moved = put_through(pipeline, image, instances_of(every), **draw)
    alone = []
    for mask in every:
        _, one = put_through(pipeline, image, mask.astype(np.uint8), **draw)
        alone.append(one > 0)
    assert np.array_equal(list(moved.masks()), [mask for mask in alone if mask.any()])
    assert moved.labels.tolist() == [i % 3 + 1 for i, mask in enumerate(alone) if mask.any()]


@pytest.mark.slow
@given(every=masks(), ignore=st.sampled_from([None, 255]))
def test_merged_masks(every: list[np.ndarray[Any, Any]], ignore: int | None) -> None:
    found = instances_of(every)
    ids, overlap = merge_instances(found, ignore)
    counts = np.sum(every, axis=0) if every else np.zeros(SIZE, int)
    assert overlap == (counts > 1).sum()
    for (y, x), class_id in np.ndenumerate(ids):
        here = [i for i, mask in enumerate(every) if mask[y, x]]
        top = max(here, key=lambda i: (not found.flags[i], -every[i].sum(), i), default=None)
        crowd = top is not None and found.flags[top] and ignore is not None
        assert class_id == (0 if top is None else ignore if crowd else found.labels[top])


@pytest.mark.slow
@given(every=masks())
def test_record_and_back(every: list[np.ndarray[Any, Any]]) -> None:
    field = ObjectsField(name="objects", num_classes=4, class_names=["", "a", "b", "c"], has_masks=True)
    read = decode_example(encode_example(field.record_values(instances_of(every), SIZE, encode_png)))
    assert np.array_equal(field.decode(read, SIZE)["masks"], np.reshape(every, (-1, *SIZE)))
    assert read["image/object/area"] == [mask.sum() for mask in every]


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_records_that_are_damaged(content: bytes) -> None:
    with pytest.raises(DatasetError, match=r"image/object/mask: not a whole PNG"):
        decode_object_masks([content], (3, 4), "image/object/mask")
    field = ObjectsField(name="objects", num_classes=1, class_names=["a"], has_masks=True)
    with pytest.raises(DatasetError, match=r"image/object/mask: expected a list of PNGs"):
        field.features["image/object/mask"].read({"image/object/mask": [1]}, "image/object/mask")


# Codes.

ANY_SIZE = st.tuples(st.integers(1, 40), st.integers(1, 40))


@given(mask=ANY_SIZE.flatmap(lambda size: arrays(bool, size)))
def test_codes_are_those_of_pycocotools(mask: np.ndarray[Any, Any]) -> None:
    height, width = mask.shape
    code = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    assert code_of_counts(code, height, width) == code
    assert np.array_equal(decode_code(code, height, width) > 0, mask)
    assert area_of(code, height, width) == mask.sum()
    flat = mask.ravel(order="F")
    edges = [0, *(np.flatnonzero(np.diff(np.concatenate([[False], flat]).astype(int)))).tolist(), flat.size]
    assert code_of_counts(np.diff(edges).tolist(), height, width) == code
    around = box_around(mask)
    if around is not None:
        x, y, box_width, box_height = box_of(code, height, width)
        assert (x, y, x + box_width, y + box_height) == around


@given(text=st.text(max_size=12), size=ANY_SIZE)
def test_any_text_is_a_code_or_refused(text: str, size: tuple[int, int]) -> None:
    try:
        code = code_of_counts(text, *size)
    except ValueError:
        return
    assert decode_code(code, *size).shape == size


NUMBERS = st.floats(-20, 60, width=32)


@pytest.mark.slow
@given(polygons=st.lists(st.lists(NUMBERS, min_size=6, max_size=14).filter(lambda p: len(p) % 2 == 0), min_size=1))
def test_polygons_are_those_of_pycocotools(polygons: list[list[float]]) -> None:
    code = code_of_polygons(polygons, 31, 37)
    each = [coco.decode(one) for one in coco.frPyObjects(polygons, 31, 37)]
    assert np.array_equal(decode_code(code, 31, 37), np.max(each, axis=0))


# Columns and lists.

ROWS = st.lists(st.tuples(st.text(min_size=1), st.integers(0, 9), st.integers(0, 7)), max_size=5)


@pytest.mark.slow
@given(images=st.lists(st.tuples(ROWS, st.none() | ANY_SIZE), max_size=5))
def test_listing_and_columns_keep_every_object(images: list[Any]) -> None:
    every = [Instances.of_shapes(rows, size) for rows, size in images]
    for instances in every:
        entry = InstanceColumn.of_instances([instances]).entry(0)
        (read,) = InstanceColumn.of_entries("instances", {name: [value] for name, value in entry.items()})
        assert read[0] == instances
    column = InstanceColumn.of_instances(every, "mask")
    assert [column[i] for i in range(len(column))] == every
    order = list(range(len(every)))[::-2]
    taken = column.take(order)
    assert [taken[i] for i in range(len(taken))] == [every[i] for i in order]
    joined = InstanceColumn.joined([column, taken])
    assert [joined[i] for i in range(len(joined))] == every + [every[i] for i in order]
    assert joined.kind == "mask" and column.same(column.take(list(range(len(every)))))
