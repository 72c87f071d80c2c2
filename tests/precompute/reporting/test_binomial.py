"""Bounds of counts, against the binomial distribution in exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precompute.reporting.binomial import likely_counts


def chance_of(hits: range, num: int, share: Fraction) -> Fraction:
    """The chance that the number of hits is one of these."""
    return sum((math.comb(num, k) * share**k * (1 - share) ** (num - k) for k in hits), Fraction(0))


@settings(deadline=None, max_examples=60)
@given(num=st.integers(1, 80), percent=st.integers(1, 99), once_in=st.sampled_from([20, 1_000, 20_000]))
def test_what_lies_outside_is_rare_and_the_bounds_themselves_are_not(num: int, percent: int, once_in: int) -> None:
    share, rare = Fraction(percent, 100), Fraction(1, 2 * once_in)
    low, high = likely_counts(num, percent / 100, once_in)
    assert 0 <= low <= high <= num
    assert chance_of(range(low), num, share) <= rare
    assert chance_of(range(high + 1, num + 1), num, share) <= rare
    assert chance_of(range(low + 1), num, share) > rare
    assert chance_of(range(high, num + 1), num, share) > rare


@pytest.mark.parametrize(("share", "expected"), [(0.0, (0, 0)), (1.0, (50, 50))])
def test_what_is_sure_has_no_room(share: float, expected: tuple[int, int]) -> None:
    assert likely_counts(50, share) == expected


def test_large_samples_have_bounds_near_the_share() -> None:
    low, high = likely_counts(100_000, 0.25)
    assert 24_000 < low < 25_000 < high < 26_000
