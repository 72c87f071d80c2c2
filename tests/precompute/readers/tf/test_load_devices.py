"""`load` on two devices: in a fresh interpreter, since devices are made before TensorFlow starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.project import ROOT
from tests.helpers.stored_records import NUM_ROWS, Stored, build_rows

pytestmark = pytest.mark.slow  # what they share takes most of the time

NUM_EPOCHS = NUM_ROWS + 1


def fit_on_two_devices(out: Path) -> dict[str, Any]:
    """Return what each epoch was trained on: with the callback, loaded inside and outside of the strategy's scope."""
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

    import precompute
    from tests.helpers.witness_model import Witness

    stored, strategy, seen = Stored(out), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), {}
    assert strategy.num_replicas_in_sync == 2
    for inside in (False, True):
        with strategy.scope():
            model = Witness(stored)
            dataset = precompute.load(out, batch_size=6) if inside else None
        dataset = dataset or precompute.load(out, batch_size=6)
        own = dataset.map(lambda images, labels: (images, labels)).prefetch(2)
        row = precompute.EpochRow(own)
        # Two processors forgive a counter with a copy a device; graphics cards, where tf.data is not, would not.
        assert not isinstance(row._epochs[0]._number, tf.distribute.DistributedValues)
        name = "inside" if inside else "outside"
        seen[name] = model.watch(own, epochs=NUM_EPOCHS, callbacks=(row,))
        seen[f"{name}, initial_epoch"] = model.watch(own, initial_epoch=2, epochs=4, callbacks=(row,))
        seen[f"{name}, without callback"] = model.watch(own, epochs=2)
    return seen


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_rows(tmp_path_factory.mktemp("devices"))


@pytest.fixture(scope="module")
def seen(out: Path) -> Any:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, "-m", __name__, out], capture_output=True, text=True, env=environment, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return {
        name: [[tuple(example) for example in epoch] for epoch in epochs]
        for name, epochs in json.loads(done.stdout.splitlines()[-1]).items()
    }


@pytest.mark.parametrize("where", ["inside", "outside"])
@pytest.mark.slow
def test_each_epoch_is_the_row_of_its_number(out: Path, seen: Any, where: str) -> None:
    stored = Stored(out)
    assert seen[where] == [stored.whole_row(epoch % NUM_ROWS) for epoch in range(NUM_EPOCHS)]
    assert seen[f"{where}, initial_epoch"] == [stored.whole_row(2), stored.whole_row(3)]


@pytest.mark.parametrize("where", ["inside", "outside"])
def test_without_the_callback_each_epoch_is_still_one_whole_row(out: Path, seen: Any, where: str) -> None:
    stored, epochs = Stored(out), seen[f"{where}, without callback"]
    assert epochs == [stored.whole_row(epoch[0][0]) for epoch in epochs]


if __name__ == "__main__":
    print(json.dumps(fit_on_two_devices(Path(sys.argv[1]))))
