"""The choice of examples of a split to look at: the best, the median and the worst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["STANDINGS", "Sample", "choose_samples"]

STANDINGS = ("best", "median", "worst")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """An example with its prediction.

    Attributes:
        image: uint8 [H, W, C].
        truth: Class ids: a scalar, or [H, W].
        predicted: Class ids of the same shape.
        confidence: Probability of the predicted class; for masks its mean over the pixels.
        standing: ``"best"``, ``"median"`` or ``"worst"`` of the split.
        score: Score by which it was chosen, from 0 to 1; NaN where there is nothing to judge.
    """

    image: npt.NDArray[np.uint8]
    truth: npt.NDArray[Any]
    predicted: npt.NDArray[Any]
    confidence: float
    standing: str
    score: float


def choose_samples(scores: Sequence[float], num_samples: int) -> dict[int, str]:
    """Choose equally many examples of the best, the median and the worst.

    Args:
        scores: Score of each image; higher is better. Images with NaN are passed over, unless all have NaN.
        num_samples: Number of examples to choose; a third for each standing, rounded down, at least one.

    Returns:
        Position of the image → its standing; the best image first, the worst last.
    """
    values = np.asarray(scores, np.float64)
    order = np.argsort(-values, kind="stable")  # NaN comes last
    order = order[: np.count_nonzero(~np.isnan(values)) or len(order)]
    each = max(1, min(num_samples, len(order)) // len(STANDINGS))
    middle = (len(order) - each) // 2
    parts = (order[:each], order[middle : middle + each], order[-each:])
    chosen: dict[int, str] = {}
    for standing, part in zip(STANDINGS, parts, strict=True):
        for position in part:
            chosen.setdefault(int(position), standing)  # of fewer than three images, one is best and the other worst
    return chosen
