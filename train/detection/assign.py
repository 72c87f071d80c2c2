"""Which cell is to find which object.

Each object is the peak of a Gaussian as wide and high as a share of it; a cell belongs to the object whose Gaussian is
highest there. Where two objects have their middles in one cell, the smaller has it.

Source: Zhou et al. 2019 (CenterNet) for the Gaussians, Liu et al. 2020 (TTFNet) for their shape and for learning the
sides from all cells near the middle.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from keras import ops

from train.detection.geometry import areas
from train.detection.grid import Grid
from train.detection.truth import COUNTED, KIND, LABEL, WEIGHT

__all__ = ["Assignment", "assign"]

SPREAD = 0.1  # standard deviation of the Gaussians, as a share of width and height
NARROWEST = 0.3  # cells: the neighbours of a tiny object are no part of it


class Assignment(NamedTuple):
    """What each cell is to learn.

    Attributes:
        heat: float32 [B, cells]: 1 in the cell that holds an object's middle, less around it, 0 far from all.
        labels: int32 [B, cells]: class of the object that the cell belongs to.
        boxes: float32 [B, cells, 4]: its box.
        weights: float32 [B, cells]: its weight.
        counts: bool [B, cells]: false inside objects that are not to be learnt, unless the cell belongs to another.
    """

    heat: Any
    labels: Any
    boxes: Any
    weights: Any
    counts: Any


def assign(truth: Any, grid: Grid) -> Assignment:
    """Return what each cell is to learn of the objects of its image, [B, N, 7]."""
    smallest_first = ops.argsort(areas(truth[..., :4]), axis=-1)
    truth = ops.take_along_axis(truth, ops.expand_dims(smallest_first, -1), axis=1)
    boxes, is_object = truth[..., :4], truth[..., LABEL] >= 0
    counted = ops.logical_and(is_object, ops.equal(truth[..., KIND], COUNTED))
    ignored = ops.logical_and(is_object, ops.not_equal(truth[..., KIND], COUNTED))

    heat = ops.where(ops.expand_dims(counted, -1), _gaussians(boxes, grid), 0.0)  # [B, N, cells]
    owner = ops.argmax(heat, axis=1)
    highest = ops.max(heat, axis=1)
    owned = ops.take_along_axis(truth, ops.expand_dims(owner, -1), axis=1)
    inside = ops.any(ops.logical_and(ops.expand_dims(ignored, -1), _holds(boxes, grid)), axis=1)
    return Assignment(
        heat=highest,
        labels=ops.cast(ops.maximum(owned[..., LABEL], 0), "int32"),
        boxes=owned[..., :4],
        weights=owned[..., WEIGHT],
        counts=ops.logical_or(ops.equal(highest, 1.0), ops.logical_not(inside)),
    )


def _gaussians(boxes: Any, grid: Grid) -> Any:
    """Return the height [B, N, cells] of each box's Gaussian in each cell: exactly 1 where its middle is."""
    deviations = ops.maximum((boxes[..., 2:] - boxes[..., :2]) * (SPREAD / grid.stride), NARROWEST)
    middles = grid.cells_of(boxes)
    across, down = (
        ops.exp(-ops.square((np.arange(size, dtype=np.float32) - middles[..., i, None]) / deviations[..., i, None]) / 2)
        for i, size in enumerate((grid.columns, grid.rows))
    )
    return _cells(ops.expand_dims(down, -1) * ops.expand_dims(across, -2), grid)


def _holds(boxes: Any, grid: Grid) -> Any:
    """Return whether the middle of each cell lies in each box, bool [B, N, cells]."""
    middles = ((np.arange(size, dtype=np.float32) + 0.5) * grid.stride for size in (grid.columns, grid.rows))
    across, down = (
        ops.logical_and(middle >= boxes[..., i, None], middle <= boxes[..., i + 2, None])
        for i, middle in enumerate(middles)
    )
    return _cells(ops.logical_and(ops.expand_dims(down, -1), ops.expand_dims(across, -2)), grid)


def _cells(maps: Any, grid: Grid) -> Any:
    return ops.reshape(maps, (-1, maps.shape[1], grid.num_cells))
