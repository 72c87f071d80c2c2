"""Writes tests/golden: small datasets of each format, kept so that later versions go on reading and growing them.

    python scripts/make_golden.py          only to add what a new version brings

What is there is never changed: tests read it, grow it, and build the same sources anew and compare.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from precompute.dataset.manifest import Manifest  # noqa: E402
from tests.helpers import growing_datasets  # noqa: E402
from tests.helpers.golden_datasets import FORMATS, KEPT, build_golden, digest_of  # noqa: E402


def main() -> None:
    """Build each golden dataset where there is none, and note what it decodes to."""
    for name in KEPT:
        kept = FORMATS / name / "golden"
        if kept.exists():
            print(f"{kept} exists and stays as it is")
            continue
        with tempfile.TemporaryDirectory() as folder:
            out = build_golden(name.partition("/")[2], Path(folder))
            shutil.copytree(out, kept, ignore=shutil.ignore_patterns(".build", ".leases"))
        manifest = kept / "manifest.json"
        manifest.write_text(manifest.read_text().replace(folder, "/golden"))  # where it was made tells nobody anything
        (FORMATS / name / "digest.txt").write_text(digest_of(kept) + "\n")
        print(f"{kept} written")
    for kind in growing_datasets.KINDS:
        make_growing(kind)


def make_growing(kind: str) -> None:
    """Build a dataset that is kept to be grown, and note what becomes of it step by step."""
    kept = growing_datasets.GROWING / kind
    if kept.exists():
        print(f"{kept} exists and stays as it is")
        return
    if not (growing_datasets.GROWING / "blocks").exists():
        growing_datasets.draw_blocks()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "home"
        given, pins = growing_datasets.lay_out(kind, folder), {}
        for step in growing_datasets.STEPS:
            pins[step] = growing_datasets.run_step(step, folder, given)
            if step == "built":
                growing_datasets.keep(kind, folder)
                pins["fingerprint"] = Manifest.load(folder / "golden").fingerprint
    (kept / "pins.json").write_text(json.dumps(pins, indent=1) + "\n")
    print(f"{kept} written")


if __name__ == "__main__":
    main()
