"""The part `cells` of bench_growth.py: a build that finds all its cells proven, by receipts that are made up."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, replace
from typing import Any

from bench_common import timed

import precompute
from precompute.building import build, write
from precompute.building.cells import Grid
from precompute.building.receipts import BlockFacts, Cell, Receipt
from precompute.dataset.json_files import dump
from precompute.plan.generation import RowPlan

__all__ = ["measure_proven"]


def measure_proven(data: str, out: str, rows: int, jobs: int) -> Any:
    """Make receipts and empty shards up for rows of a small dataset; returns the seconds of a build that lists them."""
    options: dict[str, Any] = {"pipeline": "light", "image_size": 16, "shard_size": 1_024, "jobs": jobs, "quiet": True}
    precompute.build(data, out, variants=1, **options)
    columns, num_cells = Grid.columns, 0

    def with_receipts(grid: Grid, wanted: dict[str, list[RowPlan]]) -> Any:
        nonlocal num_cells
        num_cells = make_up(grid, wanted["train"])
        return columns(grid, wanted)

    Grid.columns = with_receipts  # type: ignore[method-assign]
    taken: dict[str, float] = {}
    for owner, name, step in [
        (build, "stored_generations", "read what is on disk"),
        (build, "repair", "look at listed shards"),
        (Grid, "receipts", "read receipts"),
        (Grid, "missing", "hold shards against receipts"),
        (write, "list_rows", "write row files"),
        (write, "publish", "read row files, publish"),
        (write, "sweep", "sweep"),
    ]:
        setattr(owner, name, timed(step, getattr(owner, name), taken))
    precompute.build(data, out, variants=rows + 1, **options)
    steps = [name for name in taken if not name.endswith(" s")]
    return {"cells": num_cells, **{name: [taken[f"{name} s"], taken[name]] for name in steps}}


def make_up(grid: Grid, rows: list[RowPlan]) -> int:
    """Leave the files of cells that are proven: shards of zeros, receipts, and what was learnt of each block."""
    paths, plan, number = grid.paths, grid.plan, 0
    for folder in (paths.receipts(plan.generation), paths.block_facts(plan.generation, "train", 0).parent):
        folder.mkdir(parents=True, exist_ok=True)
    for block, places in enumerate(grid.blocks["train"]):
        facts = BlockFacts(sha256=dict.fromkeys(places.source_keys(), "0" * 64), mask_sha256={}, class_ids=[])
        paths.block_facts(plan.generation, "train", block).write_bytes(facts.to_bytes())
        cell = Cell(split="train", row=0, block=block, seed=0, variant=0, skipped=[])
        for row in rows:
            receipt = Receipt(
                cell=replace(cell, row=row.row, seed=row.seed, variant=row.variant),
                fingerprint=plan.fingerprint,
                num_records=len(places),
                num_bytes=1,
                sha256="0" * 64,
                column_sha256=hashlib.sha256(facts.to_bytes()).hexdigest(),
                cpu_features="",
            )
            paths.receipt(plan.generation, "train", row.row, block).write_bytes(dump(asdict(receipt)))
            shard = paths.shard(plan.name, plan.generation, "train", row.row, block, len(grid.blocks["train"]))
            shard.write_bytes(b"0")
            number += 1
    return number
