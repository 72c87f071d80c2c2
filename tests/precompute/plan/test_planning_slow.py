"""Memory of planning: bytes a source, of a process of its own, with a million sources that are made up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.project import ROOT

BENCHMARK = ROOT / "scripts/bench_planning.py"
NUM_SOURCES = 1_000_000
MAX_BYTES = 2**32 // 10_000_000  # ten million sources shall fit into 4 GiB


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells the peak of a process")
@pytest.mark.parametrize("kind", ["class", "mask"])
def test_peak_a_source(kind: str, tmp_path: Path) -> None:
    command = [sys.executable, BENCHMARK, "--one", kind, str(NUM_SOURCES), tmp_path / "out"]
    for expected in ("make the plan", "compare with what is on disk"):  # fresh, then resumed
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        figures = json.loads(done.stdout.splitlines()[-1])
        assert {step["step"] for step in figures["steps"]} >= {expected, "pack the first task"}
        assert figures["peak_bytes_a_source"] < MAX_BYTES, figures
