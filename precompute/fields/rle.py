"""Run-length codes and polygons of COCO, read by its own library pycocotools, which is needed only here.

Source: https://github.com/cocodataset/cocoapi/blob/master/PythonAPI/pycocotools/mask.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.errors import UsageError
from precompute.text.format import format_count

__all__ = ["area_of", "box_of", "code_of_counts", "code_of_polygons", "decode_code", "pycocotools_mask"]

FIRST, LAST = ord("0"), ord("0") + 63  # six bits a letter
MAX_LETTERS = 7  # of a number: 35 bits


def pycocotools_mask() -> Any:
    """Return the module that knows run-length codes.

    Raises:
        UsageError: It is not installed.
    """
    try:
        from pycocotools import mask
    except ImportError as error:
        raise UsageError("masks of COCO need pycocotools: pip install 'augment-once[coco]'.") from error
    return mask


def code_of_polygons(polygons: Sequence[Sequence[float]], height: int, width: int) -> str:
    """Return the compressed code of the area that several polygons cover together.

    Args:
        polygons: Polygons of one object, each x and y in turn, in pixels, of three points or more.
        height: Height of the image.
        width: Width of the image.
    """
    mask = pycocotools_mask()
    parts = mask.frPyObjects(list(polygons), height, width)
    whole = parts[0] if len(parts) == 1 else mask.merge(parts)
    return str(whole["counts"].decode("ascii"))


def code_of_counts(counts: Sequence[int] | str, height: int, width: int) -> str:
    """Return the compressed code of runs, given by their lengths or as a compressed code, which is then checked.

    Raises:
        ValueError: The runs do not fit an image of this size.
    """
    runs = _runs(counts) if isinstance(counts, str) else list(counts)
    if any(isinstance(run, bool) or not isinstance(run, int) or run < 0 for run in runs):
        raise ValueError("its runs are not whole numbers of 0 or more")
    if sum(runs) != height * width:
        raise ValueError(
            f"its runs are {format_count(sum(runs), 'pixel')} long together, {height}×{width} are {height * width:,}"
        )
    if isinstance(counts, str):
        return counts
    code = pycocotools_mask().frPyObjects({"counts": runs, "size": [height, width]}, height, width)
    return str(code["counts"].decode("ascii"))


def _runs(code: str) -> list[int]:
    """Return the lengths of the runs of a compressed code, as `rleFrString` of COCO's maskApi.c reads them."""
    runs, value, shift = list[int](), 0, 0
    for letter in code.encode(errors="replace"):
        if not FIRST <= letter <= LAST or shift >= 5 * MAX_LETTERS:
            raise ValueError("it is no compressed run-length code")
        bits = letter - FIRST
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value, shift = 0, 0
    if shift:
        raise ValueError("it ends within a number")
    return runs


def decode_code(code: str, height: int, width: int) -> NDArray[np.uint8]:
    """Return the mask of a compressed code, uint8 [H, W], 0 and 1."""
    decoded: NDArray[np.uint8] = pycocotools_mask().decode(_object(code, height, width))
    return np.ascontiguousarray(decoded)


def area_of(code: str, height: int, width: int) -> int:
    """Return the number of pixels in the mask of a compressed code."""
    return int(pycocotools_mask().area(_object(code, height, width)))


def box_of(code: str, height: int, width: int) -> list[float]:
    """Return x, y, width and height of the box around the mask of a compressed code."""
    return [float(side) for side in pycocotools_mask().toBbox(_object(code, height, width))]


def _object(code: str, height: int, width: int) -> dict[str, Any]:
    return {"size": [height, width], "counts": code.encode("ascii")}
