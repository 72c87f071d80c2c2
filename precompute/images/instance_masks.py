"""Masks of single objects: decoded into layers, shrunk, merged into class ids.

A layer holds masks that do not overlap, each as a number of its own. A pipeline that does not blend pixels moves a
layer as it would move each mask alone, so that hundreds of objects cost what one mask costs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from precompute.errors import RejectedSource
from precompute.fields.boxes import CROWD, Boxes, Instances
from precompute.fields.rle import decode_code
from precompute.images.decode import decode_mask
from precompute.images.shrink import shrink_mask
from precompute.images.source_files import check_meant_size, check_same_size, read_file
from precompute.storage.paths import as_path

__all__ = [
    "EMPTY",
    "OVERLAP",
    "LoadedInstances",
    "load_instances",
    "merge_instances",
    "plain_boxes",
    "shrink_instances",
    "with_boxes",
]

EMPTY, OVERLAP = "empty", "overlap"  # what is counted while sources are decoded
MAX_NUMBERS = 255  # masks of one layer


class LoadedInstances(NamedTuple):
    """The objects of a source with their masks.

    Attributes:
        instances: Decoded objects, without those whose masks are empty.
        sha256: SHA-256 of all masks, with classes and flags.
        num_empty: Number of objects with empty masks.
    """

    instances: Instances
    sha256: str
    num_empty: int


def load_instances(image: Path, instances: Instances, full_size: tuple[int, int], alpha: str) -> LoadedInstances:
    """Read and decode the masks of a source.

    Args:
        image: The image file, for messages.
        instances: Objects with full paths of their masks, or with run-length codes.
        full_size: Height and width of the image.
        alpha: What happens to an alpha channel of a mask.

    Raises:
        RejectedSource: A mask is missing, not usable or of another size.
    """
    layers, hashes, kept, layer_index = _Layers(full_size), list[str](), list[int](), list[tuple[int, int]]()
    for i, (mask, sha256) in enumerate(_masks(image, instances, full_size, alpha)):
        hashes.append(sha256)
        place = layers.add(mask)
        if place is not None:
            kept.append(i)
            layer_index.append(place)
    loaded = Instances(
        corners=np.zeros((len(kept), 4), np.float32),
        labels=instances.labels[kept],
        flags=instances.flags[kept],
        layers=layers.stacked(),
        layer_index=np.array(layer_index, np.int32).reshape(-1, 2),
    )
    return LoadedInstances(with_boxes(loaded), instances.digest(hashes), len(instances) - len(kept))


class _Layers:
    """Layers that are filled one mask at a time."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._layers: list[NDArray[np.uint8]] = []
        self._counts: list[int] = []

    def add(self, mask: NDArray[np.uint8]) -> tuple[int, int] | None:
        """Put a mask into the first layer where it fits; returns layer and number, None for an empty mask."""
        left, top, width, height = cv2.boundingRect(mask)
        if not width:
            return None
        part = (slice(top, top + height), slice(left, left + width))
        inside = mask[part] > 0
        for index, layer in enumerate(self._layers):
            if self._counts[index] < MAX_NUMBERS and not layer[part][inside].any():
                break
        else:
            index = len(self._layers)
            self._layers.append(np.zeros(self._size, np.uint8))
            self._counts.append(0)
        self._counts[index] += 1
        self._layers[index][part][inside] = self._counts[index]
        return index, self._counts[index]

    def stacked(self) -> NDArray[np.uint8]:
        """Return all layers, at least one."""
        return np.stack(self._layers or [np.zeros(self._size, np.uint8)])


def _masks(
    image: Path, instances: Instances, full_size: tuple[int, int], alpha: str
) -> Iterator[tuple[NDArray[np.uint8], str]]:
    """Yield each mask, uint8 [H, W], 0 outside of the object, with the sha256 of its file or code."""
    height, width = full_size
    check_meant_size(image, full_size, instances.size, "masks")
    for shape in instances.shapes:
        if instances.size is None:
            content, mask = read_file(as_path(shape), lambda content: _decode(content, alpha))
            check_same_size(shape, mask.shape, image, full_size)
            yield mask, hashlib.sha256(content).hexdigest()
        else:
            yield decode_code(shape, height, width), hashlib.sha256(shape.encode()).hexdigest()


def _decode(content: bytes, alpha: str) -> NDArray[np.uint8]:
    """Return the mask of one object, 0 outside of it."""
    stored = decode_mask(content, alpha)
    inside = cv2.compare(stored, int(stored.max()), cv2.CMP_EQ)  # of an empty mask all, which is none below
    if stored.max() and cv2.countNonZero(stored) != cv2.countNonZero(inside):
        values = np.unique(stored[stored > 0])
        shown = ", ".join(map(str, values[:5].tolist())) + (" …" if len(values) > 5 else "")
        raise RejectedSource(
            f"holds the values {shown} besides 0; expected the mask of one object, 0 outside of it and one "
            "other value inside"
        )
    return np.asarray(inside) if stored.max() else np.zeros(stored.shape, np.uint8)


def with_boxes(instances: Instances) -> Instances:
    """Return objects with the boxes around their masks, as shares; objects without a pixel are left out."""
    layers = instances.decoded
    height, width = layers.shape[1:]
    corners, kept = [], []
    for i, (layer, number) in enumerate(instances.layer_index.tolist()):
        left, top, w, h = cv2.boundingRect(cv2.compare(layers[layer], number, cv2.CMP_EQ))
        if w:
            corners.append((left / width, top / height, (left + w) / width, (top + h) / height))
            kept.append(i)
    return replace(instances.at(kept), corners=np.array(corners, np.float32).reshape(-1, 4))


def shrink_instances(instances: Instances, size: tuple[int, int]) -> Instances:
    """Return decoded objects for an image that was shrunk to a height and width; some may have no pixel left."""
    return with_boxes(replace(instances, layers=np.stack([shrink_mask(layer, size) for layer in instances.decoded])))


def plain_boxes(instances: Instances) -> Boxes:
    """Return the boxes around masks, as shares, without the masks."""
    return Boxes(corners=instances.corners, labels=instances.labels, flags=instances.flags)


def merge_instances(instances: Instances, ignore_class: int | None) -> tuple[NDArray[np.uint16], int]:
    """Return one mask of class ids: 0 where there is no object, smaller objects on top of larger ones.

    Of two objects of equal size, the later one is on top. Crowds lie below all others, and become the ignore class if
    there is one.

    Returns:
        uint16 [H, W], and the number of its pixels that belong to several objects.
    """
    masks = list(instances.masks())
    crowd = (instances.flags & CROWD) > 0
    order: list[Any] = sorted(range(len(masks)), key=lambda i: (not crowd[i], -int(masks[i].sum()), i))
    merged = np.zeros(instances.decoded.shape[1:], np.uint16)
    covered = np.zeros(merged.shape, np.uint16)
    for i in order:
        class_id = int(instances.labels[i])
        merged[masks[i]] = ignore_class if crowd[i] and ignore_class is not None else class_id
        covered += masks[i]
    return merged, int((covered > 1).sum())
