"""The cells that a detector predicts for; in each it predicts one logit per class, and the distances of the sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from keras import ops

__all__ = ["NUM_SIDES", "Grid", "areas", "generalized_iou", "intersections", "pairwise_iou"]

NUM_SIDES = 4
LARGE = 384  # pixels of the shorter side from which cells of 8×8 are fine enough
REACH = 0.1  # of the image's side: distance of a side from the middle of its cell when the network gives 0
LIMIT = 6.0  # of the network's outputs for sides: exp(6) × REACH is far beyond any image


@dataclass(frozen=True)
class Grid:
    """Square cells over images of one size; cells at the right and at the bottom may reach beyond the edge.

    Attributes:
        height: Height of the images in pixels.
        width: Width of the images in pixels.
    """

    height: int
    width: int

    @property
    def stride(self) -> int:
        """Side of a cell in pixels: 4, for large images 8."""
        return 4 if min(self.height, self.width) < LARGE else 8

    @property
    def rows(self) -> int:
        """Number of cells from top to bottom."""
        return -(-self.height // self.stride)

    @property
    def columns(self) -> int:
        """Number of cells from left to right."""
        return -(-self.width // self.stride)

    @property
    def num_cells(self) -> int:
        """Number of cells of the whole grid."""
        return self.rows * self.columns

    @property
    def centers(self) -> npt.NDArray[np.float32]:
        """Middle of each cell, x and y in pixels, float32 [cells, 2], row by row."""
        y, x = np.meshgrid(np.arange(self.rows), np.arange(self.columns), indexing="ij")
        return ((np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) * self.stride).astype(np.float32)

    @property
    def reach(self) -> float:
        """Distance of a side in pixels that an output of 0 means."""
        return REACH * float(np.sqrt(self.height * self.width))

    def boxes(self, sides: Any) -> Any:
        """Return the boxes [..., cells, 4] in pixels, xyxy, of outputs of that shape, clipped to the image."""
        distances = ops.exp(ops.clip(sides, -LIMIT, LIMIT)) * self.reach
        centers = ops.convert_to_tensor(self.centers)
        corners = ops.concatenate([centers - distances[..., :2], centers + distances[..., 2:]], axis=-1)
        return ops.clip(corners, 0.0, ops.convert_to_tensor(self._far_corner()))

    def sides(self, boxes: Any) -> Any:
        """Return the outputs from which `boxes` makes these boxes, as far as boxes hold the middles of cells."""
        centers = ops.convert_to_tensor(self.centers)
        distances = ops.concatenate([centers - boxes[..., :2], boxes[..., 2:] - centers], axis=-1)
        return ops.clip(ops.log(ops.maximum(distances, 1e-3) / self.reach), -LIMIT, LIMIT)

    def cells_of(self, boxes: Any) -> Any:
        """Return the column and the row of the cells that the middles of boxes [..., 4] lie in, float32 [..., 2]."""
        middles = (boxes[..., :2] + boxes[..., 2:]) / 2
        most = np.array([self.columns - 1, self.rows - 1], np.float32)
        return ops.clip(ops.floor(middles / self.stride), 0.0, ops.convert_to_tensor(most))

    def _far_corner(self) -> npt.NDArray[np.float32]:
        return np.array([self.width, self.height] * 2, np.float32)


# Areas and overlaps of boxes, xyxy


TINY = 1e-7


def areas(boxes: Any) -> Any:
    """Return the areas of boxes [..., 4]; 0 where sides are in the wrong order."""
    sizes = ops.maximum(boxes[..., 2:] - boxes[..., :2], 0.0)
    return sizes[..., 0] * sizes[..., 1]


def intersections(a: Any, b: Any) -> Any:
    """Return the area of the intersection of boxes, of shapes [..., 4] that broadcast."""
    sizes = ops.minimum(a[..., 2:], b[..., 2:]) - ops.maximum(a[..., :2], b[..., :2])
    sizes = ops.maximum(sizes, 0.0)
    return sizes[..., 0] * sizes[..., 1]


def pairwise_iou(a: Any, b: Any) -> Any:
    """Return the IoU of each of [..., K, 4] with each of [..., N, 4], as [..., K, N]; 0 where nothing has an area."""
    a, b = ops.expand_dims(a, -2), ops.expand_dims(b, -3)
    common = intersections(a, b)
    return common / ops.maximum(areas(a) + areas(b) - common, TINY)


def generalized_iou(a: Any, b: Any) -> Any:
    """Return the generalized IoU, −1 to 1, of boxes with those in the same places.

    Source: Rezatofighi et al. 2019.
    """
    common = intersections(a, b)
    union = areas(a) + areas(b) - common
    around = ops.concatenate([ops.minimum(a[..., :2], b[..., :2]), ops.maximum(a[..., 2:], b[..., 2:])], axis=-1)
    hull = areas(around)
    return common / ops.maximum(union, TINY) - (hull - union) / ops.maximum(hull, TINY)
