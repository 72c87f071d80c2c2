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
    found = RowChanges(rows=rows)
    files = [read_row_file(side.out, side.manifest, rows.split, row) for side, row in ((a, rows.a), (b, rows.b))]
    hashes = [[shard.sha256 for shard in file.shards] for file in files]
    if hashes[0] == hashes[1]:
        found.num_equal = rows.a.num_records
        return found
    if a.places[rows.split] == b.places[rows.split]:
        _compare_aligned(a, b, files, found, changed, sampler)
    else:
        _compare_by_place(a, b, found, changed, sampler)
    return found


def _compare_aligned(
    a: Side, b: Side, files: Sequence[RowFile], found: RowChanges, changed: Collection[str], sampler: Sampler
) -> None:
    """Compare rows whose shards hold the same places in the same order."""
    for block, places in enumerate(a.places[found.rows.split]):
        shards = [file.shards[block] for file in files]
        if shards[0].sha256 == shards[1].sha256:
            found.num_equal += len(places)
            continue
        of_b = _records(b, found, block)
        for place, one, other in zip(places, _records(a, found, block), of_b, strict=True):
            _compare(place, one, other, found, changed, sampler)


def _compare_by_place(a: Side, b: Side, found: RowChanges, changed: Collection[str], sampler: Sampler) -> None:
    """Compare rows that are cut into other blocks, or have other sources."""
    of_split = found.rows.split
    there = {
        place: record
        for block, places in enumerate(b.places[of_split])
        for place, record in zip(places, _records(b, found, block), strict=True)
    }
    for block, places in enumerate(a.places[of_split]):
        for place, one in zip(places, _records(a, found, block), strict=True):
            other = there.pop(place, None)
            if other is None:
                found.num_only_a += 1
            else:
                _compare(place, one, other, found, changed, sampler)
    found.num_only_b = len(there)


def _compare(
    place: PlaceName,
    one: StoredRecord,
    other: StoredRecord,
    found: RowChanges,
    changed: Collection[str],
    sampler: Sampler,
) -> None:
    if one.frame[1:] == other.frame[1:]:
        found.num_equal += 1
        return
    found.num_different += 1
    found.num_of_changed += place[0] in changed
    sampler.show(RecordPair(rows=found.rows, key=place[0], copy=place[1], a=one, b=other))


def _records(side: Side, found: RowChanges, block: int) -> Iterator[StoredRecord]:
    """Yield the records of a shard, of which there must be as many as it has places."""
    rows = found.rows
    path = side.shard(rows.split, rows.a if side.name == "A" else rows.b, block)
    num = len(side.places[rows.split][block])
    for i, frame in zip_longest(range(num), read_frames(path)):
        if i is None or frame is None:
            raise DatasetError(f"{path}: expected {num} records; run `precompute verify`.")
        yield StoredRecord(path, frame)
