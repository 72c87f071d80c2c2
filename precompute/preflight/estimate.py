"""Estimate of a build: records, bytes and hours with their uncertainty, and when it pays off. Pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from precompute.preflight.sample import SourceCost

__all__ = ["Estimate", "Online", "Range", "SplitCost", "estimate", "online"]

NUM_ERRORS = 2  # standard errors to either side: 95 of 100 times the truth is within


@dataclass(frozen=True, kw_only=True)
class Range:
    """A figure estimated from a sample, with its uncertainty.

    Attributes:
        mean: The best guess.
        error: Standard error of the guess; NaN where the sample is one source.
    """

    mean: float
    error: float

    @property
    def low(self) -> float:
        """Lower limit of the figure; the guess itself where the error is unknown."""
        return max(0.0, self.mean - NUM_ERRORS * self.error) if self.is_known else self.mean

    @property
    def high(self) -> float:
        """Upper limit of the figure; the guess itself where the error is unknown."""
        return self.mean + NUM_ERRORS * self.error if self.is_known else self.mean

    @property
    def is_known(self) -> bool:
        """Whether the error is known."""
        return not math.isnan(self.error)

    def times(self, factor: float) -> Range:
        """Return the figure times a factor, such as for another unit."""
        return Range(mean=self.mean * factor, error=self.error * factor)


@dataclass(frozen=True, kw_only=True)
class SplitCost:
    """The cost of the new rows of one split.

    Attributes:
        num_places: Number of records per row.
        num_rows: Number of new rows.
        num_blocks: Number of shards per row.
        rows_a_task: Number of rows that one decoding of a source is used for.
        costs: Measured costs of a sample of the split's sources.
    """

    num_places: int
    num_rows: int
    num_blocks: int
    rows_a_task: int
    costs: Sequence[SourceCost]

    @property
    def num_records(self) -> int:
        """Number of records in all new rows."""
        return self.num_places * self.num_rows


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Estimate of what the new rows will take.

    Attributes:
        num_records: Number of records in all splits together.
        num_shards: Number of shards in all splits together.
        num_bytes: Size of all shards.
        split_bytes: Split → bytes of its shards.
        cpu_s: Processor time in seconds of one core.
        decode_s: Part of `cpu_s` for reading and decoding sources.
        num_workers: Number of workers that have something to do.
        free_bytes: Free space on the output's file system; None for an object store, which has no limit of its own.
        online: Comparison with augmentation while training; None where no rows of train are new.
    """

    num_records: int
    num_shards: int
    num_bytes: Range
    split_bytes: Mapping[str, Range]
    cpu_s: Range
    decode_s: float
    num_workers: int
    free_bytes: int | None
    online: Online | None

    @property
    def wall_s(self) -> Range:
        """Seconds from start to end, if cores do not slow each other down."""
        return self.cpu_s.times(1 / max(1, self.num_workers))

    @property
    def fits(self) -> bool:
        """Whether there is enough space, even with records of the largest estimated size."""
        return self.free_bytes is None or self.num_bytes.high <= self.free_bytes


@dataclass(frozen=True, kw_only=True)
class Online:
    """Comparison of records with online augmentation, which decodes and augments each source in each epoch.

    Attributes:
        runs: Number of trainings.
        epochs: Number of epochs of each training.
        num_sources: Number of images per epoch.
        online_image_s: Seconds of one core per image, online: decoding and pipeline.
        read_image_s: Seconds of one core per image to decode a record.
        build_s: Seconds of one core to write the records.
    """

    runs: int
    epochs: int
    num_sources: int
    online_image_s: float
    read_image_s: float
    build_s: float

    @property
    def num_images(self) -> int:
        """Number of images that all runs read together."""
        return self.runs * self.epochs * self.num_sources

    @property
    def online_s(self) -> float:
        """Seconds of one core for all runs, online."""
        return self.num_images * self.online_image_s

    @property
    def read_s(self) -> float:
        """Seconds of one core to read records in all runs."""
        return self.num_images * self.read_image_s

    @property
    def pays_from(self) -> int | None:
        """Number of epochs, of all runs together, from which on writing records costs less; None: never."""
        spared = self.num_sources * (self.online_image_s - self.read_image_s)
        return math.ceil(self.build_s / spared) if spared > 0 else None


def estimate(
    parts: Mapping[str, SplitCost], *, jobs: int, num_tasks: int, free_bytes: int | None, trained: Online | None
) -> Estimate:
    """Return the estimate for the new rows of all splits.

    Args:
        num_tasks: Number of tasks that the work can be cut into; more workers than this have nothing to do.
        free_bytes: Free space on the output's file system; None for an object store, which has no limit of its own.
        trained: Cost of training with augmentation online, from `online`.
    """
    split_bytes = {split: _total(part, [mean(c.record_bytes) for c in part.costs]) for split, part in parts.items()}
    seconds = [
        _total(part, [c.record_s + c.decode_s / part.rows_a_task for c in part.costs]) for part in parts.values()
    ]
    decode_s = sum(p.num_records * mean(c.decode_s for c in p.costs) / p.rows_a_task for p in parts.values())
    return Estimate(
        num_records=sum(part.num_records for part in parts.values()),
        num_shards=sum(part.num_blocks * part.num_rows for part in parts.values()),
        num_bytes=_sum(list(split_bytes.values())),
        split_bytes=split_bytes,
        cpu_s=_sum(seconds),
        decode_s=decode_s,
        num_workers=max(1, min(jobs, num_tasks)),
        free_bytes=free_bytes,
        online=trained,
    )


def online(part: SplitCost, *, runs: int, epochs: int) -> Online:
    """Return the comparison of trainings on these rows with trainings that augment online."""
    build = _total(part, [c.record_s + c.decode_s / part.rows_a_task for c in part.costs])
    return Online(
        runs=runs,
        epochs=epochs,
        num_sources=part.num_places,
        online_image_s=mean(c.decode_s + mean(c.augment_s) for c in part.costs),
        read_image_s=mean(mean(c.read_s) for c in part.costs),
        build_s=build.mean,
    )


def _total(part: SplitCost, of_source: Sequence[float]) -> Range:
    """Return the total over all records of a cost per record, given one figure per source of the sample."""
    # Records of one source are alike, so the sample's size is its number of sources; its own sources have no error.
    unseen = math.sqrt(max(0.0, 1 - len(of_source) / max(1, part.num_places)))
    error = stdev(of_source) / math.sqrt(len(of_source)) * unseen if len(of_source) > 1 else math.nan
    return Range(mean=mean(of_source), error=error).times(part.num_records)


def _sum(parts: Sequence[Range]) -> Range:
    return Range(mean=sum(p.mean for p in parts), error=math.hypot(*(p.error for p in parts)) if parts else math.nan)
