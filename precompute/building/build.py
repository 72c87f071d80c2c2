"""`precompute.build`: sources and pipelines → shards and manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from precompute.building.cells import BuildPlan, Wanted, plan_rows
from precompute.building.choose_generation import choose_generation
from precompute.building.earlier_rules import (
    keep_classes,
    keep_pairs,
    keep_splits,
    notes_on_pipelines,
    stored_pipelines,
)
from precompute.building.execute import check_workers
from precompute.building.folder import StoredGeneration, stored_generations, write_lock
from precompute.building.make_plan import prepare_pipelines, spec_of_plan
from precompute.building.progress import Progress
from precompute.building.repair import repair, retry_bad
from precompute.building.result import BuildResult
from precompute.building.write import write_rows
from precompute.dataset.manifest import ORIGINAL_VARIANT, SPLITS
from precompute.errors import UsageError
from precompute.options.build_options import BuildOptions
from precompute.options.option import shows_options
from precompute.pipelines.keypoint_rules import mirroring_warnings
from precompute.pipelines.load import complete_pipelines
from precompute.pipelines.pipeline import Prepared
from precompute.plan.splits import assign_copies, assign_splits
from precompute.preflight.ineffective_options import check_image_size, check_ineffective_options
from precompute.preflight.source_size import saving_of_size
from precompute.sources.chosen import limit_sources
from precompute.sources.find import find
from precompute.sources.python import read_arguments
from precompute.sources.summary import FoundSources
from precompute.storage.paths import absolute, as_path, check_path_text
from precompute.table.listed_sources import stored_splits
from precompute.table.sources import Source, Sources

__all__ = ["build", "build_dataset"]

WORTH_SAYING = 0.1  # of the time


@shows_options(BuildOptions)
def build(
    source: str | Path | Iterable[Source] | None = None, output: str | Path | None = None, **options: Any
) -> BuildResult:
    """Write augmented variants of all sources as sharded TFRecords, or continue the dataset that is there.

    Args:
        source: A folder, the URL of one in an object store (``"s3://bucket/photos"``), or an iterable of `Source`; None
            when the lists below are given.
        output: Folder of the dataset, or its URL; new, or one that this function made.
        **options: Every option of `precompute build` under its name (see `BuildOptions`): `pipeline`, `variants=10`,
            `seed=0`, `validation_split=0.0`, `mask_map={255: 1}` … Or, in place of a source, lists of equal length:
            `images` with `labels` (a class, or a list of classes, for each), `masks`, `boxes`, `instances` or
            `keypoints` (with boxes or without), or `values`, a dictionary of lists of numbers; and `splits`, `groups`,
            `keys`, `weights`, `extra`, a dictionary of lists that travel along, and `extra_images`, a dictionary of
            lists of further images.

    Returns:
        What was written, and the manifest.

    Raises:
        PrecomputeError: Something is wrong; the message says what, in which file, what was expected, and what to do.
    """
    if output is None:
        raise UsageError("output: expected the folder of the dataset.")
    lists, chosen = read_arguments(options)
    with Progress(quiet=chosen.quiet) as progress:
        return build_dataset(find(source, chosen, lists, output), as_path(output), chosen, progress)


def build_dataset(sources: Sources, out: Path, options: BuildOptions, progress: Progress) -> BuildResult:
    """Plan, compare with what is on disk, and write what is missing."""
    check_path_text(absolute(out), "output")
    progress.notes(check_workers(options))
    prepared = prepare_pipelines(options, sources)
    progress.notes(note for p in prepared.values() for note in p.notes)
    progress.warnings(mirroring_warnings(prepared, sources.keypoint_names, options.flip_pairs))
    with nullcontext() if options.dry_run else write_lock(out, options.lease_dir):
        generations = stored_generations(out)
        ineffective = check_ineffective_options(options, sources, is_new=not generations)
        found, (sources, kept) = sources, _assign(limit_sources(sources, options.limit), generations, options)
        if sources.class_names != found.class_names:  # transforms may name them
            prepared = prepare_pipelines(options, sources)
        shown = FoundSources.of(found, sources)
        if not options.retry_bad:
            progress.say(shown.summary())
        progress.notes([*ineffective, *shown.notes, *kept])
        chosen = choose_generation(generations, out, options, prepared, shown, progress)
        pipelines = complete_pipelines(
            prepared, list(chosen.plan.splits), chosen.plan.image, stored_pipelines(chosen.plan)
        )
        if chosen not in generations:
            _say_source_size(chosen, options, prepared, sources, progress)
        progress.notes(check_image_size(options, prepared, chosen.plan.image, is_new=False))
        progress.notes(notes_on_pipelines(prepared, chosen.plan, pipelines, is_new=chosen not in generations))
        build_plan = BuildPlan(
            out=out,
            options=options,
            pipelines=pipelines,
            sources=sources,
            stored=chosen,
            previous=next((g for g in generations if g.manifest is not None and g is not chosen), None),
        )
        fixed = 0
        if not options.dry_run:
            repair(build_plan, progress)
            build_plan, fixed = retry_bad(build_plan, progress)
        rows = plan_rows(build_plan.stored, _wanted(build_plan.stored, options))
        result = write_rows(build_plan, Wanted(rows=rows), progress)
        result = replace(result, num_mended=fixed, field_classes=shown.class_counts)
        progress.warnings(result.warnings())
        return result


def _assign(
    sources: Sources, generations: Sequence[StoredGeneration], options: BuildOptions
) -> tuple[Sources, list[str]]:
    """Return the sources with splits and copies, and notes on the rules that a dataset on disk keeps."""
    stored = stored_splits(generations[-1].listing, sources.keys) if generations else None
    sources, of_splits = keep_splits(stored, sources)
    sources = assign_splits(
        sources, validation_split=options.validation_split, test_split=options.test_split, stored=stored
    )
    sources, of_classes = keep_classes(generations, options, sources)
    sources = assign_copies(sources, class_copies=options.class_copies, balance=options.balance)
    sources, of_pairs = keep_pairs(generations, options, sources)
    return sources, [*of_classes, *of_splits, *of_pairs]


def _say_source_size(
    chosen: StoredGeneration,
    options: BuildOptions,
    prepared: Mapping[str, Prepared],
    sources: Sources,
    progress: Progress,
) -> None:
    """Note what --max-source-size would save for large sources, or that it makes sources too small."""
    if options.quiet:
        return
    image, limit = chosen.plan.image, options.max_source_size
    if limit is not None:
        if limit < max(image.height, image.width):
            size = f"{image.height}×{image.width}"
            progress.say(
                f"warning: --max-source-size {limit} is below the {size} of records: they are made larger again."
            )
        return
    spec, pickled = spec_of_plan(chosen.plan, sources), prepared["train"].pickled
    saving = saving_of_size(sources, "train", pickled, spec, rows_a_task=options.variants, seed=options.seed)
    if saving is not None and saving.share >= WORTH_SAYING:
        progress.say(f"note: {saving.sentence()}.")


def _wanted(stored: StoredGeneration, options: BuildOptions) -> dict[str, list[tuple[int, int]]]:
    """Return split → (seed, variant) of each row that shall be listed."""
    wanted = {}
    for split in (s for s in SPLITS if s in stored.plan.splits):
        listed = stored.manifest.splits[split].rows if stored.manifest else []
        if split != "train":
            wanted[split] = [] if listed else [(options.seed, 0)]
            continue
        original = options.include_original and not any(row.original for row in listed)
        wanted[split] = [(options.seed, ORIGINAL_VARIANT)] if original else []
        wanted[split] += [(options.seed, variant) for variant in range(options.variants)]
    return wanted
