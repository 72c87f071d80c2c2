"""A comparison as a page: the lines of its text as tables, and pairs of pictures side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.comparing.difference import Difference, PairChanges
from precompute.comparing.installed import HEAD, NO_PROOF, InstalledDifference, TransformEvidence, transform_row
from precompute.comparing.values import ValueChanges
from precompute.pages.blocks import Block, Facts, Note, Page, PictureGroup, Pictures, Section, Share, Table
from precompute.pages.embed import Embedded, embed, embed_shares
from precompute.pictures.drawing import draw_layers
from precompute.text.format import format_count

__all__ = ["page_of"]

SIZE = 256  # pixels, longer side of a picture
MAX_PAIRS = 24
MAX_ROWS = 200  # of a table
MIN_FULL = 8  # grey levels at which pictures of differences are opaque, or more where images differ more
COLOR = (214, 40, 40)


def page_of(found: Difference | InstalledDifference) -> Page:
    """Return the page of a comparison."""
    return _difference_page(found) if isinstance(found, Difference) else _installed_page(found)


def _difference_page(found: Difference) -> Page:
    equal, different = (sum(getattr(row, f"num_{what}") for row in found.rows) for what in ("equal", "different"))
    figures = [(f"{equal + different:,}", "records compared"), (f"{equal:,}", "equal"), (f"{different:,}", "different")]
    return Page(
        kind="difference",
        title="Equal" if found.are_equal else "Different",
        subtitle=f"A: {found.a}. B: {found.b}.",
        figures=figures,
        notes=found.notes,
        sections=[section for section in _sections(found) if section.blocks],
        footer=["Hashes tell which records are equal, as they were when the records were written."],
    )


def _sections(found: Difference) -> Iterator[Section]:
    yield Section(
        id="pixels",
        name="Pixels",
        title="What do they look like?",
        meaning="Records of one place that differ, of a random sample; the most different images come first.",
        blocks=list(_pixels(found)),
    )
    yield Section(
        id="settings",
        name="Settings",
        title="Were they made alike?",
        meaning="Settings, fields and classes, as far as they differ.",
        blocks=[_list("Settings", found.settings), _list("Fields", found.fields), *_classes(found)],
    )
    yield Section(
        id="sources",
        name="Sources",
        title="Are they made from the same images?",
        meaning="Two sources are the same if their image and the files beside it have the same SHA-256.",
        blocks=list(_sources(found)),
    )
    yield Section(
        id="records",
        name="Records",
        title="Which records differ?",
        meaning="Two records are equal if all of their bytes are; under another seed each names that seed.",
        blocks=list(_records(found)),
    )


def _pixels(found: Difference) -> Iterator[Block]:
    sample = found.sample
    if not sample.pairs:
        yield Note(text="No record differs, so that none was decoded.")
        return
    if sample.light is not None:
        a, b = sample.light
        figures = [("brightness", a.brightness, b.brightness), ("contrast", a.contrast, b.contrast)]
        light = [(name, f"{one:.1f}", f"{other:.1f}", f"{other - one:+.1f}") for name, one, other in figures]
        yield Table(title="Light, of 255", head=["", "A", "B", "change"], rows=light)
    if sample.values:
        yield _values(f"What differs in {format_count(len(sample.pairs), 'pair')}", sample.values)
    yield _pictures(sample.pairs, ("A", "B"))


def _pictures(pairs: Sequence[PairChanges], names: tuple[str, str]) -> Pictures:
    """Return pairs side by side, and where they differ.

    Args:
        pairs: The pairs.
        names: What the first of each is called, and the second.
    """
    means = [change.mean for pair in pairs if (change := pair.changes.get("image")) and change.mean is not None]
    full = max(MIN_FULL, round(3 * max(means, default=0)))
    groups = [_group(pair, names, full) for pair in pairs[:MAX_PAIRS]]
    note = f"The third picture shows where pixels differ, opaque from {full} grey levels on."
    return Pictures(title=f"{len(groups)} of {format_count(len(pairs), 'pair')}", groups=groups, note=note)


def _values(title: str, values: Sequence[ValueChanges]) -> Table:
    head = ["value", "pairs in which it differs", "share of it there", "mean difference", "largest"]
    rows = [
        [
            value.name,
            value.num_different,
            Share(f"{value.share:.1%}", value.share),
            _rounded(value.mean),
            _rounded(value.largest),
        ]
        for value in values
    ]
    return Table(title=title, head=head, rows=rows)


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 2)


def _group(pair: PairChanges, names: tuple[str, str], full: int) -> PictureGroup:
    drawn = [
        np.asarray(draw_layers(image, layers.values(), SIZE))
        for image, layers in zip(pair.images, pair.layers, strict=True)
    ]
    pictures = [_embedded(picture) for picture in drawn]
    is_one = pair.row_a == pair.row_b
    rows = ["", ""] if is_one else [f", row {row}" for row in (pair.row_a, pair.row_b)]
    captions = [name + row for name, row in zip(names, rows, strict=True)]
    if pair.images[0].shape == pair.images[1].shape:
        pictures.append(_moved(*pair.images, full))
        captions.append("difference")
    change = pair.changes.get("image")
    text = "the same pixels" if change is None else "images of other shapes"
    if change is not None and change.mean is not None:
        text = f"{change.share:.1%} of the pixels differ, by {change.mean:.2f} in the mean"
    others = [name for name in pair.changes if name != "image"]
    also = f"; other {', '.join(others)}" if others else ""
    where = f", row {pair.row_a}" * is_one + f", copy {pair.copy}" * bool(pair.copy)
    return PictureGroup(pictures=pictures, captions=captions, title=f"{pair.split}: {pair.key}{where}: {text}{also}")


def _embedded(picture: NDArray[Any]) -> Embedded:
    return embed(picture, size=min(SIZE, max(picture.shape[:2])))


def _moved(a: NDArray[np.uint8], b: NDArray[np.uint8], full: int) -> Embedded:
    levels = np.abs(a.astype(np.int16) - b).max(axis=2)
    return embed_shares(levels / full, COLOR, size=SIZE)


def _list(title: str, lines: Sequence[str]) -> Block:
    return Facts(items=[(title if i == 0 else "", line) for i, line in enumerate(lines or ["equal"])])


def _classes(found: Difference) -> Iterator[Block]:
    for name, changes in found.classes.items():
        yield _list(f"Classes of {name}", list(changes.describe()))


def _sources(found: Difference) -> Iterator[Block]:
    sources = found.sources
    counts = [("in A", sources.num_a), ("in B", sources.num_b), ("added", len(sources.added))]
    counts += [("removed", len(sources.removed)), ("moved to another split", len(sources.moved))]
    counts += [("changed", len(sources.changed)), ("with another key", len(sources.renamed))]
    yield Table(head=["sources", "number"], rows=counts)
    rows = [(key, "added") for key in sources.added] + [(key, "removed") for key in sources.removed]
    rows += [(key, f"{a} → {b}") for key, (a, b) in sources.moved.items()]
    rows += [(key, f"changed: {', '.join(what)}") for key, what in sources.changed.items()]
    rows += [(key, f"now {new}") for key, new in sources.renamed.items()]
    if rows:
        note = f"The first {MAX_ROWS} of {len(rows):,}." if len(rows) > MAX_ROWS else ""
        yield Table(head=["key", "what"], rows=rows[:MAX_ROWS], note=note)


def _records(found: Difference) -> Iterator[Block]:
    head = ["split", "row of A", "row of B", "equal", "different", "of changed sources", "only in A", "only in B"]
    rows = [
        (
            row.rows.split,
            f"{row.rows.a.row}: {row.rows.a.drawn}",
            f"{row.rows.b.row}: {row.rows.b.drawn}",
            *(row.num_equal, row.num_different, row.num_of_changed, row.num_only_a, row.num_only_b),
        )
        for row in found.rows[:MAX_ROWS]
    ]
    if rows:
        yield Table(head=head, rows=rows)
    for name, only in (("A", found.only_a), ("B", found.only_b)):
        lines = [f"{split}: {row.row} ({row.drawn})" for split, of in only.items() for row in of]
        if lines:
            yield _list(f"Rows only in {name}", lines)


# Against what is installed


def _installed_page(found: InstalledDifference) -> Page:
    figures = [(f"{found.num_records:,}", "records made again"), (f"{found.num_equal:,}", "equal byte for byte")]
    meaning = "The versions that are installed make records of the same sources with the same draws."
    sections = [
        Section(id="pixels", name="Pixels", title="What moved?", meaning=meaning, blocks=list(_remade(found))),
        Section(
            id="transforms",
            name="Transforms",
            title="Which transforms did it?",
            meaning=f"{NO_PROOF[0].upper()}{NO_PROOF[1:]}.",
            blocks=list(_transforms(found)),
        ),
    ]
    return Page(
        kind="stored and installed",
        title="Equal" if found.are_equal else "Different",
        subtitle=found.dataset,
        figures=[*figures, (f"{len(found.pairs):,}", "with other values")],
        notes=[*found.notes, *(f"Could not be made again: {reason}" for reason in found.failed[:MAX_PAIRS])],
        sections=sections,
    )


def _remade(found: InstalledDifference) -> Iterator[Block]:
    yield _list("Versions", list(found.version_lines()))
    if found.pairs:
        yield _values(f"What differs in {format_count(found.num_records, 'record')}", found.values)
        yield _pictures(found.pairs, ("stored", "made again"))


def _transforms(found: InstalledDifference) -> Iterator[Block]:
    head = [*HEAD, ""]
    rows = [[*transform_row(one), _verdict(one)] for one in found.transforms]
    if rows:
        yield Table(head=head, rows=rows)
    if found.num_unexplained:
        number = format_count(found.num_unexplained, "record differs", "records differ")
        yield Note(text=f"{number} without a suspect: decoding, encoding, or transforms that are always applied.")


def _verdict(one: TransformEvidence) -> str:
    return "suspect" if one.is_suspect else "cleared" if one.is_cleared else ""
