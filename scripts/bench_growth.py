"""How cost grows: a record's with the number of records and rows, the parent's with tasks, cells and places.

Three parts, on small pictures that are made here:

records  CPU seconds of the workers and wall seconds a record, from few sources to many with few rows, and from one row
         to many with few sources; the ratio is against the smallest. By sources it should stay at 1; by rows it may
         only fall, since a source is decoded once for all of them.
parent   CPU seconds of the parent a task, in builds of very many very small tasks, split into what each task, each
         cell (a row of a task) and each place costs. From it the number of workers at which the parent is the limit:
         seconds of a task in a worker / seconds of it in the parent.
cells    a build that finds all its cells proven: reading receipts, looking at shards, row files, manifest, sweeping.

    python scripts/bench_growth.py --output growth.json
    python scripts/bench_growth.py --parts parent --tasks 1024
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from bench_common import add_output, print_table, save, timed
from bench_growth_cells import measure_proven
from demo_data import draw_cells
from PIL import Image

import precompute
from precompute.building import build, write

PARTS = ("records", "parent", "cells")
CELLS, CELL_ROWS = 64, 16  # of the build that tells what a record takes in a worker


def main() -> None:
    """Measure the parts that were asked for, each build in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--sources", type=int, nargs="+", default=[500, 5_000, 50_000], help="with two rows each")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 4, 16, 64], help="of --row-sources sources")
    parser.add_argument("--row-sources", type=int, default=1_000)
    parser.add_argument("--size", type=int, default=96, help="of the pictures, pixels")
    parser.add_argument("--rounds", type=int, default=5, help="builds a figure; the median counts")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--tasks", type=int, default=1_024, help="blocks of the builds that measure the parent")
    parser.add_argument("--cell-rows", type=int, default=100, help="rows of as many blocks whose cells are all proven")
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    add_output(parser)
    given = parser.parse_args()
    if given.one:
        name, *numbers = json.loads(given.one)
        print(json.dumps(MEASURES[name](*numbers)))
        return
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=given.scratch) as folder:
        for part in given.parts:
            results[part] = {"records": records, "parent": parent, "cells": cells}[part](given, Path(folder))
    save(given.output, results)


def in_own_process(*arguments: Any) -> Any:
    """Return what a measure of `MEASURES` gives in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", json.dumps(arguments)], stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def draw(folder: Path, number: int, size: int) -> Path:
    """Make so many pictures of two classes; they are links to a few."""
    random = np.random.default_rng(0)
    originals = folder / "originals"
    originals.mkdir(parents=True, exist_ok=True)
    for i in range(16):
        Image.fromarray(random.integers(0, 256, (size, size, 3), np.uint8)).save(originals / f"{i}.png")
    top = folder / f"data-{number}-{size}"
    if not top.exists():
        for label in ("even", "odd"):
            (top / label).mkdir(parents=True)
        for i in range(number):
            os.link(originals / f"{i % 16}.png", top / ("odd" if i % 2 else "even") / f"{i:07d}.png")
    return top


# A record.


def records(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure what a record costs as sources and rows become more."""
    series = {
        "sources": [(number, 2) for number in given.sources],
        "rows": [(given.row_sources, rows) for rows in given.rows],
    }
    results: dict[str, Any] = {}
    for name, grids in series.items():
        found: dict[tuple[int, int], list[dict[str, float]]] = {grid: [] for grid in grids}
        for _ in range(given.rounds):
            for number, rows in grids:
                data = draw(folder, number, given.size)
                figures = in_own_process("build", str(data), str(folder / "out"), rows, given.jobs, given.size)
                found[number, rows].append(figures)
                shutil.rmtree(folder / "out")
        lines = []
        for (number, rows), figures in found.items():
            worker_ms, wall_ms, parent_ms = (
                statistics.median(one[field] for one in figures) * 1e3 / (number * rows)
                for field in ("workers_cpu_s", "run_s", "parent_cpu_s")
            )
            line = {"sources": number, "rows": rows, "records": number * rows, "parent_cpu_ms": parent_ms}
            rounds = [one["workers_cpu_s"] * 1e3 / (number * rows) for one in figures]
            lines.append({**line, "worker_cpu_ms": worker_ms, "wall_ms": wall_ms, "worker_cpu_ms_of_rounds": rounds})
        results[name] = lines
        print(f"\nA record, by number of {name}:\n")
        print_table(
            ["sources", "rows", "records", "worker CPU ms", "ratio", "wall ms", "ratio", "parent CPU ms"],
            [
                [
                    line["sources"],
                    line["rows"],
                    f"{line['records']:,}",
                    line["worker_cpu_ms"],
                    line["worker_cpu_ms"] / lines[0]["worker_cpu_ms"],
                    line["wall_ms"],
                    line["wall_ms"] / lines[0]["wall_ms"],
                    line["parent_cpu_ms"],
                ]
                for line in lines
            ],
        )
    return results


