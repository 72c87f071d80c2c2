"""Profiles: stages of the work with their times, the estimate for the whole build, and the table of both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from precompute.text.display import Displayed, Html, html_lines, html_table, html_text
from precompute.text.format import align_columns, format_count, format_duration

__all__ = ["GROUPS", "Profile", "Stage"]

GROUPS = ("source", "pipeline", "record", "shard")
HEAD = ("", "p", "ran", "median", "90th", "ms a record", "share")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of the work.

    Attributes:
        group: One of GROUPS: reading happens once per source, for several records; the others once per record.
        name: Name for people; for a transform, with the compositions around it.
        is_transform: Whether it is a transform of the pipeline.
        p: Probability of a transform; None for other stages.
        ran: Share of records that a transform was applied to, 0 to 1; None for other stages.
        pixels: Mean number of pixels of a transform's input; None for other stages, and if it never ran.
        median_ms: Median milliseconds of a run, of one core.
        p90_ms: 90th percentile of the milliseconds of a run, of one core.
        record_ms: Mean milliseconds per record, over all records, with or without a run; the cost of a source is
            shared among its records.
    """

    group: str
    name: str
    is_transform: bool = False
    p: float | None = None
    ran: float | None = None
    pixels: float | None = None
    median_ms: float
    p90_ms: float
    record_ms: float


@dataclass(frozen=True, kw_only=True, repr=False)
class Profile(Displayed):
    """Where the time of a build goes.

    Attributes:
        split: Split whose pipeline was profiled.
        num_sources: Number of measured sources.
        num_variants: Number of measured variants of each source.
        num_rejected: Number of sources in the sample that a build would reject, and that were passed over.
        num_places: Number of records per row of this split.
        num_rows: Number of rows that a build would write; they share the decoding of a source.
        source_pixels: Median number of pixels of a source.
        height: Height of records in pixels.
        width: Width of records in pixels.
        image_format: Encoding of their images.
        num_workers: Number of processes that a build would start.
        stages: Stages in the order of the work.
        advice: Advice on a faster build, with the saving; empty if nothing stands out.
    """

    split: str
    num_sources: int
    num_variants: int
    num_rejected: int
    num_places: int
    num_rows: int
    source_pixels: int
    height: int
    width: int
    image_format: str
    num_workers: int
    stages: tuple[Stage, ...]
    advice: tuple[str, ...] = ()

    @property
    def record_ms(self) -> float:
        """Milliseconds of one core per record."""
        return sum(stage.record_ms for stage in self.stages)

    @property
    def records_per_s(self) -> float:
        """Records per second of one core."""
        return 1000 / self.record_ms

    @property
    def build_s(self) -> float:
        """Seconds for all rows on all workers, if these do not slow each other down."""
        return self.num_places * self.num_rows * self.record_ms / 1000 / self.num_workers

    def share(self, stage: Stage) -> float:
        """Return the share of a stage in the time of a record, 0 to 1."""
        return stage.record_ms / self.record_ms

    def of_group(self, group: str) -> Iterator[Stage]:
        """Yield the stages of one group."""
        return (stage for stage in self.stages if stage.group == group)

    def group_share(self, group: str) -> float:
        """Return the share of a group in the time of a record, 0 to 1."""
        return sum(self.share(stage) for stage in self.of_group(group))

    def report(self) -> str:
        """Return the table, the estimate for the whole build, and the advice."""
        return "\n".join([*_head(self), "", *_table(self), "", *_totals(self), *_advice(self)])

    def summary(self) -> str:
        """Return the report: it is short."""
        return self.report()

    def _html(self) -> Iterator[Html]:
        yield html_lines(*_head(self))
        heads, *rows = _rows(self)
        yield html_table(heads, rows)
        yield html_text("\n".join([*_totals(self), *_advice(self)]))


# The table


def _head(profile: Profile) -> list[str]:
    rejected = f" ({format_count(profile.num_rejected, 'other')} rejected)" if profile.num_rejected else ""
    return [
        f"{profile.split}: {format_count(profile.num_sources, 'source')} of {profile.source_pixels / 1e6:.2f} "
        f"megapixels{rejected}, {format_count(profile.num_variants, 'variant')} of each, as "
        f"{profile.height}×{profile.width} {profile.image_format}",
        "milliseconds of one core; median and 90th percentile of those times when a stage runs",
    ]


def _rows(profile: Profile) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [HEAD]
    for group in GROUPS:
        stages = list(profile.of_group(group))
        total = sum(stage.record_ms for stage in stages)
        rows.append((_group_name(profile, group), "", "", "", "", _ms(total), f"{profile.group_share(group):.0%}"))
        rows += [_row(profile, stage) for stage in stages]
    return [*rows, ("total", "", "", "", "", _ms(profile.record_ms), "100%")]


def _table(profile: Profile) -> list[str]:
    lines = align_columns(_rows(profile))
    rule = "-" * max(map(len, lines))
    return [lines[0], rule, *lines[1:-1], rule, lines[-1]]


def _group_name(profile: Profile, group: str) -> str:
    if group == "source":
        return f"source, once for {format_count(profile.num_rows, 'row')}" if profile.num_rows > 1 else "source"
    return group


def _row(profile: Profile, stage: Stage) -> tuple[str, ...]:
    ran = "" if stage.ran is None else f"{stage.ran:.0%}"
    p = "" if stage.p is None else f"{stage.p:g}"
    times = ("", "") if stage.ran == 0 else (_ms(stage.median_ms), _ms(stage.p90_ms))
    return (f"  {stage.name}", p, ran, *times, _ms(stage.record_ms), f"{profile.share(stage):.0%}")


def _ms(milliseconds: float) -> str:
    if milliseconds < 0.005:
        return "<0.01"
    return f"{milliseconds:,.{2 if milliseconds < 10 else 1 if milliseconds < 100 else 0}f}"


def _totals(profile: Profile) -> list[str]:
    records = profile.num_places * profile.num_rows
    rate, workers = profile.records_per_s, profile.num_workers
    return [
        f"{rate:,.0f} records/s on one core, {rate * workers:,.0f} on {format_count(workers, 'worker')} if they do not "
        "slow each other",
        f"{format_count(profile.num_places, 'record')} × {format_count(profile.num_rows, 'row')} = "
        f"{format_count(records, 'record')} "
        f"of {profile.split}: about {format_duration(profile.build_s)}",
    ]


def _advice(profile: Profile) -> list[str]:
    return ["", *(f"advice: {sentence}" for sentence in profile.advice)] if profile.advice else []
