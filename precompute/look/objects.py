"""Masks of single objects as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["object_numbers"]


def object_numbers(masks: Sequence[NDArray[np.bool_]] | NDArray[np.bool_]) -> NDArray[np.int32] | None:
    """Return the number of the object in each pixel, smaller ones on top; None without any.

    Args:
        masks: bool [H, W] each.

    Returns:
        int32 [H, W], from 1; 0 where there is none.
    """
    if not len(masks):
        return None
    numbers: NDArray[Any] = np.zeros(masks[0].shape, np.int32)
    for i in sorted(range(len(masks)), key=lambda i: -int(masks[i].sum())):
        numbers[masks[i]] = i + 1
    return numbers
