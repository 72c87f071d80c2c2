"""Keypoints ↔ features of a record, under the keys of TensorFlow's own object detection readers.

Source: https://github.com/tensorflow/models/blob/master/research/object_detection/dataset_tools/create_coco_tf_record.py
"""

from __future__ import annotations

from typing import Any

import numpy as np

from precompute.errors import DatasetError
from precompute.fields.boxes import Boxes
from precompute.fields.skeleton import VISIBLE, Skeleton
from precompute.records.example import Value

__all__ = ["POINT_KEY", "decode_keypoints", "keypoint_features", "keypoints_difference"]

POINT_KEY = "image/object/keypoint/"


def keypoint_features(boxes: Boxes, skeleton: Skeleton) -> dict[str, Value]:
    """Return the features of keypoints, those of all objects in turn; all are there, empty, without objects.

    Args:
        boxes: The objects with their keypoints, as shares of width and height.
        skeleton: Names the keypoints.
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


def decode_keypoints(features: dict[str, Any], *, num_objects: int, height: int, width: int) -> dict[str, Any]:
    """Return what a record says of its keypoints.

    Returns:
        `keypoints` float32 [N, K, 2] as x, y in pixels of the stored image, 0, 0 where they are not labelled;
        `visibility` int64 [N, K], 0 to 2; `keypoint_names` (list of str). Without objects K is 0.

    Raises:
        DatasetError: Its lists differ in length, or hold what no keypoint can be.
    """
    lists = {
        name: _list(features, f"{POINT_KEY}{name}", kind)
        for name, kind in (("x", float), ("y", float), ("visibility", int), ("text", bytes), ("num", int))
    }
    lengths = {len(lists[name]) for name in ("x", "y", "visibility", "text")}
    num = lengths.pop()
    if lengths or len(lists["num"]) != num_objects or (num % num_objects if num_objects else num):
        raise DatasetError(
            f"{POINT_KEY}*: expected as many of each for each object ({num_objects}), got lists of "
            f"{', '.join(str(len(values)) for values in lists.values())}."
        )
    shape = (num_objects, num // num_objects if num_objects else 0)
    shares = np.array([lists["x"], lists["y"]], np.float32).T.reshape(*shape, 2)
    visibility = np.array(lists["visibility"], np.int64).reshape(shape)
    inside = (shares >= 0) & (shares <= 1)
    if not (inside.all() and (visibility >= 0).all() and (visibility <= VISIBLE).all()):
        raise DatasetError(f"{POINT_KEY}*: expected shares from 0 to 1, and visibility from 0 to {VISIBLE}.")
    if shares[visibility == 0].any():
        raise DatasetError(f"{POINT_KEY}*: expected 0, 0 where visibility is 0.")
    if (visibility > 0).sum(axis=1).tolist() != lists["num"]:
        raise DatasetError(f"{POINT_KEY}num: {lists['num'][:5]} is not how many points are labelled.")
    try:
        names = [name.decode() for name in lists["text"]]
    except UnicodeDecodeError as error:
        raise DatasetError(f"{POINT_KEY}text: expected text in UTF-8.") from error
    if names != names[: shape[1]] * num_objects:
        raise DatasetError(f"{POINT_KEY}text: expected the same names for each object.")
    return {
        "keypoints": shares * np.array([width, height], np.float32),
        "visibility": visibility,
        "keypoint_names": names[: shape[1]],
    }


def keypoints_difference(example: dict[str, Any], skeleton: Skeleton) -> str | None:
    """Return how the keypoints of an example differ from what the manifest says of all, or None."""
    if "keypoints" not in example:
        return "it has no keypoints, not even an empty list of them"
    if ("boxes" in example) != skeleton.boxed:
        return f"it has {'no ' * skeleton.boxed}boxes, where the manifest says otherwise"
    if len(example["visibility"]) and example["keypoint_names"] != skeleton.names:
        names, expected = (", ".join(map(repr, some[:5])) for some in (example["keypoint_names"], skeleton.names))
        return f"its keypoints are {names} …, expected {expected} …"
    return None


def _list(features: dict[str, Any], key: str, kind: type) -> list[Any]:
    values = features.get(key)
    if values is None or not all(isinstance(value, kind) for value in values):
        raise DatasetError(f"{key}: expected a list of type {kind.__name__}, got {values!r:.60}.")
    return list(values)
