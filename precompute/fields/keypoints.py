"""Keypoints of objects in a record, under the keys of TensorFlow's own object detection readers.

Source: https://github.com/tensorflow/models/blob/master/research/object_detection/dataset_tools/create_coco_tf_record.py
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from precompute.errors import DatasetError
from precompute.fields.boxes import Boxes
from precompute.fields.feature import Feature, Number, Size, Text, Value, Values
from precompute.fields.skeleton import VISIBLE, Skeleton

__all__ = ["POINT_KEY", "decode_keypoints", "keypoint_features", "keypoint_values", "keypoints_difference"]

POINT_KEY = "image/object/keypoint/"
OF_POINTS = ("x", "y", "visibility", "text")  # with an item for each keypoint of each object; `num` has one an object


def keypoint_features() -> dict[str, Feature]:
    """Return the features of keypoints in a record: key → feature."""
    shares, numbers = Number(dtype="float32", several=True), Number(dtype="int64", several=True)
    every = {"x": shares, "y": shares, "visibility": numbers, "text": Text(several=True), "num": numbers}
    return {f"{POINT_KEY}{name}": feature for name, feature in every.items()}


def keypoint_values(boxes: Boxes, skeleton: Skeleton) -> dict[str, Value]:
    """Return the content of a record for keypoints, those of all objects in turn; empty lists without objects.

    Args:
        boxes: Objects with keypoints as shares of width and height.
        skeleton: Skeleton that names the keypoints.
    """
    points = boxes.point_shares()
    flat = points.reshape(-1, 3)
    names = [name.encode() for name in skeleton.names] * len(boxes)
    return {
        f"{POINT_KEY}num": (points[..., 2] > 0).sum(axis=1).astype(np.int64),
        f"{POINT_KEY}text": np.array(names, object),
        f"{POINT_KEY}visibility": flat[:, 2].astype(np.int64),
        f"{POINT_KEY}x": flat[:, 0].astype(np.float32),
        f"{POINT_KEY}y": flat[:, 1].astype(np.float32),
    }


def decode_keypoints(values: Values, skeleton: Skeleton, *, num_objects: int, size: Size) -> dict[str, Any]:
    """Return the keypoints of a record.

    Args:
        values: Content of the record by key.
        skeleton: Skeleton; it says how many keypoints an object has where there are no objects.
        num_objects: Number of objects in the record.
        size: Height and width of its image, in pixels.

    Returns:
        `keypoints` float32 [N, K, 2] as x, y in pixels of the stored image, 0, 0 where they are not labelled;
        `visibility` int64 [N, K], 0 to 2; `keypoint_names` (list of str).

    Raises:
        DatasetError: The record's lists differ in length, or hold what no keypoint can be.
    """
    lists = {key.removeprefix(POINT_KEY): feature.read(values, key) for key, feature in keypoint_features().items()}
    lengths = {len(lists[name]) for name in OF_POINTS}
    num = lengths.pop()
    if lengths or len(lists["num"]) != num_objects or (num % num_objects if num_objects else num):
        raise DatasetError(
            f"{POINT_KEY}*: expected as many of each for each object ({num_objects}), got lists of "
            f"{', '.join(str(len(items)) for items in lists.values())}."
        )
    shape = (num_objects, num // num_objects if num_objects else len(skeleton))
    shares = np.array([lists["x"], lists["y"]], np.float32).T.reshape(*shape, 2)
    visibility = np.array(lists["visibility"], np.int64).reshape(shape)
    inside = (shares >= 0) & (shares <= 1)
    if not (inside.all() and (visibility >= 0).all() and (visibility <= VISIBLE).all()):
        raise DatasetError(f"{POINT_KEY}*: expected shares from 0 to 1, and visibility from 0 to {VISIBLE}.")
    if shares[visibility == 0].any():
        raise DatasetError(f"{POINT_KEY}*: expected 0, 0 where visibility is 0.")
    if (visibility > 0).sum(axis=1).tolist() != lists["num"]:
        raise DatasetError(f"{POINT_KEY}num: {lists['num'][:5]} is not how many points are labelled.")
    names = lists["text"]
    if names != names[: shape[1]] * num_objects:
        raise DatasetError(f"{POINT_KEY}text: expected the same names for each object.")
    height, width = size
    return {
        "keypoints": shares * np.array([width, height], np.float32),
        "visibility": visibility,
        "keypoint_names": names[: shape[1]] if num_objects else list(skeleton.names),
    }


def keypoints_difference(example: Mapping[str, Any], skeleton: Skeleton) -> str | None:
    """Return how the keypoints of an example differ from those of the skeleton, or None."""
    if example["keypoint_names"] == skeleton.names:
        return None
    names, expected = (", ".join(map(repr, some[:5])) for some in (example["keypoint_names"], skeleton.names))
    return f"its keypoints are {names} …, expected {expected} …"
