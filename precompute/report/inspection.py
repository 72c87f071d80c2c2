"""What an inspection of a dataset found, and the text of it for people: what they want to know first, first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from precompute.dataset.manifest import OBJECTS, SPLITS, BoxCounts, Manifest
from precompute.dataset.rows import describe_numbers
from precompute.dataset.warnings import instance_id_warnings
from precompute.errors import first_few
from precompute.fields.skeleton import Skeleton
from precompute.report.pipeline_text import describe_pipeline, describe_value
from precompute.text.format import format_bytes, format_count
from precompute.text.reasons import describe_reasons

__all__ = ["Inspection", "RowGroup", "SplitInspection"]

LABEL = 14  # width of the first column
MAX_CLASSES = 30


@dataclass(frozen=True, kw_only=True)
class RowGroup:
    """Rows of one seed.

    Attributes:
        rows: Their numbers, sorted.
        seed: Augmentation seed of these rows.
        variants: Variants of these rows; empty for the original row.
    """

    rows: list[int]
    seed: int
    variants: list[int]

    @property
    def original(self) -> bool:
        """Whether this is the original row: sources through the validation pipeline."""
        return not self.variants


@dataclass(frozen=True, kw_only=True)
class SplitInspection:
    """What one split holds.

    Attributes:
        num_sources: Listed sources, the skipped ones included.
        num_skipped: Sources that are left out of all rows.
        num_places: Places of the grid: sources times copies.
        num_rows: Number of listed rows.
        num_records: Records in all rows.
        num_shards: Number of shard files.
        num_bytes: Size of all shards.
        rows: Listed rows by seed.
        held: Rows that living readers hold.
        class_counts: Sources of each class, or of each label, or boxes of each class, skipped ones left out; empty for
            masks.
        boxes: Counts of the boxes in all records; None without boxes.
        num_without: Sources that have no boxes, skipped ones left out.
        num_lost: Number of objects with masks that are lacking in all records together: cut off, too small, or without
            a pixel in the first place.
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
    class_counts: list[int]
    boxes: BoxCounts | None = None
    num_without: int = 0
    num_lost: int = 0

    @property
    def record_bytes(self) -> int:
        """Mean size of a record, its framing included."""
        return self.num_bytes // max(1, self.num_records)


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What a dataset holds.

    Attributes:
        out: Folder of the dataset.
        manifest: Everything that its manifest says.
        splits: Split → what it holds.
        other_versions: Package → (version that wrote the dataset, installed version), where these differ.
        held_elsewhere: Rows of earlier generations, or no longer listed, that living readers hold.
    """

    out: Path
    manifest: Manifest
    splits: dict[str, SplitInspection]
    other_versions: dict[str, tuple[str, str]] = field(default_factory=dict)
    held_elsewhere: int = 0

    def text(self) -> str:
        """Return the report for people: dataset, table of splits, rows, pipelines, and what is unusual."""
        parts = [
            _dataset(self),
            _split_table(self),
            _rows(self),
            _classes(self),
            _remarks(self),
            _pipelines(self),
            _warnings(self),
        ]
        return "\n\n".join("\n".join(lines) for lines in (list(part) for part in parts) if lines)


# The text


def _dataset(found: Inspection) -> Iterator[str]:
    manifest, pixels = found.manifest, found.manifest.settings["pixels"]
    image, quality = manifest.image, pixels["quality"]
    encoding = f"{image.encoding} of quality {quality}" if image.encoding == "jpeg" else image.encoding
    yield f"{manifest.name}, generation {manifest.generation}, in {found.out}"
    yield _labelled("images", f"{image.height}×{image.width} (height × width), {_colors(image.channels)}, {encoding}")
    if "scale" in pixels:
        yield _labelled("scale", f"{pixels['scale']}: how more than 8 bits a channel became 8")
    if "alpha" in pixels:
        yield _labelled("alpha", f"{pixels['alpha']}: what became of alpha channels")
    yield _labelled("target", _target(found))
    if manifest.extra:
        yield _labelled("extra", ", ".join(f"{name} ({kind})" for name, kind in manifest.extra.items()))
    yield _labelled("sources", _sources(found))
    yield _labelled("one epoch", _epoch(found))
    settings = manifest.settings["dataset"]
    copies = "by the size of each class" if settings.get("balance") else _copies(settings.get("class_copies") or {})
    if copies:
        yield _labelled("copies", f"{copies} (of each training source, in every row)")


def _colors(channels: int) -> str:
    return {1: "grayscale", 3: "3 channels"}.get(channels, "RGBA")


def _copies(class_copies: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in class_copies.items())


def _labelled(label: str, text: str) -> str:
    return f"  {label:<{LABEL}}{text}".rstrip()


def _target(found: Inspection) -> str:
    target = found.manifest.target
    if target.kind == "class":
        return f"class, {target.num_classes} of them"
    if target.kind in OBJECTS:
        pixels = found.manifest.settings["pixels"]
        rules = [f", {name} {pixels[name]:g}" for name in ("min_visibility", "min_area") if name in pixels]
        most = found.manifest.most_boxes
        if target.keypoints is not None:
            return (
                f"{_keypoints(target.keypoints)}, {format_count(target.num_classes, 'class')}, at most "
                f"{most} an image{''.join(rules)}"
            )
        kind = "boxes" if target.kind == "boxes" else "objects with masks,"
        return f"{kind} of {format_count(target.num_classes, 'class')}, at most {most} an image{''.join(rules)}"
    if target.image_only:
        return "none: images alone"
    if target.kind == "multilabel":
        return f"any number of {format_count(target.num_classes, 'label')} an image"
    names = f": {', '.join(target.class_names)}" if target.class_names else ""
    ignored = "" if target.ignore_class is None else f", {target.ignore_class} is ignored"
    from_files = _from_files(found.manifest.settings["pixels"])
    return (
        f"mask of {format_count(target.num_classes, 'class')}{names} ({target.encoding} "
        f"{target.dtype}{ignored}{from_files})"
    )


def _keypoints(skeleton: Skeleton) -> str:
    pairs = [f"{skeleton.names[a]}:{skeleton.names[b]}" for a, b in skeleton.flip_pairs]
    flipped = (
        f"{format_count(len(pairs), 'flip pair')} ({pairs[0]}{' …' * (len(pairs) > 1)})" if pairs else "no flip pairs"
    )
    with_boxes = "with boxes" if skeleton.boxed else "without boxes"
    return f"objects {with_boxes} and {format_count(len(skeleton), 'keypoint')} each, {flipped}"


def _ranges(mask_map: Mapping[int, int]) -> Iterator[str]:
    """Yield 255:1, or 1-999:1 where neighbouring ids become the same."""
    ends: list[list[int]] = []
    for old, new in sorted(mask_map.items()):
        if ends and ends[-1][1:] == [old - 1, new]:
            ends[-1][1] = old
        else:
            ends.append([old, old, new])
    for first, last, new in ends:
        yield f"{first}:{new}" if first == last else f"{first}-{last}:{new}"


def _from_files(pixels: Mapping[str, Any]) -> str:
    """Return how ids came of what the masks' files hold."""
    mapped = ", ".join(_ranges({int(old): new for old, new in (pixels.get("mask_map") or {}).items()}))
    offset, colors = pixels.get("mask_offset", 0), pixels.get("mask_colors") or {}
    return "".join(
        [
            f", ids mapped {mapped}" if mapped else "",
            f", ids moved by {offset}" if offset else "",
            f", from {format_count(len(colors), 'colour')}" if colors else "",
        ]
    )