def measure_build(data: str, out: str, rows: int, jobs: int, size: int, shard_size: int | None = None) -> Any:
    """Build with workers that are warm; returns seconds of the run, and CPU seconds of workers and parent in it."""
    options: dict[str, Any] = {"pipeline": "light", "image_size": size, "jobs": jobs, "quiet": True}
    precompute.build(data, f"{out}-warm", variants=1, limit=32, **options)
    shutil.rmtree(f"{out}-warm")
    taken: dict[str, float] = {}
    vars(write)["run_surviving"] = timed("dispatch", write.run_surviving, taken)
    vars(build)["write_rows"] = timed("write_rows", build.write_rows, taken)
    before = workers_cpu_s()
    precompute.build(data, out, variants=rows, shard_size=shard_size, **options)
    return {
        "workers_cpu_s": workers_cpu_s() - before,
        "run_s": taken["write_rows s"],
        "parent_cpu_s": taken["write_rows"],
        "dispatch_cpu_s": taken["dispatch"],
    }


def workers_cpu_s() -> float:
    """Return the CPU seconds of all living child processes so far."""
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return sum(one.user + one.system for one in times)


# The parent.


def parent(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure what tasks, cells and places cost the parent, and how many workers it can keep busy."""
    data, costs = draw(folder, given.tasks, 16), dict[int, float]()
    for rows in (1, 9):
        runs = []
        for _ in range(given.rounds):
            # A record has about as many bytes as the smallest shard that can be asked for: a place a block.
            figures = in_own_process("build", str(data), str(folder / "out"), rows, given.jobs, 16, 1_024)
            shards = len(list((folder / "out").rglob("*.tfrecord-*")))
            runs.append(figures["parent_cpu_s"] / (shards / rows))
            shutil.rmtree(folder / "out")
        costs[rows] = statistics.median(runs)
    cell_s = (costs[9] - costs[1]) / 8
    task_s, place_s, record_s = costs[1] - cell_s, measure_packing(data), measure_record(given, folder)
    results: dict[str, Any] = {"task_s": task_s, "cell_s": cell_s, "place_s": place_s, "record_s": record_s}
    print(
        f"\nThe parent: {task_s * 1e3:.2f} ms a task + {cell_s * 1e3:.2f} ms a cell + {place_s * 1e6:.1f} µs a place; "
        f"a worker: {record_s * 1e3:.2f} ms a record (light pipeline, image and mask of 256×256)\n"
    )
    limits = results["limits"] = []
    for sources, blocks in ((50_000, 32), (1_280_000, 576), (10_000_000, 1_024)):
        for rows in (1, 10):
            places = sources // blocks
            of_worker, of_parent = places * rows * record_s, task_s + rows * cell_s + places * place_s
            line = {"sources": sources, "blocks": blocks, "rows": rows, "worker_s": of_worker, "parent_s": of_parent}
            limits.append({**line, "workers": of_worker / of_parent})
    print_table(
        ["sources", "blocks", "places a task", "rows", "task in a worker s", "in the parent s", "workers at the limit"],
        [
            [
                f"{line['sources']:,}",
                line["blocks"],
                line["sources"] // line["blocks"],
                line["rows"],
                line["worker_s"],
                line["parent_s"],
                f"{line['workers']:,.0f}",
            ]
            for line in limits
        ],
    )
    return results


def measure_record(given: argparse.Namespace, folder: Path) -> float:
    """Return a worker's CPU seconds for a record of the usual kind."""
    draw_cells(folder / "cells", CELLS)
    taken = []
    for _ in range(given.rounds):
        figures = in_own_process("build", str(folder / "cells"), str(folder / "out"), CELL_ROWS, given.jobs, 256)
        taken.append(figures["workers_cpu_s"] / (CELLS * CELL_ROWS))
        shutil.rmtree(folder / "out")
    return statistics.median(taken)


def measure_packing(data: Path) -> float:
    """Return the parent's CPU seconds to pack a place of a large block."""
    from precompute.building.cells import Block, SplitPlaces
    from precompute.fields.column import columns_by_name
    from precompute.fields.label_column import LabelColumn
    from precompute.fields.string_column import StringColumn
    from precompute.plan.blocks import place_order
    from precompute.table.sources import Sources

    keys = [f"n{i % 1000:08d}/n{i % 1000:08d}_{i}" for i in range(200_000)]
    sources = Sources(
        root=data,
        keys=StringColumn(keys),
        images=StringColumn(f"{key}.JPEG" for key in keys),
        columns=columns_by_name(LabelColumn(values=[i % 1000 for i in range(len(keys))])),
    )
    places = SplitPlaces(sources=sources, positions=np.arange(len(keys)), order=place_order(keys), listing=None)
    start = time.process_time()
    for first in range(0, len(keys), 10_000):
        pickle.dumps(Block(places, first, first + 10_000))
    return (time.process_time() - start) / len(keys)


# Cells.


def cells(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure a build that finds all cells proven."""
    data = draw(folder, given.tasks, 16)
    out = folder / "proven"
    steps = in_own_process("proven", str(data), str(out), given.cell_rows, given.jobs)
    print(f"\nA build that finds {steps.pop('cells'):,} cells proven:\n")
    print_table(["step", "seconds", "of CPU"], [[name, *figures] for name, figures in steps.items()])
    return dict(steps)


MEASURES: dict[str, Any] = {"build": measure_build, "proven": measure_proven}

if __name__ == "__main__":
    main()
