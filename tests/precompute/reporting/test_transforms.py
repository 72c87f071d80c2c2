"""Bounds of counts, against the binomial distribution in exact fractions; and correlations of transforms."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from precompute.reporting.transforms import ONCE_IN, correlate, likely_counts


def chance_of(hits: range, num: int, share: Fraction) -> Fraction:
    """The chance that the number of hits is one of these."""
    return sum((math.comb(num, k) * share**k * (1 - share) ** (num - k) for k in hits), Fraction(0))


@settings(max_examples=60)
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


def correlated(first: NDArray[np.bool_], second: NDArray[np.bool_], once_in: int = ONCE_IN) -> tuple[float, float]:
    both = int((first & second).sum())
    return correlate(len(first), int(first.sum()), int(second.sum()), both, once_in)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), shares=st.tuples(*[st.sampled_from([0.01, 0.1, 0.5, 0.9])] * 2))
def test_the_correlation_is_that_of_numpy_and_chance_keeps_within_its_bound(
    seed: int, shares: tuple[float, float]
) -> None:
    rng = np.random.default_rng(seed)
    first, second = (rng.random(800) < share for share in shares)
    if not 0 < first.sum() < 800 or not 0 < second.sum() < 800:
        return
    found, bound = correlated(first, second, once_in=10**9)
    assert found == pytest.approx(np.corrcoef(first, second)[0, 1], abs=1e-12)
    assert abs(found) <= bound


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_transforms_that_share_their_draws_lie_beyond(share: float) -> None:
    fired = np.random.default_rng(3).random(800) < share
    found, bound = correlated(fired, fired)
    assert found == pytest.approx(1)
    assert bound < 1
    if share == 0.5:
        found, bound = correlated(fired, ~fired)
        assert found < -bound


def test_rare_transforms_may_meet_once() -> None:
    found, bound = correlate(1024, 5, 5, 1, ONCE_IN)
    assert 0.19 < found < bound
