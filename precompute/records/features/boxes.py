"""Boxes ↔ features of a record, under the keys of TensorFlow's own object detection readers.

Source: https://github.com/tensorflow/models/blob/master/research/object_detection/dataset_tools/create_pascal_tf_record.py
and create_coco_tf_record.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.errors import DatasetError
from precompute.fields.boxes import FLAGS, Boxes
from precompute.records.example import Value, decode_example

__all__ = ["AREA_KEY", "BOX_KEY", "CORNERS_KEY", "LABEL_KEY", "box_features", "count_boxes", "decode_boxes"]

BOX_KEY = "image/object/bbox/"
CORNERS_KEY = "objects/bbox"  # the same sides once more, as TensorFlow Datasets wants its boxes: four numbers each
LABEL_KEY, TEXT_KEY = "image/object/class/label", "image/object/class/text"
SIDES = ("xmin", "ymin", "xmax", "ymax")
YXYX = [1, 0, 3, 2]  # places of these in CORNERS_KEY
FLAG_KEYS = {
    "crowd": "image/object/is_crowd",
    "difficult": "image/object/difficult",
    "truncated": "image/object/truncated",
}
AREA_KEY = "image/object/area"
POINT_SIGN = "image/object/keypoint/x"  # objects have keypoints


def box_features(
    boxes: Boxes, class_names: Sequence[str], *, height: int, width: int, has_boxes: bool = True
) -> dict[str, Value]:
    """Return the features of boxes; of an image without boxes all are there, empty.

    Args:
        boxes: The boxes, as shares of width and height.
        class_names: Name of each class index.
        height: Height of the stored image, pixels: areas are in its pixels.
        width: Width of the stored image, pixels: areas are in its pixels.
        has_boxes: Whether objects have boxes, or keypoints alone.
    """
    corners = boxes.shares().astype(np.float32)
    sides = (corners[:, 2:] - corners[:, :2]).astype(np.float64)
    features: dict[str, Value] = {}
    if has_boxes:
        features |= {f"{BOX_KEY}{side}": corners[:, i] for i, side in enumerate(SIDES)}
        features[CORNERS_KEY] = corners[:, YXYX].reshape(-1)
        features[AREA_KEY] = (sides[:, 0] * width * sides[:, 1] * height).astype(np.float32)
    features |= {key: (boxes.flags & FLAGS[name] > 0).astype(np.int64) for name, key in FLAG_KEYS.items()}
    features[LABEL_KEY] = boxes.labels.astype(np.int64)
    features[TEXT_KEY] = np.array([class_names[label].encode() for label in boxes.labels], object)
    return features


def count_boxes(record: bytes) -> int:
    """Return how many boxes a record has."""
    return len(decode_example(record)[LABEL_KEY])


def decode_boxes(features: dict[str, Any], *, height: int, width: int) -> dict[str, Any]:
    """Return what a record says of its boxes.

    Returns:
        `boxes` float32 [N, 4] as x_min, y_min, x_max, y_max in pixels of the stored image; `labels` int64 [N];
        `class_names` (list of str); `crowd`, `difficult`, `truncated` bool [N]. Objects that have keypoints alone are
        without `boxes`.

    Raises:
        DatasetError: Its lists differ in length, or hold what no box can be.
    """
    has_boxes = any(f"{BOX_KEY}{side}" in features for side in SIDES) or POINT_SIGN not in features
    shares = [_numbers(features, f"{BOX_KEY}{side}", float) for side in SIDES] if has_boxes else []
    labels = _numbers(features, LABEL_KEY, int)
    flags = {name: _numbers(features, key, int) for name, key in FLAG_KEYS.items()}
    names = _numbers(features, TEXT_KEY, bytes)
    lengths = {len(values) for values in (*shares, labels, names, *flags.values())}
    if len(lengths) > 1:
        raise DatasetError(f"image/object: lists of different lengths: {', '.join(map(str, sorted(lengths)))}.")
    corners = np.array(shares or np.zeros((4, 0)), np.float32).T.reshape(-1, 4)
    inside = (corners >= 0).all() and (corners <= 1).all() and (corners[:, :2] < corners[:, 2:]).all()
    if not inside:
        raise DatasetError(f"{BOX_KEY}*: expected sides from 0 to 1, the lower one first.")
    if CORNERS_KEY in features and _numbers(features, CORNERS_KEY, float) != corners[:, YXYX].reshape(-1).tolist():
        raise DatasetError(f"{CORNERS_KEY}: expected the sides of {BOX_KEY}*, as y_min, x_min, y_max, x_max.")
    try:
        texts = [name.decode() for name in names]
    except UnicodeDecodeError as error:
        raise DatasetError(f"{TEXT_KEY}: expected text in UTF-8.") from error
    return {
        **({"boxes": _pixels(corners, height, width)} if has_boxes else {}),
        "labels": np.array(labels, np.int64),
        "class_names": texts,
        **{name: np.array(values, np.int64) > 0 for name, values in flags.items()},
    }


def _pixels(corners: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    return corners * np.array([width, height, width, height], np.float32)


def _numbers(features: dict[str, Any], key: str, kind: type) -> list[Any]:
    values = features.get(key)
    if values is None or not all(isinstance(value, kind) for value in values):
        raise DatasetError(f"{key}: expected a list of type {kind.__name__}, got {values!r:.60}.")
    return list(values)
