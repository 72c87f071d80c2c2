"""Readers of other frameworks: the README's PyTorch dataset, and the `tfrecord` package."""

from __future__ import annotations

import importlib.util
import json
import pickle
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import precompute
from precompute.exporting.dali import DaliIndexes
from tests.helpers.project import ROOT
from tests.helpers.small_datasets import draw_classes, draw_pairs, options

README = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPET, BOXES_SNIPPET = re.findall(r"^```py\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
NUM_TRAIN, SIZE = 18, 16


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The dataset that the README speaks of, in the working folder."""
    precompute.build(draw_pairs(tmp_path / "data", 24), tmp_path / "shards/cells", **options(variants=2))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "shards/cells"


# A stand-in for what the README uses of torch, so that its code is run where torch is not installed.


class Tensor:
    def __init__(self, values: np.ndarray[Any, Any]) -> None:
        self.values = values

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def permute(self, *axes: int) -> Tensor:
        return Tensor(self.values.transpose(axes))


class WorkerInfo:
    def __init__(self, id: int, num_workers: int) -> None:
        self.id, self.num_workers = id, num_workers


class DataLoader:
    """Iterates the dataset once for each worker, as the real one does in processes."""

    def __init__(self, dataset: Any, batch_size: int, num_workers: int) -> None:
        self.dataset, self.batch_size, self.num_workers = dataset, batch_size, num_workers

    def __iter__(self) -> Iterator[list[Tensor]]:
        utils: Any = sys.modules["torch.utils.data"]
        for worker in range(self.num_workers):
            utils.get_worker_info = lambda worker=worker: WorkerInfo(worker, self.num_workers)
            examples = list(self.dataset)
            for i in range(0, len(examples), self.batch_size):
                columns = zip(*examples[i : i + self.batch_size], strict=True)
                yield [Tensor(np.stack([tensor.values for tensor in column])) for column in columns]
        utils.get_worker_info = lambda: None


@pytest.fixture
def torch_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    torch: Any = types.ModuleType("torch")
    torch.utils = types.ModuleType("torch.utils")
    torch.utils.data = types.ModuleType("torch.utils.data")
    torch.from_numpy = Tensor
    torch.utils.data.IterableDataset = object
    torch.utils.data.DataLoader = DataLoader
    torch.utils.data.get_worker_info = lambda: None
    for module in (torch, torch.utils, torch.utils.data):
        monkeypatch.setitem(sys.modules, module.__name__, module)


def expected(epoch: int) -> list[str]:
    return [f"{epoch} (9, 3, {SIZE}, {SIZE}) (9, {SIZE}, {SIZE})"] * 2  # two workers with half of the row each


@pytest.mark.usefixtures("torch_stand_in")
def test_the_pytorch_dataset_of_the_readme(cells: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_the_pytorch_dataset_of_the_readme_with_torch_itself(cells: Path) -> None:
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


READ_BY_TFRECORD = """
import json, pickle, sys, tfrecord
description, index_of = json.loads(sys.argv[1]), json.loads(sys.argv[2])
records = [
    {key: (bytes(values) if description[key] == "byte" else values.tolist()) for key, values in record.items()}
    for shard, index in index_of.items()
    for record in tfrecord.tfrecord_loader(shard, index, description)
]
sys.stdout.buffer.write(pickle.dumps(records))
"""


def read_by_tfrecord(indexes: DaliIndexes, description: dict[str, str], *, indexed: bool) -> list[Any]:
    """Return what https://github.com/vahidk/tfrecord reads: alone, since its protobuf collides with TensorFlow's."""
    if importlib.util.find_spec("tfrecord") is None:
        pytest.skip("tfrecord is not installed")
    index_of = {
        str(shard): str(index) if indexed else None
        for shard, index in zip(indexes.shards, indexes.indexes, strict=True)
    }
    command = [sys.executable, "-c", READ_BY_TFRECORD, json.dumps(description), json.dumps(index_of)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found: list[Any] = pickle.loads(done.stdout)
    return found


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
