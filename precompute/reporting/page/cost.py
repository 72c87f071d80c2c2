"""What did it cost, and what would it cost."""

from __future__ import annotations

from collections.abc import Iterator

from precompute.pages.blocks import Block, Chart, Charts, Facts, Section, Table
from precompute.pages.charts import draw_bars
from precompute.reporting.sections import cost as data
from precompute.text.format import format_bytes, format_count, format_duration

__all__ = ["cost_section"]

MAX_TRANSFORMS = 20


def cost_section(cost: data.Cost) -> Section:
    """Return the section."""
    return Section(
        id="cost",
        name="Cost",
        title="What did it cost, what would it cost",
        meaning=cost.meaning,
        blocks=list(_blocks(cost)),
    )


def _blocks(cost: data.Cost) -> Iterator[Block]:
    yield Facts(items=list(_items(cost)))
    if cost.splits:
        yield _splits(cost)
    for split in cost.splits:
        if len(split.transforms) > 1:
            shown = split.transforms[:MAX_TRANSFORMS]
            names, times = [one.name for one in shown], [one.record_ms for one in shown]
            title = f"Transforms of {split.split} by time"
            yield Charts(
                title=title,
                charts=[Chart(title="", svg=draw_bars(names, {"ms": times}, label=title))],
                note="Milliseconds of one core for a record, on average over all records, with or without a run.",
            )


def _items(cost: data.Cost) -> Iterator[tuple[str, str]]:
    yield "on disk", format_bytes(cost.num_bytes)
    if cost.old_bytes:
        yield "of older generations", format_bytes(cost.old_bytes)
    if cost.online_ms is not None:
        yield "an image, augmented in training", f"{cost.online_ms:.1f} ms of one core"
    yield "an image, read from a record", f"{cost.stored_ms:.1f} ms of one core"
    if cost.pays_from is not None:
        yield "pays from", f"epoch {cost.pays_from:,} on, over all trainings with these rows"


def _splits(cost: data.Cost) -> Table:
    rows = [
        [
            split.split,
            format_bytes(split.row_bytes),
            format_bytes(split.record_bytes),
            _ms(split.decode_ms),
            _ms(split.augment_ms),
            _ms(split.encode_ms),
            _ms(split.read_ms),
            "" if split.row_s is None else format_duration(split.row_s),
        ]
        for split in cost.splits
    ]
    head = ["split", "a row", "a record", "decode a source", "augment", "encode", "read a record", "make a row"]
    measured = format_count(sum(bool(split.decode_ms) for split in cost.splits), "split")
    note = f"Times of one core, measured here on a sample of {measured}; each source is decoded once for all rows."
    return Table(title="Bytes and times", head=head, rows=rows, note=note)


def _ms(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f"{milliseconds:.2f} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"
