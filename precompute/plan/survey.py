"""Before the job: a fixed sample of sources goes through the pipeline, so that what is wrong shows now."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from precompute.errors import BadSourcesError, PipelineError, RejectedSource, SourceError, first_few
from precompute.plan.blocks import order_places
from precompute.record.pipeline import Pipeline
from precompute.record.probe import probe
from precompute.record.render import Decoded, RecordSpec, augment, decode_source, render
from precompute.sources.source import Sources

__all__ = ["Sample", "check_binary_masks", "decode_sample", "find_size", "measure"]

SAMPLE_SIZE = 64
PROBED = 3


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The first sources of a split in the order of its blocks: the same ones whatever the job.

    Attributes:
        split: Where they are from.
        decoded: Those that could be decoded.
        rejected: What is wrong with the others; the job lists them again with all the rest.
    """

    split: str
    decoded: list[Decoded]
    rejected: list[str]
    decode_s: float


def decode_sample(sources: Sources, split: str, spec: RecordSpec) -> Sample:
    """Decode the sample of a split.

    Raises:
        BadSourcesError: Not one of them can be decoded.
    """
    indices = list(sources.of_split(split))
    chosen = [indices[place] for place, _ in order_places([sources.keys[i] for i in indices])[:SAMPLE_SIZE]]
    decoded, rejected, start = [], [], time.perf_counter()
    for i in chosen:
        mask = None if sources.masks is None else sources.path(sources.masks[i])
        label = None if sources.labels is None else sources.labels[i]
        try:
            decoded.append(decode_source(sources.keys[i], sources.path(sources.images[i]), mask, label, spec))
        except RejectedSource as error:
            rejected.append(str(error))
    if not decoded:
        raise BadSourcesError(f"{split}: none of the first {len(chosen)} sources can be used:\n{first_few(rejected)}")
    return Sample(split=split, decoded=decoded, rejected=rejected, decode_s=(time.perf_counter() - start) / len(chosen))


def find_size(sample: Sample, pickled: bytes, spec: RecordSpec) -> tuple[int, int]:
    """Return the height and width that a pipeline gives, after checking that it can be used offline.

    Raises:
        PipelineError: It fails on the sample, gives sizes that vary, or draws what its generators do not reach.
    """
    probe(pickled, sample.decoded[:PROBED], sample.split)
    pipeline = Pipeline(pickled)
    sizes: dict[tuple[int, int], str] = {}
    failures = []
    for i, source in enumerate(sample.decoded):
        try:
            image, _ = augment(source, pipeline, replace(spec, height=None, width=None), seed=0, variant=i % 4)
        except RejectedSource as error:
            failures.append(str(error))
        else:
            sizes.setdefault((image.shape[0], image.shape[1]), source.key)
    if len(sizes) > 1:
        shown = [f"{height}×{width} from {key}" for (height, width), key in sizes.items()]
        raise PipelineError(
            f"pipeline of {sample.split}: the size of its output varies (height × width):\n{first_few(shown)}\n"
            "All records must have one size: let the pipeline end with Resize, a crop, or PadIfNeeded and a crop."
        )
    if not sizes:
        raise PipelineError(
            f"pipeline of {sample.split}: it failed on all of the first {len(sample.decoded)} images:\n"
            f"{first_few(failures)}{_advice(failures)}"
        )
    return next(iter(sizes))


def _advice(failures: Sequence[str]) -> str:
    if any("uint8 is expected" in failure for failure in failures):
        return (
            "\nRecords hold uint8 pixels: only a Normalize, ToFloat or ToTensorV2 at the very end is taken off and "
            "left to the model."
        )
    return ""


def measure(sample: Sample, pickled: bytes, spec: RecordSpec) -> tuple[int, float]:
    """Return the mean bytes of a record, and the mean seconds that making one takes.

    Bytes are those of variant 0 under seed 0, whatever the seed of the build: blocks are cut by them.
    """
    pipeline, sizes, start = Pipeline(pickled), [], time.perf_counter()
    for source in sample.decoded:
        try:
            sizes.append(len(render(source, pipeline, spec, seed=0, variant=0)) + 16)  # 16 bytes of framing
        except RejectedSource:
            continue  # listed by the job
    seconds = (time.perf_counter() - start) / max(1, len(sample.decoded))
    return sum(sizes) // max(1, len(sizes)), seconds


def check_binary_masks(sample: Sample, spec: RecordSpec) -> None:
    """Refuse masks that hold 0 and 255 alone: 255 is hardly meant as class 255.

    Raises:
        SourceError: It is so, and no map was given.
    """
    if spec.mask_map or spec.ignore_class == 255:
        return
    ids = {int(i) for source in sample.decoded if source.mask is not None for i in np.unique(source.mask)}
    if 255 in ids and ids <= {0, 255}:
        raise SourceError(
            f"masks hold 0 and 255 alone (looked at {len(sample.decoded)} of {sample.split}): 255 would be class 255 "
            "of 256. If it means foreground, pass --mask-map 255:1 (mask_map={255: 1})."
        )
