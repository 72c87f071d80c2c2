"""What workers of a cluster must have and see: the same versions, the output, the sources, one kind of processor."""

from __future__ import annotations

import hashlib
import platform
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import cloudpickle

from precompute.building import cluster_worker
from precompute.building.files import make_folder, remove
from precompute.building.task import Task
from precompute.dataset.paths import DatasetPaths
from precompute.errors import BuildError, PrecomputeError, first_few
from precompute.storage.paths import as_path, is_remote
from precompute.text.format import format_count

if TYPE_CHECKING:
    import distributed

__all__ = ["check_workers", "expected_of", "marked", "sample"]


def expected_of(paths: DatasetPaths | None, sources: dict[str, str]) -> cluster_worker.Expected:
    """Return what workers are asked for: versions, and what they must see of output and sources."""
    token = uuid4().hex
    return {
        "token": token,
        "versions": cluster_worker.deciding_versions(),
        "cpu_features": None,
        "marker": None if paths is None else str(paths.marker(token)),
        "temporary": "" if paths is None or is_remote(paths.root) else str(paths.temporary),
        "sources": sources,
        "pipelines": {},
    }


def sample(tasks: Sequence[Task]) -> dict[str, str]:
    """Return path → sha256 of the first source that can be read here: its image, and its mask."""
    for place in (place for task in tasks for place in task.places if place.key not in task.skipped):
        try:
            paths = [place.image, *(path for path in [place.raw.get("mask")] if isinstance(path, str))]
            return {path: hashlib.sha256(as_path(path).read_bytes()).hexdigest() for path in paths}
        except (OSError, PrecomputeError):
            continue  # a bad source
    return {}


@contextmanager
def marked(expected: cluster_worker.Expected) -> Iterator[cluster_worker.Expected]:
    """Leave a file in the output that all workers must see while they work."""
    marker = as_path(expected["marker"] or "")
    make_folder(marker.parent)
    marker.write_bytes(expected["token"].encode())
    try:
        yield expected
    finally:
        remove(marker)


def check_workers(client: distributed.Client, expected: cluster_worker.Expected, *, mixed_cpus: bool) -> str | None:
    """Look on every worker whether it can do the work, and whether the scheduler can read tasks: it unpickles them.

    Returns:
        The feature line that all of their processors have; None when any will do.

    Raises:
        BuildError: One of them cannot.
    """
    here = platform.python_version_tuple()[:2]
    pythons = client.run(platform.python_version_tuple, on_error="return")
    faults = [
        f"worker {address} runs Python {'.'.join(there[:2])}, this machine {'.'.join(here)}; both must be the same"
        for address, there in pythons.items()
        if not isinstance(there, BaseException) and tuple(there[:2]) != here
    ]
    found: dict[str, Any] = {}
    if not faults:  # code that goes by value needs the same Python
        with _by_value():
            found = client.run(cluster_worker.examine, expected, on_error="return")
            faults += [f"the scheduler {fault}" for fault in client.run_on_scheduler(cluster_worker.import_faults)]
    for address, there in found.items():
        failed = isinstance(there, BaseException)
        faults += [f"worker {address}: {there!r}"] if failed else cluster_worker.describe(address, there)
    if faults:
        raise BuildError(
            f"not all of the cluster can do the work:\n{first_few(faults)}\nSources and output must lie under "
            "the same paths on all machines, in a file system that they share, with the same versions installed."
        )
    features = {address: there["cpu_features"] for address, there in found.items()}
    if mixed_cpus or not features:
        return None
    if len(set(features.values())) > 1:
        raise _mixed(features, {address: there["host"] for address, there in found.items()})
    return str(next(iter(features.values())))


@contextmanager
def _by_value() -> Iterator[None]:
    module = sys.modules[cluster_worker.__name__]
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def _mixed(features: Mapping[str, str], hosts: Mapping[str, str]) -> BuildError:
    kinds = defaultdict[str, list[str]](list)
    for address, line in features.items():
        kinds[line].append(f"{address} on {hosts[address]}")
    lines = [f"{format_count(len(those), 'worker')}, such as {those[0]}: {line}" for line, those in kinds.items()]
    return BuildError(
        f"the workers have {len(kinds)} kinds of processors, by the instructions that OpenCV uses:\n"
        f"{first_few(lines)}\n"
        "Some pixels may differ by a grey level, depending on which worker makes them: use workers of one kind, or "
        "accept it with --allow-mixed-cpus; the manifest names all kinds."
    )
