"""Records that are made again to see what their pipeline did to the source."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from precompute.dataset.manifest import ORIGINAL_VARIANT, Row
from precompute.errors import PipelineError, RejectedSource
from precompute.fields.field import Schema
from precompute.pipelines.pipeline import Pipeline
from precompute.pipelines.tracing import Firing, TracingPipeline
from precompute.records.stored import decode_record
from precompute.rendering.decode import Decoded
from precompute.rendering.rebuild import RecordRebuilder
from precompute.rendering.render import augment, encode_record

__all__ = ["Trace", "Tracer"]


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
