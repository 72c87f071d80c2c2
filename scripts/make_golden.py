"""Writes tests/golden: small datasets of format 1, kept so that later versions go on reading them.

    python scripts/make_golden.py          only to add what a new minor version of the format brings

What is there is never changed: a test reads it, and another builds the same sources anew and compares.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from golden_data import GOLDEN, KINDS, build_golden, digest_of  # noqa: E402


def main() -> None:
    """Build each golden dataset where there is none, and note what it decodes to."""
    for kind in KINDS:
        kept = GOLDEN / kind / "golden"
        if kept.exists():
            print(f"{kept} exists and stays as it is")
            continue
        with tempfile.TemporaryDirectory() as folder:
            out = build_golden(kind, Path(folder))
            shutil.copytree(out, kept, ignore=shutil.ignore_patterns(".build", ".leases"))
        manifest = kept / "manifest.json"
        manifest.write_text(manifest.read_text().replace(folder, "/golden"))  # where it was made tells nobody anything
        (GOLDEN / kind / "digest.txt").write_text(digest_of(kept) + "\n")
        print(f"{kept} written")


if __name__ == "__main__":
    main()
