"""A profile as a table for people."""

from __future__ import annotations

from precompute.look.stages import GROUPS, Profile, Stage
from precompute.text import format_count, format_duration

__all__ = ["report"]

HEAD = ("", "p", "ran", "median", "90th", "ms a record", "share")


def report(profile: Profile) -> str:
    """Return the table, what follows for the whole, and the advice."""
    return "\n".join([*_head(profile), "", *_table(profile), "", *_totals(profile), *_advice(profile)])


def _head(profile: Profile) -> list[str]:
    rejected = f" ({format_count(profile.num_rejected, 'other')} rejected)" if profile.num_rejected else ""
    return [
        f"{profile.split}: {format_count(profile.num_sources, 'source')} of {profile.source_pixels / 1e6:.2f} "
        f"megapixels{rejected}, {format_count(profile.num_variants, 'variant')} of each, as "
        f"{profile.height}×{profile.width} {profile.image_format}",
        "milliseconds of one core; median and 90th percentile of those times when a stage runs",
    ]


def _table(profile: Profile) -> list[str]:
    rows: list[tuple[str, ...]] = [HEAD]
    for group in GROUPS:
        stages = list(profile.of_group(group))
        total = sum(stage.record_ms for stage in stages)
        rows.append((_group_name(profile, group), "", "", "", "", _ms(total), f"{profile.group_share(group):.0%}"))
        rows += [_row(profile, stage) for stage in stages]
    rows.append(("total", "", "", "", "", _ms(profile.record_ms), "100%"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
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
