"""A sample of a split's records, each beside its source, and traced: made again to see what its pipeline did."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from precompute.dataset.manifest import ORIGINAL_VARIANT, Manifest, Row
from precompute.errors import DatasetError, PipelineError, RejectedSource
from precompute.fields.field import Schema
from precompute.pipelines.pipeline import Pipeline
from precompute.pipelines.tracing import Firing, TracingPipeline
from precompute.plan.places import shard_places
from precompute.records.stored import decode_record
from precompute.records.tfrecord import read_records
from precompute.rendering.decode import Decoded
from precompute.rendering.rebuild import RecordRebuilder
from precompute.rendering.render import augment, encode_record
from precompute.table.listing import Listing

__all__ = ["Observed", "Observer", "StoredRecord", "Trace", "Tracer", "spread_out"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredRecord:
    """A record of a source.

    Attributes:
        row: Its row.
        example: The decoded record.
        read_s: Seconds that decoding took.
        trace: What happened when it was made again; None where that is not possible.
    """

    row: Row
    example: Mapping[str, Any]
    read_s: float
    trace: Trace | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Observed:
    """A source with its records.

    Attributes:
        position: Position in the split's listing.
        key: Key of the source.
        source: The decoded source; None where it is not there any more, or has changed.
        plain: The source as an unaugmented record has it, uint8 [H, W, C]; None where that is not known.
        decode_s: Seconds to read and decode it.
        records: Its records, of augmented rows.
    """

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
        looked_at = _chosen_rows(rows, num_rows)
        original = next((row for row in rows if row.original), None)
        for block, chosen in _chosen_places(self._manifest, split, self._listings[split], num_sources).items():
            shards = {
                row: _Shard(self._manifest.shard_path(self._out, split, row.row, block))
                for row in {*looked_at, *filter(None, [original])}
            }
            try:
                for index, key in sorted(chosen.items()):
                    stored = {row: shard.record(index) for row, shard in shards.items()}
                    unaugmented = None if original is None else stored[original]
                    yield self._observed(split, key, {row: stored[row] for row in looked_at}, unaugmented)
            except DatasetError as error:
                self.damages.append(str(error))

    def _observed(self, split: str, key: str, stored: Mapping[Row, bytes], original: bytes | None) -> Observed:
        start = time.perf_counter()
        source = self._source(split, key)
        decode_s = time.perf_counter() - start
        plain = None if source is None or self._tracer is None else self._tracer.unaugmented(source)
        if plain is None and original is not None:
            plain = decode_record(original, self._manifest.schema)["image"]
        return Observed(
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
        return StoredRecord(row=row, example=example, read_s=read_s, trace=traced)


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


def _chosen_rows(rows: Sequence[Row], number: int) -> list[Row]:
    """Return rows to look at, from the first to the last: augmented ones where there are some."""
    listed = [row for row in rows if not row.original] or list(rows)
    return spread_out(listed, number)


def spread_out(items: Sequence[T], number: int) -> list[T]:
    """Return a number of items from the first to the last; all where there are fewer."""
    places = np.linspace(0, len(items) - 1, min(number, len(items))).round().astype(int).tolist()
    return [items[place] for place in places]


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


# Made again


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """What happened when a record was made again.

    Attributes:
        image: uint8 [H, W, C], before it was encoded.
        firings: Runs of transforms.
        filled: bool [H, W], pixels that do not come from the source; None where that is not known.
        kept: Numbers of the source's objects that are left; None where they carry none.
        is_same: Whether it came out as it is stored, but for the rounding of another processor.
        augment_s: Seconds of the pipeline.
        encode_s: Seconds of encoding.
    """

    image: NDArray[np.uint8]
    firings: Sequence[Firing]
    filled: NDArray[np.bool_] | None
    kept: NDArray[np.int64] | None
    is_same: bool
    augment_s: float
    encode_s: float


class Tracer:
    """Makes records of a dataset again, and tells what happened.

    Args:
        rebuilder: Makes records again.
        splits: Splits of the dataset.

    Raises:
        PipelineError: The manifest has no pipeline for one of them.
    """

    def __init__(self, rebuilder: RecordRebuilder, splits: Iterable[str]) -> None:
        self._rebuilder, self._spec = rebuilder, rebuilder.spec
        for split in sorted({*splits, "validation"} - rebuilder.pipelines.keys()):
            raise PipelineError(f"pipeline of {split}: the manifest has none; it was altered.")
        self._pipelines: dict[str, TracingPipeline] = {}
        self._unaugmented = Pipeline(rebuilder.pipelines["validation"].pickled)

    def pipeline(self, split: str) -> TracingPipeline:
        """Return the pipeline of a split."""
        if split not in self._pipelines:
            self._pipelines[split] = TracingPipeline(self._rebuilder.pipelines[split].pickled)
        return self._pipelines[split]

    def source(self, split: str, key: str) -> Decoded:
        """Return a decoded source.

        Raises:
            RejectedSource: It is missing, cannot be used, or has changed since.
        """
        return self._rebuilder.source(split, key)

    def unaugmented(self, source: Decoded) -> NDArray[np.uint8] | None:
        """Return the pixels of a source after the pipeline of validation, as the original row has them."""
        try:
            return augment(source, self._unaugmented, self._spec, seed=0, variant=ORIGINAL_VARIANT)[0]
        except RejectedSource:
            return None

    def trace(self, split: str, row: Row, record: bytes, source: Decoded) -> Trace | None:
        """Return what happens when a record is made again; None where that fails.

        Args:
            split: Name of the split.
            row: Row of the record.
            record: The stored record.
            source: Its source.
        """
        pipeline = self.pipeline("validation" if row.original else split)
        trace = self._trace(pipeline, row, record, source)
        if pipeline.covers and (trace is None or not trace.is_same):  # is it the mask that disturbs a transform?
            pipeline.without_coverage()
            trace = self._trace(pipeline, row, record, source)
        return trace

    def _trace(self, pipeline: TracingPipeline, row: Row, record: bytes, source: Decoded) -> Trace | None:
        draw = {"seed": row.seed, "variant": row.stored_variant, "copy": 0}
        start = time.perf_counter()
        try:
            image, values = augment(source, pipeline, self._spec, **draw)
        except RejectedSource:
            return None
        augmented = time.perf_counter()
        made = encode_record(source, image, values, self._spec, **draw)
        return Trace(
            image=image,
            firings=tuple(pipeline.firings),
            filled=pipeline.filled,
            kept=pipeline.kept,
            is_same=made == record or _are_near(record, made, self._spec.schema),
            augment_s=augmented - start,
            encode_s=time.perf_counter() - augmented,
        )


def _are_near(stored: bytes, made: bytes, schema: Schema) -> bool:
    """Return whether two records differ by no more than the rounding of another processor."""
    examples = [decode_record(record, schema) for record in (stored, made)]
    found = (field.deviation(*examples) for field in schema.values())
    return all(deviation is None or deviation.is_rounding for deviation in found)
