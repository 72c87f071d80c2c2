"""The result of a comparison: what differs, as lines for people and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.comparing.classes import ClassChanges
from precompute.comparing.records import RowChanges
from precompute.comparing.sources import SourceChanges
from precompute.comparing.values import Change, Light, ValueChanges, compare_values, flat_values
from precompute.dataset.manifest import Row
from precompute.dataset.rows import describe_numbers
from precompute.fields.field import Schema
from precompute.fields.layers import Layers
from precompute.pictures.sheet import Cell, Line, Sheet
from precompute.records.stored import decode_record
from precompute.text.display import Displayed, Html, html_text
from precompute.text.format import format_count, format_few

__all__ = [
    "SHOWN",
    "Difference",
    "PairChanges",
    "Sample",
    "compare_pair",
    "describe_change",
    "pair_json",
    "pairs_html",
    "text_of",
]

LABEL = 12  # width of the first column
SHOWN = 5
MAX_KEYS = 1000  # of each kind in JSON


@dataclass(frozen=True, kw_only=True, eq=False)
class PairChanges:
    """Two records of one place, and what differs between them.

    Attributes:
        split: Name of the split.
        key: Key of the source.
        copy: Its copy.
        row_a: Number of the first row.
        row_b: Number of the second row.
        changes: Name of a value that differs → how.
        images: The images, uint8 [H, W, C] each.
        layers: What fields draw on each: by name.
    """

    split: str
    key: str
    copy: int
    row_a: int
    row_b: int
    changes: Mapping[str, Change]
    images: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    layers: tuple[Mapping[str, Layers], Mapping[str, Layers]]

    @property
    def distance(self) -> float:
        """How far the images are from one another: the mean difference in grey levels."""
        change = self.changes.get("image")
        return 0.0 if change is None else 256.0 if change.mean is None else change.mean


def compare_pair(
    records: tuple[bytes, bytes],
    schemas: tuple[Schema, Schema],
    *,
    split: str,
    place: tuple[str, int],
    rows: tuple[int, int],
) -> PairChanges:
    """Return what differs between two records of one place.

    Args:
        records: The records.
        schemas: The fields of the dataset of each.
        split: Name of the split.
        place: Key and copy of the source.
        rows: Number of the row of each.

    Raises:
        DatasetError: A record is altered.
    """
    a, b = (decode_record(record, schema) for record, schema in zip(records, schemas, strict=True))
    return PairChanges(
        split=split,
        key=place[0],
        copy=place[1],
        row_a=rows[0],
        row_b=rows[1],
        changes=compare_values(flat_values(a, schemas[0]), flat_values(b, schemas[1])),
        images=(a["image"], b["image"]),
        layers=(schemas[0].draw(a), schemas[1].draw(b)),
    )


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Decoded records of a sample of the places whose records differ.

    Attributes:
        pairs: The pairs, the most different images first.
        values: How each value differs.
        light: Brightness and contrast of both sides; None where there is no pair.
    """

    pairs: Sequence[PairChanges]
    values: Sequence[ValueChanges]
    light: tuple[Light, Light] | None


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Difference(Displayed):
    """What differs between two datasets, or two choices of rows.

    Attributes:
        a: The first dataset and its rows, in words.
        b: The second.
        settings: Differences of the settings, one line each.
        fields: Differences of the fields of records, one line each.
        classes: Name of a field → differences of its classes.
        sources: Differences of the sources.
        rows: How the records of each pair of rows compare.
        only_a: Split → rows of the first that have no partner.
        only_b: Split → rows of the second that have no partner.
        sample: Pixels and values of a sample of the records that differ.
        notes: Notes on how was compared.
    """

    a: str
    b: str
    settings: Sequence[str]
    fields: Sequence[str]
    classes: Mapping[str, ClassChanges]
    sources: SourceChanges
    rows: Sequence[RowChanges]
    only_a: Mapping[str, Sequence[Row]]
    only_b: Mapping[str, Sequence[Row]]
    sample: Sample
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def are_equal(self) -> bool:
        """Whether nothing differs: settings, fields, classes, sources, rows, and all records by their hashes."""
        lists = (self.settings, self.fields, self.classes, self.only_a, self.only_b)
        return self.sources.are_equal and not any(lists) and all(row.are_equal for row in self.rows)

    # The text

    def summary(self) -> str:
        """Return the differences for people, and the verdict in the last line."""
        parts: list[tuple[str, Sequence[str]]] = [
            ("A", [self.a]),
            ("B", [self.b]),
            ("settings", self.settings or ["equal"]),
            ("fields", self.fields or ["equal"]),
            ("classes", list(self._class_lines()) or ["equal"]),
            ("sources", list(self._source_lines())),
            ("splits", list(self._split_lines())),
            ("rows", list(self._row_lines())),
            ("records", list(self._record_lines())),
            ("sample", list(self._sample_lines())),
            ("note", self.notes),
        ]
        return text_of(parts, are_equal=self.are_equal)

    def _class_lines(self) -> Iterator[str]:
        for name, changes in self.classes.items():
            yield f"{name}: {format_few(list(changes.describe()))}"

    def _source_lines(self) -> Iterator[str]:
        found = self.sources
        if found.are_equal:
            yield f"{found.num_a:,}, the same in A and B"
            return
        yield f"{found.num_a:,} in A, {found.num_b:,} in B"
        for what, keys in (("added", found.added), ("removed", found.removed)):
            if keys:
                yield f"{len(keys):,} {what}: {format_few(keys, SHOWN)}"
        if found.renamed:
            pairs = [f"{old} → {new}" for old, new in found.renamed.items()]
            yield f"{len(pairs):,} with another key and the same image: {format_few(pairs, SHOWN)}"
        if found.changed:
            texts = [f"{key} ({', '.join(parts)})" for key, parts in found.changed.items()]
            yield f"{len(texts):,} changed: {format_few(texts, SHOWN)}"

    def _split_lines(self) -> Iterator[str]:
        moved = [f"{key}: {a} → {b}" for key, (a, b) in self.sources.moved.items()]
        if moved:
            yield f"{format_count(len(moved), 'source')} moved: {format_few(moved, SHOWN)}"
        else:
            yield "no source moved"

    def _row_lines(self) -> Iterator[str]:
        for split in dict.fromkeys(row.rows.split for row in self.rows):
            pairs = [row.rows for row in self.rows if row.rows.split == split]
            a, b = _drawn([pair.a for pair in pairs]), _drawn([pair.b for pair in pairs])
            yield f"{split}: {a} of both" if a == b else f"{split}: {a} of A with {b} of B"
        for name, only in (("A", self.only_a), ("B", self.only_b)):
            for split, rows in only.items():
                drawn = format_few([f"{row.row} ({row.drawn})" for row in rows], SHOWN)
                yield f"{split}: only in {name}: {drawn}"

    def _record_lines(self) -> Iterator[str]:
        equal, different = (sum(getattr(row, f"num_{what}") for row in self.rows) for what in ("equal", "different"))
        of_changed = sum(row.num_of_changed for row in self.rows)
        yield f"{equal + different:,} compared by hash: {equal:,} equal, {different:,} different"
        if of_changed:
            yield f"{of_changed:,} of those that differ are of sources that changed"
        for name in ("A", "B"):
            number = sum(getattr(row, f"num_only_{name.lower()}") for row in self.rows)
            if number:
                yield f"{number:,} only in {name}, whose source the other lacks"

    def _sample_lines(self) -> Iterator[str]:
        pairs, light = self.sample.pairs, self.sample.light
        if not pairs:
            return
        yield f"{format_count(len(pairs), 'pair')} of records that differ, decoded"
        yield from map(describe_change, self.sample.values)
        if not self.sample.values:
            yield "the same pixels and values in all, stored in other bytes"
        if light is not None:
            a, b = light
            yield (
                f"brightness {a.brightness:.1f} in A, {b.brightness:.1f} in B; contrast {a.contrast:.1f} in A, "
                f"{b.contrast:.1f} in B (of 255)"
            )

    def _html(self) -> Iterator[Html]:
        return pairs_html(self.summary(), self.sample.pairs, ("A", "B"))

    # JSON

    def to_json(self) -> str:
        """Return the differences as JSON. Of each kind of sources the first 1,000 keys are named, and the number."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Return the differences as dictionaries, lists, texts and numbers."""
        sources = self.sources
        return {
            "equal": self.are_equal,
            "a": self.a,
            "b": self.b,
            "settings": list(self.settings),
            "fields": list(self.fields),
            "classes": {name: _classes(changes) for name, changes in self.classes.items()},
            "sources": {
                "num_a": sources.num_a,
                "num_b": sources.num_b,
                "added": _first(sources.added),
                "removed": _first(sources.removed),
                "renamed": _first([{"a": old, "b": new} for old, new in sources.renamed.items()]),
                "moved": _first([{"key": key, "a": a, "b": b} for key, (a, b) in sources.moved.items()]),
                "changed": _first([{"key": key, "what": list(what)} for key, what in sources.changed.items()]),
            },
            "rows": [_row_changes(row) for row in self.rows],
            "only_a": _rows_json(self.only_a),
            "only_b": _rows_json(self.only_b),
            "sample": {
                "values": [dataclasses.asdict(value) for value in self.sample.values],
                "light": [dataclasses.asdict(light) for light in self.sample.light or ()],
                "pairs": [pair_json(pair) for pair in self.sample.pairs],
            },
            "notes": list(self.notes),
        }


