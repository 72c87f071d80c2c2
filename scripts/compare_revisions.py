"""Runs a git revision beside the working tree and compares all that they write, hand out and say.

    python scripts/compare_revisions.py HEAD                        before and after a step; takes some minutes
    python scripts/compare_revisions.py HEAD --only coco refused    some kinds of data, or the refused commands, alone
    python scripts/compare_revisions.py HEAD --accept-messages      a commit that says that messages change
    python scripts/compare_revisions.py HEAD --accept '*manifest.json' --keep /tmp/compared

Both trees draw the same sources, build and change datasets of every kind of target as JPEG, PNG and raw, read them with
`read`, `load` and TensorFlow Datasets, and are given what they have to refuse, all by public names. What is said first
is where they differ first, on one line. The exit code is 0 where they are equal but for what is accepted, else 1.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

from compare_difference import MESSAGES, Difference, compare, summary
from compare_observed import Seen
from compare_recipe import OLD, SECTIONS, STAGES

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("precompute", "train")
SIDES = (OLD, "new")  # names of folders, of one length: what is cut or padded by length is equal in both
WORKING_TREE = "the working tree"


@dataclass(frozen=True)
class Side:
    """One of the two trees.

    Attributes:
        label: What it is called.
        folder: Where it works: `tree` has its packages, `work` what it makes, `seen` what is compared.
    """

    label: str
    folder: Path

    @property
    def tree(self) -> Path:
        """Folder of its packages."""
        return self.folder / "tree"


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, and say how they differ; returns the exit code."""
    parsed = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="compared-") as temporary:
        if parsed.keep is not None:
            _begin_folder(parsed.keep)
        folder = (parsed.keep or Path(temporary)).resolve()
        sides = [Side(label, folder / name) for label, name in zip((parsed.revision, WORKING_TREE), SIDES, strict=True)]
        _export(parsed.revision, sides[0].tree)
        _copy_working_tree(sides[1].tree)
        for stage in STAGES:
            with ThreadPoolExecutor(len(sides)) as pool:
                list(pool.map(partial(observe, stage, parsed.only or SECTIONS), sides))
        old, new = (Seen(side.folder / "seen", STAGES) for side in sides)
        accepted = [*parsed.accept, *(MESSAGES if parsed.accept_messages else ())]
        found = compare(old, new, (sides[0].label, sides[1].label), accepted)
        print(report(found, len(old.digests | new.digests), parsed.keep))
    return int(any(not difference.accepted for difference in found))


def _parser() -> argparse.ArgumentParser:
    description, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("revision", metavar="REVISION", help="what git calls the other tree, such as HEAD")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, metavar="NAME", help=f"out of {', '.join(SECTIONS)}")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep all files, and a list of all differences, here")
    parser.add_argument("--accept", nargs="+", default=[], metavar="PATTERN", help="observations that may differ")
    parser.add_argument("--accept-messages", action="store_true", help="what commands say may differ; exit codes not")
    return parser


def _begin_folder(folder: Path) -> None:
    """Make the folder to keep things in, or empty one that an earlier comparison has kept."""
    if folder.exists() and {path.name for path in folder.iterdir()} - {*SIDES, DIFFERENCES}:
        sys.exit(f"{folder} holds other files; name a folder that is new, empty, or of an earlier comparison.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _export(revision: str, tree: Path) -> None:
    """Write the packages of a revision below a folder."""
    command = ["git", "-C", str(ROOT), "archive", revision, *PACKAGES]
    archive = subprocess.run(command, capture_output=True)
    if archive.returncode:
        sys.exit(f"{revision}: {archive.stderr.decode().strip()}")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(tree, filter="data")


def _copy_working_tree(tree: Path) -> None:
    """Copy the packages as they are now, so that they may be edited meanwhile."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))


def observe(stage: str, sections: Sequence[str], side: Side) -> None:
    """Do to a tree all that is compared in one stage."""
    started, log = time.monotonic(), side.folder / f"{stage}.log"
    recipe = [sys.executable, str(Path(__file__).with_name("compare_recipe.py")), stage, str(side.folder)]
    environment = {**os.environ, "PYTHONPATH": str(side.tree), **QUIET}
    with log.open("w") as file:
        ended = subprocess.run([*recipe, *sections], env=environment, stdout=file, stderr=file, cwd=side.folder)
    if ended.returncode:
        sys.exit(f"{side.label}: the recipe itself failed in its stage {stage}:\n{log.read_text()[-2000:]}")
    print(f"{side.label}: {stage} in {time.monotonic() - started:.0f} s", file=sys.stderr)


QUIET = {
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "",
    "COLUMNS": "100",
    "LC_ALL": "C.UTF-8",
}
DIFFERENCES = "differences.txt"


def report(found: Sequence[Difference], num_observations: int, keep: Path | None) -> str:
    """Return what is said; all differences go into a file where things are kept."""
    lines = [summary(found, num_observations)]
    if keep is not None:
        shown = [f"{'may differ: ' * difference.accepted}{difference}\n" for difference in found]
        (keep / DIFFERENCES).write_text("".join(shown), encoding="utf-8")
        lines.append(f"all of them: {keep / DIFFERENCES}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
