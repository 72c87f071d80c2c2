"""The description of a dataset by `inspect`, and its text for people, the most important facts first."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from precompute.dataset.manifest import SPLITS, Manifest, Origin
from precompute.dataset.rows import describe_numbers
from precompute.errors import first_few
from precompute.fields.counters import describe_counters
from precompute.fields.counts import BoxCounts, FieldCounts
from precompute.text.display import Displayed, Html, html_lines, html_table, html_text
from precompute.text.format import align_columns, format_bytes, format_count, format_counts
from precompute.text.reasons import describe_reasons

__all__ = ["Inspection", "RowGroup", "SplitInspection", "describe_pipeline", "describe_rows"]

LABEL = 14  # width of the first column
MAX_CLASSES = 30
NO_ARGUMENTS = ("__class_fullname__", "transforms", "attributes", "p")  # of a transform; or, as p, said last


@dataclass(frozen=True, kw_only=True)
class RowGroup:
    """Rows of one seed.

    Attributes:
        rows: Numbers of the rows, sorted.
        seed: Augmentation seed of these rows.
        variants: Variants of these rows; empty for the original row.
    """

    rows: list[int]
    seed: int
    variants: list[int]

    @property
    def original(self) -> bool:
        """Whether this is the original row, whose sources went through the validation pipeline."""
        return not self.variants


@dataclass(frozen=True, kw_only=True)
class SplitInspection:
    """What one split holds.

    Attributes:
        num_sources: Number of listed sources, including skipped ones.
        num_skipped: Number of sources that are left out of all rows.
        num_places: Number of places of the grid: sources times copies.
        num_rows: Number of listed rows.
        num_records: Number of records in all rows.
        num_shards: Number of shard files.
        num_bytes: Size of all shards.
        rows: Listed rows by seed.
        held: Rows that living readers hold.
        fields: Counts of each field, without skipped sources.
    """

    num_sources: int
    num_skipped: int
    num_places: int
    num_rows: int
    num_records: int
    num_shards: int
    num_bytes: int
    rows: list[RowGroup]
    held: list[int]
    fields: Mapping[str, FieldCounts]

    @property
    def record_bytes(self) -> int:
        """Mean size of a record, its framing included."""
        return self.num_bytes // max(1, self.num_records)

    @property
    def class_counts(self) -> list[int]:
        """Number of sources or objects per class, for the first field with such classes; else empty."""
        return next((list(counts.classes) for counts in self.fields.values() if counts.classes), [])

    @property
    def boxes(self) -> BoxCounts | None:
        """Counts of the objects in all records; None without objects."""
        return self._objects.stored

    @property
    def num_without(self) -> int:
        """Number of sources without objects."""
        return self._objects.num_without

    @property
    def num_lost(self) -> int:
        """Number of objects with masks that all records together lack: cut off, too small, or empty."""
        return self._objects.num_lost

    @property
    def _objects(self) -> FieldCounts:
        """Counts of the first field with objects."""
        return next((counts for counts in self.fields.values() if counts.stored), FieldCounts())


@dataclass(frozen=True, kw_only=True, repr=False)
class Inspection(Displayed):
    """What a dataset holds.

    Attributes:
        out: Folder of the dataset.
        manifest: Its manifest.
        splits: Split → its content.
        other_versions: Package → (version that wrote the dataset, installed version), where these differ.
        held_elsewhere: Rows of earlier generations, or no longer listed, that living readers hold.
    """

    out: Path
    manifest: Manifest
    splits: dict[str, SplitInspection]
    other_versions: dict[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    held_elsewhere: int = 0

    def text(self) -> str:
        """Return the report for people: dataset, table of splits, rows, pipelines, and what is unusual."""
        parts = [
            _dataset(self),
            _split_table(self),
            _rows(self),
            _classes(self),
            _counters(self),
            _pipelines(self),
            _warnings(self),
        ]
        return _paragraphs(parts)

    def summary(self) -> str:
        """Return the first part of the report: dataset, table of splits, and what is unusual."""
        return _paragraphs([_dataset(self), _split_table(self), _warnings(self)])

    def _html(self) -> Iterator[Html]:
        from precompute.pictures.sheet_html import pictures_of_dataset  # here, so that a report loads no pictures

        name, *facts = _dataset(self)
        yield html_lines(name)
        heads, *rows = _split_rows(self)
        yield html_table(heads, rows)
        others = [_rows(self), _classes(self), _counters(self), _pipelines(self), _warnings(self)]
        yield html_text(_paragraphs([facts, *others]))
        yield from pictures_of_dataset(self.out, self.manifest)


# The text


def _paragraphs(parts: Iterable[Iterable[str]]) -> str:
    return "\n\n".join("\n".join(lines) for lines in map(list, parts) if lines)


def _dataset(found: Inspection) -> Iterator[str]:
    manifest, pixels = found.manifest, found.manifest.settings["pixels"]
    image, *fields = manifest.schema.values()
    targets = manifest.schema.targets
    yield f"{manifest.name}, generation {manifest.generation}, in {found.out}"
    yield _labelled("images", image.describe(pixels, manifest.most_boxes))
    if "scale" in pixels:
        yield _labelled("scale", f"{pixels['scale']}: how more than 8 bits a channel became 8")
    if "alpha" in pixels:
        yield _labelled("alpha", f"{pixels['alpha']}: what became of alpha channels")
    for i, (name, field) in enumerate(targets.items()):
        text = field.describe(pixels, manifest.most_boxes)
        named = text if len(targets) == 1 or text.startswith(name) else f"{name}: {text}"
        yield _labelled("" if i else _noun("target", targets), named)
    if not targets:
        yield _labelled("target", "none: images alone")
    others = [field.describe(pixels, manifest.most_boxes) for field in fields if not field.is_target]
    if others:
        yield _labelled("extra", ", ".join(others))
    settings = manifest.settings["dataset"]
    yield _labelled("sources", "files named one by one" if settings["root"] is None else str(settings["root"]))
    if manifest.origin.layout:
        yield _labelled("found as", _origin(manifest.origin))
    yield _labelled("one epoch", _epoch(found))
    copies = ", ".join(f"{name} {number}" for name, number in (settings.get("class_copies") or {}).items())
    if copies := "by the size of each class" if settings.get("balance") else copies:
        yield _labelled("copies", f"{copies} (of each training source, in every row)")


def _labelled(label: str, text: str) -> str:
    return f"  {label:<{LABEL}}{text}".rstrip()


def _origin(origin: Origin) -> str:
    """Return lines on how sources were read, and on what was passed over and left out."""
    passed = f"{format_count(origin.num_passed_over, 'file')} passed over"
    left_out = f"left out: {format_counts(origin.left_out)}"
    return "; ".join([origin.layout, *[passed] * bool(origin.num_passed_over), *[left_out] * bool(origin.left_out)])


def _epoch(found: Inspection) -> str:
    train = found.splits.get("train")
    if train is None or not train.num_rows:
        return "train lists no rows"
    each = train.num_records // train.num_rows
    later = f"the first row comes again after {format_count(train.num_rows, 'epoch')}"
    again = "the same row every time" if train.num_rows == 1 else later
    copies = "" if train.num_places == train.num_sources else ", those with copies more often"
    left_out = f", {train.num_skipped:,} left out as bad" if train.num_skipped else ""
    return f"one row of train: {format_count(each, 'record')}, every source once{copies}{left_out}; {again}"


def _split_rows(found: Inspection) -> list[tuple[str, ...]]:
    """Return the cells of the table of splits, the headings first."""
    counted = ("sources", *["skipped"] * bool(found.manifest.skipped), "rows", "shards", "records")
    numbers = {
        name: [getattr(split, f"num_{what}") for what in (*counted, "bytes")] for name, split in found.splits.items()
    }
    if len(numbers) > 1:
        numbers["all"] = [sum(column) for column in zip(*numbers.values(), strict=True)]
    heads = ["left out" if what == "skipped" else what for what in counted]
    rows: list[tuple[str, ...]] = [("split", *heads, "size", "a record")]
    for name, (*counts, size) in numbers.items():
        each = format_bytes(found.splits[name].record_bytes) if name in found.splits else ""
        rows.append((name, *(f"{count:,}" for count in counts), format_bytes(size), each))
    return rows


def _split_table(found: Inspection) -> Iterator[str]:
    rows = [(f"{name:<{LABEL - 2}}", *cells) for name, *cells in _split_rows(found)]
    return (f"  {line}" for line in align_columns(rows))


def _rows(found: Inspection) -> Iterator[str]:
    yield "rows"
    for name, split in found.splits.items():
        for i, group in enumerate(split.rows):
            yield _labelled("" if i else name, describe_rows(group))
        if split.held:
            yield _labelled("", f"in use by readers: {describe_numbers(split.held)}")
    if found.held_elsewhere:
        unlisted = format_count(found.held_elsewhere, "unlisted row is", "unlisted rows are")
        yield _labelled("", f"{unlisted} still in use by readers")


def describe_rows(group: RowGroup) -> str:
    """Return rows of one seed on one line: ``"rows 0-3: seed 0, variants 0-3"``."""
    numbers = f"{_noun('row', group.rows)} {describe_numbers(group.rows)}"
    if group.original:
        return f"{numbers}: originals through the validation pipeline"
    return f"{numbers}: seed {group.seed}, {_noun('variant', group.variants)} {describe_numbers(group.variants)}"


def _noun(word: str, numbers: Collection[Any]) -> str:
    return word if len(numbers) == 1 else f"{word}s"


def _classes(found: Inspection) -> Iterator[str]:
    """Yield a table of the classes in each split, and other counts, for each field with classes."""
    targets = found.manifest.schema.targets
    for name, field in found.manifest.schema.items():
        counts = {split: inspected.fields[name] for split, inspected in found.splits.items()}
        if any(of_split.classes for of_split in counts.values()):
            yield f"{name}: {field.class_heading}" if len(targets) > 1 else field.class_heading
            yield from _class_table(field.classes, {split: c.classes for split, c in counts.items() if c.classes})
            for split, of_split in counts.items():
                text = field.describe_counts(of_split)
                if text:
                    yield _labelled(split, text)


def _class_table(names: Sequence[str], counts: Mapping[str, Sequence[int]]) -> Iterator[str]:
    width = max(len(name) for name in names[:MAX_CLASSES]) + 7
    yield f"  {'':<{width}}" + "".join(f"{split:>12}" for split in counts)
    for i, name in enumerate(names[:MAX_CLASSES]):
        yield f"  {f'{i:>3}  {name}':<{width}}" + "".join(f"{of_split[i]:>12,}" for of_split in counts.values())
    if len(names) > MAX_CLASSES:
        yield f"  … and {format_count(len(names) - MAX_CLASSES, 'more class')}"


def _counters(found: Inspection) -> Iterator[str]:
    """Yield lines on what was counted while sources were decoded."""
    fields, counters = found.manifest.schema.values(), found.manifest.counters
    yield from (f"  {line}" for line in describe_counters(fields, counters))
    yield from (f"  warning: {warning}" for field in fields for warning in field.warnings(counters))


def _pipelines(found: Inspection) -> Iterator[str]:
    yield "pipelines"
    described: dict[str, dict[str, Any]] = found.manifest.settings["pixels"]["pipelines"]
    for split in (split for split in SPLITS if split in described):
        for i, line in enumerate(describe_pipeline(described[split])):
            yield _labelled("" if i else split, line)
        numbers = found.manifest.normalize.get(split)
        if numbers:
            arguments = ", ".join(f"{name}={_value(value)}" for name, value in numbers.items())
            yield _labelled("", f"left to the model: Normalize({arguments})")


def describe_pipeline(description: dict[str, Any]) -> list[str]:
    """Return a pipeline of the manifest as text, one line per transform, nested ones indented."""
    lines = [line for transform in _inside(description.get("transform")) for line in _transform_lines(transform, "")]
    return lines or ["nothing: images as they are"]


def _inside(transform: Any) -> list[Any]:
    """Return the transforms inside a composition; a manifest that was altered may hold anything there."""
    inner = transform.get("transforms") if isinstance(transform, dict) else None
    return inner if isinstance(inner, list) else []


def _transform_lines(transform: Any, indent: str) -> Iterator[str]:
    if not isinstance(transform, dict):
        yield f"{indent}{transform!r:.60}"
        return
    name = str(transform.get("__class_fullname__", "?")).rpartition(".")[2]
    inner = _inside(transform)
    known = {key: value for key, value in transform.items() if key not in NO_ARGUMENTS and value is not None}
    arguments = [f"{key}={_value(value)}" for key, value in known.items()]
    if "p" in transform:
        arguments.append(f"p={_value(transform['p'])}")
    yield f"{indent}{name}({', '.join(arguments)})" + (":" if inner else "")
    for below in inner:
        yield from _transform_lines(below, indent + "  ")


def _value(value: Any) -> str:
    """Return an argument of a transform, with few digits."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return f"({', '.join(_value(item) for item in value)})"
    return repr(value)


