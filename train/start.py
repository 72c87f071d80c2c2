"""Access to Keras: the right backend, its own defaults, and models from files."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from precompute.errors import PrecomputeError, UsageError
from precompute.program.memory import import_quickly

__all__ = ["check_no_limits", "open_model", "plain_keras", "quiet_stderr", "require_tensorflow"]

# What TensorFlow writes to stderr when it is loaded, whatever its log level, and that is no news to anyone.
NOISE = re.compile(
    rb"All log messages before absl|oneDNN custom operations|Could not find cuda drivers|failed call to cuInit|"
    rb"optimized to use available CPU instructions|To enable the following instructions|computation_placer|"
    rb"Unable to register cu\w+ (factory|plugin)|TF-TRT"
)

OTHER_BACKENDS = ("jax", "torch", "openvino")


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold back output to the process's stderr while the block runs, then print all of it that is not known noise."""
    if sys.stderr is not None:  # as in programs without a console
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
    """Check that Keras runs, or will run, on TensorFlow.

    Raises:
        PrecomputeError: TensorFlow or Keras is missing, or Keras is set to another backend.
    """
    asked = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if asked != "tensorflow":  # before the import, which fails in its own way if that backend is missing
        raise PrecomputeError(
            f"KERAS_BACKEND: train needs tensorflow, got {asked!r}. Unset it, or set it to tensorflow."
        )
    try:
        with import_quickly():
            import keras
            import tensorflow as tf

        tf.config.list_logical_devices()  # looks for GPUs now, so that what it has to say comes in one place
    except ImportError as error:
        missing = str(error.name).partition(".")[0]
        if missing in OTHER_BACKENDS:
            raise PrecomputeError(_other_backend(missing)) from error
        raise PrecomputeError(
            f"train needs TensorFlow and Keras: pip install 'augment-once[train]' ({error})."
        ) from error
    except (AssertionError, AttributeError, TypeError, ValueError) as error:  # what Keras makes of odd settings
        raise PrecomputeError(
            f"Keras cannot be loaded: {str(error) or 'a value in its settings is not one that it takes'}. Look at "
            "~/.keras/keras.json (or keras.json in the folder that KERAS_HOME names) and at the environment variables "
            "that begin with KERAS_."
        ) from error
    if keras.backend.backend() != "tensorflow":
        raise PrecomputeError(_other_backend(keras.backend.backend()))


def _other_backend(name: str) -> str:
    return (
        f"Keras is set to the backend {name!r} (in ~/.keras/keras.json); train needs tensorflow. Set the environment "
        "variable KERAS_BACKEND=tensorflow."
    )


@contextlib.contextmanager
def plain_keras() -> Iterator[None]:
    """Give Keras its own defaults while the block runs, whatever ~/.keras/keras.json or the process has set.

    Layers, losses, metrics and optimizers take the order of axes, types and epsilon from these defaults; so do the
    networks of keras.applications and a user's own function where they have no argument for it. Saved models name the
    values, so that they open alike anywhere. It can decorate a function, too.

    Raises:
        PrecomputeError: See `require_tensorflow`.
    """
    require_tensorflow()
    from keras import config

    # Source: the defaults in keras/src/backend/config.py of Keras 3.15.
    settings: list[tuple[Any, Any, Any]] = [
        (config.image_data_format(), config.set_image_data_format, "channels_last"),
        (config.dtype_policy(), config.set_dtype_policy, "float32"),  # it follows from floatx where nobody has set it
        (config.floatx(), config.set_floatx, "float32"),
        (config.epsilon(), config.set_epsilon, 1e-7),
    ]
    for _, put, default in settings:
        put(default)
    try:
        yield
    finally:
        for before, put, _ in settings:
            put(before)


def check_no_limits() -> None:
    """Refuse to train where Keras would end each `fit`, or each epoch, before its time.

    Raises:
        UsageError: Keras is set to such a limit.
    """
    from keras import config

    for what, most, flag in (
        ("epochs", config.max_epochs(), "--epochs says how many there are"),
        ("steps_per_epoch", config.max_steps_per_epoch(), "an epoch reads a whole row"),
    ):
        if most is not None:
            raise UsageError(
                f"Keras is set to end after {most} {what.replace('_', ' ')} (KERAS_MAX_{what.upper()}, or "
                f"keras.config.set_max_{what}). Unset it: {flag}."
            )


def open_model(path: Path) -> Any:
    """Read a model that a run has saved.

    Raises:
        PrecomputeError: The model cannot be read.
    """
    import keras

    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # zipfile, h5py and Keras each raise their own
        raise PrecomputeError(f"{path}: cannot be opened as a Keras model: {error}") from error
