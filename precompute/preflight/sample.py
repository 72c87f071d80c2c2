"""The sample of sources on which everything before a job is tried, and the measured cost of its records."""

from __future__ import annotations

import hashlib
import itertools
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean
from typing import Any, TypeAlias

from precompute.errors import BadSourcesError, RejectedSource
from precompute.images.mask_files import UnlistedColors
from precompute.images.threads import one_opencv_thread
from precompute.pipelines.pipeline import Pipeline
from precompute.plan.blocks import place_order
from precompute.records.stored import decode_record
from precompute.records.tfrecord import FRAMING_BYTES, record_footer
from precompute.rendering.decode import Decoded, decode_source
from precompute.rendering.render import augment, encode_record
from precompute.rendering.spec import RecordSpec
from precompute.table.sources import Sources
from precompute.text.format import format_count
from precompute.text.reasons import describe_reasons

__all__ = [
    "RunCalls",
    "Sample",
    "SourceCost",
    "cpu_clock",
    "decode_one",
    "decode_sample",
    "measure",
    "none_to_measure",
    "sample_of",
    "serially",
]

SAMPLE_SIZE = 64
MIN_MEASURED_S = 1e-6  # Windows counts the time of a thread in steps of 15 ms
RunCalls: TypeAlias = Callable[[Callable[[Any], Any], Sequence[Any]], list[Any]]


def serially(function: Callable[[Any], Any], arguments: Sequence[Any]) -> list[Any]:
    """Return the results of a function for each argument, computed one after the other."""
    return [function(argument) for argument in arguments]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The first sources of a split in the order of its blocks; they are the same for every job.

    Attributes:
        split: Split that the sources are from.
        decoded: Sources that could be decoded.
        rejected: What is wrong with the others; the job lists them again with all other bad sources.
        unlisted: Packed colour → number of pixels, for each mask with colours that have no class.
    """

    split: str
    decoded: list[Decoded]
    rejected: list[str]
    unlisted: list[dict[int, int]]

    def values(self, name: str) -> dict[str, Any]:
        """Return key → value of a field for the decoded sources."""
        return {source.key: source.values[name] for source in self.decoded}

    def converted(self, spec: RecordSpec) -> Sample:
        """Return the sample in the types of another spec."""
        return replace(self, decoded=[source.converted(spec) for source in self.decoded])


def decode_sample(sources: Sources, split: str, spec: RecordSpec, run_calls: RunCalls = serially) -> Sample:
    """Decode the sample of a split.

    Args:
        run_calls: Calls a function with each argument, in parallel processes if it can.

    Raises:
        BadSourcesError: Not one of them can be decoded.
    """
    chosen = sample_of(sources, split, SAMPLE_SIZE)
    calls = [(sources.keys[i], sources.path(sources.images[i]), sources.raw(i), spec) for i in chosen]
    found = run_calls(_decoded_or_rejected, calls)
    decoded = [source for source in found if isinstance(source, Decoded)]
    refused = [source for source in found if isinstance(source, _Rejected)]
    rejected = [source.reason for source in refused]
    unlisted = [source.unlisted for source in refused if source.unlisted is not None]
    if not decoded and not unlisted:
        raise BadSourcesError(
            f"{split}: none of the first {format_count(len(chosen), 'source')} can be "
            f"used:\n{describe_reasons(rejected)}"
        )
    return Sample(split=split, decoded=decoded, rejected=rejected, unlisted=unlisted)


@dataclass(frozen=True)
class _Rejected:
    """Why a source cannot be used; and packed colour → number of pixels if colours without a class are the reason."""

    reason: str
    unlisted: dict[int, int] | None


def _decoded_or_rejected(call: tuple[str, Path, Mapping[str, Any], RecordSpec]) -> Decoded | _Rejected:
    try:
        return decode_source(*call)
    except RejectedSource as error:
        return _Rejected(str(error), error.counts if isinstance(error, UnlistedColors) else None)


def sample_of(sources: Sources, split: str, number: int) -> list[int]:
    """Return the positions of the first sources of a split in the order of its blocks."""
    indices = array("q", sources.of_split(split))
    return [indices[i] for i in place_order(sources.keys_of(split)).sources[:number].tolist()]


def decode_one(sources: Sources, i: int, spec: RecordSpec) -> Decoded:
    """Read and decode the source at a position.

    Raises:
        RejectedSource: The source cannot be used.
    """
    return decode_source(sources.keys[i], sources.path(sources.images[i]), sources.raw(i), spec)


# Costs of sources


@dataclass(frozen=True, kw_only=True)
class SourceCost:
    """The cost of one source in seconds of one core; lists have one entry per variant.

    Attributes:
        height: Height of the source in pixels, before any shrinking.
        width: Width of the source in pixels, before any shrinking.
        decode_s: Seconds to read and decode the source with its mask.
        augment_s: Seconds for the pipeline, including draws and checks.
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
        """Mean seconds of a record, without decoding of the source."""
        return mean(self.augment_s) + mean(self.encode_s)


def cpu_clock() -> Callable[[], float]:
    """Return a clock of this thread's processor time; where that is too coarse, an ordinary clock."""
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
    """Make records of a few sources and measure the time; rejected sources are passed over.

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
        raise none_to_measure(split, reasons)
    return costs


def none_to_measure(split: str, reasons: Sequence[str]) -> BadSourcesError:
    """Return the error for a sample whose sources are all rejected, for these reasons."""
    number = format_count(len(reasons), "source")
    return BadSourcesError(f"{split}: none of {number} to measure can be used:\n{describe_reasons(reasons)}")


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