def _warnings(found: Inspection) -> Iterator[str]:
    """Yield warnings about the data."""
    manifest = found.manifest
    if manifest.skipped:
        reasons = [entry.get("reason") or f"{entry['key']}: no reason is known" for entry in manifest.skipped]
        yield f"left out of all rows, {format_count(len(reasons), 'bad source')}:\n{describe_reasons(reasons)}"
    for leak in manifest.leaks:
        pairs = [" = ".join(map(str, pair)) for pair in leak.get("examples", ())]
        yield (
            f"warning: {' and '.join(leak['splits'])} share the content of "
            f"{format_count(leak.get('num_sources', 0), 'source')}, so that "
            f"scores flatter:\n{first_few(pairs)}"
        )
    if manifest.conflicts:
        pairs = [" = ".join(map(str, pair)) for pair in manifest.conflicts.get("examples", ())]
        yield (
            f"warning: {format_count(manifest.conflicts.get('num_sources', 0), 'source holds', 'sources hold')} "
            f"the same image as another one with {manifest.schema.other_answer}:\n{first_few(pairs)}"
        )
    if "validation" not in found.splits:
        yield "warning: there is no validation split; nothing tells how well a model generalizes"
    if found.other_versions:
        lines = [f"{name}: {old}, installed is {new}" for name, (old, new) in found.other_versions.items()]
        yield f"written by other versions; more rows would be refused:\n{first_few(lines, 10)}"
    else:
        written = ", ".join(f"{name} {version}" for name, version in manifest.settings["pixels"]["versions"].items())
        yield f"written by {written} (all installed)"
    if len(manifest.cpu_features) > 1:
        yield f"written by {len(manifest.cpu_features)} kinds of processors; they may round by a grey level"
