"""What the README says of speed is what the benchmarks have written."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
import bench_table  # noqa: E402 (of the folder of scripts)


def test_the_readme_has_the_table_of_what_was_measured() -> None:
    lines = bench_table.table()
    assert len(lines) > 2
    assert "\n".join(lines) in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(bench_table.FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_what_was_measured_says_how_and_where(path: Path) -> None:
    found = json.loads(path.read_text())
    assert found["command"].startswith("bench_")
    assert found["date"] in (ROOT / "README.md").read_text(encoding="utf-8")
    assert found["machine"]["packages"]["augment-once"]
