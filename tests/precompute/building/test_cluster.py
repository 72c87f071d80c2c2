"""What can be said of a Dask cluster without one: addresses, missing packages, what workers look at, and lost tasks."""

from __future__ import annotations

import hashlib
import socket
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import pytest
from joblib.parallel import ThreadingBackend

import precompute
from precompute.building import cluster, cluster_worker
from precompute.building.execute import make_workers
from precompute.building.heartbeat import Abandoned, Heartbeat, sources_of_dead_workers
from precompute.building.task import Task, TaskContext
from precompute.cli import main
from precompute.errors import BuildError, UsageError
from tests.helpers.small_datasets import draw_pairs, options, pipeline, shard_hashes

ADDRESS = "tcp://127.0.0.1:8786"


# Options


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"backend": "dask"}, "address: backend dask needs that of the scheduler, .* such as tcp://10.0.0.1:8786"),
        ({"address": ADDRESS}, "address: is for backend dask; got backend loky"),
        ({"backend": "dask", "address": "10.0.0.1"}, "address: expected one such as tcp://10.0.0.1:8786, got '10"),
        ({"backend": "dask", "address": 8786}, "address: expected one such as tcp://10.0.0.1:8786, got '8786'"),
        ({"backend": "dask", "address": ADDRESS, "task_timeout": 5}, "task_timeout: needs backend loky, .* got dask"),
        ({"backend": "dusk"}, "backend: expected one of loky, threading, sequential, dask, or from Python a name"),
        ({"backend": "multiprocessing"}, "backend: expected one of .* got 'multiprocessing'"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        precompute.build(tmp_path, tmp_path / "out", **given)


def test_the_command_line_takes_four_backends(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["build", "a", "b"], ["regenerate", "b", "--seed", "1"], ["follow", "b"]):
        with pytest.raises(SystemExit):
            main([*command, "--pipeline", "light", "--backend", "ray"])
        assert "--backend: invalid choice: 'ray'" in capsys.readouterr().err


def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    with socket.socket() as closed:  # a port that nobody else gets meanwhile, and nobody listens at
        closed.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(BuildError, match=f"address: no Dask scheduler answers at {address} .*`dask scheduler`"):
            precompute.build(
                draw_pairs(tmp_path / "data"), tmp_path / "out", **options(backend="dask", address=address)
            )
    assert not (tmp_path / "out").exists()


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "precompute.building.cluster")
    with pytest.raises(UsageError, match=r"dask needs the extra dask: pip install 'augment-once\[dask\]'"):
        precompute.build(draw_pairs(tmp_path / "data"), tmp_path / "out", **options(backend="dask", address=ADDRESS))


def test_jobs_bound_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "num_threads", lambda address: 7)
    given = {"backend": "dask", "address": ADDRESS}
    for jobs, expected in ((None, (7, 14)), (3, (3, 3))):
        workers = make_workers(precompute.building.build.BuildOptions(**given, jobs=jobs))
        assert (workers.jobs, workers.under_way, workers.address) == (*expected, ADDRESS)


class OneByOne(ThreadingBackend):  # type: ignore[misc]  # joblib has no types
    """Stands for a backend that others have registered, and that gives all results at the end, as Spark's does."""

    supports_return_generator = False


@pytest.mark.parametrize("backend", [ThreadingBackend, OneByOne])
def test_a_backend_that_others_registered(tmp_path: Path, backend: type) -> None:
    joblib.register_parallel_backend("of others", backend)
    folder = draw_pairs(tmp_path / "data", 24)
    precompute.build(folder, tmp_path / "out", **options(backend="of others", jobs=2))
    precompute.build(folder, tmp_path / "here" / "out", **options())
    assert shard_hashes(tmp_path / "out") == shard_hashes(tmp_path / "here" / "out")


# What a worker looks at


def expected(folder: Path, **changes: Any) -> cluster_worker.Expected:
    """Return what a worker must have and see that is this process."""
    (folder / "marker").write_text("token")
    (folder / "source.png").write_bytes(b"pixels")
    whole = {
        "token": "token",
        "versions": cluster_worker.deciding_versions(),
        "cpu_features": None,
        "marker": str(folder / "marker"),
        "temporary": str(folder),
        "sources": {str(folder / "source.png"): hashlib.sha256(b"pixels").hexdigest()},
        "pipelines": {"train": cloudpickle.dumps(pipeline())},
    }
    return cluster_worker.Expected(**{**whole, **changes})  # type: ignore[typeddict-item]


