"""What the guide says of speed is what the benchmarks have written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.guide import guide, read_page
from tests.helpers.project import ROOT

FOLDER = ROOT / "scripts" / "benchmarks"


def test_the_guide_has_the_table_of_what_was_measured() -> None:
    table = subprocess.run(
        [sys.executable, ROOT / "scripts" / "bench_table.py"], capture_output=True, check=True, encoding="utf-8"
    ).stdout
    assert table.count("\n") > 2
    assert table in read_page("precompute/docs/speed.md")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_what_was_measured_says_how_and_where(path: Path) -> None:
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["command"].startswith("bench_")
    assert found["date"] in guide()
    assert found["machine"]["packages"]["augment-once"]
