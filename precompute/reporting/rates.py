"""How often each transform of a pipeline was applied in a sample of records, and what it drew."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from precompute.pipelines.chances import Chance
from precompute.pipelines.tracing import Firing
from precompute.reporting.observing import Observed
from precompute.reporting.sections.transforms import Parameter, PipelineRates, TransformPair, TransformRate

__all__ = ["ONCE_IN", "RatesTally", "correlate", "likely_counts"]

ONCE_IN = 20_000  # samples, of which one lies outside of bounds by chance
BINS = 20
MAX_WORDS = 12  # different values of a parameter that are counted one by one
MEANING = (
    "Each transform should be applied to the share of records that its p and the compositions around it say; a count "
    "outside of the bounds comes by chance once in 20,000 samples."
)


class RatesTally:
    """Counts the transforms that were applied.

    Args:
        split: Name of the split.
        chances: Transforms of its pipeline.
    """

    def __init__(self, split: str, chances: Sequence[Chance]) -> None:
        self._split, self._chances = split, chances
        self._applied: list[set[int]] = []  # of each record
        self._num_same = 0
        self._drawn: list[dict[str, list[float | str]]] = [defaultdict(list) for _ in chances]

    def add(self, observed: Observed) -> None:
        """Count the records of a source."""
        for record in observed.records:
            if record.trace is not None and not record.row.original:
                self._num_same += record.trace.is_same
                self._applied.append({firing.position for firing in record.trace.firings})
                self._add_drawn(record.trace.firings)

    def _add_drawn(self, firings: Sequence[Firing]) -> None:
        for firing in firings:
            for name, value in firing.drawn.items():
                self._drawn[firing.position][name].append(value)

    def result(self) -> PipelineRates | None:
        """Return the section; None where no record could be made again."""
        if not self._applied:
            return None
        return PipelineRates(
            split=self._split,
            num_records=len(self._applied),
            num_same=self._num_same,
            rates=tuple(self._rate(position) for position in range(len(self._chances))),
            pairs=tuple(self._pairs()),
            meaning=MEANING,
        )

    def _rate(self, position: int) -> TransformRate:
        chance, num = self._chances[position], len(self._applied)
        num_fired = sum(position in applied for applied in self._applied)
        low, high = (None, None) if chance.share is None else likely_counts(num, chance.share)
        drawn = self._drawn[position]
        return TransformRate(
            name=chance.name,
            p=float(chance.transform.p),
            expected=chance.share,
            num=num,
            num_fired=num_fired,
            low=low,
            high=high,
            is_likely=low is None or high is None or low <= num_fired <= high,
            parameters=tuple(
                found for name, values in drawn.items() if (found := _parameter(name, values)) is not None
            ),
        )

    def _pairs(self) -> Iterator[TransformPair]:
        """Yield the correlations of transforms that are applied to some records and not to others."""
        fired = np.array([[position in applied for position in range(len(self._chances))] for applied in self._applied])
        counts = fired.sum(axis=0).tolist()
        varying = [position for position, count in enumerate(counts) if 0 < count < len(fired)]
        pairs = list(itertools.combinations(varying, 2))
        for first, second in pairs:
            of_both = int((fired[:, first] & fired[:, second]).sum())
            correlation, bound = correlate(len(fired), counts[first], counts[second], of_both, ONCE_IN * len(pairs))
            yield TransformPair(
                first=self._chances[first].name,
                second=self._chances[second].name,
                correlation=correlation,
                bound=bound,
                is_expected=self._chances[first].top == self._chances[second].top,
            )


def correlate(num: int, first: int, second: int, both: int, once_in: int) -> tuple[float, float]:
    """Return the correlation of two transforms, and the size that chance makes likely on its side of 0.

    Args:
        num: Number of records.
        first: Number of those that one of them was applied to; neither none nor all.
        second: Number of those that the other one was applied to.
        both: Number of those that both were applied to.
        once_in: One in so many samples lies beyond the size, at most.
    """
    together = first * second / num**2
    spread = math.sqrt(first * (num - first) * second * (num - second)) / num**2
    low, high = likely_counts(num, together, once_in)
    found = (both / num - together) / spread
    return found, abs((high if found > 0 else low) / num - together) / spread


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


def _parameter(name: str, drawn: Sequence[float | str]) -> Parameter | None:
    """Return the distribution of what was drawn; None where it never varies: it was not drawn."""
    counts = Counter(drawn)
    if len(counts) < 2:
        return None
    numbers = np.array([value for value in drawn if isinstance(value, float) and np.isfinite(value)])
    low, high, mean = (float(f(numbers)) for f in (np.min, np.max, np.mean)) if len(numbers) else (None, None, None)
    if len(counts) <= MAX_WORDS or low is None or high is None:
        shown = sorted(counts.items(), key=lambda item: (isinstance(item[0], str), item[0]))[:MAX_WORDS]
        words, numbers_of = tuple(_word(value) for value, _ in shown), tuple(number for _, number in shown)
        return Parameter(name=name, num=len(drawn), low=low, high=high, mean=mean, counts=numbers_of, words=words)
    bins, _ = np.histogram(numbers, bins=BINS, range=(low, high))
    return Parameter(name=name, num=len(drawn), low=low, high=high, mean=mean, counts=tuple(bins.tolist()))


def _word(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
