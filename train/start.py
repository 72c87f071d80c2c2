"""What stands between a program and Keras: the right backend, and models from files."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from precompute.errors import PrecomputeError

__all__ = ["open_model", "quiet_stderr", "require_tensorflow"]

# What TensorFlow writes to stderr when it is loaded, whatever its log level, and that is no news to anyone.
NOISE = re.compile(
    rb"All log messages before absl|oneDNN custom operations|Could not find cuda drivers|failed call to cuInit|"
    rb"optimized to use available CPU instructions|To enable the following instructions|computation_placer|"
    rb"Unable to register cu\w+ (factory|plugin)|TF-TRT"
)


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold back what is written to the process's stderr meanwhile, then pass on what is not known to be noise."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held:
                if not NOISE.search(line):
                    os.write(2, line)


def require_tensorflow() -> None:
    """Check that Keras will run, or runs already, on TensorFlow.

    Raises:
        PrecomputeError: TensorFlow or Keras is missing, or Keras is set to another backend.
    """
    asked = os.environ.get("KERAS_BACKEND", "tensorflow")
    if asked != "tensorflow":  # before the import, which fails in its own way if that backend is missing
        raise PrecomputeError(
            f"KERAS_BACKEND: train needs tensorflow, got {asked!r}. Unset it, or set it to tensorflow."
        )
    try:
        import keras
        import tensorflow as tf

        tf.config.list_logical_devices()  # looks for GPUs now, so that what it has to say comes in one place
    except ImportError as error:
        raise PrecomputeError(
            f"train needs TensorFlow and Keras: pip install 'augment-once[train]' ({error})."
        ) from error
    if keras.backend.backend() != "tensorflow":
        raise PrecomputeError(
            f"Keras is set to the backend {keras.backend.backend()!r} (in ~/.keras/keras.json); train needs "
            "tensorflow. Set the environment variable KERAS_BACKEND=tensorflow."
        )


def open_model(path: Path) -> Any:
    """Read a model that a run has saved.

    Raises:
        PrecomputeError: It cannot be read.
    """
    import keras

    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # zipfile, h5py and Keras each raise their own
        raise PrecomputeError(f"{path}: cannot be opened as a Keras model: {error}") from error
