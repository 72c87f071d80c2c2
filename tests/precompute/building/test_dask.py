"""Other machines: a real Dask cluster writes the same bytes, workers die, and what cannot work says so at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import albumentations as A
import cv2
import numpy as np
import PIL
import pytest

import precompute
from precompute.building import cluster as cluster_module
from precompute.dataset.manifest import Manifest
from precompute.dataset.paths import DatasetPaths
from precompute.errors import BadSourcesError, BuildError
from tests.helpers import several_targets
from tests.helpers.dask_cluster import A_WORKER, PATIENCE_S, DaskCluster, dask_cluster, wait_until
from tests.helpers.decoded_sources import random_pixels
from tests.helpers.project import ROOT
from tests.helpers.small_datasets import draw_pairs, options, pipeline, save, shard_hashes
from tests.helpers.stored_keys import keys_of

pytestmark = pytest.mark.slow  # interpreters start

# Slow in workers, so that there is a middle; on red images they die.
PIPELINES = """
import os, signal, time
import albumentations as A

class Slow(A.ImageOnlyTransform):
    def apply(self, img, **params):
        if "{worker}" in os.environ:
            time.sleep({seconds})
            if tuple(img[0, 0]) == (255, 0, 0):
                os.kill(os.getpid(), signal.SIGKILL)
        return img

