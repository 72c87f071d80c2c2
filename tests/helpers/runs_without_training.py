"""Runs without training: a folder as `train fit` leaves it, whose model does what a test wants."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from precompute.dataset.manifest import Manifest
from train.files import write_file
from train.options import FitOptions
from train.run_folder import RunFolder, RunSettings
from train.trained_on import record_sources

CHANNELS_OF_CLASSES = np.eye(3, dtype=np.float32)  # class c is where channel c is the brightest


def brightest_channel(shape: tuple[int, int, int], *, per_pixel: bool):
    """Return a model whose class is the brightest channel: of each pixel, or on average."""
    images = keras.Input(shape, dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 16, name="scale")(images)
    if per_pixel:
        layer = keras.layers.Conv2D(3, 1, dtype="float32", name="logits")
        weights = CHANNELS_OF_CLASSES[None, None]
    else:
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
        layer, weights = keras.layers.Dense(3, dtype="float32", name="logits"), CHANNELS_OF_CLASSES
    model = keras.Model(images, layer(x))
    layer.set_weights([weights, np.zeros(3, np.float32)])
    return model


def make_run(run: Path, dataset: Path) -> Path:
    """Write the options and the best model of a run."""
    manifest, folder = Manifest.load(dataset), RunFolder(run)
    image = manifest.image
    with folder.hold():
        folder.open(RunSettings.of(dataset, manifest, FitOptions()))
        record_sources(folder, dataset, manifest, "none")
    model = brightest_channel((image.height, image.width, image.channels), per_pixel=manifest.target.kind == "mask")
    write_file(folder.model("best"), model.save)
    return run
