"""Weights of classes in the loss."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from precompute.errors import UsageError
from precompute.text.names import format_names, parse_names

__all__ = ["balanced_weights", "parse_weights"]


def balanced_weights(counts: npt.NDArray[np.int64]) -> list[float]:
    """Return weights with which all classes count equally in sum, from the numbers [C] of their targets.

    The mean weight of a target is 1, so that the learning rate keeps its meaning. A class that does not occur gets 1.
    """
    occurring = np.count_nonzero(counts)
    return [float(counts.sum() / (occurring * count)) if count else 1.0 for count in counts]


def parse_weights(text: str, class_names: Sequence[str]) -> list[float]:
    """Return the weight of each class from text such as ``"shoes=3,2=0.5"``; those not named weigh 1.

    Raises:
        UsageError: A class is unknown or named twice, or a weight is not a number of 0 or more.
    """
    weights: dict[int, float] = {}
    for part in parse_names(text):
        name, _, number = (piece.strip() for piece in part.rpartition("="))
        class_id = class_names.index(name) if name in class_names else int(name) if name.isdecimal() else -1
        if not 0 <= class_id < len(class_names):
            raise UsageError(
                f"--class-weights: expected none, balanced, or a number for some of the classes "
                f"{', '.join(class_names[:20])} (or their ids), such as "
                f"{format_names([class_names[-1]])}=2; got {part!r}."
            )
        if class_id in weights:
            raise UsageError(f"--class-weights: {class_names[class_id]} is given twice, got {text!r}.")
        try:
            weights[class_id] = float(number)
        except ValueError:
            weights[class_id] = math.nan
        if not 0 <= weights[class_id] < math.inf:
            raise UsageError(f"--class-weights: expected a number of 0 or more for {name}, got {number!r}.")
    return [weights.get(class_id, 1.0) for class_id in range(len(class_names))]
