"""The objects of one image: boxes, maybe with keypoints, or masks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CROWD", "DIFFICULT", "FLAGS", "TRUNCATED", "UNKNOWN_SIZE", "Boxes", "Instances", "Size", "same_points"]

CROWD, DIFFICULT, TRUNCATED = 1, 2, 4
FLAGS = {"crowd": CROWD, "difficult": DIFFICULT, "truncated": TRUNCATED}

Size = tuple[int, int]
UNKNOWN_SIZE = (2**31 - 1, 2**31 - 1)  # no image is as large: that of the image itself, when it is decoded


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Boxes:
    """The boxes of one image.

    Edges, not pixels, are counted: 0 is the left edge of the first pixel, the width the right edge of the last one, so
    that a box around one pixel is 1 wide.

    Attributes:
        corners: float32 [N, 4]: x_min, y_min, x_max, y_max.
        labels: int32 [N], class indices.
        flags: uint8 [N], sums of CROWD, DIFFICULT, TRUNCATED.
        size: Width and height of the image whose pixels `corners` count; maybe UNKNOWN_SIZE. None: corners are shares
            of width and height.
        points: float32 [N, K, 3]: x, y, visibility of the keypoints of each object, counted as `corners` are; 0, 0
            where visibility is 0. None: objects have no keypoints. Objects with keypoints may have no boxes: all
            corners are 0 then.
        mirrored: Whether a pipeline mirrored the image, so that left and right keypoints are still to change places.
    """

    corners: NDArray[np.float32]
    labels: NDArray[np.int32]
    flags: NDArray[np.uint8]
    size: Size | None = None
    points: NDArray[np.float32] | None = None
    mirrored: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Boxes)
            and (self.size, self.mirrored) == (other.size, other.mirrored)
            and same_points(self.points, other.points)
            and all(
                np.array_equal(getattr(self, name), getattr(other, name)) for name in ("corners", "labels", "flags")
            )
        )

    __hash__ = None  # type: ignore[assignment]  # arrays have none

    @classmethod
    def of_rows(
        cls, rows: Sequence[Sequence[Any]], size: Size | None, points: Sequence[Sequence[float]] | None = None
    ) -> Boxes:
        """Return boxes made from rows.

        Args:
            rows: (x_min, y_min, x_max, y_max, label, flags) of each box.
            size: See the attribute.
            points: For each box x, y, visibility of its keypoints in turn, 3 · K numbers.
        """
        return cls(
            points=None if points is None else _points(points),
            corners=np.array([row[:4] for row in rows], np.float32).reshape(-1, 4),
            labels=np.array([row[4] for row in rows], np.int32),
            flags=np.array([row[5] for row in rows], np.uint8),
            size=size,
        )

    def to_rows(self) -> list[list[float | int]]:
        """Return the rows that `of_rows` takes: plain numbers, as short as float32 allows."""
        corners = [[_plain(value) for value in row] for row in self.corners]
        pairs = zip(corners, self.labels.tolist(), self.flags.tolist(), strict=True)
        return [[*row, label, flags] for row, label, flags in pairs]

    def point_rows(self) -> list[list[float | int]] | None:
        """Return the keypoints as `of_rows` takes them; None without any."""
        if self.points is None:
            return None
        return _plain_rows(self.points.reshape(len(self), 3 * self.points.shape[1]))

    def to_objects(self, class_names: Sequence[str]) -> list[dict[str, Any]]:
        """Return a dictionary per object: `class`, `flags` by their names, `box` and, if it has some, `keypoints`."""
        flags = [[name for name, bit in FLAGS.items() if bit & given] for given in self.flags.tolist()]
        rows = zip(self.labels.tolist(), flags, _plain_rows(self.corners), strict=True)
        found: list[dict[str, Any]] = [
            {"class": class_names[label], "flags": names, "box": corners} for label, names, corners in rows
        ]
        if self.points is not None:
            for one, points in zip(found, self.points, strict=True):
                one["keypoints"] = _plain_rows(points)
        return found

    def shares(self) -> NDArray[np.float64]:
        """Return the corners as shares of width and height, float64 [N, 4]."""
        return self.corners / np.array([*(self.size or (1, 1))] * 2, np.float64)

    def moved(self, corners: NDArray[np.float32], indices: NDArray[np.int64]) -> Boxes:
        """Return boxes with new corners, as shares, and the labels and flags of the boxes at `indices`."""
        return Boxes(corners=corners, labels=self.labels[indices], flags=self.flags[indices])

    def point_shares(self) -> NDArray[np.float64]:
        """Return the keypoints with x and y as shares of width and height, float64 [N, K, 3]; [N, 0, 3] without any."""
        if self.points is None:
            return np.zeros((len(self), 0, 3))
        return self.points / np.array([*(self.size or (1, 1)), 1], np.float64)

    def flipped(self, pairs: Sequence[Sequence[int]]) -> Boxes:
        """Return boxes whose left and right keypoints have changed places, if the image was mirrored."""
        if self.points is None or not self.mirrored or not len(self):  # without objects nobody knows their points
            return self
        order = np.arange(self.points.shape[1])
        for left, right in pairs:
            order[[left, right]] = right, left
        return replace(self, points=self.points[:, order], mirrored=False)


def _points(rows: Sequence[Sequence[float]]) -> NDArray[np.float32]:
    """Return [N, K, 3]; K is 0 where there are no rows."""
    return np.array(rows, np.float32).reshape(len(rows), -1, 3) if rows else np.zeros((0, 0, 3), np.float32)


def same_points(a: NDArray[np.float32] | None, b: NDArray[np.float32] | None) -> bool:
    """Return whether keypoints are equal; without objects K is unknown, and any K equals any other."""
    if a is None or b is None:
        return a is b
    return np.array_equal(a, b) or len(a) == len(b) == 0


def _plain_rows(values: NDArray[np.float32]) -> list[list[float | int]]:
    """Return the shortest numbers that float32 keeps as these; fast for those that are whole or end with a half."""
    rows = values.astype(object)
    whole, halves = values == np.floor(values), 2 * values == np.floor(2 * values)
    rows[whole] = values[whole].astype(np.int64).astype(object)
    for place in np.argwhere(~halves):
        rows[tuple(place)] = _plain(values[tuple(place)])
    return rows.tolist()  # type: ignore[no-any-return]


def _plain(value: np.float32) -> float | int:
    """Return the shortest number that float32 keeps as this one."""
    return int(value) if value.is_integer() else float(str(value))


# Objects with a mask each


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
