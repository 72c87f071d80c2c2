"""What planning costs: seconds and memory of the parent up to its first task, at 100,000 to 10 million sources.

The files are made up: a tree of folders and names stands in for the walk over the disk, and the 64 sources of each
sample are all decoded from one small picture. All else is the code of `precompute build`, from the names to the moment
at which the first task would be handed to a worker; then once more, as a build that was stopped there goes on. Left
out are the walk itself (a `stat` a file) and, where rows are added to a listed dataset, the `stat` a file that tells
whether one is younger than the manifest. Each figure is of a process of its own.

    python scripts/bench_planning.py --sources 100000 1000000 10000000 --output planning.json
"""

from __future__ import annotations

import argparse
import json
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
from bench_common import add_output, print_table, save
from PIL import Image

import precompute
from precompute.building import build, cells, choose_generation, write
from precompute.preflight import sample
from precompute.sources.folders import layout
from precompute.sources.walk import Folder, Tree

NUM_CLASSES = 1000
KINDS = ("class", "mask")
MIB = 2**20


def main() -> None:
    """Start a process for each figure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000], metavar="N")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="target of the sources")
    parser.add_argument("--validation-split", type=float, default=0.1, help="fraction that a hash chooses")
    parser.add_argument("--scratch", type=Path, help="folder for the list of sources; a temporary one by default")
    parser.add_argument("--one", nargs=3, metavar=("KIND", "N", "OUT"), help=argparse.SUPPRESS)
    add_output(parser)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(plan_once(given.one[0], int(given.one[1]), Path(given.one[2]), given.validation_split)))
        return
    results = []
    for kind in given.kinds:
        for number in given.sources:
            with tempfile.TemporaryDirectory(dir=given.scratch) as folder:
                for what in ("fresh", "resumed"):
                    figures = in_own_process(kind, number, Path(folder), given.validation_split)
                    results.append({"kind": kind, "sources": number, "build": what, **figures})
                    print(json.dumps(results[-1]), file=sys.stderr)
    show(results)
    save(given.output, {"results": results})


def in_own_process(kind: str, number: int, folder: Path, validation_split: float) -> dict[str, Any]:
    """Return what a process of its own measured."""
    arguments = ["--one", kind, str(number), str(folder / "out"), "--validation-split", str(validation_split)]
    done = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, check=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def show(results: list[dict[str, Any]]) -> None:
    """Print a line a process, and one a step of the largest."""
    print_table(
        ["target", "sources", "build", "seconds", "of CPU", "peak MiB", "bytes a source", "MB on disk"],
        [
            [
                r["kind"],
                f"{r['sources']:,}",
                r["build"],
                r["seconds"],
                r["cpu_s"],
                r["peak_mib"],
                r["peak_bytes_a_source"],
                r["disk_bytes"] / 1e6,
            ]
            for r in results
        ],
    )
    largest = max(r["sources"] for r in results)
    for result in (r for r in results if r["sources"] == largest):
        print(f"\n{result['kind']}, {result['sources']:,} sources, {result['build']}:\n")
        print_table(
            ["step", "seconds", "of CPU", "peak MiB"],
            [[s["step"], s["seconds"], s["cpu_s"], s["peak_mib"]] for s in result["steps"]],
        )


# In the process that is measured.


class Reached(Exception):  # noqa: N818 (an event, not an error)
    """The first task would be handed out now."""


STEPS: list[dict[str, Any]] = []


def timed(step: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function, with a note of what each call of it took."""

    @wraps(function)
    def measured(*args: Any, **kwargs: Any) -> Any:
        reset_peak()
        start, cpu = time.perf_counter(), time.process_time()
        try:
            return function(*args, **kwargs)
        finally:
            seconds, cpu_s = time.perf_counter() - start, time.process_time() - cpu
            STEPS.append({"step": step, "seconds": seconds, "cpu_s": cpu_s, "peak_mib": peak_mib()})

    return measured