def text_of(parts: Sequence[tuple[str, Sequence[str]]], further: Sequence[str] = (), *, are_equal: bool) -> str:
    """Return the lines of each label, the label before the first, then further lines, and the verdict."""
    lines = [f"  {'' if i else label:<{LABEL}}{line}" for label, of in parts for i, line in enumerate(of)]
    return "\n".join([*lines, *further, "EQUAL" if are_equal else "DIFFERENT"])


def pairs_html(text: str, pairs: Sequence[PairChanges], sides: tuple[str, str]) -> Iterator[Html]:
    """Yield a text, and pictures of the first pairs, whose sides have names."""
    from precompute.pictures.sheet_html import sheet_html  # here: nothing else of it needs pictures

    yield html_text(text)
    lines = [
        Line(
            caption=pair.key,
            remark=f"{pair.split}, row {pair.row_a}" + (f" and {pair.row_b}" if pair.row_a != pair.row_b else ""),
            cells=[Cell(image=i, layers=of) for i, of in zip(pair.images, pair.layers, strict=True)],
        )
        for pair in pairs[:SHOWN]
    ]
    if lines:
        yield from sheet_html(Sheet(title="those that differ most", columns=sides, lines=lines))


def _drawn(rows: Sequence[Row]) -> str:
    """Return the numbers of rows and their seeds."""
    seeds = describe_numbers(sorted({row.seed for row in rows if not row.original})) or "originals"
    noun = "row" if len(rows) == 1 else "rows"
    return f"{noun} {describe_numbers([row.row for row in rows])} (seed {seeds})"


