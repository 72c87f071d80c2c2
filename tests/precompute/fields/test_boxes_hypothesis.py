"""Properties of boxes: what goes into a record comes out, columns cut and join, clipping keeps what lies inside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from precompute.errors import SourceError
from precompute.fields.box_column import BoxColumn
from precompute.fields.boxes import Boxes
from precompute.fields.objects import ObjectsField
from precompute.records.example import decode_example, encode_example
from precompute.sources.found_objects import check_boxes

NAMES = ["a", "b", "ü c"]
FIELD = ObjectsField(name="objects", num_classes=3, class_names=NAMES)
SIZES = st.tuples(st.integers(1, 5_000), st.integers(1, 5_000))


@st.composite
def rows(draw: st.DrawFn, low: float = 0.0, high: float = 1.0, *, ordered: bool = True) -> list[Any]:
    """Boxes as shares, with classes and flags."""
    found = []
    for _ in range(draw(st.integers(0, 8))):
        sides = [draw(st.floats(low, high, width=32)) for _ in range(4)]
        if ordered:
            (left, right), (top, bottom) = sorted(sides[:2]), sorted(sides[2:])
            sides = [left, top, right, bottom]
            if left >= right or top >= bottom:
                continue
        found.append((*sides, draw(st.integers(0, 2)), draw(st.integers(0, 7))))
    return found


@given(rows=rows(), size=SIZES)
def test_record_and_back(rows: list[Any], size: tuple[int, int]) -> None:
    boxes = Boxes.of_rows(rows, None)
    features = FIELD.record_values(boxes, size[::-1])
    found = FIELD.decode(decode_example(encode_example(features)), size[::-1])
    np.testing.assert_allclose(found["boxes"], boxes.corners * np.array([*size, *size]), rtol=1e-6)
    assert found["labels"].tolist() == boxes.labels.tolist()
    assert found["class_names"] == [NAMES[label] for label in boxes.labels]
    flags = [found[name].astype(int) * flag for name, flag in (("crowd", 1), ("difficult", 2), ("truncated", 4))]
    assert sum(flags).tolist() == boxes.flags.tolist()  # type: ignore[union-attr]
    assert len(features["image/object/area"]) == len(rows)  # type: ignore[arg-type]


@pytest.mark.slow
@given(images=st.lists(st.tuples(rows(-50, 50, ordered=False), st.none() | SIZES), max_size=6))
def test_listing_and_columns_keep_every_box(images: list[Any]) -> None:
    every = [Boxes.of_rows(of_image, size) for of_image, size in images]
    for boxes in every:
        size = {} if boxes.size is None else {"boxes_size": [list(boxes.size)]}
        (column,) = BoxColumn.of_entries("boxes", {"boxes": [boxes.to_rows()], **size})
        assert column[0] == boxes
    column = BoxColumn.of_images(every)
    assert [column[i] for i in range(len(column))] == every
    order = list(range(len(every)))[::-2]
    taken = column.take(order)
    assert [taken[i] for i in range(len(taken))] == [every[i] for i in order]
    assert column.counts.tolist() == [len(boxes) for boxes in every]


@pytest.mark.slow
@given(images=st.lists(st.tuples(rows(-2_000, 7_000, ordered=False), st.none() | SIZES), min_size=1, max_size=5))
def test_clipping(images: list[Any]) -> None:
    column = BoxColumn.of_images(Boxes.of_rows(of_image, size) for of_image, size in images)
    keys = [f"k{i}" for i in range(len(column))]
    try:
        checked = check_boxes(column, keys, NAMES, where="here").column
    except SourceError:
        assert not any(_cut(box, size) for of_image, size in images for box in of_image)
        return
    for i, (of_image, size) in enumerate(images):
        expected = [(*cut, *box[4:]) for box in of_image if (cut := _cut(box, size)) is not None]
        assert [tuple(row) for row in checked[i].to_rows()] == expected


def _cut(box: Any, size: tuple[int, int] | None) -> tuple[float, ...] | None:
    """The intersection of a box with its image, one box at a time."""
    width, height = size or (1, 1)
    left, top, right, bottom = box[:4]
    if left >= right or top >= bottom:
        return None
    cut = (max(left, 0), max(top, 0), min(right, width), min(bottom, height))
    kept = cut[0] < cut[2] and cut[1] < cut[3]
    return tuple(float(str(np.float32(side))) for side in cut) if kept else None


def test_what_no_record_can_hold_is_refused() -> None:
    from precompute.errors import DatasetError

    good: dict[str, Any] = FIELD.record_values(Boxes.of_rows([(0, 0, 1, 1, 0, 0)], None), (4, 4))
    for key, value, message in (
        ("image/object/bbox/xmin", np.array([1.0], np.float32), "the lower one first"),
        ("image/object/bbox/xmax", np.array([1.5], np.float32), "sides from 0 to 1"),
        ("image/object/bbox/ymax", np.array([np.nan], np.float32), "sides from 0 to 1"),
        ("image/object/class/label", np.array([1, 2]), "lists of different lengths: 1, 2"),
        ("image/object/class/text", np.array([b"\xff"], object), "UTF-8"),
        ("image/object/is_crowd", b"x", "expected a list of type int"),
    ):
        with pytest.raises(DatasetError, match=message):
            FIELD.decode(decode_example(encode_example({**good, key: value})), (4, 4))
