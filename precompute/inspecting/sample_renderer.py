"""Making records of a sample as a build would, without writing anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from precompute.building.make_plan import make_plan, prepare_pipelines, spec_of_plan
from precompute.errors import UsageError
from precompute.fields.counters import instance_id_warnings
from precompute.inspecting.find import divide
from precompute.options.build_options import BuildOptions
from precompute.pipelines.keypoint_rules import mirroring_warnings
from precompute.pipelines.load import complete_pipelines
from precompute.pipelines.pipeline import Pipeline, Prepared
from precompute.preflight.ineffective_options import check_image_size, check_ineffective_options
from precompute.rendering.spec import RecordSpec
from precompute.table.sources import Sources

__all__ = ["Notify", "SampleRenderer", "make_sample_renderer"]

Notify = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class SampleRenderer:
    """All that is needed to make records of one split.

    Attributes:
        sources: All sources, their splits assigned.
        options: Options of the build.
        split: Name of the split.
        spec: Specification of records.
        prepared: Prepared pipeline of the split.
        pipeline: The pipeline, ready to be applied.
    """

    sources: Sources
    options: BuildOptions
    split: str
    spec: RecordSpec
    prepared: Prepared
    pipeline: Pipeline


def make_sample_renderer(sources: Sources, options: BuildOptions, split: str, notify: Notify) -> SampleRenderer:
    """Prepare as a build does, so that everything a build refuses is refused here with the same message."""
    prepared = prepare_pipelines(options, sources)
    ineffective = check_ineffective_options(options, sources, is_new=True)
    sources = divide(sources, options)
    warnings = mirroring_warnings(prepared, sources.keypoint_names, options.flip_pairs)
    for note in [*warnings, *ineffective, *(note for p in prepared.values() for note in p.notes), *sources.notes]:
        notify(note)
    found = list(dict.fromkeys(s for s in sources.splits if s is not None))
    if split not in found:
        raise UsageError(f"split: the sources have {', '.join(sorted(found))}; got {split!r}.")
    plan = make_plan("preview", "g0001", options, prepared, sources)
    for note in [*instance_id_warnings(plan.counters), *check_image_size(options, prepared, plan.image, is_new=True)]:
        notify(note)
    pipelines = complete_pipelines(prepared, list(plan.splits), plan.image)
    return SampleRenderer(
        sources=sources,
        options=options,
        split=split,
        spec=spec_of_plan(plan, sources),
        prepared=pipelines[split],
        pipeline=Pipeline(pipelines[split].pickled),
    )
