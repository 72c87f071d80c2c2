"""What a report costs: seconds and memory of `precompute report`, its page too, first and again, by number of sources.

Sources are drawn: JPEGs of 320×240 with a few large shapes, in ten classes, one in fifty a smaller copy of another.
Each report is a process of its own; the second one finds its perceptual hashes in `.build`.

    python scripts/bench_report.py --sources 1000 10000 --rows 10 --output report.json
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
from bench_common import add_output, print_table, save
from PIL import Image

import precompute

CLASSES = 10
COPY_EVERY = 50
MIB = 2**20
ONE = "import resource, sys; from precompute.cli import main; code = main(['report', *sys.argv[1:]]); "
ONE += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr); sys.exit(code)"


def main() -> None:
    """Build a dataset for each number of sources, report on it twice, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, nargs="+", default=[1_000, 10_000], metavar="N")
    parser.add_argument("--rows", type=int, default=10, help="rows of the dataset (default: %(default)s)")
    parser.add_argument("--scratch", type=Path, help="folder for sources and datasets; a temporary one by default")
    add_output(parser)
    given = parser.parse_args()
    results = []
    for number in given.sources:
        with tempfile.TemporaryDirectory(dir=given.scratch) as folder:
            build(Path(folder), number, given.rows)
            for what in ("first", "again"):
                seconds, peak = report(Path(folder) / "out")
                results.append(
                    {
                        "what": f"report, {number:,} sources × {given.rows} rows, {what}",
                        "seconds": round(seconds, 1),
                        "peak_mib": round(peak / MIB),
                    }
                )
    print_table(("what", "s", "MiB at most"), [tuple(figures.values()) for figures in results])
    save(given.output, {"results": results})


def build(folder: Path, number: int, rows: int) -> None:
    """Draw sources and build a dataset of them."""
    for i in range(number):
        draw(folder / "sources" / f"class{i % CLASSES}" / f"{i}.jpg", i)
    pipeline = A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.Affine(rotate=(-20, 20), scale=(0.8, 1.2), p=0.5),
            A.RandomBrightnessContrast(p=0.5),
            A.Resize(128, 128),
        ]
    )
    given = {"pipeline": pipeline, "variants": rows, "validation_split": 0.1, "quiet": True}
    precompute.build(folder / "sources", folder / "out", **given)


def draw(path: Path, i: int) -> None:
    """Draw a source; one in fifty is another one, made smaller."""
    is_copy = i % COPY_EVERY == 0 and i > 0
    shapes = np.random.default_rng(i - 1 if is_copy else i).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(shapes).resize((320, 240), Image.Resampling.BICUBIC)
    path.parent.mkdir(parents=True, exist_ok=True)
    (picture.resize((240, 180)) if is_copy else picture).save(path, quality=90)


def report(out: Path) -> tuple[float, int]:
    """Return seconds and peak memory, bytes, of one report in a process of its own."""
    start = time.perf_counter()
    command = [sys.executable, "-c", ONE, str(out), "--output", str(out.with_name("report.html"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak: Any = done.stderr.splitlines()[-1]
    return time.perf_counter() - start, int(peak) * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
