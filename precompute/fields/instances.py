"""Objects of one image with a mask each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.fields.boxes import Boxes, Size

__all__ = ["Instances"]


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Instances(Boxes):
    """The objects of one image, each with a mask.

    Before the masks are decoded, `shapes` says where they are, and corners are unknown. Decoded masks that do not
    overlap share a layer, each with a number of its own: so a pipeline moves a few layers and not hundreds of masks.

    Attributes:
        corners: Corners of the boxes around the masks; 0 before these are decoded.
        size: Width and height of the image that run-length codes were made for; None where shapes are files, or masks
            are decoded.
        shapes: Path of the file with each object's mask, or COCO's compressed run-length code.
        layers: uint8 [L, H, W], L at least 1; 0 where there is no object; None before masks are decoded.
        layer_index: int32 [N, 2]: layer and number of each object's mask.
    """

    shapes: tuple[str, ...] = ()
    layers: NDArray[np.uint8] | None = None
    layer_index: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 2), np.int32))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Instances) or not Boxes.__eq__(self, other) or self.shapes != other.shapes:
            return False
        if self.layers is None or other.layers is None:
            return self.layers is other.layers
        return np.array_equal(self.layers, other.layers) and np.array_equal(self.layer_index, other.layer_index)

    __hash__ = None  # arrays have none

    @classmethod
    def of_shapes(cls, rows: Sequence[Sequence[Any]], size: Size | None) -> Instances:
        """Return objects made from (shape, label, flags) of each, not decoded."""
        return cls(
            corners=np.zeros((len(rows), 4), np.float32),
            labels=np.array([row[1] for row in rows], np.int32),
            flags=np.array([row[2] for row in rows], np.uint8),
            size=size,
            shapes=tuple(row[0] for row in rows),
        )

    @property
    def decoded(self) -> NDArray[np.uint8]:
        """The layers.

        Raises:
            ValueError: The masks are not decoded.
        """
        if self.layers is None:
            raise ValueError("masks that are not decoded")
        return self.layers

    def to_shapes(self) -> list[list[str | int]]:
        """Return (shape, label, flags) of each object, as `of_shapes` takes them."""
        return [list(row) for row in zip(self.shapes, self.labels.tolist(), self.flags.tolist(), strict=True)]

    def to_objects(self, class_names: Sequence[str]) -> list[dict[str, Any]]:
        """Return a dictionary for each object, with its undecoded `mask` in the place of a box."""
        found = Boxes.to_objects(self, class_names)
        return [{**one, "mask": shape} for one, shape in zip(found, self.shapes, strict=True) if one.pop("box")]

    def digest(self, hashes: Iterable[str]) -> str:
        """Return one sha256 of all masks with their classes and flags, from the sha256 of each mask."""
        rows = zip(hashes, self.labels.tolist(), self.flags.tolist(), strict=True)
        return hashlib.sha256(json.dumps(list(rows)).encode()).hexdigest()

    def located(self, locate: Callable[[str], Any]) -> Instances:
        """Return the objects with the full paths of their files, where the shapes are files."""
        if self.size is not None:
            return self
        shapes = tuple(str(locate(shape)) for shape in self.shapes)
        return Instances(corners=self.corners, labels=self.labels, flags=self.flags, shapes=shapes)

    def at(self, positions: Sequence[int] | NDArray[np.int64]) -> Instances:
        """Return the decoded objects at some positions."""
        return replace(
            self,
            corners=self.corners[positions],
            labels=self.labels[positions],
            flags=self.flags[positions],
            layer_index=self.layer_index[positions],
        )

    def apart(self) -> Instances:
        """Return decoded objects with a new layer for each object, which a user's transform may write into."""
        layers = np.zeros((max(1, len(self)), *self.decoded.shape[1:]), np.uint8)
        for layer, mask in zip(layers, self.masks(), strict=False):
            layer[mask] = 1
        layer_index = np.stack([np.arange(len(self)), np.ones(len(self))], axis=1).astype(np.int32)
        return replace(self, layers=layers, layer_index=layer_index)

    def masks(self) -> Iterator[NDArray[np.bool_]]:
        """Return the decoded mask of each object, bool [H, W]."""
        return (self.decoded[layer] == number for layer, number in self.layer_index.tolist())
