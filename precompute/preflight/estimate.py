"""What a build will take: records, bytes and hours with their spread, and when it pays. Pure arithmetic."""

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
    """A figure that follows from a sample.

    Attributes:
        mean: The best guess.
        error: Standard error of the guess; NaN where the sample is one source.
    """

    mean: float
    error: float

    @property
    def low(self) -> float:
        """The figure below which the truth hardly lies; the guess itself where the spread is not known."""
        return max(0.0, self.mean - NUM_ERRORS * self.error) if self.is_known else self.mean

    @property
    def high(self) -> float:
        """The figure above which the truth hardly lies."""
        return self.mean + NUM_ERRORS * self.error if self.is_known else self.mean

    @property
    def is_known(self) -> bool:
        """Whether there is a spread to tell."""
        return not math.isnan(self.error)

    def times(self, factor: float) -> Range:
        """Return the figure in another unit."""
        return Range(mean=self.mean * factor, error=self.error * factor)


@dataclass(frozen=True, kw_only=True)
class SplitCost:
    """The new rows of one split.

    Attributes:
        num_places: Records a row.
        num_rows: Number of new rows.
        num_blocks: Shards a row.
        rows_a_task: Rows that one decoding of a source serves.
        costs: What records of a sample of the split's sources cost.
    """

    num_places: int
    num_rows: int
    num_blocks: int
    rows_a_task: int
    costs: Sequence[SourceCost]

    @property
    def num_records(self) -> int:
        """Records of all new rows."""
        return self.num_places * self.num_rows


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What the new rows will take.

    Attributes:
        num_records: Number of records in all splits together.
        num_shards: Number of shards in all splits together.
        num_bytes: Size of all shards.
        split_bytes: Split → bytes of its shards.
        cpu_s: Seconds of one core.
        decode_s: How many of these seconds go into reading and decoding sources.
        num_workers: Number of workers that have something to do.
        free_bytes: On the output's file system; None for an object store, which has no limit of its own.
        online: Against augmentation while training; None where no training rows are new.
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
        """Seconds from start to end, as long as cores do not slow each other."""
        return self.cpu_s.times(1 / max(1, self.num_workers))

    @property
    def fits(self) -> bool:
        """Whether there is room, also if records are as large as the sample allows."""
        return self.free_bytes is None or self.num_bytes.high <= self.free_bytes


@dataclass(frozen=True, kw_only=True)
class Online:
    """Augmentation while training, which decodes and augments each source in each epoch, against records.

    Attributes:
        runs: Number of trainings.
        epochs: Number of epochs of each training.
        num_sources: Images an epoch.
        online_image_s: Seconds of one core an image, online: decoding and pipeline.
        read_image_s: Seconds of one core an image to decode a record.
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
        """Images that all runs look at together."""
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
        """Epochs, of all runs together, from which on writing records has cost less; None: it never does."""
        spared = self.num_sources * (self.online_image_s - self.read_image_s)
        return math.ceil(self.build_s / spared) if spared > 0 else None


def estimate(
    parts: Mapping[str, SplitCost], *, jobs: int, num_tasks: int, free_bytes: int | None, trained: Online | None
) -> Estimate:
    """Return what the new rows of all splits take.

    Args:
        parts: Split → its cost.
        jobs: Number of workers.
        num_tasks: Pieces that the work can be cut into: no more workers than these have something to do.
        free_bytes: On the output's file system; None for an object store, which has no limit of its own.
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
    """Return what trainings on these rows cost against trainings that augment by themselves.

    Args:
        part: Cost of the training split.
        runs: Number of trainings.
        epochs: Number of epochs of each training.
    """
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
    """Return the sum over all records of what was measured a record, a figure a source of the sample."""
    # Records of one source are alike, so sources count; those that were measured themselves are not unknown.
    unseen = math.sqrt(max(0.0, 1 - len(of_source) / max(1, part.num_places)))
    error = stdev(of_source) / math.sqrt(len(of_source)) * unseen if len(of_source) > 1 else math.nan
    return Range(mean=mean(of_source), error=error).times(part.num_records)


def _sum(parts: Sequence[Range]) -> Range:
    return Range(mean=sum(p.mean for p in parts), error=math.hypot(*(p.error for p in parts)) if parts else math.nan)
