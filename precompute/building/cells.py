"""Cells of the grid: which ones a build wants, which ones receipts prove, and the tasks for the others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from precompute.building.folder import StoredGeneration
from precompute.building.receipts import BadSources, Cell, Receipt, generation_seen, read_receipt
from precompute.building.task import Slot, Task
from precompute.dataset.manifest import Manifest
from precompute.dataset.paths import DatasetPaths
from precompute.fields.string_column import take
from precompute.options.build_options import BuildOptions
from precompute.pipelines.pipeline import Prepared
from precompute.plan.blocks import PlaceOrder, block_bounds, place_order
from precompute.plan.generation import GenerationPlan, RowPlan, missing_rows
from precompute.table.listing import Listing
from precompute.table.sources import Sources

__all__ = [
    "Block",
    "BuildPlan",
    "Columns",
    "Grid",
    "Receipts",
    "Rows",
    "SplitPlaces",
    "Unlist",
    "Wanted",
    "bad_of",
    "make_grid",
    "plan_rows",
]

Rows = Mapping[str, Sequence[RowPlan]]
Unlist = Mapping[str, set[int]]
Columns = Mapping[tuple[str, int], Sequence[RowPlan]]  # cells that shall be there: (split, block) → rows
Receipts = Mapping[tuple[str, int, int], Receipt]  # (split, row, block) → the proof of a cell
UNKNOWN: tuple[str | None, str | None] = (None, None)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The rows of a generation that shall be there at the end.

    Attributes:
        rows: Split → rows that shall be whole, besides those listed already.
        unlist: Split → numbers of listed rows that the new ones replace.
        choose_last: Chooses just before the swap of the manifest, since readers go on while rows are written: which of
            `rows` are listed, and which rows replace `unlist`.
    """

    rows: Rows
    unlist: Unlist = field(default_factory=dict)
    choose_last: Callable[[Manifest], tuple[Rows, Unlist]] | None = None


def plan_rows(stored: StoredGeneration, wanted: Mapping[str, Sequence[tuple[int, int]]]) -> dict[str, list[RowPlan]]:
    """Return the rows to be written so that all wanted (seed, variant) are there."""
    rows = {}
    for split, pairs in wanted.items():
        carried = stored.plan.rows.get(split, [])
        taken, first = {(r.seed, r.variant) for r in carried}, max((r.row + 1 for r in carried), default=0)
        if stored.manifest is not None and split in stored.manifest.splits:
            listed = stored.manifest.splits[split]
            taken = {(r.seed, r.stored_variant) for r in listed.rows}
            first = listed.next_row
        rows[split] = [*carried, *missing_rows(pairs, taken, first=first)]
    return rows


