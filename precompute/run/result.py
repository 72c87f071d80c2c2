"""What a build tells at its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from precompute.dataset.manifest import BoxCounts, Manifest
from precompute.plan.generation import GenerationPlan, RowPlan
from precompute.text import format_bytes, format_count

__all__ = ["BuildResult"]


@dataclass(frozen=True, kw_only=True)
class BuildResult:
    """What a build wrote, or would write.

    Attributes:
        plan: The generation.
        rows: Split → rows written now.
        manifest: The dataset's manifest; None after a dry run of a new dataset.
        seconds: From the start of the job to the manifest.
        dry_run: Nothing was written.
        num_mended: Sources that had been left out, and are in all rows now.
        new_classes: Class id that no source holds → transform that fills masks with it; of a new generation.
    """

    plan: GenerationPlan
    rows: Mapping[str, Sequence[RowPlan]]
    manifest: Manifest | None
    seconds: float
    dry_run: bool = False
    num_mended: int = 0
    new_classes: Mapping[int, str] = field(default_factory=dict)

    @property
    def num_records(self) -> int:
        """Records written now."""
        return sum(self.plan.splits[split].num_places * len(rows) for split, rows in self.rows.items())

    @property
    def _has_copies(self) -> bool:
        return any(self.plan.settings["dataset"].get(name) for name in ("class_copies", "balance"))

    def _noun(self, split: str) -> str:
        return "places" if self._has_copies and split == "train" else "sources"

    def summary(self) -> str:
        """Return a few lines for people."""
        if self.dry_run or self.manifest is None:
            return self._planned()
        lines = [self._head()]
        for name, split in self.manifest.splits.items():
            num_bytes = sum(row.num_bytes for row in split.rows)
            lines.append(
                f"  {name}: {split.num_places:,} {self._noun(name)} × {format_count(len(split.rows), 'row')} in "
                f"{format_count(split.num_blocks * len(split.rows), 'shard')}, {format_bytes(num_bytes)}"
            )
            boxes = BoxCounts.total(row.boxes for row in split.rows)
            if boxes is not None:
                lines.append(f"    {boxes.num_boxes:,} boxes; {_emptied(boxes.num_empty)}")
        if self.manifest.skipped:
            lines.append(f"  {len(self.manifest.skipped)} bad sources were left out of all rows")
        train = self.manifest.splits.get("train")
        if train and train.rows:
            each = f"each of the {train.num_records:,} training sources once"
            if self._has_copies:
                each = f"{train.num_records:,} records, each training source as often as its class has copies"
            again = f"{format_count(len(train.rows), 'epoch')} until the first row comes again"
            lines.append(f"  one epoch reads one row: {each}; {again}")
        return "\n".join(lines)

    def warnings(self) -> Iterator[str]:
        """Yield what the user should know before training on this dataset."""
        if self.manifest is None:
            return
        manifest, target = self.manifest, self.manifest.target
        if target.kind == "mask" and target.num_classes == 256 and target.ignore_class is None:
            yield (
                "masks hold the id 255, so there are 256 classes; if 255 means void, build with --ignore-class 255, if "
                "it means foreground, with --mask-map 255:1"
            )
        for fill, name in self.new_classes.items():
            yield (
                f"{name} fills masks with {fill}, which no source holds: it counts as a class of its own "
                f"({target.num_classes} classes). If it means void, build with --ignore-class {fill}, else set its "
                "fill_mask"
            )
        if len(manifest.cpu_features) > 1:
            yield (
                "machines with different processors wrote records: the same record may differ by a grey level between "
                "them"
            )
        for leak in manifest.leaks:
            yield (
                f"{' and '.join(leak['splits'])} share the content of {leak['num_sources']} sources, e.g. "
                f"{' = '.join(leak['examples'][0])}: scores will flatter; load() refuses without allow_leak=True"
            )

    def _head(self) -> str:
        if not any(self.rows.values()) and self.num_mended:
            return f"{format_count(self.num_mended, 'mended source')} in all rows now"
        if not any(self.rows.values()):
            return "complete already: nothing to do"
        rate = self.num_records / max(self.seconds, 1e-9)
        return f"wrote {self.num_records:,} records in {self.seconds:.1f} s ({rate:,.0f} records/s)"

    def _planned(self) -> str:
        lines = [f"plan of generation {self.plan.generation} (nothing was written):"]
        for name, rows in self.rows.items():
            split = self.plan.splits[name]
            size = format_bytes(split.num_places * len(rows) * split.record_bytes)
            lines.append(
                f"  {name}: {split.num_places:,} {self._noun(name)} × {format_count(len(rows), 'new row')} in "
                f"{format_count(split.num_blocks * len(rows), 'shard')}, about {size}"
            )
        return "\n".join(lines)


def _emptied(number: int) -> str:
    if not number:
        return "every record has some"
    return f"{format_count(number, 'record')} without any: their sources have none, or all were cut off; kept"
