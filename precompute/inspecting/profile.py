"""`precompute.profile`: measures on a sample where the time of a build goes, by stage and by transform."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from precompute.building.files import ShardWriter
from precompute.errors import RejectedSource
from precompute.images.threads import one_opencv_thread
from precompute.inspecting.advice import advise
from precompute.inspecting.sample_renderer import Notify, SampleRenderer, make_sample_renderer
from precompute.inspecting.stages import Profile, Stage
from precompute.inspecting.stopwatch import Calls, Stopwatch
from precompute.options.build_options import BuildOptions
from precompute.options.plain_values import converts_arguments
from precompute.options.values import check_counts
from precompute.pipelines.pipeline import Pipeline
from precompute.pipelines.seeding import Draws
from precompute.plan.versions import pixel_versions
from precompute.preflight.probe import global_generators_kept, has_other_threads
from precompute.preflight.sample import cpu_clock, decode_one, none_to_measure, sample_of
from precompute.records.tfrecord import record_footer, record_header
from precompute.rendering import decode as decoding
from precompute.rendering import render as rendering
from precompute.rendering.decode import Decoded
from precompute.rendering.fields import extra_image as extra_images
from precompute.rendering.fields import mask as masks
from precompute.sources.find import find
from precompute.table.sources import Source

__all__ = ["Profile", "Stage", "profile", "profile_json"]

MAX_ROWS = 128  # of a task: more of them decode a source again
BUFFER_BYTES = 2**20

# Functions that make records, timed where they are called: the code that is measured is the code that a build runs.
READ, DECODE_IMAGE, DECODE_MASK = ("source", "read"), ("source", "decode image"), ("source", "decode mask")
SHRINK_MASK, HASH = ("source", "shrink mask"), ("source", "hash, check ids")
DECODE_FURTHER, ENCODE_FURTHER = ("source", "decode further images"), ("record", "encode further images")
SEED, SEED_GLOBAL = ("pipeline", "seed"), ("pipeline", "seed global generators")
COMPOSE, CHECK = ("pipeline", "compositions"), ("pipeline", "check size, ids")
ENCODE_IMAGE, ENCODE_MASK, EXAMPLE = ("record", "encode image"), ("record", "encode mask"), ("record", "Example")
CHECKSUMS, WRITE = ("shard", "CRC, sha256"), ("shard", "write")
WATCHED: tuple[tuple[Any, str, Hashable], ...] = (
    (decoding, "read_file", READ),
    (decoding, "decode_shrunk", DECODE_IMAGE),
    (masks, "read_file", READ),
    (masks, "decode_mask", DECODE_MASK),
    (masks, "shrink_mask", SHRINK_MASK),
    (extra_images, "read_file", READ),
    (extra_images, "decode_shrunk", DECODE_FURTHER),
    (extra_images, "decode_as_stored", DECODE_FURTHER),
    (Draws, "set", SEED),
    (Pipeline, "_set_global_generators", SEED_GLOBAL),
    (Pipeline, "apply", COMPOSE),
    (rendering, "augment", CHECK),
    (rendering, "encode_image", ENCODE_IMAGE),
    (masks, "encode_mask", ENCODE_MASK),
    (extra_images, "encode_image", ENCODE_FURTHER),
    (extra_images, "encode_mask", ENCODE_FURTHER),
    (rendering, "encode_record", EXAMPLE),
)


@converts_arguments
def profile(
    source: str | Path | Iterable[Source] | None = None,
    *,
    split: str = "train",
    num_sources: int = 16,
    num_variants: int = 8,
    lists: Mapping[str, Any] | None = None,
    say: Notify = lambda _: None,
    **options: Any,
) -> Profile:
    """Measure what a build with these options spends its time on; no dataset is written.

    After a warm-up, the functions that a build calls make records of the first sources in the order of blocks, in this
    process and with one thread, and write them to a temporary folder. Only processor time counts, not the time spent
    waiting for a disk or a network.

    Args:
        source: A folder, or an iterable of `Source`; None with `lists`.
        split: Split whose pipeline is profiled.
        num_sources: Number of sources to measure.
        num_variants: Number of variants of each source; at most the number of rows that the split will have.
        lists: `images` and other lists in place of a source, as for a build.
        say: Called with each note that the build would give.
        **options: Those of a build: `pipeline`, `variants`, `image_format` …

    Returns:
        Times by stage, the time of the whole build that follows from them, and advice; `report()` returns the table.

    Raises:
        PrecomputeError: As for a build.
        BadSourcesError: None of the sources can be used.
    """
    check_counts(num_sources=num_sources, num_variants=num_variants)
    chosen = BuildOptions.make(**options)
    renderer = make_sample_renderer(find(source, chosen, lists), chosen, split, say)
    found = _measure(renderer, num_sources, num_variants)
    return replace(found, advice=advise(renderer, found))


def profile_json(found: Profile) -> str:
    """Return a profile as JSON, with the figures that follow from its stages, and the versions that made it."""
    derived = {name: getattr(found, name) for name in ("record_ms", "records_per_s", "build_s")}
    content = {**asdict(found), **derived, "versions": pixel_versions()}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


@dataclass
class _Tally:
    """What the sample came to: sizes of its sources, number of its records, and reasons for rejected sources."""

    sizes: list[tuple[int, int]]
    num_records: int
    rejected: list[str]


def _measure(renderer: SampleRenderer, num_sources: int, num_variants: int) -> Profile:
    options = renderer.options
    num_rows = options.variants if renderer.split == "train" else 1
    # As in a build's worker; but other threads of this program may draw from the global generators, which stay theirs.
    own_process = options.backend == "loky" and options.num_jobs > 1 and not has_other_threads()
    pipeline, watch = Pipeline(renderer.prepared.pickled, own_process=own_process), Stopwatch(cpu_clock())
    transforms: dict[Hashable, Any] = {("pipeline", name, i): t for i, (name, t) in enumerate(pipeline.transforms)}
    tally = _make_records(renderer, pipeline, watch, transforms, num_sources, min(num_variants, num_rows))
    if not tally.num_records:
        raise none_to_measure(renderer.split, tally.rejected)
    rows_a_task = min(num_rows, MAX_ROWS)
    return Profile(
        split=renderer.split,
        num_sources=len(tally.sizes),
        num_variants=min(num_variants, num_rows),
        num_rejected=len(tally.rejected),
        num_places=sum(1 for _ in renderer.sources.of_split(renderer.split)),
        num_rows=num_rows,
        source_pixels=int(median(height * width for height, width in tally.sizes)),
        height=renderer.spec.height or 0,
        width=renderer.spec.width or 0,
        image_format=renderer.spec.encoding,
        num_workers=options.num_jobs,
        stages=tuple(_stages(watch, transforms, tally, rows_a_task)),
    )


def _make_records(
    renderer: SampleRenderer,
    pipeline: Pipeline,
    watch: Stopwatch,
    transforms: Mapping[Hashable, Any],
    num_sources: int,
    num_variants: int,
) -> _Tally:
    """Make and write the records of the sample while the stopwatch runs."""
    tally = _Tally(sizes=[], num_records=0, rejected=[])
    chosen = sample_of(renderer.sources, renderer.split, num_sources)
    with ExitStack() as stack:
        stack.enter_context(one_opencv_thread())
        if not has_other_threads():
            stack.enter_context(global_generators_kept())
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="precompute-profile-")))
        writer = stack.enter_context(ShardWriter(folder / "shard", folder, buffer_bytes=BUFFER_BYTES))
        for number, i in enumerate(chosen):
            try:
                if number == 0:  # warm-up: tables are loaded, the heap has grown
                    _records(renderer, decode_one(renderer.sources, i, renderer.spec), pipeline, num_variants)
                with ExitStack() as watched:
                    for owner, name, stage in WATCHED:
                        watched.enter_context(watch.watching(owner, name, stage))
                    watched.enter_context(watch.watching_transforms(transforms))
                    source = watch.call(HASH, decode_one, renderer.sources, i, renderer.spec)
                    records = _records(renderer, source, pipeline, num_variants)
            except RejectedSource as error:
                tally.rejected.append(str(error))
                continue
            tally.sizes.append(source.full_size or source.image.shape[:2])
            tally.num_records += len(records)
            for record in records:
                _write(watch, writer, record)
    return tally


def _records(renderer: SampleRenderer, source: Decoded, pipeline: Pipeline, num_variants: int) -> list[bytes]:
    seed = renderer.options.seed
    return [rendering.render(source, pipeline, renderer.spec, seed=seed, variant=v) for v in range(num_variants)]


def _write(watch: Stopwatch, writer: ShardWriter, record: bytes) -> None:
    """Write a record. Its checksums are made inside the writer, so their time is found by making them once more."""
    watch.call(CHECKSUMS, _checksums, record)
    watch.call(WRITE, writer.write, record)
    checksums, written = watch.stages[CHECKSUMS].seconds[-1], watch.stages[WRITE].seconds
    written[-1] = max(0.0, written[-1] - checksums)


def _checksums(record: bytes) -> None:
    hashed = hashlib.sha256()
    for part in (record_header(record), record, record_footer(record)):
        hashed.update(part)


def _stages(watch: Stopwatch, transforms: Mapping[Hashable, Any], tally: _Tally, rows_a_task: int) -> Iterator[Stage]:
    order: list[Any] = [READ, DECODE_IMAGE, DECODE_MASK, DECODE_FURTHER, SHRINK_MASK, HASH, SEED, SEED_GLOBAL]
    order += [*transforms, COMPOSE, CHECK, ENCODE_IMAGE, ENCODE_MASK, ENCODE_FURTHER, EXAMPLE, CHECKSUMS, WRITE]
    for stage in order:
        calls = watch.stages.get(stage, Calls())
        if not calls.seconds and stage not in transforms:
            continue
        shared = len(tally.sizes) * rows_a_task if stage[0] == "source" else tally.num_records
        spent = [ms for ms, ran in zip(calls.seconds, calls.ran or [True] * len(calls.seconds), strict=True) if ran]
        transform = transforms.get(stage)
        yield Stage(
            group=stage[0],
            name=stage[1],
            is_transform=transform is not None,
            p=None if transform is None else float(transform.p),
            ran=None if transform is None else len(spent) / tally.num_records,
            pixels=sum(calls.pixels) / len(calls.pixels) if calls.pixels else None,
            median_ms=1000 * median(spent) if spent else 0.0,
            p90_ms=1000 * float(np.percentile(spent, 90)) if spent else 0.0,
            record_ms=1000 * sum(calls.seconds) / shared,
        )
