"""What records cost, and from when on they pay: times of a sample of records."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from precompute.dataset.manifest import Manifest, Split
from precompute.pipelines.chances import Chance
from precompute.reporting.facts import Facts
from precompute.reporting.observing import Observed

__all__ = ["Cost", "CostTally", "SplitCost", "TransformCost", "collect_cost"]

WARM_UP = 1  # source: tables are loaded, the heap grows
MEANING = (
    "Time is that of one core, measured while this report was made. Augmenting in training decodes and augments each "
    "image in every epoch; records are made once and only read."
)


@dataclass(frozen=True, kw_only=True)
class TransformCost:
    """Time of a transform.

    Attributes:
        name: Name, with the compositions around it.
        run_ms: Mean milliseconds of a run.
        record_ms: Mean milliseconds a record, with or without a run.
    """

    name: str
    run_ms: float
    record_ms: float


@dataclass(frozen=True, kw_only=True)
class SplitCost:
    """Bytes and time of a split, of one core.

    Attributes:
        split: Name of the split.
        row_bytes: Mean bytes a row.
        record_bytes: Mean bytes a record.
        decode_ms: Mean milliseconds to read and decode a source; None where sources are not there.
        augment_ms: Mean milliseconds of the pipeline a record.
        encode_ms: Mean milliseconds to encode a record.
        read_ms: Mean milliseconds to decode a stored record.
        row_s: Seconds of one core to make a row, sources decoded once for all rows.
        transforms: Transforms, the dearest first.
    """

    split: str
    row_bytes: int
    record_bytes: int
    decode_ms: float | None
    augment_ms: float | None
    encode_ms: float | None
    read_ms: float
    row_s: float | None
    transforms: tuple[TransformCost, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What it cost, and from when on it pays.

    Attributes:
        splits: Each split.
        num_bytes: Bytes of all that is listed.
        old_bytes: Bytes of generations that are not listed any more.
        online_ms: Milliseconds of one core that an image would cost if it were decoded and augmented in training; None
            where not known.
        stored_ms: Milliseconds to read it from a record.
        pays_from: Epoch from which on records have cost less, counted over all trainings; None: never, or not known.
        meaning: One sentence.
    """

    splits: tuple[SplitCost, ...]
    num_bytes: int
    old_bytes: int
    online_ms: float | None
    stored_ms: float | None
    pays_from: int | None
    meaning: str


class CostTally:
    """Adds up times of a split.

    Args:
        split: Name of the split.
        listed: What the manifest lists of it.
        num_sources: Number of its sources.
        chances: Transforms of its pipeline; empty where records cannot be made again.
    """

    def __init__(self, split: str, listed: Split, num_sources: int, chances: Sequence[Chance]) -> None:
        self._split, self._listed, self._num_sources, self._chances = split, listed, num_sources, chances
        self._seen = 0
        self._times: dict[str, list[float]] = defaultdict(list)
        self._runs: list[list[float]] = [[] for _ in chances]

    def add(self, observed: Observed) -> None:
        """Count a source and its records."""
        self._seen += 1
        if self._seen <= WARM_UP:
            return
        if observed.source is not None:
            self._times["decode"].append(observed.decode_s)
        for record in observed.records:
            self._times["read"].append(record.read_s)
            if record.trace is not None and not record.row.original:
                self._times["augment"].append(record.trace.augment_s)
                self._times["encode"].append(record.trace.encode_s)
                for firing in record.trace.firings:
                    self._runs[firing.position].append(firing.seconds)

    def result(self) -> SplitCost | None:
        """Return the costs of the split; None where it lists no rows."""
        listed = self._listed
        if not listed.rows:
            return None
        num_bytes, num_rows = sum(row.num_bytes for row in listed.rows), len(listed.rows)
        decode, augment, encode = (self._ms(what) for what in ("decode", "augment", "encode"))
        row_s = None
        if decode is not None and augment is not None and encode is not None:
            row_s = (listed.num_records * (augment + encode) + self._num_sources * decode / num_rows) / 1000
        return SplitCost(
            split=self._split,
            row_bytes=num_bytes // num_rows,
            record_bytes=num_bytes // max(1, listed.num_records * num_rows),
            decode_ms=decode,
            augment_ms=augment,
            encode_ms=encode,
            read_ms=self._ms("read") or 0.0,
            row_s=row_s,
            transforms=tuple(sorted(self._transforms(), key=lambda cost: -cost.record_ms)),
        )

    def _ms(self, what: str) -> float | None:
        return 1000 * median(self._times[what]) if self._times[what] else None

    def _transforms(self) -> list[TransformCost]:
        num = len(self._times["augment"])
        return [
            TransformCost(name=chance.name, run_ms=1000 * fmean(runs), record_ms=1000 * sum(runs) / num)
            for chance, runs in zip(self._chances, self._runs, strict=True)
            if runs and num
        ]


def collect_cost(manifest: Manifest, facts: Facts, costs: Sequence[SplitCost]) -> Cost:
    """Return the section, from the costs of each split."""
    train = next((cost for cost in costs if cost.split == "train"), None)
    online = None if train is None or train.decode_ms is None else train.decode_ms + (train.augment_ms or 0.0)
    return Cost(
        splits=tuple(costs),
        num_bytes=sum(split.num_bytes for split in facts.splits),
        old_bytes=sum(one.num_bytes for one in facts.generations if not one.is_current),
        online_ms=online,
        stored_ms=None if train is None else train.read_ms,
        pays_from=None if train is None or online is None else _pays_from(manifest, train, online),
        meaning=MEANING,
    )


def _pays_from(manifest: Manifest, train: SplitCost, online_ms: float) -> int | None:
    """Return the epoch from which on records have cost less than augmenting in training; None: never."""
    listed, saved = manifest.splits["train"], online_ms - train.read_ms
    if saved <= 0 or train.row_s is None or not listed.num_records:
        return None
    return max(1, math.ceil(1000 * train.row_s * len(listed.rows) / (listed.num_records * saved)))