train = A.Compose([Slow(p=1), A.HorizontalFlip(p=0.5), A.Rotate(limit=25, p=0.5), A.Resize(16, 16)])
validation = A.Compose([A.Resize(16, 16)])
"""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """Two workers for tests that do them no harm."""
    with dask_cluster(tmp_path_factory.mktemp("dask") / "cluster") as cluster:
        yield cluster


@pytest.fixture
def own(tmp_path: Path) -> Iterator[DaskCluster]:
    """A cluster for one test, without workers as yet."""
    with dask_cluster(tmp_path / "cluster", workers=0) as cluster:
        yield cluster


def on(cluster: DaskCluster, **changes: Any) -> dict[str, Any]:
    return options(backend="dask", address=cluster.address, jobs=None, **changes)


def slow_pipeline(folder: Path, seconds: float = 0.02) -> Path:
    path = folder / "pipelines.py"
    path.write_text(PIPELINES.format(worker=A_WORKER, seconds=seconds))
    return path


def built_here(folder: Path, tmp_path: Path, **changes: Any) -> dict[str, str]:
    out = tmp_path / "here" / "out"
    precompute.build(folder, out, **options(**changes))
    return shard_hashes(out)


def receipts(out: Path) -> list[Path]:
    return list((out / ".build").glob("g*/receipts/*.json"))


def beside(action: Callable[[], None]) -> Thread:
    """Start something that happens while a build runs."""
    thread = Thread(target=action, daemon=True)
    thread.start()
    return thread


# The same bytes


@pytest.mark.parametrize("jobs", [None, 1, 5])
def test_the_same_bytes(two: DaskCluster, tmp_path: Path, jobs: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_pairs(tmp_path / "data", 24)
    monkeypatch.chdir(tmp_path)  # where the workers are not
    precompute.build("data", "out", **{**on(two), "jobs": jobs})
    assert shard_hashes(tmp_path / "out") == built_here(tmp_path / "data", tmp_path)
    assert not list((tmp_path / "out" / ".build" / "at").glob("*"))
    assert not list((tmp_path / "out" / ".build" / "tmp").glob("*"))


def test_further_images_too(two: DaskCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(24):
        save(tmp_path / f"data/images/{i}.png", random_pixels(12, 12, 3, seed=i))
        save(tmp_path / f"data/depth/{i}.png", random_pixels(12, 12, seed=i).astype(np.uint16) * 200)
    moving = A.Compose([A.HorizontalFlip(p=0.5)], additional_targets={"depth": "mask"})
    given = {"pipeline": moving, "extra_images": "depth=depth", "target": "none"}
    monkeypatch.chdir(tmp_path)
    precompute.build("data", "out", **on(two, **given))
    assert shard_hashes(tmp_path / "out") == built_here(tmp_path / "data", tmp_path, **given)


def test_several_targets_too(two: DaskCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    several_targets.draw(tmp_path / "data")
    given = {**several_targets.OF_FOLDERS, "pipeline": several_targets.MOVING}
    monkeypatch.chdir(tmp_path)
    precompute.build("data", "out", **on(two, **given))
    assert shard_hashes(tmp_path / "out") == built_here(tmp_path / "data", tmp_path, **given)
    assert Manifest.load(tmp_path / "out").targets["fine"].num_classes == 2


def test_workers_with_several_threads(own: DaskCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own.add_worker(nthreads=3)
    folder = draw_pairs(tmp_path / "data", 24)
    precompute.build(folder, tmp_path / "out", **{**on(own), "quiet": False})
    assert shard_hashes(tmp_path / "out") == built_here(folder, tmp_path)
    said = capsys.readouterr().err
    assert "the cluster has 1 worker for 3 tasks at a time" in said
    assert f"a process for each is faster: dask worker {own.address} --nthreads 1" in said


def test_a_worker_is_killed_in_the_middle(own: DaskCluster, tmp_path: Path) -> None:
    folder, out = draw_pairs(tmp_path / "data", 48), tmp_path / "out"
    workers = {process.pid: process for process in (own.add_worker(), own.add_worker())}
    given = {"pipeline": slow_pipeline(tmp_path), "variants": 6, "validation_split": 0.0}
    killed = []

    def kill() -> None:
        wait_until(lambda: receipts(out) and busy(out))
        killed.append(busy(out)[0])
        os.kill(killed[0], signal.SIGKILL)

    killer = beside(kill)
    precompute.build(folder, out, **on(own, **given))
    killer.join(PATIENCE_S)
    assert workers[killed[0]].wait(PATIENCE_S) == -signal.SIGKILL
    assert shard_hashes(out) == built_here(folder, tmp_path, **given)
    assert not list((out / ".build" / "at").glob("*")), "notes of the dead worker went with the task that took over"


def busy(out: Path) -> list[int]:
    """Return the processes of the workers that are at a source."""
    found = []
    for path in DatasetPaths(out).heartbeats.glob("*"):
        try:
            _, _, process, is_busy, _ = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue  # it is being written, or gone
        found += [process] if is_busy else []
    return found


def test_regenerate_and_follow(two: DaskCluster, tmp_path: Path) -> None:
    folder = draw_pairs(tmp_path / "data", 12)
    given = {"pipeline": pipeline(), "quiet": True}
    for out, where in (
        (tmp_path / "out", {"backend": "dask", "address": two.address}),
        (tmp_path / "here" / "out", {"backend": "sequential"}),
    ):
        precompute.build(folder, out, **options(variants=2))
        precompute.regenerate(out, seed=7, **given, **where)
        precompute.follow(out, keep=4, rows=2, seed=8, **given, **where)
    assert shard_hashes(tmp_path / "out") == shard_hashes(tmp_path / "here" / "out")


# Workers that die


def redden(folder: Path, key: str) -> None:
    save(folder / "images" / f"{key}.png", np.full((20, 18, 3), (255, 0, 0), np.uint8))
    save(folder / "masks" / f"{key}.png", np.zeros((20, 18), np.uint8))


@pytest.mark.parametrize("nthreads", [1, 2])
def test_a_source_that_kills_its_workers_is_a_bad_source(own: DaskCluster, tmp_path: Path, nthreads: int) -> None:
    """With several tasks in a process all of them are lost; the one to blame is found when each is tried alone."""
    own.add_worker(nanny=True, nthreads=nthreads)
    own.add_worker(nanny=True, nthreads=nthreads)
    folder, out = draw_pairs(tmp_path / "data", 40), tmp_path / "out"
    redden(folder, "s004")
    given = {"pipeline": slow_pipeline(tmp_path, 0.0), "validation_split": 0.0, "variants": 2}
    with pytest.raises(BadSourcesError) as caught:
        precompute.build(folder, out, **on(own, **given))
    assert "1 of 40 sources is bad" in str(caught.value)
    assert "s004.png: the worker process that tried it died, twice" in str(caught.value)
    assert not (out / "manifest.json").exists()
    # Accepted, it is left out; what it does is known, and no worker dies for it again.
    precompute.build(folder, out, **options(**given, skip_bad="1"))
    (entry,) = Manifest.load(out).skipped
    assert entry["key"] == "s004" and "died, twice" in entry["reason"]
    assert len(keys_of(out, "train", 1)) == 39


def test_all_workers_are_lost_and_others_go_on(
    own: DaskCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "WORKER_S", 2.0)
    folder, out = draw_pairs(tmp_path / "data", 24), tmp_path / "out"
    given = {"pipeline": slow_pipeline(tmp_path), "variants": 6, "validation_split": 0.0}
    with pytest.raises(BuildError, match=r"has had no worker for 2 s\. Start some, .*`dask worker tcp://"):
        precompute.build(folder, out, **on(own, **given))
    worker = own.add_worker()

    def kill() -> None:
        wait_until(lambda: receipts(out))
        worker.kill()

    killer = beside(kill)
    with pytest.raises(BuildError, match="has had no worker for 2 s"):
        precompute.build(folder, out, **on(own, **given))
    killer.join(PATIENCE_S)
    own.add_worker()
    precompute.build(folder, out, **on(own, **given))
    assert shard_hashes(out) == built_here(folder, tmp_path, **given)


def test_the_scheduler_is_lost(own: DaskCluster, tmp_path: Path) -> None:
    own.add_worker()
    folder, out = draw_pairs(tmp_path / "data", 24), tmp_path / "out"
    given = {"pipeline": slow_pipeline(tmp_path), "variants": 6, "validation_split": 0.0}

    def kill() -> None:
        wait_until(lambda: receipts(out))
        own.processes[0].kill()

    killer = beside(kill)
    with pytest.raises(BuildError, match="the connection to the scheduler at tcp://.* was lost"):
        precompute.build(folder, out, **on(own, **given))
    killer.join(PATIENCE_S)
    precompute.build(folder, out, **options(**given))
    assert shard_hashes(out) == built_here(folder, tmp_path, **given)


def test_interrupted_tasks_stop_on_the_cluster(own: DaskCluster, tmp_path: Path) -> None:
    """A task of minutes, so that it is under way; its worker is free again soon after the command has ended."""
    own.add_worker()
    folder, out = draw_pairs(tmp_path / "data", 40), tmp_path / "out"
    path = slow_pipeline(tmp_path, 0.5)
    where = ["--backend", "dask", "--address", own.address, "--pipeline", str(path), "--variants", "20"]
    command = [sys.executable, "-m", "precompute", "build", str(folder), str(out), *where]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: busy(out), process)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert "interrupted: what is finished is kept" in said
    assert "Traceback" not in said
    import distributed

    with distributed.Client(own.address, set_as_default=False) as client:
        wait_until(lambda: not any(client.run(lambda dask_worker: dask_worker.state.executing_count).values()))
    assert not list((out / ".build" / "at").glob("*"))


# Workers that cannot do the work


def refused(cluster: DaskCluster, tmp_path: Path, **changes: Any) -> str:
    """Build on a cluster that cannot; returns the error's text."""
    folder = tmp_path / "data"
    if not folder.exists():
        draw_pairs(folder, 12)
    with pytest.raises(BuildError) as caught:
        precompute.build(folder, tmp_path / "out", **on(cluster, **changes))
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert not (tmp_path / "out" / "errors.jsonl").exists()
    assert receipts(tmp_path / "out") == [], "before the first task"
    return str(caught.value)


