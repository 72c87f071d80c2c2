"""How soon a build begins, and what that means for whole commands, from shell to shell.

    python scripts/bench_start.py                              about 20 minutes on two cores
    python scripts/bench_start.py --pairs 64 --sources 64 --variants 2,4 --rounds 1    a quick look

`start` runs `precompute build` on pairs of 480×360 and takes away what the command says that the job took; then the
same command again, which finds everything complete; beside both, what Python takes to import the packages that any
script with these pipelines imports. `whole` sets whole builds beside the careful script by hand, that of
bench_write_by_hand.py. Every arm is a command of its own in a fresh interpreter; those of a part take turns.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from bench_common import add_output, alternate, print_table, ratio, save, spread
from bench_write_data import MASK_MAP, make_sources

HERE = Path(__file__).resolve().parent
PIPELINE = "from bench_write_data import light\n\n\ndef train():\n    return light()\n"
IMPORTS = "import albumentations, cv2, joblib, numpy, tqdm"
HEIGHT, WIDTH = 360, 480
AIMS = ("≥ 0.85", "≥ 0.95")  # of a short build and a longer one


def main() -> None:
    """Measure both parts and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=367, help="of start (default: %(default)s)")
    parser.add_argument("--sources", type=int, default=640, help="of whole (default: %(default)s)")
    parser.add_argument("--variants", default="30,160", help="of whole, about 12 s and a minute (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count(), help="default: the cores")
    parser.add_argument("--rounds", type=int, default=7, help="that count, after one that does not (default: 7)")
    add_output(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-start-") as name:
        folder = Path(name)
        (folder / "pipeline.py").write_text(PIPELINE)
        draw_pairs(folder / "pairs", options.pairs)
        results: dict[str, Any] = {"start": start(folder, options.jobs, options.rounds)}
        results["sources"] = make_sources(folder / "sources", options.sources)
        for variants, aim in zip(map(int, options.variants.split(",")), AIMS, strict=False):
            results[f"whole_{variants}"] = {"aim": aim} | whole(folder, variants, options.jobs, options.rounds)
            save(options.output, results)


def draw_pairs(folder: Path, number: int) -> None:
    """Fill images/ and masks/ of a folder with PNG files that are about as large as those of photographs."""
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for i in range(number):
        image = cv2.resize(rng.integers(0, 256, (12, 16, 3), np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        noisy = np.clip(image + rng.integers(-12, 13, image.shape), 0, 255).astype(np.uint8)
        mask = cv2.resize(rng.integers(0, 2, (6, 8), np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(folder / "images" / f"{i:06d}.png"), noisy)
        cv2.imwrite(str(folder / "masks" / f"{i:06d}.png"), 255 * mask)


def start(folder: Path, jobs: int, rounds: int) -> dict[str, Any]:
    """Measure what passes outside the job of a new build, and all of a build that has nothing to do."""
    outside: list[float] = []

    def new() -> float:
        shutil.rmtree(folder / "out", ignore_errors=True)
        command_s, said = build(folder, "pairs", 4, jobs)
        job = re.search(r" in ([\d.,]+) s ", said)
        if job is None:
            raise SystemExit(f"the build did not say how long the job took:\n{said}")
        outside.append(command_s - float(job[1].replace(",", "")))
        return command_s

    arms = {
        "imports": lambda: command([sys.executable, "-c", IMPORTS])[0],
        "new": new,
        "complete": lambda: build(folder, "pairs", 4, jobs)[0],
    }
    figures = alternate(arms, rounds)
    figures["outside_job"] = outside[-rounds:]
    result = {f"{name}_s": spread(seconds) for name, seconds in figures.items()}
    print(f"\na build of {len(list((folder / 'pairs' / 'images').iterdir()))} pairs of {WIDTH}×{HEIGHT}, seconds")
    print_table(("", "median", "least", "most"), [(n, f["median"], f["min"], f["max"]) for n, f in result.items()])
    return {**result, "rounds": figures}


def whole(folder: Path, variants: int, jobs: int, rounds: int) -> dict[str, Any]:
    """Set whole builds beside the careful script."""
    config = {"sources": str(folder / "sources"), "out": str(folder / "by-hand"), "pipeline": "light"}
    by_hand = json.dumps(config | {"variants": variants, "jobs": jobs, "allocator": True})

    def theirs() -> float:
        shutil.rmtree(folder / "by-hand", ignore_errors=True)
        return command([sys.executable, str(HERE / "bench_write_by_hand.py"), "good", by_hand])[0]

    def ours() -> float:
        shutil.rmtree(folder / "out", ignore_errors=True)
        return build(folder, "sources", variants, jobs)[0]

    figures = alternate({"careful": theirs, "ours": ours}, rounds)
    result = {f"{name}_s": spread(seconds) for name, seconds in figures.items()}
    result["times_as_fast"] = ratio(figures["careful"], figures["ours"])
    print(f"\nwhole commands, {variants} variants: seconds, and the careful script's / ours")
    print_table(("", "median", "least", "most"), [(n, f["median"], f["min"], f["max"]) for n, f in result.items()])
    return {**result, "rounds": figures}


def build(folder: Path, sources: str, variants: int, jobs: int) -> tuple[float, str]:
    """Run `precompute build`; returns its seconds and what it said."""
    mask_map = ",".join(f"{value}:{number}" for value, number in MASK_MAP.items())
    arguments = [folder / sources, folder / "out", "--pipeline", folder / "pipeline.py", "--mask-map", mask_map]
    arguments += ["--variants", variants, "--jobs", jobs]
    return command([sys.executable, "-m", "precompute", "build", *map(str, arguments)])


def command(words: list[str]) -> tuple[float, str]:
    """Run a command; returns its seconds and its standard output."""
    begun = time.perf_counter()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(HERE.parent), str(HERE)))}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr}")
    return time.perf_counter() - begun, done.stdout


if __name__ == "__main__":
    main()
