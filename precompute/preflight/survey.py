"""Before the job: a fixed sample of sources goes through the pipeline, which shows problems early."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from precompute.errors import (
    BadSourcesError,
    DatasetError,
    PipelineError,
    RejectedSource,
    SourceError,
    UsageError,
    first_few,
)
from precompute.fields.field import Schema
from precompute.images.mask_files import unpacked_color
from precompute.pipelines.mask_rules import UnknownIds
from precompute.pipelines.pipeline import Pipeline, finishing_inside
from precompute.preflight.needs import check_channels, force_each_transform
from precompute.preflight.probe import first_fault, probe
from precompute.preflight.sample import Sample, cpu_clock
from precompute.records.stored import decode_record
from precompute.records.tfrecord import FRAMING_BYTES
from precompute.rendering.decode import Decoded
from precompute.rendering.render import augment, encode_record
from precompute.rendering.spec import RecordSpec
from precompute.text.format import format_count
from precompute.text.reasons import describe_reasons, num_of_one_kind

__all__ = ["Survey", "check_colors", "check_rejected", "survey"]

PROBED = 3
NUM_TRIED = 4  # draws of a transform that fails, at least
MIN_TRIED = 16  # of fewer sources a few tell nothing, and a job is short
NEARLY_ALL = 0.9
NUM_SIZED = 64  # records whose size is looked at: several variants of each source where there are few


@dataclass(frozen=True, kw_only=True)
class Survey:
    """The results of a pipeline for the sample.

    Attributes:
        height: Height of the pipeline's output in pixels.
        width: Width of the pipeline's output in pixels.
        record_bytes: Mean size of records of variant 0 under seed 0, with framing; it decides the number of blocks.
        record_s: Mean seconds to make one of these records.
    """

    height: int
    width: int
    record_bytes: int
    record_s: float


def survey(sample: Sample, pickled: bytes, spec: RecordSpec, *, accepted: float = 0.0) -> Survey:
    """Try a pipeline on the sample, as the job will.

    Args:
        spec: Specification of records, without height and width.
        accepted: Share of bad sources that is accepted.

    Raises:
        UsageError: Fields cannot stand in one record.
        PipelineError: The pipeline fails on all or nearly all of the sample, has outputs of varying size, makes class
            ids that masks do not hold, or draws from other generators than its own.
    """
    check_channels(pickled, sample.decoded, sample.split)
    probe(pickled, sample.decoded[:PROBED], spec, sample.split)
    pipeline, failures, clock = Pipeline(pickled), list[str](), cpu_clock()
    start = clock()
    failed: tuple[Decoded, int] | None = None
    sizes: dict[tuple[int, int], str] = {}
    lengths = list[int]()
    for variant in range(-(-NUM_SIZED // len(sample.decoded))):
        for source in sample.decoded:
            try:
                image, values = augment(source, pipeline, spec, seed=0, variant=variant)
            except UnknownIds as error:  # no fault of the source
                begins = first_fault(pickled, source, spec, variant=variant)
                raise PipelineError(f"pipeline of {sample.split}: {error}. {begins}") from error
            except RejectedSource as error:
                failures.append(str(error))
                failed = failed or (source, variant)
                continue
            sizes.setdefault((image.shape[0], image.shape[1]), source.key)
            if variant == 0:
                record = encode_record(source, image, values, spec, seed=0, variant=0)
                if not lengths:
                    _check_together(record, spec.schema)
                lengths.append(len(record) + FRAMING_BYTES)
        if variant == 0:
            record_s = (clock() - start) / len(sample.decoded)
    if failed and not sizes:
        raise PipelineError(
            f"pipeline of {sample.split}: it failed on all of the first {format_count(len(sample.decoded), 'image')}:\n"
            f"{first_few(failures[: len(sample.decoded)])}{_advice(failures, pickled, spec, *failed)}"
        )
    _check_sizes(sample, sizes)
    _check_each(sample, pickled, spec, sizes)
    num_tried = len(sample.decoded) * (variant + 1)
    if failed and is_hopeless(failures, num_tried=num_tried, accepted=accepted):
        raise PipelineError(
            f"pipeline of {sample.split}: it failed in {len(failures)} of the first "
            f"{format_count(num_tried, 'image')}, nearly always "
            f"for one reason, so nothing was written:\n{describe_reasons(failures)}"
            f"{_advice(failures, pickled, spec, *failed)}"
        )
    height, width = next(iter(sizes))
    # Without any record of variant 0, the size of other variants of these sources will do.
    record_bytes = sum(lengths) // len(lengths) if lengths else height * width
    return Survey(height=height, width=width, record_bytes=record_bytes, record_s=record_s)


def _check_together(record: bytes, schema: Schema) -> None:
    """Refuse fields that share a key of records, or a name in examples.

    Raises:
        UsageError: There are such fields.
    """
    try:
        _, _ = schema.features, decode_record(record, schema)
    except (ValueError, DatasetError) as error:
        names = ", ".join(name for name in schema if name != "image")
        raise UsageError(f"{names}: one dataset cannot hold them together: {str(error).rstrip('.')}.") from error


def _check_each(sample: Sample, pickled: bytes, spec: RecordSpec, sizes: dict[tuple[int, int], str]) -> None:
    """Refuse transforms that run only now and then, if they then fail on all sources or give another size."""
    wrong = dict[str, str]()
    for name, forced in force_each_transform(pickled):
        pipeline, failures, found = Pipeline(forced), list[str](), dict[tuple[int, int], str]()
        for source, variant in _first_draws(sample):
            try:
                image, _ = augment(source, pipeline, spec, seed=0, variant=variant)
            except UnknownIds as error:  # no fault of the source
                raise PipelineError(f"pipeline of {sample.split}: where {name} runs: {error}.") from error
            except RejectedSource as error:
                failures.append(str(error))
                continue
            found[image.shape[0], image.shape[1]] = f"{source.key} ({name})"
            break
        if not found:
            wrong[name] = failures[0]
        _check_sizes(sample, {**found, **sizes})
    if wrong:
        listed = "\n".join(f"  {name}: {why}" for name, why in wrong.items())
        raise PipelineError(
            f"pipeline of {sample.split}: where these transforms run, none of the first "
            f"{format_count(len(sample.decoded), 'image')} can be used:\n{listed}\n"
            + "\n".join(["Leave them out, or change them or what stands before them.", *_advice_of_fields(spec)])
        )


def _first_draws(sample: Sample) -> Iterator[tuple[Decoded, int]]:
    """Yield pairs of source and variant, enough of both that chance does not decide."""
    for variant in range(-(-NUM_TRIED // len(sample.decoded))):
        yield from ((source, variant) for source in sample.decoded)


def _check_sizes(sample: Sample, sizes: Mapping[tuple[int, int], str]) -> None:
    if len(sizes) > 1:
        shown = [f"{height}×{width} from {key}" for (height, width), key in sizes.items()]
        raise PipelineError(
            f"pipeline of {sample.split}: the size of its output varies (height × width):\n{first_few(shown)}\n"
            "All records must have one size: let the pipeline end with Resize, a crop, or PadIfNeeded and a crop."
        )


def _advice_of_fields(spec: RecordSpec) -> list[str]:
    """Return what fields advise where a pipeline fails, a line each."""
    return [advice for one in spec.fields if (advice := one.advice(spec.channels))]


def _advice(failures: Sequence[str], pickled: bytes, spec: RecordSpec, source: Decoded, variant: int) -> str:
    """Return advice on failures, each line after a line break: where they begin, and how to handle floats."""
    begins = first_fault(pickled, source, spec, variant=variant)
    lines = [begins] if begins else []
    lines += _advice_of_fields(spec)
    if any("uint8 is expected" in failure for failure in failures):
        found = finishing_inside(pickled)
        where = f" Here {' and '.join(found)} stand{'s' * (len(found) == 1)} elsewhere: move it there." if found else ""
        lines.append(
            "Records hold uint8 pixels: only a Normalize, ToFloat or ToTensorV2 at the very end is taken off and left "
            f"to the model.{where}"
        )
    return "".join(f"\n{line}" for line in lines)


def is_hopeless(reasons: Sequence[str], *, num_tried: int, accepted: float) -> bool:
    """Return whether a job is not worth starting: nearly all of the sample fails, and for one reason.

    The sample is drawn by a hash: if half of all sources were sound, 58 of 64 would fail in one of 10^11 data sets.

    Args:
        reasons: Reasons of the sources in the sample that fail.
        num_tried: Number of sources in the sample.
        accepted: Share of bad sources that is accepted.
    """
    is_nearly_all = num_tried >= MIN_TRIED and num_of_one_kind(reasons) >= NEARLY_ALL * num_tried
    return is_nearly_all and len(reasons) > accepted * num_tried


def check_rejected(sample: Sample, *, accepted: float) -> None:
    """Refuse sources if nearly all fail for one reason: something else than single sources is then wrong.

    Args:
        accepted: Share of bad sources that is accepted.

    Raises:
        BadSourcesError: Nearly all of the sample fail for one reason.
    """
    num_tried = len(sample.decoded) + len(sample.rejected)
    if is_hopeless(sample.rejected, num_tried=num_tried, accepted=accepted):
        raise BadSourcesError(
            f"{len(sample.rejected)} of the first {format_count(num_tried, 'source')} of {sample.split} cannot "
            "be used, nearly all for "
            f"one reason, so nothing was written:\n{describe_reasons(sample.rejected)}\n"
            "Fix that, or an option; to build from the others alone, accept the share of them with --skip-bad."
        )


def check_colors(sample: Sample, *, allowed: int) -> None:
    """Refuse masks with colours that have no class; the message counts all such colours.

    Args:
        allowed: Number of bad sources that are accepted.

    Raises:
        SourceError: More masks of the sample than accepted, or all of them, have such colours.
    """
    if not sample.unlisted or (len(sample.unlisted) <= allowed and sample.decoded):
        return
    pixels, masks = Counter[int](), Counter[int]()
    for counts in sample.unlisted:
        pixels.update(counts)
        masks.update(counts.keys())
    shown = [
        f"{unpacked_color(c)}: {format_count(n, 'pixel')} in {format_count(masks[c], 'mask')}"
        for c, n in pixels.most_common()
    ]
    raise SourceError(
        f"masks hold {format_count(len(pixels), 'colour')} that --mask-colors does not list ({len(sample.unlisted)} of "
        f"{format_count(len(sample.decoded) + len(sample.rejected), 'mask')} looked at in "
        f"{sample.split}):\n{first_few(shown, 10)}\n"
        "Add them, several colours may be one class; or let `precompute mask-colors SOURCE --output FILE` write a file "
        "with all colours that the masks hold, and name their classes there."
    )
