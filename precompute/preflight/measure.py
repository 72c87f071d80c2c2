"""What sources and their records cost on one core, measured on the first few in the order of blocks."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import mean

from precompute.errors import BadSourcesError, RejectedSource
from precompute.images.threads import one_opencv_thread
from precompute.pipelines.pipeline import Pipeline
from precompute.preflight.survey import decode_one, sample_of
from precompute.records.stored import decode_record
from precompute.records.tfrecord import FRAMING_BYTES, record_footer
from precompute.rendering.render import augment, encode_record
from precompute.rendering.spec import RecordSpec
from precompute.table.sources import Sources
from precompute.text.format import format_count
from precompute.text.reasons import describe_reasons

__all__ = ["SourceCost", "cpu_clock", "measure"]

MIN_MEASURED_S = 1e-6  # Windows counts the time of a thread in steps of 15 ms


@dataclass(frozen=True, kw_only=True)
class SourceCost:
    """What one source costs, in seconds of one core; lists have an entry a variant.

    Attributes:
        height: Height of the source, before it was shrunk if it was, pixels.
        width: Width of the source, before it was shrunk if it was, pixels.
        decode_s: Seconds to read and decode the source with its mask.
        augment_s: Seconds of its pipeline, draws and checks included.
        encode_s: Seconds to encode image, mask and Example, and for the checksums.
        read_s: Seconds to decode the record again, as a reader has to.
        record_bytes: Size of the record, framing included.
    """

    height: int
    width: int
    decode_s: float
    augment_s: list[float] = field(default_factory=list)
    encode_s: list[float] = field(default_factory=list)
    read_s: list[float] = field(default_factory=list)
    record_bytes: list[int] = field(default_factory=list)

    @property
    def record_s(self) -> float:
        """Mean seconds of a record, decoding of the source apart."""
        return mean(self.augment_s) + mean(self.encode_s)


def cpu_clock() -> Callable[[], float]:
    """Return a clock of the time that this thread works, whatever other programs do; where it is too coarse, any."""
    return time.thread_time if time.get_clock_info("thread_time").resolution <= MIN_MEASURED_S else time.perf_counter


def measure(
    sources: Sources,
    split: str,
    pickled: bytes,
    spec: RecordSpec,
    *,
    num_sources: int,
    num_variants: int,
    seed: int = 0,
) -> list[SourceCost]:
    """Make records of a few sources and take the time; those that are rejected are passed over.

    Args:
        sources: All sources, their splits assigned.
        split: Split whose sources are measured.
        pickled: The split's prepared pipeline.
        spec: What every record must be.
        num_sources: Number of sources to try.
        num_variants: Number of records to make of each source.
        seed: Augmentation seed of these records.

    Raises:
        BadSourcesError: All of them are rejected.
    """
    pipeline, costs, reasons = Pipeline(pickled), list[SourceCost](), list[str]()
    with one_opencv_thread():
        for number, i in enumerate(sample_of(sources, split, num_sources)):
            try:
                if number == 0:
                    _measure_one(
                        sources, i, pipeline, spec, seed, 1
                    )  # what comes first loads tables and grows the heap
                costs.append(_measure_one(sources, i, pipeline, spec, seed, num_variants))
            except RejectedSource as error:
                reasons.append(str(error))
    if not costs:
        raise BadSourcesError(
            f"{split}: none of {format_count(len(reasons), 'source')} to measure can be "
            f"used:\n{describe_reasons(reasons)}"
        )
    return costs


def _measure_one(
    sources: Sources, i: int, pipeline: Pipeline, spec: RecordSpec, seed: int, num_variants: int
) -> SourceCost:
    clock = cpu_clock()
    start = clock()
    source = decode_one(sources, i, spec)
    decode_s = clock() - start
    height, width = source.full_size or source.image.shape[:2]
    cost = SourceCost(height=height, width=width, decode_s=decode_s)
    for variant in range(num_variants):
        times = [clock()]
        image, values = augment(source, pipeline, spec, seed=seed, variant=variant)
        times.append(clock())
        record = encode_record(source, image, values, spec, seed=seed, variant=variant)
        record_footer(record)
        hashlib.sha256(record).digest()
        times.append(clock())
        decode_record(record, spec.schema)
        times.append(clock())
        spent = [after - before for before, after in itertools.pairwise(times)]
        for found, seconds in zip((cost.augment_s, cost.encode_s, cost.read_s), spent, strict=True):
            found.append(seconds)
        cost.record_bytes.append(len(record) + FRAMING_BYTES)
    return cost
