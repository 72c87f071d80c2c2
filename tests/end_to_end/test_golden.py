"""Datasets of each format, written once and kept: every later version reads them, and writes the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import precompute
from tests.helpers.golden_datasets import FORMATS, KEPT, build_golden, digest_of


@pytest.mark.parametrize("kept", KEPT)
def test_golden_dataset_is_read(kept: str) -> None:
    assert digest_of(FORMATS / kept / "golden") == (FORMATS / kept / "digest.txt").read_text().strip()


@pytest.mark.parametrize("kept", KEPT)
def test_golden_dataset_is_whole(kept: str, tmp_path: Path) -> None:
    shutil.copytree(FORMATS / kept / "golden", tmp_path / "golden")
    assert precompute.verify(tmp_path / "golden").problems == []
    dataset = precompute.load(tmp_path / "golden", split="train", batch_size=2, check="full", cache=False)
    first = (batch[0] if isinstance(batch, tuple) else batch for batch in dataset)
    assert sum(len(images) for images in first) == (8 if "copies" in kept else 4)


@pytest.mark.parametrize("kept", [kept for kept in KEPT if "jpeg" not in kept])
def test_today_writes_what_was_written_then(kept: str, tmp_path: Path) -> None:
    assert (
        digest_of(build_golden(kept.partition("/")[2], tmp_path)) == (FORMATS / kept / "digest.txt").read_text().strip()
    )
