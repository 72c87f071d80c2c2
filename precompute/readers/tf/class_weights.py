"""What each class weighs: a number a class, or a dictionary by index, as Keras takes it, or by name."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence, Set
from typing import Any, Protocol

import tensorflow as tf

from precompute.errors import UsageError, first_few
from precompute.text.format import format_count

__all__ = ["ClassWeights", "gather_weights", "is_dictionary", "weights_of_classes"]

ClassWeights = Sequence[float] | Mapping[int, float] | Mapping[str, float]


class Classes(Protocol):
    """What is asked of a field that has classes."""

    @property
    def num_classes(self) -> int:
        """How many there are."""

    @property
    def class_names(self) -> list[str]:
        """Name of each; may be empty."""


def weights_of_classes(target: Classes, given: Any, ignore_class: int | None = None) -> list[float]:
    """Return the weight of each class, in the order of their indices.

    Args:
        target: The field that has the classes.
        given: Numbers in that order, or a dictionary from each class's index, or from each class's name; a pandas
            Series is one by its index.
        ignore_class: The class that masks ignore. It may be left out of a dictionary, and then weighs nothing.

    Raises:
        UsageError: A class is lacking or unknown, or a weight is not a number of 0 or more.
    """
    if is_dictionary(given):
        given = _from_dictionary(target, dict(given.items()), ignore_class)
    if isinstance(given, str | bytes | Set) or not hasattr(given, "__iter__"):
        raise UsageError(
            f"class_weights: expected a list of numbers, or a dictionary by class, got {type(given).__name__}."
        )
    weights = [_number(weight) for weight in given]
    if len(weights) != target.num_classes or not all(0 <= weight < math.inf for weight in weights):
        raise UsageError(
            f"class_weights: expected {format_count(target.num_classes, 'number')}, one a class, none below 0; got "
            f"{list(given)}."
        )
    return weights


def gather_weights(weights: Sequence[float], ids: Any) -> Any:
    """Return the weight of each class id, float32 in the shape of the ids; 0 for those that are no class."""
    ids = tf.cast(ids, tf.int32)
    known = (ids >= 0) & (ids < len(weights))
    return tf.gather(tf.constant([*weights, 0.0], tf.float32), tf.where(known, ids, len(weights)))


def is_dictionary(given: Any) -> bool:
    """Return whether weights are given by key, as dictionaries and pandas' Series are."""
    return hasattr(given, "keys") and hasattr(given, "items")


def _from_dictionary(target: Classes, given: Mapping[Any, Any], ignore_class: int | None) -> list[Any]:
    by_name = all(isinstance(key, str) for key in given)
    classes: list[Any] = target.class_names if by_name else list(range(target.num_classes))
    weights = {key if by_name else _index(key): weight for key, weight in given.items()}
    unknown = [repr(key) for key in weights if isinstance(key, bool) or key not in classes]
    if unknown:
        expected = first_few([_shown(target, index) for index in range(target.num_classes)])
        raise UsageError(
            f"class_weights: no class has the name or index {', '.join(unknown[:5])}; the classes are:\n{expected}"
        )
    if ignore_class is not None and ignore_class < len(classes):
        weights.setdefault(classes[ignore_class], 0.0)
    lacking = [_shown(target, index) for index, known in enumerate(classes) if known not in weights]
    if lacking:
        raise UsageError(f"class_weights: these classes have none:\n{first_few(lacking)}\nGive each class a weight.")
    return [weights[known] for known in classes]


def _shown(target: Classes, index: int) -> str:
    return f"{index}: {target.class_names[index]!r}" if target.class_names else str(index)


def _index(key: Any) -> Any:
    """Return a key of Python's own for a whole number, NumPy's too; another key as it is, which is no class."""
    try:
        return key if isinstance(key, bool | str) else operator.index(key)
    except TypeError:
        return key


def _number(weight: Any) -> float:
    """Return a weight, NaN for what is no number."""
    try:
        return math.nan if isinstance(weight, str | bytes | bool) else float(weight)
    except (TypeError, ValueError):
        return math.nan
