"""How much each of several targets counts in the loss; loads nothing heavy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from precompute.errors import UsageError

__all__ = ["check_loss_weights", "read_loss_weights"]


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
