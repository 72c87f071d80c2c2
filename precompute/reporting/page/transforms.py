"""Did the augmentation do what was asked: how often transforms fired, together with which, and what they drew."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from precompute.pages.blocks import Block, Cell, Chart, Charts, Folded, Heat, Note, Section, Table
from precompute.pages.charts import Rate, draw_bars, draw_histogram, draw_rates
from precompute.reporting.transforms import (
    Parameter,
    PipelineRates,
    TransformPair,
    TransformRate,
    Variants,
    splits_without_chance,
)
from precompute.text.format import format_count, format_few

__all__ = ["transforms_section"]

MAX_CHARTS = 48  # of parameters, a split
MAX_MATRIX = 16  # transforms whose correlations fit into a table of each with each
MAX_PAIRS = 12
KEYS = (("seen", "main"), ("seen, and chance hardly explains it", "bad"), ("what chance explains", "line"))


def transforms_section(pipelines: Sequence[PipelineRates], variants: Sequence[Variants]) -> Section:
    """Return the section."""
    meaning = next((one.meaning for one in pipelines), "A transform should be applied as often as its p says.")
    fixed = splits_without_chance(pipelines, variants)
    blocks = list(_facts(variants, fixed))
    for one in pipelines:
        split = f", {one.split}" if len(pipelines) > 1 else ""
        blocks += [_without_chance(one)] if one.split in fixed else _blocks(one, split)
    if not pipelines:
        blocks.append(Note(text="Records could not be made again, so nobody can say which transforms were applied."))
    return Section(
        id="transforms", name="Transforms", title="Did the augmentation do what I asked", meaning=meaning, blocks=blocks
    )


def _facts(variants: Sequence[Variants], fixed: Collection[str]) -> Iterator[Block]:
    """Yield the table of variants; that records equal the original is no news where nothing is left to chance."""
    if not variants:
        return
    rows: list[list[Cell]] = [
        [
            one.split,
            one.num_sources,
            one.num_records,
            one.num_distinct,
            "" if one.split in fixed else one.num_equal_original,
        ]
        for one in variants
    ]
    head = ["split", "sources", "records looked at", "distinct records", "equal to the original"]
    yield Table(title="How different variants are", head=head, rows=rows, note=variants[0].meaning)


def _without_chance(one: PipelineRates) -> Block:
    names = format_few([rate.name for rate in one.rates]) or "no transform"
    applied = f"{names}, applied to each of {format_count(one.num_records, 'record')} that were made again"
    return Note(text=f"The pipeline of {one.split} leaves nothing to chance: {applied}.")


def _blocks(one: PipelineRates, split: str) -> Iterator[Block]:
    again = f"{format_count(one.num_same, 'came', 'came')} out exactly as stored"
    yield Charts(
        title=f"How often each transform was applied{split}",
        charts=[Chart(title="", svg=draw_rates([_rate(rate) for rate in one.rates], label="Rates of transforms"))],
        keys=KEYS,
        note=f"{format_count(one.num_records, 'record')} of {one.split} were made again; {again}.",
    )
    never = [rate.name for rate in one.rates if not rate.num_fired]
    if never:
        yield Note(text=f"Never applied in this sample: {format_few(never)}.")
    yield Folded(title=f"The same as a table{split}", blocks=[_table(one.rates)])
    yield from _parameters(one.rates, split)
    yield from _correlations(one.pairs, split)


def _rate(rate: TransformRate) -> Rate:
    num = rate.num or 1
    if rate.expected is None or rate.low is None or rate.high is None:
        return Rate(rate.name, rate.rate)
    return Rate(rate.name, rate.rate, rate.expected, rate.low / num, rate.high / num, not rate.is_likely)


def _table(rates: Sequence[TransformRate]) -> Table:
    rows: list[list[Cell]] = [
        [
            rate.name,
            f"{rate.p:g}",
            "" if rate.expected is None else f"{rate.expected:.1%}",
            Heat(f"{rate.rate:.1%}", 0 if rate.is_likely else 1, is_bad=True),
            rate.num_fired,
            "" if rate.low is None else f"{rate.low:,} to {rate.high:,}",
            rate.num,
        ]
        for rate in rates
    ]
    head = ["transform", "p", "expected", "seen", "applied to", "likely", "of"]
    return Table(head=head, rows=rows, note="Expected: its p, and the chances of the compositions around it.")


# What they drew


def _parameters(rates: Sequence[TransformRate], split: str) -> Iterator[Block]:
    """Yield a small chart for each parameter that differs from record to record."""
    drawn = [(rate, one) for rate in rates for one in rate.parameters if _varies(one)]
    if not drawn:
        return
    left_out = len(drawn) - MAX_CHARTS
    note = "Each value that a transform drew where it was applied, from the least to the largest."
    if left_out > 0:
        note += f" {format_count(left_out, 'further parameter is', 'further parameters are')} in the JSON alone."
    charts = [_chart(rate, one) for rate, one in drawn[:MAX_CHARTS]]
    yield Charts(title=f"What transforms drew{split}", charts=charts, are_small=True, note=note)


def _varies(parameter: Parameter) -> bool:
    return len(parameter.words) > 1 or (parameter.low is not None and parameter.low != parameter.high)


def _chart(rate: TransformRate, one: Parameter) -> Chart:
    name = rate.name.rpartition("›")[2].strip()
    title, draws = f"{name} · {one.name}", format_count(one.num, "draw")
    if one.words or one.low is None or one.high is None:
        svg = draw_bars(one.words, {"draws": one.counts}, label=title, is_small=True)
        return Chart(title=title, svg=svg, note=draws)
    edges = np.linspace(one.low, one.high, len(one.counts) + 1).tolist()
    mean = "" if one.mean is None else f", mean {one.mean:.3g}"
    svg = draw_histogram(edges, {"draws": one.counts}, label=title)
    return Chart(title=title, svg=svg, note=f"{draws}, {one.low:.3g} to {one.high:.3g}{mean}")


# Which of them go together


def _correlations(pairs: Sequence[TransformPair], split: str) -> Iterator[Block]:
    if not pairs:
        return
    title = f"Transforms that are applied together{split}"
    names = list(dict.fromkeys(name for pair in pairs for name in (pair.first, pair.second)))
    note = (
        "Correlation of being applied: 0 where each decides for itself, 1 where one never comes without the other. "
        "Red: chance hardly makes it, and no composition explains it."
    )
    if len(names) > MAX_MATRIX:
        largest = sorted(pairs, key=lambda pair: -abs(pair.correlation))[:MAX_PAIRS]
        rows: list[list[Cell]] = [[pair.first, pair.second, _heat(pair)] for pair in largest]
        yield Table(title=title, head=["transform", "with", "correlation"], rows=rows, note=note)
        return
    cells: dict[tuple[str, str], Cell] = {}
    for pair in pairs:
        cells[pair.first, pair.second] = cells[pair.second, pair.first] = _heat(pair)
    head = ["", *(name.rpartition("›")[2].strip() for name in names[:-1])]
    rows = [[first, *(cells.get((first, second), "") for second in names[:-1])] for first in names[1:]]
    rows = [[*row[: i + 2], *[""] * (len(row) - i - 2)] for i, row in enumerate(rows)]  # each pair once
    yield Table(title=title, head=head, rows=rows, note=note)


def _heat(pair: TransformPair) -> Heat:
    is_odd = not pair.is_expected and abs(pair.correlation) > pair.bound
    return Heat(f"{pair.correlation:+.2f}", abs(pair.correlation), is_bad=is_odd)
