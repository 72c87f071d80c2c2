"""Values of records of any fields: equal to themselves, and what differs is measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from precompute.comparing.values import Change, compare_values, flat_values, summarize
from precompute.records.stored import decode_record
from tests.helpers.combined_fields import Drawn, combined_fields


@settings(max_examples=50)  # each makes two whole records
@given(one=combined_fields(), other=combined_fields())
def test_records_of_any_fields_equal_themselves_and_can_be_compared(one: Drawn, other: Drawn) -> None:
    values = [flat_values(decode_record(drawn.record, drawn.schema), drawn.schema) for drawn in (one, other)]
    assert compare_values(values[0], values[0]) == {}
    found = compare_values(*values)
    assert found.keys() <= values[0].keys() & values[1].keys()
    assert all(0 < change.share <= 1 for change in found.values())
    assert found.keys() == compare_values(values[1], values[0]).keys()


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (np.uint8([[[0, 9, 9]]]), np.uint8([[[255, 9, 9]]]), Change(share=1 / 3, mean=85.0, largest=255.0)),
        (np.uint8([[0, 1, 2, 2]]), np.uint8([[0, 1, 2, 3]]), Change(share=0.25)),  # a mask
        (np.uint16([[[7, 1]]]), np.uint16([[[7, 2]]]), Change(share=0.5)),
        (np.float32([[1, 2]]), np.float32([[1, 2.5]]), Change(share=0.5, mean=0.25, largest=0.5)),
        (np.float32([[1, 2]]), np.float32([[1, 2], [3, 4]]), Change(share=1.0, has_other_shape=True)),
        (np.float32([np.nan, 1]), np.float32([np.nan, 1]), None),
        (np.float32([np.nan, 1]), np.float32([0, 1]), Change(share=0.5, mean=0.0, largest=0.0)),
        ("cat", "dog", Change(share=1.0)),
        (3, 3, None),
        (np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32), None),
    ],
)
def test_what_differs_is_measured(a: Any, b: Any, expected: Change | None) -> None:
    assert compare_values({"x": a, "only": 1}, {"x": b}) == ({} if expected is None else {"x": expected})


def test_a_sample_is_summarized() -> None:
    pairs = [{"x": Change(share=0.5, mean=2, largest=4)}, {}, {"x": Change(share=1.0, has_other_shape=True)}]
    [value] = summarize(pairs)
    assert (value.num_pairs, value.num_different, value.num_other_shape) == (3, 2, 1)
    assert (value.share, value.mean, value.largest) == (0.75, 2, 4)
