"""The environment of a run: machine, devices, versions."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import sys
from typing import Any

import tensorflow as tf

from train.files import write_json
from train.run_folder import RunFolder

__all__ = ["describe_environment", "write_environment"]

PACKAGES = (
    *("augment-once", "tensorflow", "keras", "numpy", "ml-dtypes", "h5py"),
    *("albumentations", "opencv-python-headless", "opencv-python", "pillow"),
)


def write_environment(folder: RunFolder) -> None:
    """Add this start to the run's `environment.json`: a list, since a run may be continued on another machine."""
    try:
        starts = json.loads(folder.environment.read_bytes())
    except (OSError, ValueError):  # none yet, or spoilt
        starts = []
    write_json(folder.environment, [*(starts if isinstance(starts, list) else []), describe_environment()])


def describe_environment() -> dict[str, Any]:
    """Return time, command line, machine, devices and versions, fit for JSON."""
    return {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "num_cpus": os.cpu_count(),
        "gpus": [_describe_gpu(device) for device in tf.config.list_physical_devices("GPU")],
        "cuda": tf.sysconfig.get_build_info().get("cuda_version"),
        "packages": {name: version for name in PACKAGES if (version := _version(name)) is not None},
    }


def _describe_gpu(device: Any) -> dict[str, Any]:
    details = tf.config.experimental.get_device_details(device)
    capability = details.get("compute_capability")
    return {"name": details.get("device_name", device.name), "compute_capability": capability}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