def elsewhere(hidden: Path) -> list[str]:
    """Return a command that runs another one on what looks like another machine: one folder is an empty one there."""
    if sys.platform != "linux" or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("a file system of its own needs Linux, and the right to mount")
    return ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(hidden)]


@pytest.mark.parametrize(
    ("hidden", "fault"),
    [
        ("data", "cannot read the source {tmp_path}/data/images/"),
        ("place", "does not see what this machine has just written to the output: {tmp_path}/place/out/.build/tmp/"),
    ],
)
def test_a_worker_that_does_not_see_the_files(own: DaskCluster, tmp_path: Path, hidden: str, fault: str) -> None:
    folder = draw_pairs(tmp_path / "data", 12)
    (tmp_path / "place").mkdir()
    own.add_worker()
    own.add_worker(wrapper=elsewhere(tmp_path / hidden))
    with pytest.raises(BuildError) as caught:
        precompute.build(folder, tmp_path / "place" / "out", **on(own))
    text = str(caught.value)
    assert fault.format(tmp_path=tmp_path) in text
    assert text.count("\n  worker tcp://127.0.0.1:") <= 2, "the other worker is named by nobody"
    assert "Sources and output must lie under the same paths on all machines" in text
    assert receipts(tmp_path / "place" / "out") == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can start another user's worker")
def test_a_worker_that_may_not_write(own: DaskCluster, tmp_path: Path) -> None:
    for folder in (own.folder, tmp_path, *[folder for folder in tmp_path.parents if "pytest-of-" in str(folder)]):
        folder.chmod(0o755)
    other = ["setpriv", "--reuid=65534", "--clear-groups"]
    same_python = f"import sys, distributed; sys.exit(tuple(sys.version_info) != {tuple(sys.version_info)!r})"
    if subprocess.run([*other, sys.executable, "-c", same_python], capture_output=True).returncode:
        pytest.skip("another user cannot run this Python: it lies in a folder of root's")
    own.add_worker(wrapper=other, HOME=str(own.folder), DASK_TEMPORARY_DIRECTORY="/tmp")
    text = refused(own, tmp_path)
    assert f"cannot write to the output: {tmp_path}/out/.build/tmp: Permission denied" in text


def without_this_package(folder: Path) -> str:
    """Return an import path on which it looks as if this package was not installed."""
    package = folder / "bare" / "precompute"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'precompute'\")")
    return str(package.parent)


