"""All that is needed to make records of one split, prepared as a build prepares it; nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from precompute.dataset.remarks import numbers_of_objects
from precompute.errors import UsageError
from precompute.options import BuildOptions
from precompute.plan.idle import check_idle, check_image_size
from precompute.plan.make import complete_pipelines, make_plan, make_spec, prepare_pipelines
from precompute.plan.splits import assign_splits
from precompute.record.pipelines.pipeline import Pipeline, Prepared
from precompute.record.pipelines.point_rules import mirroring_warnings
from precompute.record.spec import RecordSpec
from precompute.sources.find import limit_sources
from precompute.sources.source import Sources

__all__ = ["Say", "Studio", "open_studio"]

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Studio:
    """All that is needed to make records of one split.

    Attributes:
        sources: All of them, their splits assigned.
        options: Of the build.
        split: The split to show.
        spec: What every record must be.
        prepared: The pipeline of the split.
        pipeline: The same, ready to be applied.
    """

    sources: Sources
    options: BuildOptions
    split: str
    spec: RecordSpec
    prepared: Prepared
    pipeline: Pipeline


def open_studio(sources: Sources, options: BuildOptions, split: str, say: Say) -> Studio:
    """Prepare as a build does, so that what a build refuses is refused here, in the same words."""
    prepared = prepare_pipelines(options, sources.kind, sources.class_names)
    idle = check_idle(options, sources, is_new=True)
    sources = assign_splits(
        limit_sources(sources, options.limit),
        validation_split=options.validation_split,
        test_split=options.test_split,
    )
    warnings = mirroring_warnings(prepared, sources.skeleton, options.flip_pairs)
    for note in [*warnings, *idle, *(note for p in prepared.values() for note in p.notes), *sources.notes]:
        say(note)
    found = list(dict.fromkeys(s for s in sources.splits if s is not None))
    if split not in found:
        raise UsageError(f"split: the sources have {', '.join(sorted(found))}; got {split!r}.")
    plan = make_plan("preview", "g0001", options, prepared, sources)
    for note in [*numbers_of_objects(plan.remarks), *check_image_size(options, prepared, plan.image, is_new=True)]:
        say(note)
    pipelines = complete_pipelines(prepared, list(plan.splits), plan.image)
    return Studio(
        sources=sources,
        options=options,
        split=split,
        spec=make_spec(options, sources, plan.image, plan.mask_dtype),
        prepared=pipelines[split],
        pipeline=Pipeline(pipelines[split].pickled),
    )
