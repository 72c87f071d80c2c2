"""Boxes around objects: those of one image, and those of many images as columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CROWD", "DIFFICULT", "FLAGS", "TRUNCATED", "UNKNOWN_SIZE", "BoxColumn", "Boxes"]

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
        size: Width and height of the image whose pixels `corners` count, maybe UNKNOWN_SIZE; None: they are shares of
            width and height.
    """

    corners: NDArray[np.float32]
    labels: NDArray[np.int32]
    flags: NDArray[np.uint8]
    size: Size | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Boxes)
            and self.size == other.size
            and all(
                np.array_equal(getattr(self, name), getattr(other, name)) for name in ("corners", "labels", "flags")
            )
        )

    __hash__ = None  # type: ignore[assignment]  # arrays have none

    @classmethod
    def of_rows(cls, rows: Sequence[Sequence[Any]], size: Size | None) -> Boxes:
        """Return the boxes of (x_min, y_min, x_max, y_max, label, flags) each."""
        return cls(
            corners=np.array([row[:4] for row in rows], np.float32).reshape(-1, 4),
            labels=np.array([row[4] for row in rows], np.int32),
            flags=np.array([row[5] for row in rows], np.uint8),
            size=size,
        )

    def to_rows(self) -> list[list[float | int]]:
        """Return the inverse of `of_rows`: plain numbers, as short as float32 allows."""
        corners = [[_plain(value) for value in row] for row in self.corners]
        pairs = zip(corners, self.labels.tolist(), self.flags.tolist(), strict=True)
        return [[*row, label, flags] for row, label, flags in pairs]

    def shares(self) -> NDArray[np.float64]:
        """Return the corners as shares of width and height, float64 [N, 4]."""
        return self.corners / np.array([*(self.size or (1, 1))] * 2, np.float64)

    def moved(self, corners: NDArray[np.float32], indices: NDArray[np.int64]) -> Boxes:
        """Return boxes at other places, as shares: each is what became of the one at its index."""
        return Boxes(corners=corners, labels=self.labels[indices], flags=self.flags[indices])


@dataclass(frozen=True, kw_only=True)
class BoxColumn:
    """The boxes of many images: one array of all of them, cut by offsets.

    Attributes:
        corners, labels, flags: As those of `Boxes`, of all images in turn.
        offsets: int64 [images + 1]: the boxes of image i go from offset i to offset i + 1.
        sizes: int32 [images, 2]: width and height that corners count pixels of; 0, 0 where they are shares.
    """

    corners: NDArray[np.float32]
    labels: NDArray[np.int32]
    flags: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.sizes)

    @classmethod
    def of_images(cls, images: Iterable[Boxes]) -> BoxColumn:
        """Return the column of these images."""
        every = list(images)
        empty = Boxes.of_rows([], None)
        return cls(
            corners=np.concatenate([empty.corners, *(boxes.corners for boxes in every)]),
            labels=np.concatenate([empty.labels, *(boxes.labels for boxes in every)]),
            flags=np.concatenate([empty.flags, *(boxes.flags for boxes in every)]),
            offsets=np.cumsum([0, *(len(boxes) for boxes in every)], dtype=np.int64),
            sizes=np.array([boxes.size or (0, 0) for boxes in every], np.int32).reshape(-1, 2),
        )

    @classmethod
    def joined(cls, columns: Sequence[BoxColumn]) -> BoxColumn:
        """Return the images of several columns in turn."""
        counts = np.concatenate([np.zeros(1, np.int64), *(column.counts for column in columns)])
        return cls(
            corners=np.concatenate([column.corners for column in columns]),
            labels=np.concatenate([column.labels for column in columns]),
            flags=np.concatenate([column.flags for column in columns]),
            offsets=np.cumsum(counts, dtype=np.int64),
            sizes=np.concatenate([column.sizes for column in columns]),
        )

    def same(self, other: BoxColumn) -> bool:
        """Return whether another column holds equal boxes."""
        return all(np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    @property
    def kind(self) -> str:
        """The kind of the target that images with this column have."""
        return "boxes"

    @property
    def counts(self) -> NDArray[np.int64]:
        """Boxes of each image."""
        return np.diff(self.offsets)

    def of(self, i: int) -> Boxes:
        """Return the boxes of one image."""
        own = slice(int(self.offsets[i]), int(self.offsets[i + 1]))
        width, height = map(int, self.sizes[i])
        size = (width, height) if width else None
        return Boxes(corners=self.corners[own], labels=self.labels[own], flags=self.flags[own], size=size)

    def classes(self, i: int) -> tuple[int, ...]:
        """Return the classes that an image has boxes of, each once."""
        return tuple(np.unique(self.labels[self.offsets[i] : self.offsets[i + 1]]).tolist())

    def take(self, indices: Sequence[int]) -> BoxColumn:
        """Return the boxes of the images at these positions, in this order."""
        chosen = np.asarray(indices, np.int64)
        counts = self.counts[chosen]
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        where = np.repeat(self.offsets[chosen] - offsets[:-1], counts) + np.arange(offsets[-1])
        return BoxColumn(
            corners=self.corners[where],
            labels=self.labels[where],
            flags=self.flags[where],
            offsets=offsets,
            sizes=self.sizes[chosen],
        )


def _plain(value: np.float32) -> float | int:
    """Return the shortest number that is this float32."""
    return int(value) if value.is_integer() else float(str(value))
