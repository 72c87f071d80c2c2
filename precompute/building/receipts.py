"""Receipts, the proof that the shard of a cell is whole; and facts about the sources of a block."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from precompute.building.files import write_whole
from precompute.dataset.json_files import dump, parse_json, read_json
from precompute.dataset.manifest import BoxCounts
from precompute.dataset.paths import DatasetPaths
from precompute.errors import DatasetError
from precompute.storage.snapshot import seen_at_once

__all__ = [
    "Bad",
    "BadSources",
    "BlockFacts",
    "Cell",
    "Receipt",
    "bad_of_entries",
    "entries_of",
    "generation_seen",
    "read_block_facts",
    "read_receipt",
]


@dataclass(frozen=True, kw_only=True)
class Bad:
    """One source that could not be used, and why."""

    key: str
    reason: str


BadSources = dict[tuple[str, str], Bad]  # (split, key) → what is wrong


def bad_of_entries(entries: Iterable[Mapping[str, str]]) -> BadSources:
    """Return the bad sources that a plan or a manifest names."""
    return {(entry["split"], entry["key"]): Bad(key=entry["key"], reason=entry.get("reason", "")) for entry in entries}


def entries_of(bad_sources: BadSources) -> list[dict[str, str]]:
    """Return bad sources in the form of a plan and a manifest."""
    return [{"key": key, "split": split, "reason": bad.reason} for (split, key), bad in bad_sources.items()]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of the grid and its content, without bytes; a receipt of another cell proves nothing.

    Attributes:
        split: Split of the grid.
        row: Number of the row.
        block: Index of the block.
        seed: Seed of the row.
        variant: Variant of the row; −1 in the original row.
        skipped: Keys of the block's sources that have no record, sorted.
    """

    split: str
    row: int
    block: int
    seed: int
    variant: int
    skipped: list[str]


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """Proof that one shard is whole.

    Attributes:
        cell: The cell that the shard fills.
        fingerprint: Fingerprint of the settings that the shard was made under.
        num_records: Number of records in it.
        num_bytes: Size of the shard.
        sha256: SHA-256 of the shard.
        column_sha256: SHA-256 of the block's `BlockFacts`: all rows must have been made from the same files.
        bad: Sources of this block that failed while it was written; they are among `cell.skipped`.
        cpu_features: OpenCV's feature line of the machine that wrote it.
        boxes: Counts of its boxes, if records have boxes.
    """

    cell: Cell
    fingerprint: str
    num_records: int
    num_bytes: int
    sha256: str
    column_sha256: str
    cpu_features: str
    bad: list[Bad] = field(default_factory=list)
    boxes: BoxCounts | None = None

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        # Not dataclasses.asdict, which copies: 27 µs for 66, and a small dataset has a receipt every ten records.
        boxes = None if self.boxes is None else vars(self.boxes)
        return dump({**vars(self), "cell": vars(self.cell), "bad": [vars(bad) for bad in self.bad], "boxes": boxes})

    def path(self, paths: DatasetPaths, generation: str) -> Path:
        """Return the file's name."""
        return paths.receipt(generation, self.cell.split, self.cell.row, self.cell.block)

    def save(self, paths: DatasetPaths, generation: str) -> None:
        """Write the receipt; its shard must have its final name already."""
        write_whole(self.path(paths, generation), self.to_bytes(), paths.temporary)


@dataclass(frozen=True, kw_only=True)
class BlockFacts:
    """Facts about a block's sources that are known from decoding them.

    Attributes:
        sha256: Key → sha256 of the image file, without sources that failed.
        mask_sha256: Key → sha256 of the mask file.
        class_ids: Class ids found in the block's masks, sorted.
        ids_of_fields: The same for each field of masks by its name, where there are several.
        counters: Key → name of a counter → count.
    """

    sha256: dict[str, str]
    mask_sha256: dict[str, str]
    class_ids: list[int]
    counters: dict[str, dict[str, int]] = field(default_factory=dict)
    ids_of_fields: dict[str, list[int]] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        empty = [name for name in ("counters", "ids_of_fields") if not getattr(self, name)]
        return dump({name: value for name, value in dataclasses.asdict(self).items() if name not in empty})


def generation_seen(paths: DatasetPaths, generation: str) -> AbstractContextManager[None]:
    """Answer questions about files of a generation from one listing while the block runs; nobody may write then."""
    columns = paths.block_facts(generation, "train", 0).parent
    return seen_at_once(paths.generation(generation), contents=(paths.receipts(generation), columns))


def read_receipt(path: Path) -> Receipt | None:
    """Return a receipt; None if there is no readable one."""
    try:
        return parse_json(Receipt, read_json(path, missing="the cell is not proven"), str(path))
    except DatasetError:
        return None


def read_block_facts(path: Path) -> BlockFacts | None:
    """Return the facts about a block's sources; None if there are no readable ones."""
    try:
        content = read_json(path, missing="the block is not proven")
        content.setdefault("counters", content.get("remarks", {}))  # as format 1 called them
        return parse_json(BlockFacts, content, str(path))
    except DatasetError:
        return None
