"""Readers of other frameworks: the guide's PyTorch dataset, and the `tfrecord` package."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import precompute
from tests.helpers.other_readers import (
    BOXES_SNIPPET,
    SNIPPET,
    read_by_tfrecord,
    torch_stand_in,  # noqa: F401 (a fixture)
)
from tests.helpers.small_datasets import draw_classes, draw_pairs, options

NUM_TRAIN, SIZE = 18, 16


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The dataset that the guide speaks of, in the working folder."""
    precompute.build(draw_pairs(tmp_path / "data", 24), tmp_path / "shards/cells", **options(variants=2))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "shards/cells"


# A stand-in for what the guide uses of torch, so that its code is run where torch is not installed.


def expected(epoch: int) -> list[str]:
    return [f"{epoch} (9, 3, {SIZE}, {SIZE}) (9, {SIZE}, {SIZE})"] * 2  # two workers with half of the row each


@pytest.mark.usefixtures("torch_stand_in")
def test_the_pytorch_dataset_of_the_guide(cells: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found: dict[str, Any] = {"__name__": "__main__"}
    exec(SNIPPET, found)
    assert capsys.readouterr().out.splitlines() == [*expected(0), *expected(1)]
    dataset = found["Precomputed"](cells, shuffle_seed=1)
    for epoch in range(3):
        dataset.epoch = epoch
        seen = {image.values.tobytes(): mask.values for image, mask in dataset}
        row = {e["image"].transpose(2, 0, 1).tobytes(): e["mask"] for e in precompute.read(cells, row=epoch % 2)}
        assert seen.keys() == row.keys() and len(seen) == NUM_TRAIN
        assert all(
            np.array_equal(seen[pixels], mask) and seen[pixels].dtype == np.int64 for pixels, mask in row.items()
        )


def test_the_pytorch_dataset_of_the_guide_with_torch_itself(cells: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    assert cells.exists()
    Path("snippet.py").write_text(SNIPPET)
    done = subprocess.run([sys.executable, "snippet.py"], capture_output=True, text=True, check=True)
    sizes = [re.findall(r"\[([\d, ]+)\]", line) for line in done.stdout.splitlines()]
    assert sizes == [[f"9, 3, {SIZE}, {SIZE}", f"9, {SIZE}, {SIZE}"]] * 4


def test_the_snippet_is_short() -> None:
    dataset = SNIPPET.partition("\n\n\nif __name__")[0]
    assert len(dataset.splitlines()) <= 24
    assert len(BOXES_SNIPPET.splitlines()) <= 12


@pytest.mark.parametrize("indexed", [False, True], ids=["in order", "by its index"])
def test_the_tfrecord_package_reads_shards_and_their_index(tmp_path: Path, indexed: bool) -> None:
    """Its index is that of DALI, and its reader needs it for random access."""
    precompute.build(draw_classes(tmp_path / "data"), tmp_path / "out", **options(variants=1, image_format="raw"))
    stored = {example["key"]: example for example in precompute.read(tmp_path / "out")}
    found = precompute.dali_index(tmp_path / "out", split="train")
    description = {"augment/key": "byte", "image/encoded": "byte", "image/class/label": "int"}
    seen = set()
    for record in read_by_tfrecord(found, description, indexed=indexed):
        example = stored[record["augment/key"].decode()]
        assert record["image/encoded"] == example["image"].tobytes()
        assert record["image/class/label"] == [example["label"]]
        seen.add(example["key"])
    assert seen == stored.keys()
