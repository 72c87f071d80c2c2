"""Datasets of format 1, written once and kept: every later version reads them, and writes the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import precompute
from tests.helpers.golden_datasets import GOLDEN, KINDS, build_golden, digest_of


@pytest.mark.parametrize("kind", KINDS)
def test_golden_dataset_is_read(kind: str) -> None:
    assert digest_of(GOLDEN / kind / "golden") == (GOLDEN / kind / "digest.txt").read_text().strip()


@pytest.mark.parametrize("kind", KINDS)
def test_golden_dataset_is_whole(kind: str, tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / kind / "golden", tmp_path / "golden")
    assert precompute.verify(tmp_path / "golden").problems == []
    dataset = precompute.load(tmp_path / "golden", split="train", batch_size=2, check="full")
    first = (batch[0] if isinstance(batch, tuple) else batch for batch in dataset)
    assert sum(len(images) for images in first) == (8 if kind.startswith("copies") else 4)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "jpeg" not in kind])
def test_today_writes_what_was_written_then(kind: str, tmp_path: Path) -> None:
    assert digest_of(build_golden(kind, tmp_path)) == (GOLDEN / kind / "digest.txt").read_text().strip()
