"""What is it: numbers, fields, settings, and how to make it again."""

from __future__ import annotations

from collections.abc import Iterator

from precompute.pages.blocks import Block, Cell, Code, Facts, Folded, Section, Table
from precompute.reporting.sections import facts as data
from precompute.text.format import format_bytes, format_count, format_few

__all__ = ["facts_section"]

FINGERPRINT = 16  # letters that tell two apart


def facts_section(facts: data.Facts) -> Section:
    """Return the section."""
    return Section(
        id="facts", name="What it is", title="What is it", meaning=facts.meaning, blocks=list(_blocks(facts))
    )


def _blocks(facts: data.Facts) -> Iterator[Block]:
    yield Facts(items=list(_items(facts)))
    yield _splits(facts)
    if len(facts.generations) > 1:
        yield _generations(facts)
    if facts.options:
        remade = f"{facts.command}\n\n# options.toml\n{facts.options}"
        yield Code(title="How to make it again", text=facts.command)
        yield Folded(title="Its options as a file", blocks=[Code(text=remade.partition("\n\n")[2])])
    pipelines = [Code(title=split, text="\n".join(lines)) for split, lines in facts.pipelines.items()]
    yield Folded(title="Pipelines", blocks=pipelines)
    settings = [Facts(items=[*facts.settings.items(), *facts.versions.items(), ("fingerprint", facts.fingerprint)])]
    yield Folded(title="Settings and versions", blocks=settings)


def _items(facts: data.Facts) -> Iterator[tuple[str, str]]:
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


def _field(field: data.FieldFacts) -> str:
    classes = f": {format_few(field.class_names)}" if field.class_names else ""
    return f"{field.description}{classes if field.is_target else ''}"


def _splits(facts: data.Facts) -> Table:
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


def _generations(facts: data.Facts) -> Table:
    rows = [
        [one.name, format_bytes(one.num_bytes), "listed" if one.is_current else "an older one"]
        for one in facts.generations
    ]
    note = "Older generations stay while readers hold them; the next command that writes takes the others away."
    return Table(title="Generations on disk", head=["generation", "size", ""], rows=rows, note=note)
