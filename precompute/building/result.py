"""The result of a build, and its summary."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

from precompute.dataset.manifest import Manifest, Split
from precompute.fields.counters import describe_counters, instance_id_warnings
from precompute.fields.counts import BoxCounts, FieldCounts
from precompute.fields.field import Field
from precompute.pictures.sheet_html import pictures_of_dataset
from precompute.plan.generation import GenerationPlan, RowPlan
from precompute.preflight.estimate import Estimate, Online, Range
from precompute.text.display import Displayed, Html, html_lines, html_table, html_text
from precompute.text.format import format_bytes, format_count, format_duration, format_few, format_name
from precompute.text.reasons import group_reasons

__all__ = ["BuildResult"]

SHOWN_KINDS = 10  # of reasons


@dataclass(frozen=True, kw_only=True, repr=False)
class BuildResult(Displayed):
    """What a build wrote, or would write.

    Attributes:
        plan: The generation's plan: settings, sources and blocks.
        rows: Split → rows written now.
        manifest: The dataset's manifest; None after a dry run of a new dataset.
        seconds: Seconds from the start of the job to the manifest.
        dry_run: Whether nothing was written.
        num_mended: Number of sources that had been left out and are now in all rows.
        field_classes: Split → name of each field that counts classes → number of sources or objects per class.
        estimate: Estimate of a dry run for the missing rows; None where none are missing, and after a build.
        new_classes: In a new generation: name of a field of masks → class id that no source holds → transform that
            fills masks with it.
        out: Folder of the dataset.
    """

    plan: GenerationPlan
    rows: Mapping[str, Sequence[RowPlan]]
    manifest: Manifest | None
    seconds: float
    dry_run: bool = False
    num_mended: int = 0
    field_classes: Mapping[str, Mapping[str, Sequence[int]]] = dataclasses.field(default_factory=dict)
    estimate: Estimate | None = None
    new_classes: Mapping[str, Mapping[int, str]] = dataclasses.field(default_factory=dict)
    out: Path

    @property
    def num_records(self) -> int:
        """Number of records written now, without those of left-out sources."""
        return sum(self._num_records_a_row(split) * len(rows) for split, rows in self.rows.items())

    def _num_records_a_row(self, split: str) -> int:
        listed = None if self.manifest is None else self.manifest.splits.get(split)
        return self.plan.splits[split].num_places if listed is None else listed.num_records

    @property
    def _has_copies(self) -> bool:
        return any(self.plan.settings["dataset"].get(name) for name in ("class_copies", "balance"))

    def _noun(self, split: str) -> str:
        return "place" if self._has_copies and split == "train" else "source"

    @property
    def class_counts(self) -> dict[str, Sequence[int]]:
        """Split → number of sources or objects per class, for the first field with such classes; else empty."""
        return {split: next(iter(counts.values()), ()) for split, counts in self.field_classes.items()}

    def summary(self) -> str:
        """Return a few lines for people."""
        if self.dry_run or self.manifest is None:
            return self._planned()
        lines = [self._head()]
        for name, split in self.manifest.splits.items():
            of, *sizes = self._sizes(name, split)
            lines += [f"  {name}: {of} × {' in '.join(sizes[:2])}, {sizes[2]}", *self._split_counts(name, split)]
        return "\n".join([*lines, *self._last_lines(self.manifest)])

    def _html(self) -> Iterator[Html]:
        if self.dry_run or self.manifest is None:
            yield html_text(self._planned())
            return
        yield html_lines(self._head())
        splits = self.manifest.splits
        yield html_table([], ([name, *self._sizes(name, split)] for name, split in splits.items()))
        counts = (line for name, split in splits.items() for line in self._named(name, self._split_counts(name, split)))
        yield html_text(dedent("\n".join([*counts, *self._last_lines(self.manifest)])))
        yield from pictures_of_dataset(self.out, self.manifest)

    def _sizes(self, name: str, split: Split) -> list[str]:
        """Return how many sources, rows, shards and bytes a split has."""
        return [
            format_count(split.num_records, self._noun(name)),
            format_count(len(split.rows), "row"),
            format_count(split.num_blocks * len(split.rows), "shard"),
            format_bytes(sum(row.num_bytes for row in split.rows)),
        ]

    def _split_counts(self, name: str, split: Split) -> list[str]:
        fields = [] if self.manifest is None else self.manifest.schema.values()
        return [line for field in fields for line in self._counts(field, name, split)]

    def _named(self, name: str, lines: Sequence[str]) -> Iterator[str]:
        """Yield lines on a split below its name."""
        if lines:
            yield f"  {name}"
            yield from lines

    def _last_lines(self, manifest: Manifest) -> Iterator[str]:
        if manifest.skipped:
            yield f"  {format_count(len(manifest.skipped), 'bad source')} left out of all rows:"
            yield from self._left_out()
        train = manifest.splits.get("train")
        if train and train.rows:
            each = f"each of {format_count(train.num_records, 'training source')} once"
            if self._has_copies:
                each = (
                    f"{format_count(train.num_records, 'record')}, each training source as often as its "
                    "class has copies"
                )
            again = f"{format_count(len(train.rows), 'epoch')} until the first row comes again"
            yield f"  one epoch reads one row: {each}; {again}"

    def _counts(self, field: Field, name: str, split: Split) -> Iterator[str]:
        """Yield lines on the classes that a field has in a split, on those that it lacks, and on its records."""
        counts = FieldCounts(
            classes=self.field_classes.get(name, {}).get(field.name, ()),
            stored=BoxCounts.total(row.boxes for row in split.rows),
        )
        names = [format_name(name) for name in field.classes]
        there = [f"{name} {number:,}" for name, number in zip(names, counts.classes, strict=False) if number]
        absent = [name for name, number in zip(names, counts.classes, strict=False) if not number]
        if there or absent:
            yield f"    {field.counted} of each class: {format_few(there)}"
        if absent:
            yield f"    none of: {format_few(absent)}"
        if text := field.describe_stored(counts):
            yield f"    {text}"

    def _left_out(self) -> Iterator[str]:
        """Yield lines on the reasons why sources were left out, the most frequent first."""
        kinds = group_reasons(entry.get("reason", "") for entry in self.manifest.skipped) if self.manifest else []
        yield from (f"    {len(kind.reasons):,} × {kind.what}" for kind in kinds[:SHOWN_KINDS])
        rest = sum(len(kind.reasons) for kind in kinds[SHOWN_KINDS:])
        if rest:
            yield f"    {rest:,} for other reasons: `precompute inspect` lists them"

    def warnings(self) -> Iterator[str]:
        """Yield warnings about training on this dataset."""
        if self.manifest is None:
            yield from instance_id_warnings(self.plan.counters)
            return
        manifest = self.manifest
        for field in manifest.schema.values():
            yield from field.warnings(manifest.counters)
            yield from field.warnings_of_build(manifest.counters, self.new_classes.get(field.name, {}))
        if len(manifest.cpu_features) > 1:
            yield (
                "machines with different processors wrote records: the same record may differ by a grey level between "
                "them"
            )
        for leak in manifest.leaks:
            yield (
                f"{' and '.join(leak['splits'])} share the content of "
                f"{format_count(leak['num_sources'], 'source')}, e.g. "
                f"{' = '.join(leak['examples'][0])}: scores will flatter; load() refuses without allow_leak=True"
            )
        yield from _conflicts(manifest.conflicts, manifest.schema.other_answer)
        yield from describe_counters(manifest.schema.values(), manifest.counters)

    def _head(self) -> str:
        if not any(self.rows.values()) and self.num_mended:
            return f"{format_count(self.num_mended, 'fixed source')} in all rows now"
        if not any(self.rows.values()):
            return "complete already: nothing to do"
        rate = self.num_records / max(self.seconds, 1e-9)
        return f"wrote {format_count(self.num_records, 'record')} in {self.seconds:.1f} s ({rate:,.0f} records/s)"

    def _planned(self) -> str:
        lines = [f"plan of generation {self.plan.generation} (nothing was written):"]
        for name, rows in self.rows.items():
            split = self.plan.splits[name]
            size = format_bytes(split.num_places * len(rows) * split.record_bytes)
            if self.estimate is not None and rows:
                size = _shown_bytes(self.estimate.split_bytes[name])
            lines.append(
                f"  {name}: {format_count(split.num_places, self._noun(name))} × "
                f"{format_count(len(rows), 'new row')} in "
                f"{format_count(split.num_blocks * len(rows), 'shard')}, about {size}"
            )
        if self.estimate is None:
            lines.append("  all rows are there: nothing to do")
        else:
            lines += [f"  {line}" for line in describe(self.estimate)]
        return "\n".join(lines)


def _conflicts(conflicts: Mapping[str, Any], other: str) -> Iterator[str]:
    if conflicts.get("num_sources"):
        pairs = ", ".join(" = ".join(pair) for pair in conflicts["examples"][:3])
        yield (
            f"{format_count(conflicts['num_sources'], 'source holds', 'sources hold')} the same image as "
            f"another one with {other}, e.g. {pairs}: no "
            "model can learn both"
        )


def describe(estimate: Estimate) -> Iterator[str]:
    """Yield the lines of a dry run's estimate."""
    records, shards = format_count(estimate.num_records, "record"), format_count(estimate.num_shards, "shard")
    yield f"together: {records} in {shards}, about {_shown_bytes(estimate.num_bytes)}"
    if estimate.free_bytes is None:
        yield "disk: an object store, which shows no limit; the time to send is not in what follows"
    else:
        lacking = format_bytes(round(estimate.num_bytes.high - estimate.free_bytes))
        fits = "they fit" if estimate.fits else f"NOT ENOUGH, {lacking} are missing"
        yield f"disk: {format_bytes(estimate.free_bytes)} free: {fits}"
    wall, each = estimate.wall_s, estimate.cpu_s.mean / max(1, estimate.num_records) * 1000
    spread = f" ({format_duration(wall.low)} to {format_duration(wall.high)})" if wall.is_known else ""
    decoding = estimate.decode_s / estimate.cpu_s.mean
    yield (
        f"time: about {format_duration(wall.mean)}{spread} on {format_count(estimate.num_workers, 'worker')}, if they "
        f"do not slow each other; {each:.1f} ms of one core a record, {decoding:.0%} of it decodes sources"
    )
    if estimate.online is not None:
        yield from _compared(estimate.online)


