"""Small triangles that a pipeline moves along: which way round they come back tells whether it mirrored the image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CORNERS", "POINT_FIELD", "is_mirrored", "moved_points", "triangles_on", "was_mirrored"]

POINT_FIELD = "keypoint_index"  # what points carry to be known by
# Where the triangles are: shares of width and height, no two in one tile of a coarse grid.
TRIANGLES = np.array([(0.31, 0.37), (0.71, 0.29), (0.53, 0.61), (0.23, 0.79), (0.83, 0.73)])
LEG = 1.0  # pixels
CORNERS = -1 - np.arange(3 * len(TRIANGLES))  # the number of each corner, below those of keypoints


def triangles_on(size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the corners of the triangles on an image of this width and height, float64 [15, 2], pixels by edges."""
    corners: NDArray[np.float64] = (TRIANGLES * size)[:, None] + LEG * np.array([(0, 0), (1, 0), (0, 1)])
    return corners.reshape(-1, 2)


def was_mirrored(made: Mapping[str, Any]) -> bool:
    """Return whether an image was mirrored, from what a Compose made of points that `hand_over` handed over."""
    numbers, xy = moved_points(made)
    return is_mirrored(numbers, xy)


def moved_points(made: Mapping[str, Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the number of each point that came back, once, and where it is, in pixels by edges."""
    numbers, first = np.unique(np.asarray(made[POINT_FIELD], np.int64), return_index=True)  # there may be copies
    return numbers, np.asarray(made["keypoints"], np.float64).reshape(-1, 2)[first] + 0.5


def is_mirrored(numbers: NDArray[np.int64], xy: NDArray[Any]) -> bool:
    """Return whether most triangles came back the other way round.

    Args:
        numbers: Number of each point that came back.
        xy: Where it is, [number of points, 2].
    """
    of_number = dict(zip(numbers.tolist(), xy, strict=True))
    turns = 0.0
    for i in range(len(TRIANGLES)):
        corners = [of_number.get(-1 - 3 * i - corner) for corner in range(3)]
        if all(corner is not None for corner in corners):
            a, b, c = corners
            turns += np.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))  # type: ignore[index]
    return bool(turns < 0)
