"""Cells of the grid: which tasks are missing, and what the receipts prove."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from precompute.building.block import Block, SplitPlaces
from precompute.building.receipts import Bad, Receipt, generation_seen, read_block_facts, read_receipt
from precompute.building.task import Task
from precompute.dataset.paths import DatasetPaths
from precompute.errors import BuildError
from precompute.plan.blocks import block_bounds
from precompute.plan.generation import GenerationPlan, RowPlan
from precompute.table.listing import Listing
from precompute.table.sha256_column import Sha256Column
from precompute.table.sources import Sources

__all__ = ["Grid", "Receipts", "SourceFacts", "bad_of", "make_grid"]

Receipts = Mapping[tuple[str, int, int], Receipt]  # split, row, block


@dataclass(frozen=True, kw_only=True)
class SourceFacts:
    """What was learnt of a split's sources while decoding them.

    Attributes:
        sha256: SHA-256 of the image file of each source of the split; None for those that failed.
        mask_sha256: SHA-256 of the mask file of each source, likewise.
        class_ids: Class ids found in masks.
    """

    sha256: Sha256Column
    mask_sha256: Sha256Column
    class_ids: set[int]
    counters: dict[str, dict[str, int]]


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

    def source_facts(self, split: str) -> SourceFacts:
        """Return what was learnt of a split's sources; all cells must be proven."""
        num_sources = len(self.places[split].positions)
        found = SourceFacts(
            sha256=Sha256Column(num_sources),
            mask_sha256=Sha256Column(num_sources if self.places[split].sources.has_files else 0),
            class_ids=set(),
            counters={},
        )
        with generation_seen(self.paths, self.plan.generation):
            for number, block in enumerate(self.blocks[split]):
                facts = read_block_facts(self.paths.block_facts(self.plan.generation, split, number))
                if facts is None:
                    raise BuildError(f"{self.paths.build}: files of the build have vanished; run the command again.")
                found.class_ids.update(facts.class_ids)
                found.counters.update(facts.counters)
                for i, key in zip(block.indices.tolist(), block.source_keys(), strict=True):
                    if key in facts.sha256:
                        found.sha256[i] = facts.sha256[key]
                    if key in facts.mask_sha256:
                        found.mask_sha256[i] = facts.mask_sha256[key]
        return found


def bad_of(receipts: Receipts) -> dict[str, dict[str, Bad]]:
    """Return split → key → what is wrong, of all sources that failed."""
    bad: dict[str, dict[str, Bad]] = {}
    for (split, _, _), receipt in receipts.items():
        if receipt.bad:
            bad.setdefault(split, {}).update({b.key: b for b in receipt.bad})
    return bad


def make_grid(out: Path, plan: GenerationPlan, sources: Sources, listing: Mapping[str, Listing]) -> Grid:
    """Return the grid of a generation.

    Args:
        out: The dataset's folder.
        plan: Plan of the generation.
        sources: All sources, their splits assigned.
        listing: Split → its sources with their content's sha256, where rows have been made before.
    """
    places = {split: SplitPlaces.of_split(sources, split, listing.get(split)) for split in plan.splits}
    blocks = {
        split: [Block(places[split], first, last) for first, last in block_bounds(split_plan.sizes)]
        for split, split_plan in plan.splits.items()
    }
    return Grid(paths=DatasetPaths(out), plan=plan, places=places, blocks=blocks)
