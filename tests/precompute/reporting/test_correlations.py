"""Correlations of transforms, and the bounds that chance keeps to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from precompute.reporting.binomial import ONCE_IN
from precompute.reporting.rates import correlate


def correlated(first: NDArray[np.bool_], second: NDArray[np.bool_], once_in: int = ONCE_IN) -> tuple[float, float]:
    both = int((first & second).sum())
    return correlate(len(first), int(first.sum()), int(second.sum()), both, once_in)


@settings(deadline=None, max_examples=60)
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
