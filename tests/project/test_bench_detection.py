"""What the guide says of the detector is what its benchmark has written."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.helpers.project import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
import bench_detection  # of the folder of scripts

FOUND = json.loads((ROOT / "scripts/benchmarks/detection.json").read_text())


def test_the_guide_has_what_was_measured() -> None:
    lines = [bench_detection.BEGIN, *bench_detection.describe(FOUND), bench_detection.END]
    assert "\n".join(lines) in bench_detection.PAGE.read_text(encoding="utf-8")
    assert FOUND["test"]["ap50"] >= FOUND["aim_ap50"]


def test_a_result_takes_the_place_of_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{bench_detection.BEGIN}\nold\n{bench_detection.END}\nafter\n")
    monkeypatch.setattr(bench_detection, "PAGE", page)
    for _ in range(2):
        bench_detection.write_page(FOUND)
        text = page.read_text()
        assert text.startswith(f"before\n{bench_detection.BEGIN}\nMeasured on ") and "old" not in text
        assert text.endswith(f" |\n{bench_detection.END}\nafter\n")
    page.write_text("nothing")
    with pytest.raises(SystemExit, match="there is no place for the result"):
        bench_detection.write_page(FOUND)
