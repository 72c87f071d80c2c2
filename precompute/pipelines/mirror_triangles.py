"""Small triangles that a pipeline moves: their orientation afterwards tells whether it mirrored the image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CORNERS", "POINT_FIELD", "is_mirrored", "moved_points", "triangles_on", "was_mirrored"]

POINT_FIELD = "keypoint_index"  # what points carry to be known by
# Positions of the triangles as shares of width and height, no two in one tile of a coarse grid.
TRIANGLES = np.array([(0.31, 0.37), (0.71, 0.29), (0.53, 0.61), (0.23, 0.79), (0.83, 0.73)])
LEG = 1.0  # pixels
CORNERS = -1 - np.arange(3 * len(TRIANGLES))  # the number of each corner, below those of keypoints


def triangles_on(size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the triangles' corners on an image of this width and height, float64 [15, 2], in pixels by edges."""
    corners: NDArray[np.float64] = (TRIANGLES * size)[:, None] + LEG * np.array([(0, 0), (1, 0), (0, 1)])
    return corners.reshape(-1, 2)


def was_mirrored(made: Mapping[str, Any]) -> bool:
    """Return whether an image was mirrored, from a Compose's result for the points of `hand_over`."""
    numbers, xy = moved_points(made)
    return is_mirrored(numbers, xy)


def moved_points(made: Mapping[str, Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the number of each point that came back, each once, and its position in pixels by edges."""
    numbers, first = np.unique(np.asarray(made[POINT_FIELD], np.int64), return_index=True)  # there may be copies
    return numbers, np.asarray(made["keypoints"], np.float64).reshape(-1, 2)[first] + 0.5


def is_mirrored(numbers: NDArray[np.int64], xy: NDArray[Any]) -> bool:
    """Return whether most triangles came back with the opposite orientation.

    Args:
        numbers: Number of each point that came back.
        xy: Positions of these points, [number of points, 2].
    """
    of_number = dict(zip(numbers.tolist(), xy, strict=True))
    turns = 0.0
    for i in range(len(TRIANGLES)):
        corners = [of_number.get(-1 - 3 * i - corner) for corner in range(3)]
        if all(corner is not None for corner in corners):
            a, b, c = corners
            turns += np.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))  # type: ignore[index]
    return bool(turns < 0)
