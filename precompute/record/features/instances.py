"""Masks of single objects → features of a record, as TensorFlow's Object Detection API has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from precompute.record.example import Value
from precompute.record.features.boxes import AREA_KEY, box_features
from precompute.record.images.png import encode_png
from precompute.record.stored_masks import MASK_KEY
from precompute.targets.instances import Instances

__all__ = ["instance_features"]


def instance_features(instances: Instances, class_names: Sequence[str], *, height: int, width: int) -> dict[str, Value]:
    """Return the features of decoded objects: those of their boxes, and a PNG of one bit a pixel for each mask."""
    features = box_features(instances, class_names, height=height, width=width)
    encoded, areas = [], []
    for layer, number in instances.places.tolist():
        mask = instances.layers[layer] == number  # type: ignore[index]  # they are decoded
        encoded.append(encode_png(mask))
        areas.append(np.count_nonzero(mask))
    features[MASK_KEY] = np.array([*encoded, None], object)[:-1]  # bytes are no sequence of numbers here
    features[AREA_KEY] = np.array(areas, np.float32)
    return features