@dataclass(frozen=True, kw_only=True)
class BuildPlan:
    """All that is needed to write rows of a generation.

    Attributes:
        out: The dataset's folder.
        options: Options of this build.
        pipelines: Split → prepared pipeline, one for each.
        sources: All sources, their splits assigned.
        stored: The generation that is written to.
        previous: The listed generation, if that is another one.
    """

    out: Path
    options: BuildOptions
    pipelines: Mapping[str, Prepared]
    sources: Sources
    stored: StoredGeneration
    previous: StoredGeneration | None = None


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The columns of a generation, with the places of each block in order.

    Attributes:
        paths: Paths of the dataset.
        plan: Plan of the generation.
        places: Split → all its places.
        blocks: Split → block → its places.
    """

    paths: DatasetPaths
    plan: GenerationPlan
    places: dict[str, SplitPlaces]
    blocks: dict[str, list[Block]]

    def columns(self, rows: Rows) -> Columns:
        """Return the cells of whole rows."""
        return {(split, block): of for split, of in rows.items() for block in range(len(self.blocks[split])) if of}

    def shard(self, split: str, row: int, block: int) -> Path:
        """Return the path of a cell's shard."""
        return self.paths.shard(self.plan.name, self.plan.generation, split, row, block, len(self.blocks[split]))

    def receipts(self, wanted: Columns) -> Receipts:
        """Read the receipts of these cells, as far as there are any; receipts of other settings do not count."""
        read, generation = dict[tuple[str, int, int], Receipt | None](), self.plan.generation
        with generation_seen(self.paths, generation):
            for (split, block), rows in wanted.items():
                for row in rows:
                    path = self.paths.receipt(generation, split, row.row, block)
                    read[split, row.row, block] = read_receipt(path)
        return {cell: r for cell, r in read.items() if r is not None and r.fingerprint == self.plan.fingerprint}

    def missing(
        self, wanted: Columns, left_out: Collection[tuple[str, str]], receipts: Receipts
    ) -> tuple[list[Task], Receipts]:
        """Return a task for each column that lacks cells, and the receipts of all cells that are there.

        Args:
            left_out: (split, key) of the sources that have no record.
        """
        tasks, proven = list[Task](), dict[tuple[str, int, int], Receipt]()
        keys = {split: {key for of, key in left_out if of == split} for split in self.blocks}
        with generation_seen(self.paths, self.plan.generation):
            for (split, block), rows in wanted.items():
                task = self._task(split, block, rows, keys[split])
                found = {row: receipts.get((split, row.row, block)) for row in rows}
                facts_hash = self._facts_hash(split, block) if any(found.values()) else None
                good = {row: r for row, r in found.items() if r and self._proves(r, task.cell(row), facts_hash)}
                proven |= {(split, row.row, block): receipt for row, receipt in good.items()}
                if len(good) < len(rows):
                    tasks.append(replace(task, rows=[row for row in rows if row not in good]))
        return tasks, proven

    def _task(self, split: str, block: int, rows: Sequence[RowPlan], left_out: set[str]) -> Task:
        blocks = self.blocks[split]
        skipped = sorted(left_out.intersection(blocks[block].source_keys())) if left_out else []
        return Task(split=split, block=block, num_blocks=len(blocks), rows=rows, places=blocks[block], skipped=skipped)

    def _proves(self, receipt: Receipt, cell: Cell, facts_hash: str | None) -> bool:
        if receipt.column_sha256 != facts_hash or receipt.cell != cell:
            return False
        shard = self.shard(cell.split, cell.row, cell.block)
        return shard.exists() and shard.stat().st_size == receipt.num_bytes

    def _facts_hash(self, split: str, block: int) -> str | None:
        try:
            content = self.paths.block_facts(self.plan.generation, split, block).read_bytes()
        except OSError:
            return None
        return hashlib.sha256(content).hexdigest()


def bad_of(receipts: Receipts) -> BadSources:
    """Return all sources that failed, with the reasons."""
    return {(split, bad.key): bad for (split, _, _), receipt in receipts.items() for bad in receipt.bad}


def make_grid(build_plan: BuildPlan) -> Grid:
    """Return the grid that the rows are written to."""
    plan, sources, listing = build_plan.stored.plan, build_plan.sources, build_plan.stored.listing
    places = {split: SplitPlaces.of_split(sources, split, listing.get(split)) for split in plan.splits}
    blocks = {
        split: [Block(places[split], first, last) for first, last in block_bounds(split_plan.sizes)]
        for split, split_plan in plan.splits.items()
    }
    return Grid(paths=DatasetPaths(build_plan.out), plan=plan, places=places, blocks=blocks)


# The places of a block, made when they are needed: ten million of them at once would fill the parent's memory


