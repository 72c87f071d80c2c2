"""A line of YOLO's text files: a box, a polygon or oriented box, or a box with keypoints.

Source: https://docs.ultralytics.com/datasets: detect (5 numbers), segment (a class and the points of a polygon), obb (a
class and four corners), pose (5 numbers, then x, y and maybe visibility of each keypoint that `kpt_shape` counts). All
but the class and visibility are shares of width and height.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from precompute.fields.skeleton import NOT_LABELLED, VISIBLE
from precompute.sources.found_objects import FoundObject
from precompute.text.format import format_count

__all__ = ["fits_pose", "read_line"]

MAX_BEYOND = 2.0  # a share of a box that reaches beyond its image, and is clipped; more is taken for pixels
BOX = 5  # class, x and y of the middle, width, height


def read_line(words: Sequence[str], num_classes: int | None, kpt_shape: tuple[int, int] | None) -> FoundObject:
    """Return one line as a box, maybe with keypoints.

    Args:
        words: Words of the line.
        num_classes: Number of classes that have names; None where none has.
        kpt_shape: Number of keypoints, and of numbers that each has; None: lines are boxes or polygons.

    Raises:
        ValueError: The line is wrong; the message says how.
    """
    numbers = _numbers(words)
    points: Sequence[float] = ()
    if kpt_shape is not None:
        numbers, points = _pose(numbers, kpt_shape)
    else:
        _check_length(len(numbers))
    label, shares = numbers[0], numbers[1:]
    if label < 0 or not label.is_integer():
        raise ValueError(f"expected the number of a class, 0 or more, got {words[0]}")
    if num_classes is not None and label >= num_classes:
        raise ValueError(f"class {int(label)}, of {format_count(num_classes, 'name')} (0 to {num_classes - 1})")
    places = [*shares, *(share for i, share in enumerate(points) if i % 3 < 2)]
    if max(map(abs, places)) > MAX_BEYOND:
        raise ValueError(f"expected shares from 0 to 1, got {max(places, key=abs):g}: are these pixels?")
    return FoundObject(_sides(shares), int(label), points=tuple(points))


def _numbers(words: Sequence[str]) -> list[float]:
    try:
        numbers = [float(word) for word in words]
    except ValueError as error:
        raise ValueError(f"expected numbers alone, got {' '.join(words)!r:.60}") from error
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"expected finite numbers, got {' '.join(words)!r:.60}")
    return numbers


def _check_length(number: int) -> None:
    if number != BOX and (number < 7 or number % 2 == 0):
        hint = "; is the last one a confidence? These are no annotations" if number == 6 else ""
        if number > 7:
            hint = "; keypoints are told by kpt_shape in data.yaml"
        raise ValueError(f"expected 5 numbers, or a polygon of three points or more, got {number}{hint}")


def _pose(numbers: Sequence[float], kpt_shape: tuple[int, int]) -> tuple[list[float], list[float]]:
    """Return the numbers of the box, and x, y, visibility of each keypoint in turn."""
    count, size = kpt_shape
    expected = BOX + count * size
    if len(numbers) != expected:
        raise ValueError(
            f"expected {expected} numbers, a box and {format_count(count, 'keypoint')} of {size} (kpt_shape in "
            f"data.yaml), got {len(numbers)}"
        )
    points = []
    for i in range(BOX, expected, size):
        x, y = numbers[i : i + 2]
        # Without visibility, points that are not labelled are written as 0, 0 or with negative numbers.
        there = (x > 0 or y > 0) and x >= 0 and y >= 0
        points += [x, y, numbers[i + 2] if size == 3 else float(VISIBLE if there else NOT_LABELLED)]
    return list(numbers[:BOX]), points


def _sides(shares: Sequence[float]) -> tuple[float, float, float, float]:
    if len(shares) != BOX - 1:
        return min(shares[::2]), min(shares[1::2]), max(shares[::2]), max(shares[1::2])
    x, y, width, height = shares
    if width < 0 or height < 0:
        raise ValueError(f"expected a width and a height of 0 or more, got {width:g} and {height:g}")
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def fits_pose(words: Sequence[str]) -> bool:
    """Return whether a line that was read as a polygon could also be a box with keypoints of two numbers inside it."""
    _, x, y, width, height, *points = map(float, words)
    across, down = points[::2], points[1::2]
    return all(x - width / 2 <= share <= x + width / 2 for share in across) and all(
        y - height / 2 <= share <= y + height / 2 for share in down
    )
