"""The guide's PyTorch dataset without PyTorch, and the package `tfrecord`."""

from __future__ import annotations

import importlib.util
import json
import pickle
import subprocess
import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from precompute.exporting.dali import DaliIndexes
from tests.helpers.guide import blocks

SNIPPET, BOXES_SNIPPET = (text for _, text in blocks(["py"]))


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
