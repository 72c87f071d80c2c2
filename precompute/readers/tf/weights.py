"""Weights of sources and classes: the third component of what `load` hands out."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, Protocol

import tensorflow as tf

from precompute.errors import UsageError, first_few
from precompute.readers.tf.fields import FieldTensors, Parts
from precompute.text.format import format_count

__all__ = ["ClassWeights", "make_weigher", "weights_of_classes"]

# A number per class; or a dictionary by index, as Keras takes it, or by name.
ClassWeights = Sequence[float] | Mapping[int, float] | Mapping[str, float]


class Classes(Protocol):
    """The attributes that fields with classes have."""

    @property
    def num_classes(self) -> int:
        """Number of classes."""

    @property
    def class_names(self) -> list[str]:
        """Name of each class; may be empty."""


def make_weigher(
    targets: Mapping[str, FieldTensors[Any]],
    of_sources: Mapping[str, FieldTensors[Any]],
    class_weights: ClassWeights | Mapping[str, ClassWeights] | None,
) -> Callable[[Mapping[str, Parts], Any], dict[str, Any]] | None:
    """Return a function: parts of all fields, shape [B] → weights of each target by its name.

    Weights are float32 [B, …]: of sources, of classes, or the product of both. None: there are no weights.

    Args:
        targets: Twins of the targets, by name.
        of_sources: Twins of the fields that say what sources weigh.
        class_weights: Weight of each class, or those of each target.

    Raises:
        UsageError: The weights fit no target, or not its classes.
    """
    if not of_sources and class_weights is None:
        return None
    given = {} if class_weights is None else _by_target(targets, class_weights)
    weighers = {
        name: twin.class_weigher(
            weights_of_classes(twin.field, given[name], twin.ignored_class) if name in given else None
        )
        for name, twin in targets.items()
    }

    def weigh(parts: Mapping[str, Parts], shape: Any) -> dict[str, Any]:
        factors = [twin.hand_out(parts[name]) for name, twin in of_sources.items()]
        found = {}
        for name, weigh_classes in weighers.items():
            of_target = factors if weigh_classes is None else [*factors, weigh_classes(parts[name])]
            found[name] = _product(*of_target) if of_target else tf.ones(shape)
        return found

    return weigh


def _by_target(targets: Mapping[str, FieldTensors[Any]], given: Any) -> dict[str, Any]:
    """Return class weights by target: as given, or those of the only target with classes."""
    classed = [name for name, twin in targets.items() if twin.has_classes]
    if not targets:
        raise UsageError("class_weights: the dataset holds images alone, of no classes.")
    if not classed:
        raise UsageError(f"class_weights: no target of the dataset has classes: {', '.join(targets)}.")
    names = list(given.keys()) if _is_dictionary(given) else []
    if len(targets) == 1 and not all(hasattr(given[name], "__iter__") for name in names):
        names = []  # of classes
    if names and all(name in targets for name in names):
        without = [name for name in names if name not in classed]
        if without:
            raise UsageError(f"class_weights: {without[0]!r} has no classes; targets that have: {', '.join(classed)}.")
        return dict(given.items())
    if len(classed) > 1:
        raise UsageError(
            f"class_weights: expected a dictionary of weights by target, out of {', '.join(classed)}, which all have "
            f"classes; got {given!r:.200}."
        )
    return {classed[0]: given}


def _product(weights: Any, others: Any = None) -> Any:
    """Return one kind of weights, float32 [B], or [B, …] if there is no other, times another, float32 [B, …]."""
    if others is None:
        return weights
    more = tf.ones(tf.rank(others) - 1, tf.int32)
    return others * tf.reshape(weights, tf.concat([tf.shape(weights), more], axis=0))


def weights_of_classes(target: Classes, given: Any, ignore_class: int | None = None) -> list[float]:
    """Return the weight of each class, in the order of their indices.

    Args:
        target: The field that has the classes.
        given: Numbers in that order, or a dictionary by the index or the name of each class; a pandas Series counts as
            a dictionary by its index.
        ignore_class: The class that masks ignore. A dictionary may leave it out; its weight is then 0.

    Raises:
        UsageError: A class is lacking or unknown, or a weight is not a number of 0 or more.
    """
    if _is_dictionary(given):
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


def _is_dictionary(given: Any) -> bool:
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
    """Return a whole number, NumPy's too, as an `int`; another key as it is, which names no class index."""
    try:
        return key if isinstance(key, bool | str) else operator.index(key)
    except TypeError:
        return key


def _number(weight: Any) -> float:
    """Return a weight as a float; NaN for what is no number."""
    try:
        return math.nan if isinstance(weight, str | bytes | bool) else float(weight)
    except (TypeError, ValueError):
        return math.nan
