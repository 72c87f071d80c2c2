"""A whole report as one file of HTML."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from precompute.pages import blocks
from precompute.pages.blocks import Block, Cell, Chart, Charts, Code, Facts, Folded, Section, Table
from precompute.pages.charts import draw_bars
from precompute.pages.html import save_page
from precompute.reporting.cost import Cost
from precompute.reporting.facts import Facts as DatasetFacts
from precompute.reporting.facts import FieldFacts
from precompute.reporting.page.effects import effects_section
from precompute.reporting.page.gallery import gallery_section
from precompute.reporting.page.transforms import transforms_section
from precompute.reporting.page.trust import trust_section
from precompute.reporting.result import Report
from precompute.reporting.transforms import splits_without_chance
from precompute.text.format import format_bytes, format_count, format_duration, format_few

__all__ = ["report_page", "write_page"]

FINGERPRINT = 16  # letters that tell two apart
MAX_TRANSFORMS = 20


def write_page(report: Report, path: Path) -> Path:
    """Write a report as a page; returns its path.

    Raises:
        UsageError: The file cannot be written, or a package that draws pages is missing.
    """
    return save_page(report_page(report), path)


def report_page(report: Report) -> blocks.Page:
    """Return a report as blocks."""
    facts = report.facts
    return blocks.Page(
        kind="Dataset report",
        title=facts.name,
        subtitle="; ".join(field.description for field in facts.fields),
        figures=list(_figures(report)),
        findings=report.findings,
        notes=report.notes,
        sections=[
            _facts_section(facts),
            gallery_section(
                report.samples,
                report.legend,
                without_chance=splits_without_chance(report.transforms, report.variants),
            ),
            transforms_section(report.transforms, report.variants),
            effects_section(report.effects),
            trust_section(report.trust),
            _cost_section(report.cost),
        ],
        footer=[
            f"Made {report.made} from {facts.folder}, generation {facts.generation}.",
            f"Pictures, rates and effects are of a sample: {format_count(report.num_sources, 'source')} a split and "
            f"{format_count(report.num_rows, 'row')} at most. Facts, shared content and class balance are of all.",
        ],
    )


def _figures(report: Report) -> Iterator[tuple[str, str]]:
    splits = report.facts.splits
    yield f"{sum(split.num_sources for split in splits):,}", "sources"
    yield f"{max((split.num_rows for split in splits), default=0):,}", "rows"
    yield f"{sum(split.num_records for split in splits):,}", "records"
    yield format_bytes(sum(split.num_bytes for split in splits)), "in shards"
    classes = max((len(field.class_names) for field in report.facts.fields), default=0)
    if classes:
        yield f"{classes:,}", "classes"


# What is it: numbers, fields, settings, and how to make it again


def _facts_section(facts: DatasetFacts) -> Section:
    """Return the section."""
    return Section(
        id="facts", name="What it is", title="What is it", meaning=facts.meaning, blocks=list(_facts_blocks(facts))
    )


def _facts_blocks(facts: DatasetFacts) -> Iterator[Block]:
    yield Facts(items=list(_facts_items(facts)))
    yield _split_table(facts)
    if len(facts.generations) > 1:
        yield _generation_table(facts)
    if facts.options:
        yield Code(title="How to make it again", text=facts.command)
        yield Folded(title="Its options as a file", blocks=[Code(text=f"# options.toml\n{facts.options}")])
    pipelines = [Code(title=split, text="\n".join(lines)) for split, lines in facts.pipelines.items()]
    yield Folded(title="Pipelines", blocks=pipelines)
    settings = [Facts(items=[*facts.settings.items(), *facts.versions.items(), ("fingerprint", facts.fingerprint)])]
    yield Folded(title="Settings and versions", blocks=settings)


def _facts_items(facts: DatasetFacts) -> Iterator[tuple[str, str]]:
    yield "folder", facts.folder
    if facts.root:
        yield "sources", f"{facts.root}\n{facts.layout}" if facts.layout else facts.root
    yield "fields", "\n".join(_field(field) for field in facts.fields)
    yield "generation", f"{facts.generation}, fingerprint {facts.fingerprint[:FINGERPRINT]}"
    yield "seeds", ", ".join(map(str, facts.seeds))
    written = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    other = [f"{name} {new} is installed here" for name, (_, new) in facts.other_versions.items()]
    yield "written by", "\n".join([written, *other])
    held = format_count(facts.num_held, "row is", "rows are")
    yield "readers", f"{held} held by readers" if facts.num_held else "none at the moment"


def _field(field: FieldFacts) -> str:
    classes = f": {format_few(field.class_names)}" if field.class_names else ""
    return f"{field.description}{classes if field.is_target else ''}"


def _split_table(facts: DatasetFacts) -> Table:
    rows: list[list[Cell]] = [
        [
            split.name,
            split.num_sources,
            split.num_skipped,
            split.num_rows,
            split.num_shards,
            split.num_records,
            format_bytes(split.num_bytes),
            "\n".join(split.rows),
        ]
        for split in facts.splits
    ]
    head = ["split", "sources", "left out", "rows", "shards", "records", "size", "seeds and variants"]
    note = "One epoch reads one row, which has every source that is not left out once, or once a copy."
    return Table(title="Splits", head=head, rows=rows, note=note)


def _generation_table(facts: DatasetFacts) -> Table:
    rows = [
        [one.name, format_bytes(one.num_bytes), "listed" if one.is_current else "an older one"]
        for one in facts.generations
    ]
    note = "Older generations stay while readers hold them; the next command that writes takes the others away."
    return Table(title="Generations on disk", head=["generation", "size", ""], rows=rows, note=note)


# What did it cost, and what would it cost


def _cost_section(cost: Cost) -> Section:
    """Return the section."""
    return Section(
        id="cost",
        name="Cost",
        title="What did it cost, what would it cost",
        meaning=cost.meaning,
        blocks=list(_cost_blocks(cost)),
    )


def _cost_blocks(cost: Cost) -> Iterator[Block]:
    yield Facts(items=list(_cost_items(cost)))
    if cost.splits:
        yield _cost_table(cost)
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


def _cost_items(cost: Cost) -> Iterator[tuple[str, str]]:
    yield "on disk", format_bytes(cost.num_bytes)
    if cost.old_bytes:
        yield "of older generations", format_bytes(cost.old_bytes)
    if cost.online_ms is not None:
        yield "an image, augmented in training", f"{cost.online_ms:.1f} ms of one core"
    yield "an image, read from a record", f"{cost.stored_ms:.1f} ms of one core"
    if cost.pays_from is not None:
        yield "pays from", f"epoch {cost.pays_from:,} on, over all trainings with these rows"


def _cost_table(cost: Cost) -> Table:
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
