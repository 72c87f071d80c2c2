"""The code of a cluster's workers: a check that they can do the work, then the tasks.

`examine` goes to workers by value, so that it also works where this package is not installed, and can say so. So the
top of this module imports nothing but the standard library.
"""

from __future__ import annotations

import hashlib
import importlib
import socket
import uuid
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from precompute.building.task import Task, TaskContext, TaskDone

__all__ = ["Expected", "Found", "deciding_versions", "describe", "examine", "import_faults", "run_remote_task"]

PACKAGE = "augment-once"


class Expected(TypedDict):
    """Requirements of a worker, as plain values, since they go to workers that may not have this package.

    Attributes:
        token: Name of the command's call; each worker process is examined once per call.
        versions: Package → version that the parent has.
        cpu_features: OpenCV's feature line of the other workers; None where any will do.
        marker: File that the parent has just written, with the token in it; None where there is no output yet.
        temporary: Folder of the output for files without a final name; empty where each machine has its own, as for
            an output in an object store.
        sources: Path → sha256 of a few source files.
        pipelines: Split → pickled pipeline.
    """

    token: str
    versions: dict[str, str]
    cpu_features: str | None
    marker: str | None
    temporary: str
    sources: dict[str, str]
    pipelines: dict[str, bytes]


class Found(TypedDict):
    """The result of examining a worker.

    Attributes:
        host: Name of its machine.
        faults: Why it cannot do the work; empty when it can.
        cpu_features: OpenCV's feature line.
    """

    host: str
    faults: list[str]
    cpu_features: str


def deciding_versions() -> dict[str, str]:
    """Return the versions of this package and of the packages that decide pixels."""
    from precompute.plan.versions import pixel_versions

    try:
        own = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:  # run from a folder that is not installed
        own = "not installed"
    return {PACKAGE: own, **pixel_versions()}


def import_faults() -> list[str]:
    """Return faults if this package cannot be imported in the process."""
    try:
        importlib.import_module("precompute.building.task")  # sets what must be set before Albumentations is imported
        importlib.import_module("precompute.building.cluster_worker")
    except Exception as error:
        return [f"cannot import {PACKAGE}: {error}; install it there, in the environment that Dask runs in"]
    return []


def examine(expected: Expected) -> Found:
    """Check, in the worker, whether it can do the work."""
    host = socket.gethostname()
    if faults := import_faults():
        return {"host": host, "faults": faults, "cpu_features": ""}
    import cv2

    features = cv2.getCPUFeaturesLine()
    faults = [
        *_version_faults(expected["versions"]),
        *_output_faults(expected["marker"], expected["token"], expected["temporary"]),
        *_source_faults(expected["sources"]),
        *_pipeline_faults(expected["pipelines"]),
    ]
    if expected["cpu_features"] not in (None, features):
        faults.append(f"has another processor than the workers before it: OpenCV uses {features}")
    return {"host": host, "faults": faults, "cpu_features": features}


def describe(address: str, found: Found) -> list[str]:
    """Return a line for each fault, with the worker's name."""
    return [f"worker {address} on {found['host']} {fault}" for fault in found["faults"]]


def _version_faults(versions: dict[str, str]) -> list[str]:
    there = deciding_versions()
    return [
        f"has {package} {there.get(package)}, this machine has {version}; install the same version on both"
        for package, version in versions.items()
        if there.get(package) != version
    ]


def _output_faults(marker: str | None, token: str, temporary: str) -> list[str]:
    if marker is None:
        return []
    from precompute.storage.paths import as_path

    try:
        seen = as_path(marker).read_bytes() == token.encode()
    except Exception as error:  # of a file system, or of an object store
        return [f"does not see what this machine has just written to the output: {marker}: {_reason(error)}"]
    if not seen:
        return [f"has another file where this machine has just written to the output: {marker}"]
    if not temporary:
        return []
    path = Path(temporary, f"try.{uuid.uuid4().hex}")
    try:
        path.write_bytes(b"x")
        path.unlink()
    except OSError as error:
        return [f"cannot write to the output: {temporary}: {error.strerror}"]
    return []


def _source_faults(sources: dict[str, str]) -> list[str]:
    from precompute.storage.paths import as_path

    faults = []
    for path, sha256 in sources.items():
        try:
            if hashlib.sha256(as_path(path).read_bytes()).hexdigest() != sha256:
                faults.append(f"has other bytes in the source {path} than this machine")
        except Exception as error:  # of a file system, or of an object store
            faults.append(f"cannot read the source {path}: {_reason(error)}")
    return faults


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _pipeline_faults(pipelines: dict[str, bytes]) -> list[str]:
    from precompute.pipelines.pipeline import Pipeline

    faults = []
    for split, pickled in pipelines.items():
        try:
            Pipeline(pickled)
        except Exception as error:
            faults.append(f"cannot load the pipeline of {split}: {error}; install what it imports there")
    return faults


_examined: set[str] = set()  # tokens of the calls that this process has been found fit for


def run_remote_task(context: TaskContext, task: Task, expected: Expected, *, only_task: bool) -> TaskDone:
    """Run a task in a worker of a Dask cluster, which may have joined only now.

    Args:
        only_task: Whether no other task of this command is running on the cluster.

    Raises:
        BuildError: The worker cannot do the work. Without this check, sources that it does not see would count as bad.
    """
    from distributed import get_worker

    from precompute.building.task import run_task
    from precompute.errors import BuildError

    worker = get_worker()
    if expected["token"] not in _examined:
        faults = describe(worker.address, examine({**expected, "pipelines": context.pipelines}))
        if faults:
            raise BuildError("\n".join(["a worker that has joined the cluster cannot do the work:", *faults]))
        _examined.add(expected["token"])
    one_thread = worker.state.nthreads == 1
    return run_task(replace(context, own_process=one_thread, blames_crashes=one_thread or only_task), task)
