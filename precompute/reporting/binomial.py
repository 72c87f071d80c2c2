"""How many of a number of records chance makes likely."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["ONCE_IN", "likely_counts"]

ONCE_IN = 20_000  # samples, of which one lies outside by chance


def likely_counts(num: int, share: float, once_in: int = ONCE_IN) -> tuple[int, int]:
    """Return the least and the largest number of hits that chance makes likely, by the binomial distribution.

    Args:
        num: Number of records.
        share: Chance of a hit, 0 to 1.
        once_in: One in so many samples has fewer hits or more, half of these on either side, at most.
    """
    if share <= 0 or share >= 1:
        sure = num if share >= 1 else 0
        return sure, sure
    return _least(num, share, once_in), num - _least(num, 1 - share, once_in)


def _least(num: int, share: float, once_in: int) -> int:
    """Return the least number of hits that is not too rare."""
    rare = np.cumsum(_chances(num, share)) <= 0.5 / once_in
    return int(np.argmin(rare)) if not rare.all() else num


def _chances(num: int, share: float) -> NDArray[np.float64]:
    """Return the chance of each number of hits, from 0 to `num`."""
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, num + 1)))])  # of factorials
    hits = np.arange(num + 1)
    ways = logs[num] - logs[hits] - logs[num - hits]
    found: NDArray[np.float64] = np.exp(ways + hits * np.log(share) + (num - hits) * np.log1p(-share))
    return found
