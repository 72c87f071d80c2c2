"""Features of a record → masks of single objects: one PNG each, of which every value above 0 is inside.

Source: https://github.com/tensorflow/models/blob/master/research/object_detection/data_decoders/tf_example_decoder.py
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from precompute.errors import DatasetError
from precompute.text.format import format_count

__all__ = ["MASK_KEY", "box_around", "decode_masks"]

MASK_KEY = "image/object/mask"
MAX_PIXELS = 2**30  # of all masks of a record


def decode_masks(features: dict[str, Any], *, height: int, width: int) -> NDArray[np.bool_]:
    """Return the masks of a record, bool [N, H, W].

    Raises:
        DatasetError: One of them is no PNG of that size.
    """
    values = features.get(MASK_KEY)
    if values is None or not all(isinstance(value, bytes) for value in values):
        raise DatasetError(f"{MASK_KEY}: expected a list of PNGs, got {values!r:.60}.")
    if len(values) * height * width > MAX_PIXELS:
        raise DatasetError(
            f"{MASK_KEY}: {format_count(len(values), 'mask')} of {height}×{width}: more than can be meant."
        )
    masks = np.zeros((len(values), height, width), bool)
    for i, content in enumerate(values):
        masks[i] = _decode(content, height, width)
    return masks


def _decode(content: bytes, height: int, width: int) -> NDArray[np.bool_]:
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            if (picture.height, picture.width) != (height, width):
                raise DatasetError(
                    f"{MASK_KEY}: a mask of {picture.height}×{picture.width}, image/height and width say "
                    f"{height}×{width}."
                )
            return np.asarray(picture) > 0
    except DatasetError:
        raise
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise DatasetError(f"{MASK_KEY}: not a whole PNG ({error}).") from error


def box_around(mask: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """Return x_min, y_min, x_max, y_max of the box around a mask, by edges; None where it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
