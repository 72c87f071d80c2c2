"""A sample of a split's records, each beside its source, and traced: made again to see what its pipeline did."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.dataset.manifest import Manifest, Row
from precompute.errors import DatasetError, RejectedSource
from precompute.plan.places import shard_places
from precompute.records.stored import decode_record
from precompute.records.tfrecord import read_records
from precompute.rendering.decode import Decoded
from precompute.reporting.tracer import Trace, Tracer
from precompute.table.listing import Listing

__all__ = ["Observed", "Observer", "StoredRecord", "chosen_rows"]


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredRecord:
    """A record of a source.

    Attributes:
        row: Its row.
        example: The decoded record.
        num_bytes: Its size.
        read_s: Seconds that decoding took.
        trace: What happened when it was made again; None where that is not possible.
    """

    row: Row
    example: Mapping[str, Any]
    num_bytes: int
    read_s: float
    trace: Trace | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Observed:
    """A source with its records.

    Attributes:
        split: Name of the split.
        position: Position in the split's listing.
        key: Key of the source.
        source: The decoded source; None where it is not there any more, or has changed.
        plain: The source as an unaugmented record has it, uint8 [H, W, C]; None where that is not known.
        decode_s: Seconds to read and decode it.
        records: Its records, of augmented rows.
    """

    split: str
    position: int
    key: str
    source: Decoded | None
    plain: NDArray[np.uint8] | None
    decode_s: float
    records: Sequence[StoredRecord]


class Observer:
    """Reads a sample of a dataset's records, and has them made again.

    Args:
        out: The dataset's folder.
        manifest: Its manifest.
        listings: Split → listing.
        tracer: Makes records again; None where that is not possible.

    Attributes:
        lost_sources: What is wrong with sources that could not be read again, a line for each.
        damages: What is wrong with shards, a line for each.
    """

    def __init__(self, out: Path, manifest: Manifest, listings: Mapping[str, Listing], tracer: Tracer | None) -> None:
        self._out, self._manifest, self._listings, self._tracer = out, manifest, listings, tracer
        self.lost_sources: list[str] = []
        self.damages: list[str] = []

    def observe(self, split: str, num_sources: int, num_rows: int) -> Iterator[Observed]:
        """Yield sources from all over a split, with their records of some rows; one source is held at a time.

        Damaged shards are passed over.
        """
        rows = self._manifest.splits[split].rows
        looked_at = chosen_rows(rows, num_rows)
        original = next((row for row in rows if row.original), None)
        for block, chosen in _chosen_places(self._manifest, split, self._listings[split], num_sources).items():
            shards = {row: self._shard(split, row, block) for row in {*looked_at, *filter(None, [original])}}
            try:
                for index, key in sorted(chosen.items()):
                    stored = {row: shard.record(index) for row, shard in shards.items()}
                    unaugmented = None if original is None else stored[original]
                    yield self._observed(split, key, {row: stored[row] for row in looked_at}, unaugmented)
            except DatasetError as error:
                self.damages.append(str(error))

    def _shard(self, split: str, row: Row, block: int) -> _Shard:
        return _Shard(self._manifest.shard_path(self._out, split, row.row, block))

    def _observed(self, split: str, key: str, stored: Mapping[Row, bytes], original: bytes | None) -> Observed:
        start = time.perf_counter()
        source = self._source(split, key)
        decode_s = time.perf_counter() - start
        plain = None if source is None or self._tracer is None else self._tracer.unaugmented(source)
        if plain is None and original is not None:
            plain = decode_record(original, self._manifest.schema)["image"]
        return Observed(
            split=split,
            position=self._listings[split].position(key) or 0,
            key=key,
            source=source,
            plain=plain,
            decode_s=decode_s,
            records=[self._stored(split, row, record, source) for row, record in stored.items()],
        )

    def _source(self, split: str, key: str) -> Decoded | None:
        if self._tracer is None:
            return None
        try:
            return self._tracer.source(split, key)
        except RejectedSource as error:
            self.lost_sources.append(str(error))
            return None

    def _stored(self, split: str, row: Row, record: bytes, source: Decoded | None) -> StoredRecord:
        start = time.perf_counter()
        example = decode_record(record, self._manifest.schema)
        read_s = time.perf_counter() - start
        traced = None if source is None or self._tracer is None else self._tracer.trace(split, row, record, source)
        return StoredRecord(row=row, example=example, num_bytes=len(record), read_s=read_s, trace=traced)


class _Shard:
    """The records of a shard, from the first to the last."""

    def __init__(self, path: Path) -> None:
        self._path, self._records, self._next = path, read_records(path), 0

    def record(self, index: int) -> bytes:
        """Return a record; each call wants a later one.

        Raises:
            DatasetError: The shard is missing, altered or too short.
        """
        for record in self._records:
            self._next += 1
            if self._next > index:
                return record
        raise DatasetError(f"{self._path}: ends before record {index}.")


def chosen_rows(rows: Sequence[Row], number: int) -> list[Row]:
    """Return rows to look at, from the first to the last: augmented ones where there are some."""
    listed = [row for row in rows if not row.original] or list(rows)
    places = np.linspace(0, len(listed) - 1, min(number, len(listed))).round().astype(int).tolist()
    return [listed[place] for place in dict.fromkeys(places)]


def _chosen_places(manifest: Manifest, split: str, listing: Listing, number: int) -> dict[int, dict[int, str]]:
    """Return block → index in its shards → key, for sources from as many blocks as can be.

    The order of places is that of a hash, so that the first ones of each block are a fair sample.
    """
    blocks = [
        [(index, key) for index, (key, copy) in enumerate(places) if copy == 0]
        for places in shard_places(manifest, split, listing)
    ]
    step = max(1, len(blocks) // max(1, number))
    looked_at = list(range(0, len(blocks), step))
    chosen: dict[int, dict[int, str]] = {block: {} for block in looked_at}
    turn, left = 0, number
    while left and any(turn < len(blocks[block]) for block in looked_at):
        for block in looked_at:
            if left and turn < len(blocks[block]):
                index, key = blocks[block][turn]
                chosen[block][index] = key
                left -= 1
        turn += 1
    return {block: found for block, found in chosen.items() if found}
