"""Masks of COCO files: polygons, runs, compressed runs → run-length codes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from precompute.fields.boxes import UNKNOWN_SIZE
from precompute.fields.rle import area_of, box_of, code_of_counts, code_of_polygons, pycocotools_mask
from precompute.sources.problems import ProblemKind, WrongEntry
from precompute.text.format import format_count

__all__ = ["around_segmentation", "code_of_segmentation"]

MIN_NUMBERS = 6  # three points; pycocotools takes four numbers for a box
FAR = 10  # times height and width
UNREADABLE = ProblemKind("Segmentations that cannot be read", "Fix them, or take their annotations out.")


def code_of_segmentation(segmentation: Any, size: tuple[int, int]) -> str | None:
    """Return the compressed run-length code of a segmentation; None where it holds no pixel.

    Polygons of less than three points hold none.

    Args:
        segmentation: Polygons, runs or a compressed code; None or an empty list where there is no mask.
        size: Width and height of the image.

    Raises:
        WrongEntry: It is no segmentation, or does not fit the image.
        UsageError: pycocotools is missing.
    """
    if segmentation is None or segmentation == []:
        return None
    if size == UNKNOWN_SIZE:
        raise WrongEntry(UNREADABLE, "the size of its image is not known")
    pycocotools_mask()  # said as it is where it is missing
    width, height = size
    try:
        code = _code(segmentation, height, width)
    except ValueError as error:
        raise WrongEntry(UNREADABLE, str(error)) from error
    return code if code is not None and area_of(code, height, width) else None


def _code(segmentation: Any, height: int, width: int) -> str | None:
    if isinstance(segmentation, Mapping):
        return _code_of_runs(segmentation, height, width)
    if not isinstance(segmentation, list):
        raise ValueError(f"expected polygons or a run-length code, got {segmentation!r:.60}")
    for polygon in segmentation:
        if not isinstance(polygon, list) or not _are_numbers(polygon):
            raise ValueError(f"expected polygons, lists of x and y in turn, got {polygon!r:.60}")
        if len(polygon) % 2:
            raise ValueError(f"a polygon has {format_count(len(polygon), 'number')}; x and y come in pairs")
        if max(map(abs, polygon), default=0) > FAR * (height + width):  # pycocotools would walk all the way
            raise ValueError(f"a polygon reaches {max(map(abs, polygon)):g}, far outside of its image")
    areas = [polygon for polygon in segmentation if len(polygon) >= MIN_NUMBERS]
    return code_of_polygons(areas, height, width) if areas else None


def _are_numbers(polygon: Sequence[Any]) -> bool:
    return set(map(type, polygon)) <= {int, float} and math.isfinite(sum(polygon))


def _code_of_runs(segmentation: Mapping[str, Any], height: int, width: int) -> str:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != [height, width]:
        raise ValueError(f"its run-length code is made for {size!r:.40} (height, width), its image is {height}×{width}")
    if not isinstance(counts, list | str) or not counts:
        raise ValueError(f"expected runs or a compressed code under counts, got {counts!r:.40}")
    return code_of_counts(counts, height, width)


def around_segmentation(segmentation: Any) -> list[float] | None:
    """Return x, y, width and height of the box around a segmentation; None where there is none to read."""
    if isinstance(segmentation, Mapping):
        pycocotools_mask()
    try:
        if isinstance(segmentation, Mapping):
            height, width = segmentation["size"]
            return box_of(code_of_counts(segmentation["counts"], height, width), height, width)
        points = [float(number) for polygon in segmentation or () for number in polygon]
    except (KeyError, TypeError, ValueError):
        return None
    if not points or any(len(polygon) % 2 for polygon in segmentation):
        return None
    x, y = points[::2], points[1::2]
    return [min(x), min(y), max(x) - min(x), max(y) - min(y)]