def plan_once(kind: str, number: int, out: Path, validation_split: float) -> dict[str, Any]:
    """Plan a build up to its first task; returns the figures."""
    data = out.parent / "data"
    data.mkdir(exist_ok=True)
    base = peak_mib()
    make_up(kind, number, data)
    for owner, name, step in [
        (build, "find", "names to sources"),
        (build, "stored_generations", "read what is on disk"),
        (build, "stored_splits", "splits that are stored"),
        (build, "assign_splits", "assign splits"),
        (choose_generation, "_differences", "compare with what is on disk"),
        (choose_generation, "make_plan", "make the plan"),
        (choose_generation, "save_draft", "write plan and list of sources"),
        (write, "make_grid", "order places, cut blocks"),
        (cells.Grid, "receipts", "read receipts"),
        (cells.Grid, "missing", "make tasks"),
        (write, "run_surviving", "pack the first task"),
    ]:
        function = pack_first if name == "run_surviving" else getattr(owner, name)
        setattr(owner, name, timed(step, function))
    start, cpu = time.perf_counter(), time.process_time()
    with suppress(Reached):
        precompute.build(
            *(data, out),
            pipeline="light",
            image_size=64,
            validation_split=validation_split,
            jobs=1,  # in this process, where decoding is made up
            ignore_space=True,
            quiet=True,
        )
    seconds, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    peak = max(step["peak_mib"] for step in STEPS)
    return {
        "seconds": seconds,
        "cpu_s": cpu_s,
        "base_mib": base,
        "peak_mib": peak,
        "peak_bytes_a_source": (peak - base) * MIB / number,
        "disk_bytes": sum(path.stat().st_size for path in out.rglob("*") if path.is_file()),
        "steps": STEPS,
    }


def pack_first(job: Any, tasks: Sequence[Any], *_: Any) -> None:
    """Pickle the first task as it would be sent to a worker, and go no further."""
    pickle.dumps((job, tasks[0]))
    raise Reached


def make_up(kind: str, number: int, data: Path) -> None:
    """Let names that are made up take the place of the walk over the disk, and one picture that of all."""
    picture, mask = data / "image.jpg", data / "mask.png"
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (64, 64, 3), np.uint8)).save(picture)
    Image.fromarray(random.integers(0, 3, (64, 64), np.uint8)).save(mask)

    waiting = [Tree(data, masked_folders(data, number) if kind == "mask" else class_folders(data, number))]
    reset_peak()

    def walk(_: Path) -> Tree:
        return waiting.pop()  # as after a real walk, nobody else holds it

    decode_source = sample.decode_source

    def decode(key: str, _: Path, raw: Mapping[str, Any], *rest: Any) -> Any:
        return decode_source(key, picture, {**raw, "mask": str(mask)} if "mask" in raw else raw, *rest)

    vars(layout)["walk"], vars(sample)["decode_source"] = walk, decode


def class_folders(top: Path, number: int) -> list[Folder]:
    """Return as many files as asked for in a folder a class, named as those of ImageNet are."""
    folders = [Folder((), top.as_posix())]
    for label in range(NUM_CLASSES):
        name = f"n{label * 7919 + 1_440_764:08d}"
        folder = Folder((name,), f"{top.as_posix()}/{name}")
        for i in range(label, number, NUM_CLASSES):
            folder.files.append((f"{name}_{mixed(i)}.JPEG", 110_000 + i % 5000))
        folders.append(folder)
    return folders


def masked_folders(top: Path, number: int) -> list[Folder]:
    """Return as many images and masks as asked for, each in one large folder."""
    folders = [Folder((), top.as_posix())]
    for role, extension in (("images", "jpg"), ("masks", "png")):
        folder = Folder((role,), f"{top.as_posix()}/{role}")
        for i in range(number):
            folder.files.append((f"tile_{mixed(i):08d}.{extension}", 110_000 + i % 5000))
        folders.append(folder)
    return folders


def mixed(i: int) -> int:
    """Return another number for each number: a folder lists its files in no order."""
    return i * 40_503_001 % 99_999_989


def reset_peak() -> None:
    """Forget the highest memory so far, where the system can."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_mib() -> float:
    """Return the highest resident memory since it was forgotten last; Linux alone tells it."""
    try:
        return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
    except OSError:
        return float("nan")


if __name__ == "__main__":
    main()
