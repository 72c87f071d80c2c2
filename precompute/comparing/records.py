"""Records of two datasets compared by their hashes: nothing is decoded, and of equal shards nothing is read."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from precompute.comparing.sides import RowPair, Side
from precompute.dataset.rows import RowFile, read_row_file
from precompute.errors import DatasetError
from precompute.records.tfrecord import Framed, read_framed, read_frames

__all__ = ["RecordPair", "RowChanges", "Sampler", "StoredRecord", "compare_rows"]

PlaceName = tuple[str, int]


@dataclass(frozen=True)
class StoredRecord:
    """Where a record stands.

    Attributes:
        path: Its shard.
        frame: Its place there.
    """

    path: Path
    frame: Framed

    def read(self) -> bytes:
        """Return the record.

        Raises:
            DatasetError: The shard cannot be read, or the record is altered.
        """
        return read_framed(self.path, self.frame)


@dataclass(frozen=True, kw_only=True)
class RecordPair:
    """Two records of one place, one of each side.

    Attributes:
        rows: Their rows.
        key: Key of the source.
        copy: Its copy.
        a: Record of the first side.
        b: Record of the second side.
    """

    rows: RowPair
    key: str
    copy: int
    a: StoredRecord
    b: StoredRecord


@dataclass(kw_only=True)
class RowChanges:
    """How the records of two rows compare.

    Attributes:
        rows: The rows.
        num_equal: Number of places whose records have equal bytes, by the hash of their shard or their own checksum.
        num_different: Number of places whose records have other bytes.
        num_of_changed: How many of these are of sources that changed themselves.
        num_only_a: Number of places that only the first has.
        num_only_b: Number of places that only the second has.
    """

    rows: RowPair
    num_equal: int = 0
    num_different: int = 0
    num_of_changed: int = 0
    num_only_a: int = 0
    num_only_b: int = 0

    @property
    def are_equal(self) -> bool:
        """Whether all records are equal."""
        return not (self.num_different or self.num_only_a or self.num_only_b)


@dataclass
class Sampler:
    """Keeps a random choice of the pairs that it is shown, all with equal chance; the same choice each time.

    Attributes:
        size: Number of pairs to keep.
        chosen: Pairs that are kept.
    """

    size: int
    chosen: list[RecordPair] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random, self._num_seen = random.Random(0), 0

    def show(self, pair: RecordPair) -> None:
        """Keep a pair or not."""
        self._num_seen += 1
        if len(self.chosen) < self.size:
            self.chosen.append(pair)
        elif (position := self._random.randrange(self._num_seen)) < self.size:
            self.chosen[position] = pair


def compare_rows(a: Side, b: Side, rows: RowPair, changed: Collection[str], sampler: Sampler) -> RowChanges:
    """Return how the records of two rows compare.

    Shards are equal if their row files name the same SHA-256. Of other shards, the lengths of records and the CRC-32C
    checksums behind them are compared.

    Args:
        a: The first side.
        b: The second side.
        rows: The rows.
        changed: Keys of sources that changed.
        sampler: Is shown all pairs of records that differ.

    Raises:
        DatasetError: A shard or a row file is missing or altered.
    """
    files = [read_row_file(side.out, side.manifest, rows.split, row) for side, row in ((a, rows.a), (b, rows.b))]
    hashes = [[shard.sha256 for shard in file.shards] for file in files]
    if hashes[0] == hashes[1]:
        return RowChanges(rows=rows, num_equal=rows.a.num_records)
    work = _Comparing(a, b, rows, changed, sampler)
    if a.places[rows.split] == b.places[rows.split]:
        work.aligned(files)
    else:
        work.by_place()
    return work.found


class _Comparing:
    """Compares the records of two rows, shard by shard; `found` says how they compare."""

    def __init__(self, a: Side, b: Side, rows: RowPair, changed: Collection[str], sampler: Sampler) -> None:
        self._a, self._b, self._changed, self._sampler = a, b, changed, sampler
        self._split, self.found = rows.split, RowChanges(rows=rows)

    def aligned(self, files: Sequence[RowFile]) -> None:
        """Compare rows whose shards hold the same places in the same order."""
        for block, places in enumerate(self._a.places[self._split]):
            one, other = (file.shards[block].sha256 for file in files)
            if one == other:
                self.found.num_equal += len(places)
                continue
            of_a, of_b = (self._records(side, block) for side in (self._a, self._b))
            for place, record, partner in zip(places, of_a, of_b, strict=True):
                self._compare(place, record, partner)

    def by_place(self) -> None:
        """Compare rows that are cut into other blocks, or have other sources."""
        there = dict(self._placed(self._b))
        for place, record in self._placed(self._a):
            partner = there.pop(place, None)
            if partner is None:
                self.found.num_only_a += 1
            else:
                self._compare(place, record, partner)
        self.found.num_only_b = len(there)

    def _placed(self, side: Side) -> Iterator[tuple[PlaceName, StoredRecord]]:
        for block, places in enumerate(side.places[self._split]):
            yield from zip(places, self._records(side, block), strict=True)

    def _compare(self, place: PlaceName, a: StoredRecord, b: StoredRecord) -> None:
        if a.frame[1:] == b.frame[1:]:
            self.found.num_equal += 1
            return
        self.found.num_different += 1
        self.found.num_of_changed += place[0] in self._changed
        self._sampler.show(RecordPair(rows=self.found.rows, key=place[0], copy=place[1], a=a, b=b))

    def _records(self, side: Side, block: int) -> Iterator[StoredRecord]:
        """Yield the records of a shard, of which there must be as many as it has places."""
        path = side.shard(self._split, self.found.rows.a if side is self._a else self.found.rows.b, block)
        num = len(side.places[self._split][block])
        for i, frame in zip_longest(range(num), read_frames(path)):
            if i is None or frame is None:
                raise DatasetError(f"{path}: expected {num} records; run `precompute verify`.")
            yield StoredRecord(path, frame)
