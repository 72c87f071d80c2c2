"""Whether augmentation did what was asked: how often transforms were applied, and what they drew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Parameter", "PipelineRates", "TransformPair", "TransformRate", "Variants", "splits_without_chance"]


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