def _sources(found: Inspection) -> str:
    root = found.manifest.settings["dataset"]["root"]
    return "files named one by one" if root is None else str(root)


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


def _split_table(found: Inspection) -> Iterator[str]:
    skips = ["left out"] if found.manifest.skipped else []
    heads = ("split", "sources", *skips, "rows", "shards", "records", "size", "a record")
    rows = [heads, *(_split_row(name, split, skips) for name, split in found.splits.items())]
    if len(found.splits) > 1:
        whole = found.splits.values()
        counted = ("sources", *("skipped" for _ in skips), "rows", "shards", "records")
        totals = [sum(getattr(split, f"num_{what}") for split in whole) for what in counted]
        size = format_bytes(sum(split.num_bytes for split in whole))
        rows.append(("all", *(f"{total:,}" for total in totals), size, ""))
    widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
    for row in rows:
        numbers = "  ".join(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))
        yield _labelled(row[0], numbers)


def _split_row(name: str, split: SplitInspection, skips: Sequence[str]) -> tuple[str, ...]:
    skipped = [split.num_skipped for _ in skips]
    counts = (split.num_sources, *skipped, split.num_rows, split.num_shards, split.num_records)
    return (name, *(f"{count:,}" for count in counts), format_bytes(split.num_bytes), format_bytes(split.record_bytes))


