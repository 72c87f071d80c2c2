"""What the README says of speed is what the benchmarks have written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.project import ROOT

FOLDER = ROOT / "scripts" / "benchmarks"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_has_the_table_of_what_was_measured() -> None:
    table = subprocess.run(
        [sys.executable, ROOT / "scripts" / "bench_table.py"], capture_output=True, check=True, encoding="utf-8"
    ).stdout
    assert table.count("\n") > 2
    assert table in README


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_what_was_measured_says_how_and_where(path: Path) -> None:
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["command"].startswith("bench_")
    assert found["date"] in README
    assert found["machine"]["packages"]["augment-once"]
