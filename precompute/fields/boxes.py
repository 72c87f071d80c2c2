"""Boxes around the objects of one image, maybe with keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CROWD", "DIFFICULT", "FLAGS", "TRUNCATED", "UNKNOWN_SIZE", "Boxes", "Size", "same_points"]

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
