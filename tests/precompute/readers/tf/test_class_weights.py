"""Weights of classes, as numbers or dictionaries, come out at the classes that are meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies

import precompute
from precompute.errors import UsageError
from precompute.fields.label import LabelField
from precompute.readers.tf.weights import weights_of_classes
from tests.helpers.small_datasets import draw_classes, options

CLASSES = LabelField(name="label", num_classes=3, class_names=["cat", "dog", "1"])


class Column:
    """What of a pandas Series is used."""

    def __init__(self, values: list[Any], index: list[Any]) -> None:
        self.values, self.index = values, index

    def keys(self) -> list[Any]:
        return self.index

    def items(self) -> Any:
        return zip(self.index, self.values, strict=True)

    def __iter__(self) -> Any:
        return iter(self.values)


def test_dictionaries_reach_the_labels(tmp_path: Path) -> None:
    precompute.build(draw_classes(tmp_path / "data"), tmp_path / "out", **options(variants=1, validation_split=0))
    for asked in ({np.int64(1): 2.0, np.int64(0): 1.0}, {"dog": 2.0, "cat": 1.0}):
        for _, labels, weights in precompute.load(tmp_path / "out", class_weights=asked, cache=False):
            np.testing.assert_array_equal(weights, np.array([1, 2], np.float32)[labels.numpy()])


@given(strategies.permutations(range(3)))
def test_the_order_of_a_dictionary_decides_nothing(order: list[int]) -> None:
    weights = [0.5, 2.0, 7.0]
    assert weights_of_classes(CLASSES, {i: weights[i] for i in order}) == weights
    assert weights_of_classes(CLASSES, {CLASSES.class_names[i]: weights[i] for i in order}) == weights
    assert weights_of_classes(CLASSES, Column([weights[i] for i in order], list(order))) == weights
    assert weights_of_classes(CLASSES, np.array(weights)) == weights


def test_a_dictionary_may_leave_out_the_ignore_class() -> None:
    assert weights_of_classes(CLASSES, {0: 1, 2: 3}, ignore_class=1) == [1, 0, 3]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({0: 1, 1: 2}, r"these classes have none:\n  2: '1'"),
        ({"cat": 1, "1": 2}, r"these classes have none:\n  1: 'dog'"),
        ({0: 1, 1: 2, 2: 3, 3: 4}, "no class has the name or index 3; the classes are:\n  0: 'cat'"),
        ({"cat": 1, "Dog": 2, "1": 3}, "no class has the name or index 'Dog'"),
        ({"cat": 1, 1: 2, 2: 3}, "no class has the name or index 'cat'"),
        ({True: 1, 0: 2, 2: 3}, "no class has the name or index True"),
        ({}, r"these classes have none"),
        ({0: 1, 1: 2, 2: float("nan")}, "expected 3 numbers, one a class, none below 0; got"),
        ([1, 2, "3"], "expected 3 numbers, one a class"),
        ([1, 2], "expected 3 numbers, one a class"),
        ({1, 2, 3}, "expected a list of numbers, or a dictionary by class, got set"),
        ("balanced", "expected a list of numbers, or a dictionary by class, got str"),
        (2.0, "expected a list of numbers, or a dictionary by class, got float"),
    ],
)
def test_weights_that_name_not_each_class_once_are_refused(given: Any, message: str) -> None:
    with pytest.raises(UsageError, match=f"class_weights: {message}"):
        weights_of_classes(CLASSES, given)