def test_a_scheduler_without_this_package(tmp_path: Path) -> None:
    with dask_cluster(tmp_path / "cluster", workers=1, scheduler_path=without_this_package(tmp_path)) as cluster:
        text = refused(cluster, tmp_path)
    assert "the scheduler cannot import augment-once: No module named 'precompute'; install it there" in text


def test_a_worker_without_this_package(own: DaskCluster, tmp_path: Path) -> None:
    own.add_worker(path=without_this_package(tmp_path))
    text = refused(own, tmp_path)
    assert "worker tcp://127.0.0.1:" in text
    assert "cannot import augment-once: No module named 'precompute'; install it there" in text


def other_pillow(folder: Path) -> str:
    """Return import paths on which Pillow is found with another version."""
    said = folder / "old" / "pillow-9.9.9.dist-info"
    said.mkdir(parents=True)
    (said / "METADATA").write_text("Metadata-Version: 2.1\nName: pillow\nVersion: 9.9.9\n")
    (said / "top_level.txt").write_text("PIL\n")
    (said.parent / "PIL").symlink_to(Path(PIL.__file__).parent)
    return f"{said.parent}{os.pathsep}{ROOT}"


def test_a_worker_with_other_versions(own: DaskCluster, tmp_path: Path) -> None:
    own.add_worker()
    own.add_worker(path=other_pillow(tmp_path))
    text = refused(own, tmp_path)
    assert "has pillow 9.9.9, this machine has" in text
    assert text.count("worker tcp://") == 1


def test_a_worker_that_joins_later_is_looked_at_too(own: DaskCluster, tmp_path: Path) -> None:
    """Else one that does not see the sources would make bad sources of them."""
    folder, out = draw_pairs(tmp_path / "data", 40), tmp_path / "out"
    own.add_worker()
    path = other_pillow(tmp_path)

    def join() -> None:
        wait_until(lambda: receipts(out))
        own.add_worker(path=path)

    joiner = beside(join)
    given = {"pipeline": slow_pipeline(tmp_path, 0.05), "variants": 20, "validation_split": 0.0}
    with pytest.raises(BuildError, match=r"has joined the cluster cannot do the work:\n.* has pillow 9\.9\.9"):
        precompute.build(folder, out, **on(own, **given))
    joiner.join(PATIENCE_S)
    assert not (out / "errors.jsonl").exists()


def test_a_pipeline_that_workers_cannot_load(two: DaskCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "installed_here").mkdir()  # not beside the pipelines: what lies there goes to the workers with them
    (tmp_path / "installed_here" / "only_here.py").write_text(
        "import albumentations as A\nclass Mine(A.ImageOnlyTransform):\n    def apply(self, img, **params):\n"
        "        return img\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "installed_here")
    path = tmp_path / "pipelines.py"
    path.write_text("import albumentations as A, only_here\ntrain = A.Compose([only_here.Mine(p=1), A.Resize(16, 16)])")
    text = refused(two, tmp_path, pipeline=path)
    assert "cannot load the pipeline of train: No module named 'only_here'; install what it imports there" in text


def test_mixed_processors(own: DaskCluster, tmp_path: Path) -> None:
    own.add_worker()
    own.add_worker(OPENCV_CPU_DISABLE="AVX2,AVX")
    lines = "import cv2; print(cv2.getCPUFeaturesLine())"
    environment = {**os.environ, "OPENCV_CPU_DISABLE": "AVX2,AVX"}
    other = subprocess.run([sys.executable, "-c", lines], env=environment, capture_output=True, text=True, check=True)
    if other.stdout.strip() == cv2.getCPUFeaturesLine():
        pytest.skip("OpenCV has nothing to switch off on this processor")
    text = refused(own, tmp_path)
    assert "the workers have 2 kinds of processors" in text
    assert cv2.getCPUFeaturesLine() in text and other.stdout.strip() in text
    assert "--allow-mixed-cpus" in text
    precompute.build(tmp_path / "data", tmp_path / "out", **on(own, variants=16, allow_mixed_cpus=True))
    named = set(Manifest.load(tmp_path / "out").cpu_features)
    assert named <= {cv2.getCPUFeaturesLine(), other.stdout.strip()} and named


def test_what_dask_itself_cannot_do_is_one_error(
    two: DaskCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that cannot be unpickled there fails outside all of our code; joblib alone would wait for ever."""
    monkeypatch.setattr(cluster_module.cluster_worker, "run_remote_task", Unloadable())
    text = refused(two, tmp_path)
    assert f"the cluster at {two.address} could not run a task: RuntimeError: " in text
    assert "\n" not in text


class Unloadable:
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("(_ for _ in ()).throw(RuntimeError('not to be loaded'))",)

    def __call__(self, *given: Any, **named: Any) -> None:
        raise AssertionError("never in this process")