def _compared(online: Online) -> Iterator[str]:
    """Yield lines on the cost of augmenting in the training loop, and on when writing records pays off."""
    runs = f"{format_count(online.runs, 'run')} of {format_count(online.epochs, 'epoch')}"
    yield (
        f"augmented while training: {format_duration(online.online_s)} of one core for {runs}, "
        f"{online.online_image_s * 1000:.1f} ms an image (for other trainings: --runs, --epochs)"
    )
    total = online.build_s + online.read_s
    yield (
        f"from records: {format_duration(total)} of one core, {format_duration(online.build_s)} to write them once and "
        f"{format_duration(online.read_s)} to read them, {online.read_image_s * 1000:.1f} ms an image"
    )
    if online.pays_from is None:
        yield "records do not pay here: reading them takes as long as augmenting"
    elif online.pays_from > online.runs * online.epochs:
        yield f"records would pay from epoch {online.pays_from:,} on, counted over all runs: these end before"
    else:
        spared = f"{format_duration(online.online_s - total)} of one core spared, {1 - total / online.online_s:.0%}"
        yield f"records pay from epoch {online.pays_from:,} on, counted over all runs: {spared}"


def _shown_bytes(size: Range) -> str:
    spread = f" ({format_bytes(round(size.low))} to {format_bytes(round(size.high))})" if size.is_known else ""
    return format_bytes(round(size.mean)) + spread
