"""Cells of the grid: what one build has to do, which tasks are missing, and what the receipts prove."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from precompute.building.folder import StoredGeneration
from precompute.building.make_plan import spec_of_plan
from precompute.building.receipts import Bad, Receipt, generation_seen, read_receipt
from precompute.building.task import Slot, Task, TaskContext
from precompute.dataset.manifest import Manifest
from precompute.dataset.paths import DatasetPaths
from precompute.fields.string_column import take
from precompute.options.build_options import BuildOptions
from precompute.pipelines.pipeline import Prepared
from precompute.plan.blocks import PlaceOrder, block_bounds, place_order
from precompute.plan.generation import GenerationPlan, RowPlan
from precompute.storage.paths import absolute
from precompute.table.listing import Listing
from precompute.table.sources import Sources

__all__ = [
    "Block",
    "BuildPlan",
    "Grid",
    "Receipts",
    "Rows",
    "SplitPlaces",
    "Unlist",
    "bad_of",
    "make_grid",
    "make_task_context",
]

Rows = Mapping[str, Sequence[RowPlan]]
Unlist = Mapping[str, set[int]]
Receipts = Mapping[tuple[str, int, int], Receipt]  # split, row, block
UNKNOWN: tuple[str | None, str | None] = (None, None)


@dataclass(frozen=True, kw_only=True)
class BuildPlan:
    """All that writing rows needs to know.

    Attributes:
        out: The dataset's folder.
        options: Options of this build.
        pipelines: Split → prepared pipeline, one for each.
        sources: All sources, their splits assigned.
        stored: The generation that is written to.
        previous: The listed generation, when that is another one.
        rows: Split → rows that shall be whole at the end, those listed already apart.
        unlist: Split → numbers of listed rows that the new ones replace.
        choose_last: Chooses, just before the swap of the manifest, which of `rows` are listed and what takes the place
            of `unlist`: while rows are written, readers go on.
    """

    out: Path
    options: BuildOptions
    pipelines: Mapping[str, Prepared]
    sources: Sources
    stored: StoredGeneration
    previous: StoredGeneration | None
    rows: Rows
    unlist: Unlist = field(default_factory=dict)
    choose_last: Callable[[Manifest], tuple[Rows, Unlist]] | None = None


def make_task_context(build_plan: BuildPlan) -> TaskContext:
    """Return what all tasks of the build have in common."""
    plan, options = build_plan.stored.plan, build_plan.options
    pickled = {split: prepared.pickled for split, prepared in build_plan.pipelines.items()}
    return TaskContext(
        out=str(absolute(build_plan.out)),  # other machines have other working folders
        name=plan.name,
        generation=plan.generation,
        fingerprint=plan.fingerprint,
        spec=spec_of_plan(plan, build_plan.sources),
        pipelines={**pickled, "original": pickled["validation"]},
        own_process=options.backend == "loky" and options.num_jobs > 1,
    )


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The columns of a generation, with the places of each block in order.

    Attributes:
        paths: Paths of the dataset.
        plan: Plan of the generation.
        places: Split → all its places.
        blocks: Split → block → places.
    """

    paths: DatasetPaths
    plan: GenerationPlan
    places: dict[str, SplitPlaces]
    blocks: dict[str, list[Block]]

    def receipts(self, rows: Mapping[str, Sequence[RowPlan]]) -> Receipts:
        """Read the receipts of these rows, as many as there are; those of other settings are left out."""
        cells = [
            (split, row.row, block)
            for split, planned in rows.items()
            for block in range(len(self.blocks[split]))
            for row in planned
        ]
        with generation_seen(self.paths, self.plan.generation):
            read = {
                (s, row, b): read_receipt(self.paths.receipt(self.plan.generation, s, row, b)) for s, row, b in cells
            }
        return {cell: r for cell, r in read.items() if r is not None and r.fingerprint == self.plan.fingerprint}

    def missing(
        self, rows: Mapping[str, Sequence[RowPlan]], skipped: Mapping[str, set[str]], receipts: Receipts
    ) -> tuple[list[Task], dict[str, list[Receipt]]]:
        """Return a task for each column that misses cells, and by split the receipts of the others.

        Args:
            rows: Split → rows that shall be whole.
            skipped: Split → keys that have no record.
            receipts: Receipts of these rows.
        """
        tasks, proven = [], {split: list[Receipt]() for split in rows}
        with generation_seen(self.paths, self.plan.generation):
            for split, planned in rows.items():
                for block in range(len(self.blocks[split])):
                    left_out = self._left_out(split, block, skipped.get(split, ()))
                    found = {row: receipts.get((split, row.row, block)) for row in planned}
                    facts_hash = self._facts_hash(split, block) if any(found.values()) else None
                    good = {
                        row: r
                        for row, r in found.items()
                        if r and r.column_sha256 == facts_hash and self._proves(r, row, split, block, left_out)
                    }
                    proven[split] += good.values()
                    if len(good) < len(planned):
                        tasks.append(self._task(split, block, [row for row in planned if row not in good], left_out))
        return tasks, proven

    def task(self, split: str, block: int, rows: Sequence[RowPlan], skipped: Collection[str]) -> Task:
        """Return the task that writes these rows of one block."""
        return self._task(split, block, rows, self._left_out(split, block, skipped))

    def _task(self, split: str, block: int, rows: Sequence[RowPlan], left_out: list[str]) -> Task:
        return Task(
            split=split,
            block=block,
            num_blocks=len(self.blocks[split]),
            rows=[(row.row, row.seed, row.variant) for row in rows],
            places=self.blocks[split][block],
            skipped=left_out,
        )

    def _left_out(self, split: str, block: int, skipped: Collection[str]) -> list[str]:
        return sorted(set(self.blocks[split][block].source_keys()) & set(skipped)) if skipped else []

    def _proves(self, receipt: Receipt, row: RowPlan, split: str, block: int, skipped: list[str]) -> bool:
        cell, num_blocks = receipt.cell, len(self.blocks[split])
        if (cell.split, cell.block, cell.row) != (split, block, row.row) or cell.skipped != skipped:
            return False
        if (cell.seed, cell.variant) != (row.seed, row.variant):
            return False
        shard = self.paths.shard(self.plan.name, self.plan.generation, split, row.row, block, num_blocks)
        return shard.exists() and shard.stat().st_size == receipt.num_bytes

    def _facts_hash(self, split: str, block: int) -> str | None:
        try:
            content = self.paths.block_facts(self.plan.generation, split, block).read_bytes()
        except OSError:
            return None
        return hashlib.sha256(content).hexdigest()


def bad_of(receipts: Receipts) -> dict[str, dict[str, Bad]]:
    """Return split → key → what is wrong, of all sources that failed."""
    bad: dict[str, dict[str, Bad]] = {}
    for (split, _, _), receipt in receipts.items():
        if receipt.bad:
            bad.setdefault(split, {}).update({b.key: b for b in receipt.bad})
    return bad


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
        positions: int64 [number of sources of the split]: where each stands among all.
        order: The places, in the order that blocks are cut from.
        listing: What is known of the files' content; None where no rows have been made.
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
        """Return what image and mask of a source held when rows were made; `index` is its place among the split's."""
        if self.listing is None:
            return UNKNOWN
        keys = self.listing.sorted_keys
        at = index if index < len(keys) and keys[index] == key else self.listing.position(key)
        return UNKNOWN if at is None else (self.listing.sha256[at], self.listing.mask_sha256[at])


class Block(Sequence[Slot]):
    """A list of places that exist while they are looked at; sent to a worker, it is packed as columns.

    Args:
        split: Split that its places are of.
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
    """The places of a block as a worker gets them."""

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
