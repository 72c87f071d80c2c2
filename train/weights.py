"""Weights in the loss, of classes and of targets; loads nothing heavy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from precompute.errors import UsageError
from precompute.text.names import format_names, parse_names

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "balanced_weights",
    "check_loss_weights",
    "parse_weights",
    "read_loss_weights",
]


def balanced_weights(counts: npt.NDArray[np.int64]) -> list[float]:
    """Return weights with which all classes count equally in sum, from the numbers [C] of their targets.

    The mean weight of a target is 1, so that the learning rate keeps its meaning. A class that does not occur gets 1.
    """
    occurring = (counts != 0).sum()
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


# How much each of several targets counts


def read_loss_weights(given: Any) -> dict[str, float]:
    """Return the weight of each target from ``["label=1", "mask=0.5"]``, such a text, or a mapping.

    Raises:
        UsageError: It is none of these, or a weight is not a number of 0 or more.
    """
    expected = "--loss-weights: expected a number of 0 or more by target, such as label=1 mask=0.5"
    if not isinstance(given, Mapping):
        parts = given.split() if isinstance(given, str) else given
        if not isinstance(parts, Sequence) or not all(isinstance(part, str) and "=" in part for part in parts):
            raise UsageError(f"{expected}; got {given!r}.")
        given = dict(part.split("=", 1) for part in parts)
    try:
        weights = {str(name): float(weight) for name, weight in given.items()}
    except (TypeError, ValueError):
        raise UsageError(f"{expected}; got {given!r}.") from None
    if not weights or not all(0 <= weight < math.inf for weight in weights.values()):
        raise UsageError(f"{expected}; got {given!r}.")
    return weights


def check_loss_weights(given: Mapping[str, float] | None, names: Sequence[str]) -> None:
    """Raise `UsageError` for weights of targets that are not learnt, or all 0, or where one target alone is learnt."""
    if given is None:
        return
    if len(names) < 2:
        raise UsageError(f"--loss-weights: it weighs several targets, and one is learnt; got {format_weights(given)}.")
    unknown = [name for name in given if name not in names]
    if unknown:
        raise UsageError(f"--loss-weights: no target that is learnt is {unknown[0]!r}; they are {', '.join(names)}.")
    if not any(given.get(name, 1.0) for name in names):
        raise UsageError(f"--loss-weights: with 0 for all targets nothing is learnt; got {format_weights(given)}.")


def format_weights(weights: Mapping[str, float]) -> str:
    """Return weights as the command line takes them."""
    return " ".join(f"{name}={weight:g}" for name, weight in weights.items())
