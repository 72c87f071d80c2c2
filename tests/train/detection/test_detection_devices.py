"""A detector on two devices, with weights of classes: in a fresh interpreter, since devices come before TensorFlow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.project import ROOT


def fit_on_two_devices(folder: Path) -> None:
    """Train a step-equal run on one device and on both."""
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

    import precompute
    from tests.helpers.box_datasets import draw_boxed, identity
    from tests.helpers.small_datasets import options
    from train.fit import fit
    from train.options import FitOptions

    truth = draw_boxed(folder / "images", 24)
    images = [folder / "images" / f"{name}.png" for name in truth]
    given = options(pipeline={"train": identity(), "validation": identity()}, variants=1)
    precompute.build(images=images, boxes=list(truth.values()), output=folder / "data", **given)
    lines: list[str] = []
    for name in ("one", "all"):
        chosen = FitOptions(
            epochs=2, batch_size=6, base_channels=2, devices=name, class_weights="balanced", fresh="off", jit="off"
        )
        fit(folder / "data", run=folder / name, options=chosen, say=lines.append)
    found = {name: json.loads((folder / name / "metrics.json").read_bytes()) for name in ("one", "all")}
    weights = json.loads((folder / "all" / "class_weights.json").read_bytes())
    print(json.dumps({"metrics": found, "weights": weights, "lines": lines}))


@pytest.mark.slow
def test_a_detector_trains_on_two_devices_with_weights(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, "-m", __name__, tmp_path],
        capture_output=True,
        text=True,
        env=environment,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["weights"].keys() == {"bar", "disc", "frame"}
    assert any(line.startswith("weights     bar ") for line in found["lines"])
    for name, metrics in found["metrics"].items():
        assert metrics["epochs"] == 2, name
        with np.load(tmp_path / name / "checkpoint.npz") as arrays:
            numbers = [arrays[key] for key in arrays.files if arrays[key].dtype.kind == "f"]
        assert numbers and all(np.isfinite(values).all() for values in numbers)


if __name__ == "__main__":
    fit_on_two_devices(Path(sys.argv[1]))
