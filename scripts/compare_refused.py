"""Commands and calls that are refused: what they say and end with, and that they leave nothing behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from compare_commands import Ended, run_call, run_program
from compare_observed import Observations, files_of
from compare_refused_data import calls_refused, lay_out

LIGHT = "--pipeline light --image-size 16"
IN_THIS_PROCESS = "--backend sequential --jobs 1"

# Each is given in a folder that `_lay_out` has made; below `new` nothing is there.
REFUSED = {
    "precompute": (
        "bulid",
        "build",
        f"build classes new/out extra {LIGHT}",
        "build classes new/out --pipline light",
        f"build classes new/out {LIGHT} --image-format pngg",
        f"build classes new/out {LIGHT} --quality 0",
        f"build classes new/out {LIGHT} --quality hi",
        f"build classes new/out {LIGHT} --variants 0",
        f"build classes new/out {LIGHT} --seed -1",
        f"build classes new/out {LIGHT} --skip-bad 5x",
        f"build classes new/out {LIGHT} --shard-size 1XB",
        f"build classes new/out {LIGHT} --scale 9:1",
        f"build classes new/out {LIGHT} --mask-map 1:2:3",
        f"build classes new/out {LIGHT} --class-copies blue",
        f"build classes new/out {LIGHT} --class-copies blue=2 --balance",
        f"build classes new/out {LIGHT} --class-copies pink=2 {IN_THIS_PROCESS}",
        f"build classes new/out {LIGHT} --class-names blue,green",
        f"build classes new/out {LIGHT} --class-names @nowhere.txt",
        f'build classes new/out {LIGHT} --class-names "blue,green',
        f"build classes new/out {LIGHT} --color-mode rgba",
        f"build classes new/out {LIGHT} --validation-split 0.7 --test-split 0.6",
        f"build classes new/out {LIGHT} --validation-split 1.5",
        f"build classes new/out {LIGHT} --group-by (",
        f"build classes new/out {LIGHT} --group-by ^(x[0-9]+)_",
        f"build classes new/out {LIGHT} --address tcp://a:1",
        f"build classes new/out {LIGHT} --backend dask",
        f"build classes new/out {LIGHT} --backend sequential --task-timeout 9",
        f"build classes new/out {LIGHT} --epochs 3",
        f"build classes new/out {LIGHT} --ignore-class 255",
        f"build classes new/out {LIGHT} --mask-fill as-written",
        f"build classes new/out {LIGHT} --min-area 4",
        f"build classes new/out {LIGHT} --flip-pairs a:b",
        f"build classes new/out {LIGHT} --label-column label",
        f"build classes new/out {LIGHT} --target keypoints",
        f"build classes new/out {LIGHT} --annotations nowhere.json",
        "build classes new/out --pipeline light",
        "build classes new/out --pipeline nowhere.py",
        "build classes new/out --pipeline pipelines/broken.py",
        "build classes new/out --pipeline pipelines/empty.py",
        "build classes new/out --pipeline pipelines/unseeded.py --jobs 1 --backend sequential",
        "build classes new/out --pipeline pipelines/sizes.py --jobs 1 --backend sequential",
        "build classes new/out --pipeline pipelines/floats.py --jobs 1 --backend sequential",
        "build classes new/out --pipeline pipelines/mixing.py --jobs 1 --backend sequential",
        "build classes new/out --pipeline pipelines/wrong.yaml",
        f"build nowhere new/out {LIGHT}",
        f"build empty new/out {LIGHT}",
        f"build flat new/out {LIGHT}",
        f"build twice new/out {LIGHT}",
        f"build mixed new/out {LIGHT} {IN_THIS_PROCESS}",
        f"build unpaired new/out {LIGHT}",
        f"build sizes new/out {LIGHT} {IN_THIS_PROCESS}",
        f"build colored new/out {LIGHT} {IN_THIS_PROCESS}",
        f"build masks new/out {LIGHT} --num-classes 2 {IN_THIS_PROCESS}",
        f"build masks data {LIGHT}",
        f"build classes data {LIGHT} --variants 3 --seed 7 {IN_THIS_PROCESS}",
        f"build classes other {LIGHT}",
        f"build classes other/notes.txt {LIGHT}",
        *(f"build tables/{name} new/out {LIGHT}" for name in ("empty.csv", "header.csv", "cells.csv", "doubled.csv")),
        *(f"build tables/{name} new/out {LIGHT}" for name in ("lost.csv", "latin.csv", "lines.jsonl", "file.parquet")),
        f"build tables/good.csv new/out {LIGHT} --label-column clas",
        f"build tables/good.csv new/out {LIGHT} --label-columns label",
        f"build tables/good.csv new/out {LIGHT} --extra-columns site",
        f"build tables/good.csv new/out {LIGHT} --root nowhere",
        f"build coco new/out {LIGHT}",
        f"build yolo new/out {LIGHT}",
        f"build voc new/out {LIGHT}",
        f"build points new/out {LIGHT} --annotations points.csv",
        f"preview nowhere --output new/sheet.png {LIGHT}",
        f"preview classes --output new/sheet.txt {LIGHT}",
        f"preview classes --output new/sheet.png {LIGHT} --split tset",
        f"profile nowhere --json new/figures.json {LIGHT}",
        "mask-colors classes --output new/colors.json",
        "inspect other",
        "inspect strange",
        "inspect newer",
        "export data --output new/plain --split tset",
        "export data --output new/plain --format coco",
        "export data --output new/plain --row 77",
        "export data --output other",
        "dali-index data --rows 77",
        "verify other",
        "verify altered",
        "regenerate data --seed 4 --pipeline light",
        "regenerate data --seed 4 --source nowhere",
        "regenerate data --seed x",
        "follow data --keep 0 --rows 1",
        "follow data --rows 1 --split tset",
        "drop data --rows 77",
        "drop data --rows 0-2",
        "drop data --rows x",
    ),
    "train": (
        "fit",
        "fit nowhere --run new/run",
        "fit other --run new/run",
        "fit data --run new/run --epochs 0",
        "fit data --run new/run --epohcs 3",
        "fit data --run new/run --options nowhere.toml",
        "fit data --run new/run --like other",
        "evaluate other",
        "predict other classes --output new/out",
        "export other --output new/out",
        "bench other --batch-size 0",
    ),
}


def refuse(folder: Path, observed: Observations) -> None:
    """Give all commands and calls in a folder; note what they say, and what they leave below `new` or take away."""
    lay_out(folder)
    before = _names(folder)
    runs: dict[str, Callable[[], Ended]] = {
        f"{program} {command}": partial(run_program, program, command.split(), folder)
        for program, commands in REFUSED.items()
        for command in commands
    }
    runs |= {name: partial(run_call, call) for name, call in calls_refused(folder).items()}
    for name, run in runs.items():
        observed.add_said(f"refused: {name}", *run())
        observed.add(f"refused: {name}: files left behind", "\n".join(sorted(_names(folder) - before)))
        shutil.rmtree(folder / "new", ignore_errors=True)
    observed.add("refused: files taken away", "\n".join(sorted(before - _names(folder))))


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in files_of(folder)}