def describe_change(value: ValueChanges) -> str:
    """Return a line on how a value differs."""
    text = f"{value.name}: differs in {value.num_different:,} of {format_count(value.num_pairs, 'pair')}"
    if value.num_other_shape:
        text += f", in {value.num_other_shape:,} by its number or shape"
    if value.share < 1:
        text += f"; there {value.share:.1%} of it"
    if value.mean is None or value.largest is None:
        return text
    return f"{text}, by {value.mean:.2f} in the mean and up to {value.largest:g}"


def _first(items: Sequence[Any]) -> dict[str, Any]:
    return {"number": len(items), "first": list(items[:MAX_KEYS])}


def _classes(changes: ClassChanges) -> dict[str, Any]:
    return {
        "before": list(changes.before),
        "after": list(changes.after),
        "renamed": [list(pair) for pair in changes.renamed],
        "added": changes.added,
        "removed": changes.removed,
        "moved": [list(entry) for entry in changes.moved],
    }


def _row_changes(row: RowChanges) -> dict[str, Any]:
    rows = row.rows
    counts = {name: value for name, value in vars(row).items() if name.startswith("num_")}
    return {"split": rows.split, "a": _row_json(rows.a), "b": _row_json(rows.b), **counts}


def _row_json(row: Row) -> dict[str, Any]:
    return {"row": row.row, "seed": row.seed, "variant": row.variant, "original": row.original}


def _rows_json(rows: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    return {split: [_row_json(row) for row in of] for split, of in rows.items()}


def pair_json(pair: PairChanges) -> dict[str, Any]:
    """Return a pair as dictionaries, texts and numbers."""
    named = {name: getattr(pair, name) for name in ("split", "key", "copy", "row_a", "row_b")}
    return {**named, "changes": {name: dataclasses.asdict(change) for name, change in pair.changes.items()}}