@dataclass(frozen=True, kw_only=True)
class SplitPlaces:
    """All places of a split, as columns.

    Attributes:
        sources: Sources of all splits.
        positions: int64 [number of sources of the split]: position of each among all sources.
        order: The places in the order from which blocks are cut.
        listing: The split's listing, with hashes of files; None where no rows have been made.
    """

    sources: Sources
    positions: NDArray[np.int64]
    order: PlaceOrder
    listing: Listing | None

    @classmethod
    def of_split(cls, sources: Sources, split: str, listing: Listing | None) -> SplitPlaces:
        """Return the places of the sources of a split."""
        copies = None if sources.copies is None else sources.copies_of(split)
        return cls(
            sources=sources,
            positions=np.fromiter(sources.of_split(split), np.int64),
            order=place_order(sources.keys_of(split), copies, sources.segments_of(split)),
            listing=listing,
        )

    def hashes(self, index: int, key: str) -> tuple[str | None, str | None]:
        """Return the sha256 of a source's image and mask when rows were made; `index` counts the split's sources."""
        if self.listing is None:
            return UNKNOWN
        keys = self.listing.sorted_keys
        at = index if index < len(keys) and keys[index] == key else self.listing.position(key)
        return UNKNOWN if at is None else (self.listing.sha256[at], self.listing.mask_sha256[at])


class Block(Sequence[Slot]):
    """A block's places as a list that makes each place on access; pickled for a worker, it is packed as columns.

    Args:
        split: Split of the places.
        first: Index of its first place in the split.
        last: Index one past its last place.
    """

    def __init__(self, split: SplitPlaces, first: int, last: int) -> None:
        self._split, self._first, self._last = split, first, last

    @property
    def indices(self) -> NDArray[np.int64]:
        """int64 [number of places]: index of each place's source among those of the split."""
        return self._split.order.sources[self._first : self._last]

    def source_keys(self) -> list[str]:
        """Return the key of each place; a source with copies comes more than once."""
        return take(self._split.sources.keys, self._split.positions[self.indices].tolist())

    def only(self, keys: Collection[str]) -> Block:
        """Return the block with the places of these sources alone."""
        chosen, order = self._first + np.flatnonzero([key in keys for key in self.source_keys()]), self._split.order
        places = replace(self._split, order=PlaceOrder(order.sources[chosen], order.copies[chosen]))
        return Block(places, 0, len(chosen))

    def __len__(self) -> int:
        return self._last - self._first

    @overload
    def __getitem__(self, index: int) -> Slot: ...

    @overload
    def __getitem__(self, index: slice) -> list[Slot]: ...

    def __getitem__(self, index: int | slice) -> Slot | list[Slot]:
        if isinstance(index, slice):
            return list(self)[index]
        at = self._first + range(len(self))[index]
        return next(iter(Block(self._split, at, at + 1)))

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._pack().unpack())

    def __reduce__(self) -> tuple[object, ...]:
        return (_Packed.unpack, (self._pack(),))

    def _pack(self) -> _Packed:
        split, of, hashes = self._split, self._split.sources, list[tuple[str | None, str | None]]()
        chosen = split.positions[self.indices].tolist()
        keys = take(of.keys, chosen)
        if split.listing is not None:
            hashes = [split.hashes(i, key) for i, key in zip(self.indices.tolist(), keys, strict=True)]
        return _Packed(
            sources=Sources(
                root=of.root,
                keys=keys,
                images=take(of.images, chosen),
                columns={name: column.take(chosen) for name, column in of.columns.items()},
            ),
            copies=split.order.copies[self._first : self._last].tolist(),
            hashes=hashes,
        )


@dataclass(frozen=True)
class _Packed:
    """The places of a block in the form that a worker gets."""

    sources: Sources
    copies: list[int]
    hashes: list[tuple[str | None, str | None]] = field(default_factory=list)

    def unpack(self) -> list[Slot]:
        sources, hashes = self.sources, self.hashes or [UNKNOWN] * len(self.copies)
        return [
            Slot(
                key=sources.keys[i],
                copy=copy,
                image=str(sources.path(sources.images[i])),
                raw=sources.raw(i),
                sha256=sha256,
                mask_sha256=mask_sha256,
            )
            for i, (copy, (sha256, mask_sha256)) in enumerate(zip(self.copies, hashes, strict=True))
        ]
