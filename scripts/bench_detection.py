#!/usr/bin/env python3
"""Train a detector from nothing on blood cells, and judge it by COCO's mAP on images that it has not seen.

    python scripts/bench_detection.py path/to/BCCD --work work --output scripts/benchmarks/detection.json --write

The data is that of https://github.com/Shenggan/BCCD_Dataset (Pascal VOC, 364 images, split by its own lists). The best
epoch is chosen on its validation images; the scores are those of its test images. Each command is a process of its own,
started as a user starts it; run again, it goes on where it was stopped. `--write` puts the result into the guide.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from bench_common import add_output, save

__all__ = ["BEGIN", "END", "describe"]

PIPELINES = """
import albumentations as A

train = A.Compose([
    A.HorizontalFlip(p=0.5),
    A.VerticalFlip(p=0.5),
    A.Affine(scale=(0.8, 1.25), translate_percent=(-0.1, 0.1), rotate=(-10, 10), border_mode=4, p=0.7),
    A.RandomBrightnessContrast(brightness_limit=0.15, contrast_limit=0.15, p=0.4),
    A.HueSaturationValue(hue_shift_limit=6, sat_shift_limit=20, val_shift_limit=10, p=0.4),
    A.Resize(240, 320),
])
validation = A.Compose([A.Resize(240, 320)])
"""
BUILD = {"variants": 12, "min-visibility": 0.3}
FIT = {"epochs": 40, "batch-size": 8, "learning-rate": 0.003, "base-channels": 8, "checkpoint-every": "0"}
AIM = 0.6
BEGIN, END = "<!-- detection: written by scripts/bench_detection.py -->", "<!-- end of detection -->"
PAGE = Path(__file__).resolve().parents[1] / "train" / "docs" / "detection.md"
MAX_COLUMNS = 120


def main() -> int:
    """Build, train, evaluate, tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with JPEGImages, Annotations and ImageSets")
    parser.add_argument("--work", type=Path, default=Path("detection"), help="folder for shards and run")
    parser.add_argument("--epochs", type=int, default=FIT["epochs"])
    parser.add_argument("--write", action="store_true", help=f"put the result into {PAGE.name} of the guide")
    add_output(parser)
    options = parser.parse_args()
    shards, run = options.work / "shards", options.work / "run"
    options.work.mkdir(parents=True, exist_ok=True)
    (options.work / "pipelines.py").write_text(PIPELINES)
    pipeline = ["--pipeline", str(options.work / "pipelines.py")]
    call("precompute", "build", str(options.data), str(shards), *pipeline, *flags(BUILD))
    fit = {**FIT, "epochs": options.epochs}
    call("train", "fit", str(shards), "--run", str(run), *flags(fit))
    call("train", "evaluate", str(run), "--split", "test")
    metrics = json.loads((run / "metrics.json").read_bytes())
    found = {
        "data": "BCCD",
        "build": BUILD,
        "fit": fit,
        "size": [240, 320],
        "num_images": metrics["num_images"],
        "num_parameters": metrics["num_parameters"],
        "best_epoch": metrics["best_epoch"],
        "seconds": metrics["seconds"],
        "aim_ap50": AIM,
        "validation": scores_of(metrics["scores"]),
        "test": scores_of(json.loads((run / "evaluate-test.json").read_bytes())),
    }
    save(options.output, found)
    if options.write and options.output:
        write_page(json.loads(options.output.read_text()))
    print(f"mAP@.5 {found['test']['ap50']:.3f} on test, in {found['seconds']:.0f} s of training")
    return 0 if found["test"]["ap50"] >= AIM else 1


def call(program: str, *arguments: str) -> None:
    """Run a program of this package, and show what it says."""
    print("$", program, *arguments, flush=True)
    subprocess.run([sys.executable, "-m", program, *arguments], check=True)


def flags(options: dict[str, Any]) -> list[str]:
    """Return options as a command line takes them."""
    return [text for name, value in options.items() for text in (f"--{name}", str(value))]


def scores_of(summary: dict[str, Any]) -> dict[str, Any]:
    """Return the scores of an evaluation without what is the same everywhere."""
    names = ("map", "ap50", "ap75", "num_images")
    return {**{name: summary[name] for name in names}, "classes": summary["classes"]}


def describe(found: dict[str, Any]) -> list[str]:
    """Return what the guide says of a result."""
    test, sizes = found["test"], found["num_images"]
    height, width = found["size"]
    measured = (
        f"Measured on {found['date']} by `scripts/bench_detection.py` on "
        f"BCCD (blood cells, github.com/Shenggan/BCCD_Dataset): {sizes['train']} training images of "
        f"{height}×{width}, {found['fit']['epochs']} epochs, no weights "
        f"downloaded, {found['num_parameters'] / 1e6:.2f} million parameters, {found['seconds'] / 60:.0f} "
        f"minutes on {found['machine']['cores']} cores. On its {sizes['test']} test images: mAP@.5 "
        f"**{test['ap50']:.3f}** (aim: {found['aim_ap50']:g}), mAP@[.5:.95] {test['map']:.3f}."
    )
    prose = textwrap.wrap(measured, MAX_COLUMNS, break_long_words=False, break_on_hyphens=False)
    head = ["| class | objects | AP@.5 | AP@[.5:.95] |", "|---|---|---|---|"]
    rows = [f"| {r['name']} | {r['num_objects']:,} | {r['ap50']:.3f} | {r['ap']:.3f} |" for r in test["classes"]]
    return [*prose, "", *head, *rows]


def write_page(found: dict[str, Any]) -> None:
    """Put the result between its two marks."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not rest or not after:
        raise SystemExit(f"{PAGE}: there is no place for the result: {BEGIN} … {END}")
    PAGE.write_text("\n".join([before + BEGIN, *describe(found), END]) + after, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
