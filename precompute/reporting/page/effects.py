"""What did it do to the data: figures of images, pixels of classes, lost objects and filled borders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from precompute.pages.blocks import (
    Block,
    Cell,
    Chart,
    Charts,
    Folded,
    Note,
    PictureGroup,
    Pictures,
    Section,
    Share,
    Table,
)
from precompute.pages.charts import draw_bars, draw_histogram
from precompute.pages.embed import embed_shares
from precompute.reporting.effects import BorderFill, Effect, Effects
from precompute.reporting.losses import ClassPixels, LostObjects
from precompute.text.format import format_count

__all__ = ["effects_section"]

FILLED = (64, 132, 206)  # shows on both papers
MAX_CLASSES, MAX_ROWS = 30, 200  # of a chart and of a table; there may be thousands of classes
MUCH_LOST = 0.2  # share of objects
KEYS = (("before", "other"), ("after", "main"))


def effects_section(effects: Sequence[Effects]) -> Section:
    """Return the section."""
    meaning = next((one.meaning for one in effects), "Records should still show what their sources show.")
    blocks: list[Block] = []
    for number, one in enumerate(effects):
        of_split = list(_blocks(one, f", {one.split}" if len(effects) > 1 else ""))
        blocks += [Folded(title=f"The same of {one.split}", blocks=of_split)] if number else of_split
    if not effects:
        blocks.append(Note(text="No records could be looked at."))
    return Section(id="effects", name="Effects", title="What did it do to the data", meaning=meaning, blocks=blocks)


def _blocks(one: Effects, split: str) -> Iterator[Block]:
    compared = f"Before: {one.baseline}. " if one.baseline else "What images were before is not known. "
    looked_at = f"{format_count(one.num_records, 'record')} of {format_count(one.num_sources, 'source')}"
    yield Charts(
        title=f"Images{split}",
        charts=[_effect(effect) for effect in one.images],
        are_small=True,
        keys=KEYS if one.baseline else (),
        note=f"{compared}After: {looked_at}.",
    )
    for name in dict.fromkeys(pixels.field for pixels in one.classes):
        yield from _classes([pixels for pixels in one.classes if pixels.field == name], f"{name}{split}")
    yield from _lost(one, split)
    if one.fill is not None:
        yield _fill(one.fill, split)


def _effect(effect: Effect) -> Chart:
    series = {name: _shares(counts) for name, counts in (("before", effect.before), ("after", effect.after)) if counts}
    medians = [quantiles[2] for quantiles in (effect.before_quantiles, effect.after_quantiles) if quantiles]
    middle = " → ".join(f"{median:.3g}" for median in medians)
    svg = draw_histogram(effect.edges, series, label=f"{effect.name}, {effect.unit}")
    return Chart(title=effect.name, svg=svg, note=f"{effect.unit}; median {middle}")


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) or 1
    return [count / total for count in counts]


# Masks


def _classes(classes: Sequence[ClassPixels], title: str) -> Iterator[Block]:
    largest = sorted(classes, key=lambda one: -one.after)[:MAX_CLASSES]
    shown = [one for one in classes if one in largest]
    names = [one.class_name for one in shown]
    series = {"after": [one.after for one in shown]}
    is_known = all(one.before is not None for one in shown)
    if is_known:
        series = {"before": [one.before or 0.0 for one in shown], **series}
    yield Charts(
        title=f"Pixels of each class: {title}",
        charts=[Chart(title="", svg=draw_bars(names, series, label=f"Pixels of each class: {title}", is_share=True))],
        keys=KEYS if is_known else (),
        note="Share of all pixels. A class that shrinks is cut off or painted over; one that grows is zoomed into.",
    )
    rows = [
        [
            one.class_name,
            "" if one.before is None else f"{one.before:.2%}",
            f"{one.after:.2%}",
            one.num_before,
            one.num_after,
            _loss(one),
        ]
        for one in classes[:MAX_ROWS]
    ]
    head = ["class", "pixels before", "pixels after", "sources with it", "records with it", "records that lack it"]
    note = f"Records that lack it: their source has it.{_left_out(len(classes), 'class')}"
    yield Folded(title=f"The same as a table: {title}", blocks=[Table(head=head, rows=rows, note=note)])


def _left_out(number: int, noun: str) -> str:
    """Return a sentence on the rows that a table has no room for; empty for none."""
    more = number - MAX_ROWS
    return f" {format_count(more, f'further {noun}')} in the JSON alone." if more > 0 else ""


def _loss(one: ClassPixels) -> Share | None:
    if one.num_lost is None or one.num_expected is None:
        return None
    share = one.num_lost / (one.num_expected or 1)
    return Share(f"{one.num_lost:,} of {one.num_expected:,}", share, is_bad=share >= MUCH_LOST)


# Objects


def _lost(one: Effects, split: str) -> Iterator[Block]:
    for by in dict.fromkeys(lost.by for lost in one.lost):
        groups = [lost for lost in one.lost if lost.by == by]
        several = len({lost.field for lost in groups}) > 1
        rows: list[list[Cell]] = [
            [
                f"{lost.field}: {lost.group}" if several else lost.group,
                lost.num_before,
                lost.num_after,
                _share(lost),
            ]
            for lost in groups[:MAX_ROWS]
        ]
        head = [by, "objects without loss", "objects in records", "lost"]
        note = f"A model learns less of what crops and shifts cut off.{_left_out(len(groups), by)}"
        yield Table(title=f"Objects lost by {by}{split}", head=head, rows=rows, note=note)
    if one.num_emptied is not None:
        emptied = (
            f"{one.num_emptied:,} of {format_count(one.num_records, 'record')}" if one.num_emptied else "No record"
        )
        verb, whose = ("have", "their") if one.num_emptied > 1 else ("has", "its")
        yield Note(text=f"{emptied} {verb} lost all objects of {whose} source.")


def _share(lost: LostObjects) -> Share:
    return Share(f"{lost.share:.1%}", min(1.0, max(0.0, lost.share)), is_bad=lost.share >= MUCH_LOST)


# Borders


def _fill(fill: BorderFill, split: str) -> Block:
    if not fill.num_filled:
        text = f"No border was filled{split}, in {format_count(fill.num_records, 'record')}: all pixels are a source's."
        return Note(text=text)
    grid = np.array(fill.grid)
    most = float(grid.max()) or 1.0
    where = PictureGroup(pictures=[embed_shares(grid / most, FILLED)], captions=[f"strongest colour: {most:.1%}"])
    note = (
        f"{fill.share:.1%} of all pixels come from no source but from filling, in {fill.num_filled:,} of "
        f"{format_count(fill.num_records, 'record')}. A model may learn to see them."
    )
    return Pictures(title=f"Where borders were filled{split}", groups=[where], note=note)
