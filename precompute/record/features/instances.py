"""Masks of single objects → features of a record, as TensorFlow's Object Detection API has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from precompute.errors import RejectedSource
from precompute.record.example import Value
from precompute.record.features.boxes import AREA_KEY, box_features
from precompute.record.stored_masks import MASK_KEY
from precompute.targets.instances import Instances

__all__ = ["instance_features"]

# As quick as OpenCV's own choice, and less than half as large: 72 µs and 159 bytes for a nucleus in 192×192, 376 else.
ONE_BIT = [
    *(cv2.IMWRITE_PNG_BILEVEL, 1),
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_DEFAULT),
]


def instance_features(instances: Instances, class_names: Sequence[str], *, height: int, width: int) -> dict[str, Value]:
    """Return the features of decoded objects: those of their boxes, and a PNG of one bit a pixel for each mask."""
    features = box_features(instances, class_names, height=height, width=width)
    encoded, areas = [], []
    for layer, number in instances.places.tolist():
        mask = cv2.compare(instances.layers[layer], number, cv2.CMP_EQ)  # type: ignore[index]  # they are decoded
        encoded.append(_encode(mask))
        areas.append(cv2.countNonZero(mask))
    features[MASK_KEY] = np.array([*encoded, None], object)[:-1]  # bytes are no sequence of numbers here
    features[AREA_KEY] = np.array(areas, np.float32)
    return features


def _encode(mask: NDArray[Any]) -> bytes:
    done, encoded = cv2.imencode(".png", mask, ONE_BIT)
    if not done:
        raise RejectedSource(f"OpenCV could not encode a mask of {mask.shape}")
    return bytes(encoded.tobytes())