def _rows(found: Inspection) -> Iterator[str]:
    yield "rows"
    for name, split in found.splits.items():
        for i, group in enumerate(split.rows):
            yield _labelled("" if i else name, _group(group))
        if split.held:
            yield _labelled("", f"in use by readers: {describe_numbers(split.held)}")
    if found.held_elsewhere:
        unlisted = format_count(found.held_elsewhere, "unlisted row is", "unlisted rows are")
        yield _labelled("", f"{unlisted} still in use by readers")


def _group(group: RowGroup) -> str:
    numbers = f"{_noun('row', group.rows)} {describe_numbers(group.rows)}"
    if group.original:
        return f"{numbers}: originals through the validation pipeline"
    return f"{numbers}: seed {group.seed}, {_noun('variant', group.variants)} {describe_numbers(group.variants)}"


def _noun(word: str, numbers: Sequence[int]) -> str:
    return word if len(numbers) == 1 else f"{word}s"


def _classes(found: Inspection) -> Iterator[str]:
    """Yield a table of the sources of each class in each split."""
    names = found.manifest.target.class_names
    counts = {name: split.class_counts for name, split in found.splits.items() if split.class_counts}
    if not counts:
        return
    width = max(len(name) for name in names[:MAX_CLASSES]) + 7
    objects = "objects of each class, in the sources"
    yield {
        "boxes": "boxes of each class, in the sources",
        "keypoints": objects,
        "instances": objects,
        "multilabel": "sources of each label",
    }.get(found.manifest.target.kind, "sources of each class")
    yield f"  {'':<{width}}" + "".join(f"{split:>12}" for split in counts)
    for i, name in enumerate(names[:MAX_CLASSES]):
        yield f"  {f'{i:>3}  {name}':<{width}}" + "".join(f"{of_split[i]:>12,}" for of_split in counts.values())
    if len(names) > MAX_CLASSES:
        yield f"  … and {format_count(len(names) - MAX_CLASSES, 'more class')}"
    for name, split in found.splits.items():
        if split.boxes is not None:
            noun = "box" if found.manifest.target.kind == "boxes" else "object"
            yield _labelled(name, _box_counts(split, split.boxes, noun))


def _remarks(found: Inspection) -> Iterator[str]:
    """Yield what was counted while sources were decoded."""
    wording = {
        "empty": (
            "object in the sources whose mask holds no pixel: left out",
            "objects in the sources whose masks hold no pixel: left out",
        ),
        "opaque_alpha": (
            "alpha channel of a source, 255 everywhere: taken off",
            "alpha channels of sources, 255 everywhere: taken off",
        ),
        "overlap": (
            "pixel of merged masks that belongs to several objects",
            "pixels of merged masks that belong to several objects",
        ),
        "turned": (
            "image with boxes or masks, turned upright by its EXIF orientation: was it annotated so?",
            "images with boxes or masks, turned upright by their EXIF orientation: were they annotated so?",
        ),
    }
    for what, counts in found.manifest.remarks.items():
        if what in wording:
            number = format_count(counts["num_sources"], "source")
            yield f"  {format_count(counts['number'], *wording[what])} ({number}, e.g. {', '.join(counts['examples'])})"
    for warning in instance_id_warnings(found.manifest.remarks, found.manifest.target.num_classes):
        yield f"  warning: {warning}"


def _box_counts(split: SplitInspection, boxes: BoxCounts, noun: str) -> str:
    plural = "boxes" if noun == "box" else "objects"
    lost = f"; {format_count(split.num_lost, 'object')} cut off, too small or empty" if split.num_lost else ""
    without = f"; {format_count(split.num_without, 'source')} without {plural}" if split.num_without else ""
    return (
        f"{format_count(boxes.num_boxes, noun)} in {format_count(split.num_records, 'record')}, {boxes.num_empty:,} of "
        "them without any"
        f"{without}{lost}"
    )


def _pipelines(found: Inspection) -> Iterator[str]:
    yield "pipelines"
    described: dict[str, dict[str, Any]] = found.manifest.settings["pixels"]["pipelines"]
    for split in (split for split in SPLITS if split in described):
        for i, line in enumerate(describe_pipeline(described[split])):
            yield _labelled("" if i else split, line)
        numbers = found.manifest.normalize.get(split)
        if numbers:
            arguments = ", ".join(f"{name}={describe_value(value)}" for name, value in numbers.items())
            yield _labelled("", f"left to the model: Normalize({arguments})")


def _warnings(found: Inspection) -> Iterator[str]:
    """Yield what a user should know before trusting the data."""
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
            "the same image as another one with another "
            f"{'mask' if manifest.target.kind == 'mask' else 'label'}:\n{first_few(pairs)}"
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
