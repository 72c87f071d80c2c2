"""Can I trust it: what splits share, what looks alike, what was left out, how classes are spread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from precompute.pages.blocks import Block, Cell, Note, PictureGroup, Pictures, Section, Share, Table
from precompute.reporting.near_duplicates import NearDuplicates, Pair
from precompute.reporting.page.gallery import embed_picture
from precompute.reporting.trust import ClassCounts, Reason, Trust
from precompute.text.format import format_count, format_few

__all__ = ["trust_section"]

SIZE, QUALITY = 192, 75  # of pictures of pairs
MAX_LISTED, MAX_CLASSES = 100, 60


def trust_section(trust: Trust) -> Section:
    """Return the section."""
    return Section(id="trust", name="Trust", title="Can I trust it", meaning=trust.meaning, blocks=list(_blocks(trust)))


def _blocks(trust: Trust) -> Iterator[Block]:
    yield from _equal(
        "The same image in several splits",
        trust.leaks,
        trust.num_leaks,
        "A model that has seen an image in training is not tested by it.",
    )
    yield from _equal(
        "The same image with other answers",
        trust.conflicts,
        trust.num_conflicts,
        "No model can be right about both.",
    )
    if not trust.num_leaks and not trust.num_conflicts:
        yield Note(text="No two splits share an image file, and no image has two answers.")
    yield from _near(trust.near)
    yield from _reasons("Left out of all rows", trust.skipped, "A model never sees them.")
    yield from _reasons("Refused by the last build", trust.bad, "They are in no row until they are mended or left out.")
    if trust.num_groups:
        torn = f"torn apart: {format_few(trust.torn_groups)}" if trust.torn_groups else "none is torn apart"
        yield Note(text=f"{format_count(trust.num_groups, 'group')} of sources belong together; {torn}.")
    for field in dict.fromkeys(one.field for one in trust.classes):
        yield _balance([one for one in trust.classes if one.field == field])


def _equal(title: str, pairs: Sequence[Sequence[str]], num: int, why: str) -> Iterator[Block]:
    if num:
        sides = max((len(pair) for pair in pairs), default=2)
        rows = [[*pair, *[""] * (sides - len(pair))] for pair in pairs]
        note = f"{format_count(num, 'source')}{', a few of them' if num > len(pairs) else ''}. {why}"
        yield Table(title=title, head=["source", *["equals"] * (sides - 1)], rows=rows, note=note)


def _near(near: NearDuplicates | None) -> Iterator[Block]:
    if near is None:
        return
    compared = f"{format_count(near.num_sources, 'source')} compared"
    missing = f", {near.num_missing:,} not there any more" if near.num_missing else ""
    flat = f", {near.num_flat:,} of one colour left out" if near.num_flat else ""
    whole = f"{compared}{missing}{flat}; up to {near.max_distance} of 64 bits of their perceptual hashes may differ."
    if not near.pairs:
        yield Note(text=f"No near duplicates: {whole}")
        return
    across, within = format_count(near.across, "pair"), format_count(near.within, "pair")
    note = f"{across} across splits, {within} within train. {whole}"
    pictured = [pair for pair in near.pairs if pair.pictures is not None]
    if pictured:
        yield Pictures(title="Near duplicates", groups=[_group(pair) for pair in pictured], note=note)
    others = [pair for pair in near.pairs if pair not in pictured][:MAX_LISTED]
    if others:
        rows: list[list[Cell]] = [
            [pair.first, pair.first_split, pair.second, pair.second_split, _bits(pair), " / ".join(pair.classes)]
            for pair in others
        ]
        head = ["source", "split", "looks like", "split", "bits", "classes"]
        title = "Further near duplicates" if pictured else "Near duplicates"
        yield Table(title=title, head=head, rows=rows, note="" if pictured else note)


def _group(pair: Pair) -> PictureGroup:
    sides = ((pair.first_split, pair.first), (pair.second_split, pair.second))
    texts = [f"{split}: {key}" for split, key in sides]
    if len(pair.classes) == len(texts) and any(pair.classes):
        texts = [f"{text} ({name})" for text, name in zip(texts, pair.classes, strict=True)]
    pictures = [embed_picture(picture, SIZE, QUALITY) for picture in pair.pictures or ()]
    return PictureGroup(
        pictures=pictures,
        captions=texts,
        title=f"{pair.distance} of 64 bits differ{' when mirrored' * pair.is_mirrored}",
    )


def _bits(pair: Pair) -> Cell:
    return f"{pair.distance}, mirrored" if pair.is_mirrored else pair.distance


def _reasons(title: str, reasons: Sequence[Reason], meaning: str) -> Iterator[Block]:
    if reasons:
        rows: list[list[Cell]] = [[reason.what, reason.num, format_few(reason.examples, 4)] for reason in reasons]
        yield Table(title=title, head=["reason", "sources", "such as"], rows=rows, note=meaning)


def _balance(classes: Sequence[ClassCounts]) -> Table:
    """Return a table of classes, the largest first: number and share in each split."""
    splits = list(dict.fromkeys(split for one in classes for split in one.counts))
    totals = {split: sum(one.counts.get(split, 0) for one in classes) or 1 for split in splits}
    ordered = sorted(classes, key=lambda one: -sum(one.counts.values()))
    largest = max(one.counts.get(split, 0) / totals[split] for one in classes for split in splits) or 1.0
    rows: list[list[Cell]] = [
        [one.class_name, *(_cell(one.counts.get(split, 0), totals[split], largest) for split in splits)]
        for one in ordered
    ]
    note = "A class should have a similar share in each split, and enough of it to be learnt and judged."
    if len(rows) > MAX_CLASSES:
        note += f" {format_count(len(rows) - MAX_CLASSES, 'smaller class is', 'smaller classes are')} not shown."
    title = f"{classes[0].field}: {classes[0].counted} of each class"
    return Table(title=title, head=["class", *splits], rows=rows[:MAX_CLASSES], note=note)


def _cell(number: int, total: int, largest: float) -> Share:
    return Share(f"{number:,} · {number / total:.1%}", number / total / largest, is_bad=not number)
