"""Whether augmentation did what was asked: how often transforms were applied, what they drew, what came of it."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.pipelines.chances import Chance
from precompute.reporting.observing import Observed, StoredRecord

__all__ = [
    "ONCE_IN",
    "Parameter",
    "PipelineRates",
    "RatesTally",
    "TransformPair",
    "TransformRate",
    "Variants",
    "VarietyTally",
    "correlate",
    "equals_original",
    "likely_counts",
    "splits_without_chance",
]

ONCE_IN = 20_000  # samples, of which one lies outside of bounds by chance
BINS = 20
MAX_WORDS = 12  # different values of a parameter that are counted one by one
MEANING = (
    "Each transform should be applied to the share of records that its p and the compositions around it say; a count "
    "outside of the bounds comes by chance once in 20,000 samples."
)
VARIANTS_MEANING = (
    "A record with the pixels of an earlier variant, or of its unaugmented source, teaches a model nothing new."
)


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """The distribution of a parameter that a transform drew.

    Attributes:
        name: Its name, with an index where it is one of several numbers: ``"scale[0]"``.
        num: Number of draws.
        low: Smallest value; None for words.
        high: Largest value; None for words.
        mean: Mean value; None for words.
        counts: Number of draws in bins of equal width from `low` to `high`; or of each word of `words`.
        words: Values that are no numbers, or few different ones, in the order of `counts`; else empty.
    """

    name: str
    num: int
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    counts: tuple[int, ...] = ()
    words: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TransformRate:
    """How often a transform was applied.

    Attributes:
        name: Name, with the compositions around it.
        p: Its own `p`.
        expected: Share of records that it should be applied to, 0 to 1, with the chances of compositions around it;
            None where nobody can say (a user's own composition).
        num: Number of records that were looked at.
        num_fired: Number of those that it was applied to.
        low: Least number that chance makes likely: fewer come once in 20,000 such samples. None without `expected`.
        high: Largest number that chance makes likely.
        is_likely: Whether the number lies within.
        parameters: What it drew.
    """

    name: str
    p: float
    expected: float | None
    num: int
    num_fired: int
    low: int | None
    high: int | None
    is_likely: bool
    parameters: tuple[Parameter, ...] = ()

    @property
    def rate(self) -> float:
        """Share of records that it was applied to, 0 to 1."""
        return self.num_fired / self.num if self.num else 0.0


@dataclass(frozen=True, kw_only=True)
class TransformPair:
    """Two transforms that are applied by chance, and how that goes together.

    Attributes:
        first: Name of one.
        second: Name of the other.
        correlation: Correlation of being applied, -1 to 1.
        bound: Size that chance makes likely, on the correlation's side of 0.
        is_expected: Whether a composition around both ties them together, so that a correlation is meant.
    """

    first: str
    second: str
    correlation: float
    bound: float
    is_expected: bool


@dataclass(frozen=True, kw_only=True)
class PipelineRates:
    """The transforms of one split's pipeline.

    Attributes:
        split: Name of the split.
        num_records: Number of records that were made again.
        num_same: Number of those that came out as they are stored.
        rates: Each transform, in the order of the pipeline.
        pairs: Correlations of each two transforms that are applied by chance.
        meaning: One sentence.
    """

    split: str
    num_records: int
    num_same: int
    rates: tuple[TransformRate, ...]
    pairs: tuple[TransformPair, ...]
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Variants:
    """How different the variants of a source are.

    Attributes:
        split: Name of the split.
        num_sources: Number of sources that were looked at.
        num_records: Number of their records.
        num_distinct: Number of records whose pixels no earlier record of the same source has.
        num_equal_original: Number of records with the pixels of the unaugmented source; None where not known.
        meaning: One sentence.
    """

    split: str
    num_sources: int
    num_records: int
    num_distinct: int
    num_equal_original: int | None
    meaning: str


def splits_without_chance(pipelines: Sequence[PipelineRates], variants: Sequence[Variants]) -> set[str]:
    """Return the splits whose pipelines leave nothing to chance.

    Each transform is always applied, and draws the same for all records. What a transform computes from the size of an
    image, as a crop of the middle does, is told apart from a draw by records that all equal their unaugmented source.
    """
    unchanged = {one.split for one in variants if one.num_equal_original == one.num_records}
    return {
        one.split
        for one in pipelines
        if all(rate.expected == 1 == rate.rate for rate in one.rates)
        and (one.split in unchanged or not any(rate.parameters for rate in one.rates))
    }


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
                for firing in record.trace.firings:
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


class VarietyTally:
    """Counts different records.

    Args:
        split: Name of the split.
    """

    def __init__(self, split: str) -> None:
        self._split = split
        self._num_sources = self._num_records = self._num_distinct = self._num_equal = self._num_compared = 0

    def add(self, observed: Observed) -> None:
        """Count the records of a source."""
        augmented = [record for record in observed.records if not record.row.original]
        self._num_sources += 1
        self._num_records += len(augmented)
        self._num_distinct += len({_digest(record.example["image"]) for record in augmented})
        equal = [equals_original(record, observed.plain) for record in augmented]
        self._num_compared += sum(known is not None for known in equal)
        self._num_equal += sum(known is True for known in equal)

    def result(self) -> Variants | None:
        """Return the section; None without augmented records."""
        if not self._num_records:
            return None
        return Variants(
            split=self._split,
            num_sources=self._num_sources,
            num_records=self._num_records,
            num_distinct=self._num_distinct,
            num_equal_original=self._num_equal if self._num_compared == self._num_records else None,
            meaning=VARIANTS_MEANING,
        )


def equals_original(record: StoredRecord, plain: NDArray[np.uint8] | None) -> bool | None:
    """Return whether a record has the pixels of the unaugmented source; None where these are not known.

    Args:
        record: The record.
        plain: The unaugmented source in the size of a record, before it is encoded where the record was made again.
    """
    if plain is None:
        return None
    made = record.example["image"] if record.trace is None else record.trace.image
    return bool(np.array_equal(made, plain))


def _digest(pixels: NDArray[Any]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16).digest()
