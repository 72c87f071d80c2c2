"""`fit` on two devices: in a fresh interpreter, since devices are made before TensorFlow starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from precompute.errors import UsageError
from tests.helpers.project import ROOT
from train.devices import fits, fitting_batch_size

OPTIONS: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 6,
    "base_channels": 2,
    "learning_rate": 0.01,
    "seed": 1,
    "checkpoint_every": "0",
}
OPTIONS |= {"deterministic": False, "early_stopping": 0}


def plain_network(shape: Any, *, base_channels: int, normalize: Any) -> Any:
    """A network whose results do not depend on how a batch is shared out."""
    import keras

    from train.tasks.trunk import Trunk

    images = keras.Input(shape, dtype="uint8")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(images)
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(x)
    return Trunk(images=images, coarse=x, dropout=0.0, name="plain")


def fit_on_two_devices(folder: Path) -> None:
    """Train the same on one device, on both, and on both with an interruption."""
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

    import train.tasks.networks
    from tests.helpers.killed_training import run_killed_at
    from tests.helpers.trainer_datasets import write_classes, write_masks

    train.tasks.networks.make_small = plain_network
    # The last batch of an epoch has four images; validation would leave one device without images at a batch of six.
    dataset = write_classes(folder / "data", sizes={"train": 22, "validation": 13})
    result: dict[str, Any] = {}
    for name, kills, changes in (
        ("one", [], {}),
        ("all", [], {"devices": "all"}),
        ("resumed", [5], {"devices": "all", "checkpoint_every": "1"}),
    ):
        lines = run_killed_at(dataset, folder / name, kills, **OPTIONS | changes)
        result[name] = [line for line in lines if not line.startswith("epoch ")]
    with pytest.raises(UsageError) as error:
        run_killed_at(dataset, folder / "odd", [], **OPTIONS | {"devices": "all", "batch_size": 5})
    result["odd"] = str(error.value)
    masks = write_masks(folder / "masks")  # another model in the same process
    run_killed_at(masks, folder / "masks-run", [], **OPTIONS | {"devices": "all", "epochs": 1})
    few = write_classes(folder / "few", sizes={"train": 13, "validation": 4})
    lines = run_killed_at(few, folder / "dropped", [], **OPTIONS | {"devices": "all", "epochs": 1})
    result["dropped"] = lines
    print(json.dumps(result))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("devices")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, "-m", __name__, folder],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout.splitlines()[-1])


def arrays_of(run: Path) -> dict[str, Any]:
    with np.load(run / "checkpoint.npz") as arrays:
        return {name: arrays[name] for name in arrays.files if name != "state"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["all", "resumed"])
def test_two_devices_come_to_what_one_comes_to(runs: Any, name: str) -> None:
    folder, _ = runs
    one, other = arrays_of(folder / "one"), arrays_of(folder / name)
    assert one.keys() == other.keys()
    for key in one:
        np.testing.assert_allclose(other[key], one[key], rtol=1e-3, atol=1e-5, err_msg=key)


@pytest.mark.slow
def test_the_interrupted_run_went_on_in_the_middle_of_an_epoch(runs: Any) -> None:
    folder, said = runs
    assert any(line.startswith("continuing") and "batch 2" in line for line in said["resumed"])
    assert (folder / "resumed" / "rows.csv").read_text() == (folder / "one" / "rows.csv").read_text()


@pytest.mark.slow
def test_masks_are_learnt_on_two_devices_after_classes_were(runs: Any) -> None:
    folder, _ = runs
    history = (folder / "masks-run" / "history.csv").read_text().splitlines()
    assert len(history) == 2
    assert "nan" not in history[1]


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_out_is_refused(runs: Any) -> None:
    assert "--batch-size: expected a multiple of the 2 devices" in runs[1]["odd"]


@pytest.mark.slow
def test_a_last_batch_that_does_not_reach_all_devices_is_left_out_and_said(runs: Any) -> None:
    folder, said = runs
    assert any("leaves out 1 image" in line for line in said["dropped"])
    assert all(np.isfinite(array).all() for array in arrays_of(folder / "dropped").values())


@pytest.mark.parametrize("num_devices", [1, 2, 3, 4])
def test_no_device_is_left_without_images(num_devices: int) -> None:
    for num_images in range(17, 40):
        batch_size = fitting_batch_size(num_images, batch_size=2 * num_devices, num_devices=num_devices)
        assert batch_size % num_devices == 0
        last = num_images % batch_size or batch_size
        share = -(-last // num_devices)  # as TensorFlow shares out
        parts = [max(0, min(share, last - share * device)) for device in range(num_devices)]
        assert sum(parts) == last
        assert min(parts) > 0
        assert fits(num_images, batch_size=batch_size, num_devices=num_devices)


@pytest.mark.parametrize("num_images", [3, 5, 9])  # 9: 8 + 1, or 3 + 3 + 3 + 0
def test_images_that_cannot_be_shared_out_are_refused(num_images: int) -> None:
    with pytest.raises(UsageError, match=f"{num_images} images of validation cannot be shared out"):
        fitting_batch_size(num_images, batch_size=4, num_devices=4)


if __name__ == "__main__":
    fit_on_two_devices(Path(sys.argv[1]))
