"""Advice on a faster build: where one stage dominates, the usual remedies are tried on the sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from statistics import fmean
from typing import Any

import cloudpickle

from precompute.errors import BadSourcesError
from precompute.inspecting.sample_renderer import SampleRenderer
from precompute.inspecting.stages import Profile
from precompute.pipelines.transforms import leaves, shown_name
from precompute.preflight.sample import measure
from precompute.preflight.source_size import saving_of_size
from precompute.rendering.spec import RecordSpec
from precompute.text.format import format_count

__all__ = ["advise", "sizing_first", "with_arguments"]

NUM_SOURCES = 4
NUM_VARIANTS = 4
WORTH = 0.1  # share of the time that a remedy must save
DOMINATES = 0.3  # share of the time from which on a stage is worth a remedy
LARGER = 1.5  # times the pixels of a record: smaller sources gain nothing by an early resize
MORE_ROWS = 16
FEW_ROWS = 8
CHEAPER = {  # transforms whose arguments decide what they cost
    "ElasticTransform": ({"approximate": True}, {"same_dxdy": True}, {"sigma": 10.0}),
}
# Transforms that decide the size of images after them, and could as well come first.
SIZING = (
    "Resize",
    "RandomResizedCrop",
    "RandomSizedCrop",
    "SmallestMaxSize",
    "LongestMaxSize",
    "RandomCrop",
    "CenterCrop",
)


def advise(renderer: SampleRenderer, profile: Profile) -> tuple[str, ...]:
    """Return sentences of advice, in each kind those that save most time first; none if nothing stands out.

    Args:
        renderer: Renderer of samples that the profile was made with.
        profile: The profile, still without advice.
    """
    trial = _Trial(renderer, profile)
    smaller = [*_large_sources(trial), *_sizing_late(trial)]
    return (*smaller, *_transforms(trial, smaller_advised=bool(smaller)), *_png(trial), *_few_rows(trial))


class _Trial:
    """Measures records as they are and with one change, on the same few sources and draws."""

    def __init__(self, renderer: SampleRenderer, profile: Profile) -> None:
        self.renderer, self.profile = renderer, profile
        self.pickled, self.spec = renderer.prepared.pickled, renderer.spec
        self._now: float | None = None

    def record_ms(self, pickled: bytes | None = None, spec: RecordSpec | None = None) -> float | None:
        """Return milliseconds of one core per record; None if the change does not work on these sources."""
        try:
            costs = measure(
                self.renderer.sources,
                self.renderer.split,
                pickled or self.pickled,
                spec or self.spec,
                num_sources=NUM_SOURCES,
                num_variants=NUM_VARIANTS,
                seed=self.renderer.options.seed,
            )
        except BadSourcesError:
            return None
        return 1000 * fmean(cost.record_s + cost.decode_s / self.profile.num_rows for cost in costs)

    def now_ms(self) -> float:
        """Return milliseconds of one core per record without a change."""
        if self._now is None:
            self._now = self.record_ms() or self.profile.record_ms
        return self._now

    def saves(self, after_ms: float | None) -> bool:
        """Return whether a change saves enough to be mentioned."""
        return after_ms is not None and after_ms < (1 - WORTH) * self.now_ms()

    def shown(self, after_ms: float) -> str:
        """Return the effect of a change in words."""
        return f"{after_ms:.1f} ms a record, not {self.now_ms():.1f}"


def _large_sources(trial: _Trial) -> Iterator[str]:
    if trial.spec.max_source_size is not None:
        return
    renderer, rows = trial.renderer, trial.profile.num_rows
    saving = saving_of_size(
        renderer.sources, renderer.split, trial.pickled, trial.spec, rows_a_task=rows, seed=renderer.options.seed
    )
    if saving is not None and saving.share >= WORTH:
        yield f"{saving.sentence()}."


def _sizing_late(trial: _Trial) -> Iterator[str]:
    moved, profile = sizing_first(trial.pickled), trial.profile
    if moved is None or profile.source_pixels < LARGER * profile.height * profile.width:
        return
    name, before, pickled = moved
    after = trial.record_ms(pickled)
    if after is not None and trial.saves(after):
        yield (
            f"{name} could come first: {', '.join(before)} work on sources of {profile.source_pixels / 1e6:.2f} "
            f"megapixels, and records have {profile.height * profile.width / 1e6:.2f}. It would be "
            f"{trial.shown(after)}; arguments in pixels (blur, holes, shifts) then mean those of the smaller image."
        )


def _transforms(trial: _Trial, *, smaller_advised: bool) -> Iterator[str]:
    """Yield advice on transforms that dominate; a smaller image is not advised twice."""
    stages = [s for s in trial.profile.stages if s.is_transform and trial.profile.share(s) >= DOMINATES]
    for stage in sorted(stages, key=lambda s: -s.record_ms):
        name = stage.name.rpartition(" › ")[2]
        takes = (
            f"{stage.name} takes {trial.profile.share(stage):.0%} of the time, {stage.median_ms:.1f} ms when it runs, "
            f"which is for {stage.ran or 0:.0%} of the records"
        )
        cheaper = list(_cheaper(trial, name))
        if cheaper:
            yield f"{takes}. With {'; with '.join(cheaper)}. What it draws changes: see a preview."
        elif (stage.pixels or 0) <= LARGER * trial.profile.height * trial.profile.width:
            yield f"{takes}: a lower p, or a cheaper transform in its place, costs less."
        elif not smaller_advised:
            yield f"{takes}: on a smaller image, or with a lower p, it costs less."


def _cheaper(trial: _Trial, name: str) -> Iterator[str]:
    for arguments in CHEAPER.get(name, ()):
        after = trial.record_ms(with_arguments(trial.pickled, name, **arguments))
        if after is not None and trial.saves(after):
            shown = ", ".join(f"{argument}={value}" for argument, value in arguments.items())
            yield f"{shown} it would be {trial.shown(after)}"


def _png(trial: _Trial) -> Iterator[str]:
    encoding = [s for s in trial.profile.of_group("record") if s.name.startswith("encode image")]
    share = sum(trial.profile.share(stage) for stage in encoding)
    if trial.spec.encoding != "png" or share < DOMINATES:
        return
    found = {name: trial.record_ms(spec=replace(trial.spec, encoding=name)) for name in ("jpeg", "raw")}
    cheaper = [f"--image-format {name} {trial.shown(ms)}" for name, ms in found.items() if ms and trial.saves(ms)]
    if cheaper:
        yield (
            f"PNG of images takes {share:.0%} of the time: with {'; with '.join(cheaper)} (jpeg loses a little, raw is "
            "the largest on disk)."
        )


def _few_rows(trial: _Trial) -> Iterator[str]:
    profile = trial.profile
    share = profile.group_share("source")
    if profile.split != "train" or profile.num_rows >= FEW_ROWS or share < DOMINATES:
        return
    source_ms = share * profile.record_ms * profile.num_rows
    more = profile.record_ms - share * profile.record_ms + source_ms / MORE_ROWS
    rows = "the one row" if profile.num_rows == 1 else f"the {format_count(profile.num_rows, 'row')}"
    yield (
        f"reading and decoding sources takes {share:.0%} of the time, for {rows} alone: with {MORE_ROWS} variants in "
        f"one build a record would take {more:.1f} ms, not {profile.record_ms:.1f}."
    )


# Pipelines with a change, whose saving can then be measured before anybody makes it


def sizing_first(pickled: bytes) -> tuple[str, list[str], bytes] | None:
    """Return a prepared pipeline with its first resize or crop moved to the front.

    Returns:
        The name of that transform, those of the transforms that stood before it, and the pipeline; None where there is
        no such transform that always runs, or nothing before it.
    """
    compose = cloudpickle.loads(pickled)
    for number, transform in enumerate(compose.transforms):
        if type(transform).__name__ in SIZING and transform.p == 1:
            if number == 0:
                return None
            before = [shown_name(t) for t in compose.transforms[:number]]
            compose.transforms = [transform, *compose.transforms[:number], *compose.transforms[number + 1 :]]
            return shown_name(transform), before, cloudpickle.dumps(compose)
    return None


def with_arguments(pickled: bytes, name: str, **arguments: Any) -> bytes:
    """Return a prepared pipeline in which all transforms of a class have other arguments."""
    compose = cloudpickle.loads(pickled)
    for transform in leaves(compose):
        if type(transform).__name__ == name:
            for argument, value in arguments.items():
                setattr(transform, argument, value)
    return bytes(cloudpickle.dumps(compose))
