"""Cells of the grid: which tasks are missing, and what the receipts prove."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from precompute.dataset.paths import DatasetPaths
from precompute.errors import BuildError
from precompute.plan.blocks import block_bounds, order_places
from precompute.plan.generation import GenerationPlan, RowPlan
from precompute.plan.listing import Entry
from precompute.run.receipts import Bad, Column, Receipt, read_column, read_receipt
from precompute.run.task import Place, Task
from precompute.sources.source import Sources

__all__ = ["Grid", "make_grid"]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The columns of a generation, with the places of each block in order.

    Attributes:
        paths: Where everything lies.
        plan: The generation.
        blocks: Split → block → places.
    """

    paths: DatasetPaths
    plan: GenerationPlan
    blocks: dict[str, list[list[Place]]]

    def missing(
        self, rows: Mapping[str, Sequence[RowPlan]], skipped: Mapping[str, set[str]]
    ) -> tuple[list[Task], dict[str, list[Receipt]]]:
        """Return a task for each column that misses cells, and by split the receipts of the others.

        Args:
            rows: Split → rows that shall be whole.
            skipped: Split → keys that have no record.
        """
        tasks, proven = [], {}
        for split, planned in rows.items():
            proven[split] = list[Receipt]()
            for block, places in enumerate(self.blocks[split]):
                left_out = sorted({p.key for p in places} & skipped.get(split, set()))
                receipts = [self._proof(split, block, row, left_out) for row in planned]
                column = self._column_hash(split, block)
                good = [r if r is not None and r.column_sha256 == column else None for r in receipts]
                proven[split] += [r for r in good if r is not None]
                lacking = [row for row, r in zip(planned, good, strict=True) if r is None]
                if lacking:
                    tasks.append(self.task(split, block, lacking, skipped.get(split, set())))
        return tasks, proven

    def task(self, split: str, block: int, rows: Sequence[RowPlan], skipped: Collection[str]) -> Task:
        """Return the task that writes these rows of one block."""
        return Task(
            split=split,
            block=block,
            num_blocks=len(self.blocks[split]),
            rows=[(row.row, row.seed, row.variant) for row in rows],
            places=self.blocks[split][block],
            skipped=sorted({place.key for place in self.blocks[split][block]} & set(skipped)),
        )

    def _proof(self, split: str, block: int, row: RowPlan, skipped: list[str]) -> Receipt | None:
        receipt = read_receipt(self.paths.receipt(self.plan.generation, split, row.row, block))
        if receipt is None or receipt.fingerprint != self.plan.fingerprint:
            return None
        cell = receipt.cell
        if (cell.split, cell.block, cell.row) != (split, block, row.row) or cell.skipped != skipped:
            return None
        if (cell.seed, cell.variant) != (row.seed, row.variant):
            return None
        shard = self.paths.shard(self.plan.name, self.plan.generation, split, row.row, block, len(self.blocks[split]))
        return receipt if shard.exists() and shard.stat().st_size == receipt.num_bytes else None

    def _column_hash(self, split: str, block: int) -> str | None:
        try:
            content = self.paths.column(self.plan.generation, split, block).read_bytes()
        except OSError:
            return None
        return hashlib.sha256(content).hexdigest()

    def columns(self, split: str) -> list[Column]:
        """Return what was learnt of the sources of each block; all cells must be proven."""
        columns = [
            read_column(self.paths.column(self.plan.generation, split, block))
            for block in range(len(self.blocks[split]))
        ]
        if any(column is None for column in columns):
            raise BuildError(f"{self.paths.build}: files of the build have vanished; run the same command again.")
        return [column for column in columns if column is not None]

    def bad_of(self, rows: Mapping[str, Sequence[RowPlan]]) -> dict[str, dict[str, Bad]]:
        """Return split → key → what is wrong, of all sources that failed in these rows."""
        bad: dict[str, dict[str, Bad]] = {}
        for split, planned in rows.items():
            for block in range(len(self.blocks[split])):
                for row in planned:
                    receipt = read_receipt(self.paths.receipt(self.plan.generation, split, row.row, block))
                    if receipt is not None and receipt.fingerprint == self.plan.fingerprint:
                        bad.setdefault(split, {}).update({b.key: b for b in receipt.bad})
        return bad


def make_grid(out: Path, plan: GenerationPlan, sources: Sources, listing: Mapping[str, Mapping[str, Entry]]) -> Grid:
    """Return the grid of a generation.

    Args:
        out: The dataset's folder.
        plan: The generation.
        sources: All sources, their splits assigned.
        listing: Split → key → entry with the content's sha256, where rows have been made before.
    """
    blocks = {}
    for split, split_plan in plan.splits.items():
        indices = list(sources.of_split(split))
        places = order_places([sources.keys[i] for i in indices], [sources.num_copies(i) for i in indices])
        made = [_place(sources, indices[i], copy, listing.get(split, {})) for i, copy in places]
        blocks[split] = [made[first:last] for first, last in block_bounds(len(made), split_plan.num_blocks)]
    return Grid(paths=DatasetPaths(out), plan=plan, blocks=blocks)


def _place(sources: Sources, i: int, copy: int, entries: Mapping[str, Entry]) -> Place:
    entry = entries.get(sources.keys[i], {})
    return Place(
        key=sources.keys[i],
        copy=copy,
        image=str(sources.path(sources.images[i])),
        mask=None if sources.masks is None else str(sources.path(sources.masks[i])),
        label=sources.label(i),
        boxes=sources.boxes_of(i),
        sha256=entry.get("sha256"),
        mask_sha256=entry.get("mask_sha256"),
    )
