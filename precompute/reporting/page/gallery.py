"""What does it look like: sources beside their variants."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from precompute.pages.blocks import Gallery, GallerySource, Note, Section, Shown
from precompute.pages.embed import Embedded, data_uri, embed
from precompute.pictures.legend import Entry, draw_swatch
from precompute.reporting.gallery import Fired, Picture, Sample, Variant
from precompute.text.format import format_bytes, format_count

__all__ = ["MAX_BYTES", "embed_picture", "gallery_section"]

NUM_ESTIMATED = 4  # sources whose pictures tell the size of all
MAX_ENTRIES = 60  # of the legend, for a field
MAX_BYTES = 10_000_000  # of all pictures of the gallery; a page shall be below 15 MB


class Grade(NamedTuple):
    """How pictures are embedded.

    Attributes:
        size: Longer side in pixels.
        quality: Quality of photos, 1 to 100.
    """

    size: int
    quality: int


GRADES = (Grade(384, 82), Grade(288, 78), Grade(224, 72), Grade(160, 66), Grade(112, 60))


def gallery_section(
    samples: Sequence[Sample],
    legend: Mapping[str, Sequence[Entry]],
    *,
    without_chance: Collection[str] = (),
    max_bytes: int = MAX_BYTES,
) -> Section:
    """Return the section, its pictures as large and as many as fit into a number of bytes.

    Args:
        samples: Sources with their records.
        legend: Name of a field → what colours mean.
        without_chance: Splits whose pipelines leave nothing to chance: nobody is told that records equal the original.
        max_bytes: Number of bytes of all pictures.
    """
    title, meaning = "What does it look like", "Each source stands beside records that were made of it."
    if not samples:
        nothing = Note(text="No records could be looked at.")
        return Section(id="gallery", name="Gallery", title=title, meaning=meaning, blocks=[nothing])
    shown, grade = _fitting(
        [_without_equals(one) if one.split in without_chance else one for one in samples], max_bytes
    )
    notes = [f"{format_count(len(shown), 'source')} of those that were looked at."]
    if grade != GRADES[0]:
        notes.append(f"Pictures are {grade.size} pixels wide at most, so that the page stays small.")
    if len(shown) < len(samples):
        left_out = format_count(len(samples) - len(shown), "further source is", "further sources are")
        notes.append(
            f"{left_out} left out for the same reason: the pictures would take over {format_bytes(max_bytes)}."
        )
    gallery = Gallery(sources=shown, legend=list(_legend(legend)), note=" ".join(notes))
    return Section(id="gallery", name="Gallery", title=title, meaning=meaning, blocks=[gallery])


def _without_equals(sample: Sample) -> Sample:
    """Return a sample that does not say of its variants that they equal the original."""
    return replace(sample, variants=tuple(replace(variant, equals_original=None) for variant in sample.variants))


def _fitting(samples: Sequence[Sample], max_bytes: int) -> tuple[list[GallerySource], Grade]:
    """Return sources with pictures of the best grade that fits; of the last grade, as many as fit, but one at least."""
    for grade in GRADES:
        if grade != GRADES[-1] and _estimated_bytes(samples, grade) > max_bytes:
            continue
        sources = [_source(sample, grade) for sample in samples]
        sizes = [_num_bytes(source) for source in sources]
        if sum(sizes) <= max_bytes:
            return sources, grade
    while len(sources) > 1 and sum(sizes[: len(sources)]) > max_bytes:
        sources.pop()
    return sources, grade


def _estimated_bytes(samples: Sequence[Sample], grade: Grade) -> float:
    """Return the number of bytes that all pictures may take, from those of a few sources."""
    few = samples[:: max(1, len(samples) // NUM_ESTIMATED)][:NUM_ESTIMATED]
    return sum(_num_bytes(_source(sample, grade)) for sample in few) * len(samples) / len(few)


def _num_bytes(source: GallerySource) -> int:
    embedded = (picture for shown in source.pictures for picture in (shown.picture, *shown.beside.values()))
    return sum(picture.num_bytes for picture in embedded if picture is not None)


def _legend(legend: Mapping[str, Sequence[Entry]]) -> Iterator[tuple[Embedded | None, str]]:
    """Yield signs and their meanings, after the name of their field where there are several fields."""
    for name, entries in legend.items():
        if len(legend) > 1:
            yield None, f"{name}:"
        for entry in entries[:MAX_ENTRIES]:
            yield _sign(entry), entry.text
        if len(entries) > MAX_ENTRIES:
            yield None, f"and {len(entries) - MAX_ENTRIES:,} more"


def _source(sample: Sample, grade: Grade) -> GallerySource:
    missing = ["The source is not there any more, or has changed."]
    first = Shown(
        title="source",
        picture=None if sample.picture is None else embed_picture(sample.picture, *grade),
        beside=_beside(sample.picture, grade),
        lines=[*sample.texts, *(missing if sample.picture is None else [])],
    )
    return GallerySource(
        key=sample.key,
        split=sample.split,
        classes=sample.classes,
        pictures=[first, *(_variant(variant, grade) for variant in sample.variants)],
    )


def _variant(variant: Variant, grade: Grade) -> Shown:
    return Shown(
        title=f"row {variant.row}",
        picture=embed_picture(variant.picture, *grade),
        beside=_beside(variant.picture, grade),
        lines=list(_lines(variant)),
        fired=[_fired(fired) for fired in variant.fired or ()],
    )


def _sign(entry: Entry) -> Embedded | None:
    drawn = draw_swatch(entry)
    return None if drawn is None else Embedded(photo=data_uri(drawn), height=drawn.height, width=drawn.width)


def _beside(picture: Picture | None, grade: Grade) -> dict[str, Embedded]:
    """Return the pictures that fields show beside that of the image."""
    return {} if picture is None else {name: embed(one, **grade._asdict()) for name, one in picture.beside.items()}


def _lines(variant: Variant) -> Iterator[str]:
    yield "as the original" if variant.variant is None else f"seed {variant.seed}, variant {variant.variant}"
    yield from variant.texts
    if variant.equals_original and variant.variant is not None:
        yield "equal to the original"
    if variant.fired is not None and not variant.fired:
        yield "no transform was applied"


def _fired(fired: Fired) -> tuple[str, str]:
    """Return a transform's name, and its parameters with those in one pair of brackets that have one name."""
    values: dict[str, list[str]] = {}
    for name, value in fired.parameters.items():
        values.setdefault(name.partition("[")[0], []).append(value)
    joined = {name: f"({', '.join(several)})" if several[1:] else several[0] for name, several in values.items()}
    return fired.name, ", ".join(f"{name} {text}" for name, text in joined.items())


def embed_picture(picture: Picture, size: int, quality: int) -> Embedded:
    """Return a picture as a page holds it."""
    return embed(picture.plain, picture.overlay, size=size, quality=quality)