def test_a_worker_that_has_all_of_it(tmp_path: Path) -> None:
    found = cluster_worker.examine(expected(tmp_path))
    assert found["faults"] == []
    assert found["host"] == socket.gethostname()
    assert cluster_worker.examine(expected(tmp_path, cpu_features=found["cpu_features"]))["faults"] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["marker", "source.png"], "nothing is left there"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"versions": {"numpy": "0.1"}}, r"has numpy \d\S+, this machine has 0.1; install the same version on both"),
        ({"versions": {"augment-once": "9"}}, "has augment-once .*, this machine has 9"),
        ({"cpu_features": "SSE"}, "has another processor than the workers before it: OpenCV uses "),
        ({"marker": "/nowhere/marker"}, "does not see what .* to the output: /nowhere/marker: No such file"),
        ({"token": "another"}, "has another file where this machine has just written to the output: .*marker"),
        ({"temporary": "/nowhere"}, "cannot write to the output: /nowhere: No such file or directory"),
        ({"sources": {"/nowhere/a.png": ""}}, "cannot read the source /nowhere/a.png: No such file or directory"),
        ({"pipelines": {"train": b"ccolorless\ngreen\n."}}, "cannot load the pipeline of train: No module named 'col"),
    ],
)
def test_what_a_worker_may_lack(tmp_path: Path, changes: dict[str, Any], fault: str) -> None:
    (found,) = cluster_worker.describe("tcp://a:1", cluster_worker.examine(expected(tmp_path, **changes)))
    assert found.startswith(f"worker tcp://a:1 on {socket.gethostname()} ")
    with pytest.raises(AssertionError, match=fault):
        raise AssertionError(found)


def test_a_source_with_other_bytes(tmp_path: Path) -> None:
    given = expected(tmp_path)
    (tmp_path / "source.png").write_bytes(b"others")
    assert cluster_worker.examine(given)["faults"] == [
        f"has other bytes in the source {tmp_path / 'source.png'} than this machine"
    ]


# Tasks that are begun anew


def die_at(folder: Path, key: str, *, only_task: bool = True) -> None:
    """Leave the note of a process that died."""
    Heartbeat(folder, "train-00001-0000", only_task=only_task).at("train", key)


def test_deaths_are_counted_by_task_and_source(tmp_path: Path) -> None:
    die_at(tmp_path, "a")
    die_at(tmp_path, "b")
    die_at(tmp_path, "b")
    die_at(tmp_path, "c", only_task=False)  # another task of that process may be to blame
    with Heartbeat(tmp_path, "train-00002-0000") as other:
        assert not other.deaths
    with Heartbeat(tmp_path, "train-00001-0000") as note:
        assert note.deaths == {("train", "a"): 1, ("train", "b"): 2}
    assert not list(tmp_path.glob("*")), "the task has ended: nobody needs them any more"


def test_a_task_that_fails_leaves_the_notes_to_the_next(tmp_path: Path) -> None:
    die_at(tmp_path, "a")
    with pytest.raises(OSError, match="full"), Heartbeat(tmp_path, "train-00001-0000"):
        raise OSError("full")
    assert Heartbeat(tmp_path, "train-00001-0000").deaths == {("train", "a"): 1}


def test_a_task_whose_note_was_taken_away_stops(tmp_path: Path) -> None:
    with Heartbeat(tmp_path) as note:
        note.at("train", "a")
        assert sources_of_dead_workers(tmp_path) == {("train", "a")}
        with pytest.raises(Abandoned):
            note.at("train", "b")


def test_two_attempts_at_a_task_leave_what_one_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that was thought dead ends its task all the same, after the one that took over, or before it."""
    from precompute.building import execute
    from precompute.building.task import run_task

    def thrice(context: TaskContext, task: Task) -> Any:
        with Heartbeat(Path(context.out) / ".build" / "at", task.name, only_task=True) as other:
            other.at(task.split, task.places[0].key)  # it is still there, and no second one has died
            for _ in range(2):
                run_task(context, task)
            return run_task(context, task)

    folder = draw_pairs(tmp_path / "data", 24)
    precompute.build(folder, tmp_path / "here" / "out", **options())
    monkeypatch.setattr(execute, "run_task", thrice)
    precompute.build(folder, tmp_path / "out", **options())
    assert shard_hashes(tmp_path / "out") == shard_hashes(tmp_path / "here" / "out")
