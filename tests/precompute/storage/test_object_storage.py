"""Datasets and sources in an object store: written to a real server that speaks S3, and that fails on request."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from joblib.externals.loky import get_reusable_executor

import precompute
from precompute.building.folder import FolderInUseError, RemoteLock, write_lock
from precompute.dataset.leases import EXPIRES_S
from precompute.dataset.paths import DatasetPaths
from precompute.errors import PrecomputeError, SourceError, StorageError, UsageError
from precompute.storage.paths import as_path
from precompute.storage.store import S3_OPTIONS, filesystem
from precompute.storage.transfer import download, upload
from tests.helpers.faulty_store import ERRORS, KINDS, FaultyStore
from tests.helpers.object_stores import assert_listed_is_there, assert_same, build, files_of, objects, put_tree
from tests.helpers.project import ROOT
from tests.helpers.small_datasets import draw_pairs, options, rows_of

pytestmark = pytest.mark.slow  # they start the store, and ask it hundreds of times

NUM_SOURCES = 6  # each is a few requests, in each of a hundred builds


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``photos``, and ``shards`` made from them, on the local disk."""
    folder = tmp_path_factory.mktemp("local")
    build(draw_pairs(folder / "photos", NUM_SOURCES), folder / "shards")
    return folder


@pytest.fixture(scope="module")
def photos(store: FaultyStore, local: Path) -> str:
    """The same sources in the store."""
    return put_tree(local / "photos", "s3://bucket/photos")


# The store of these tests fails when it is told to


def ask(store: FaultyStore, method: str, content: bytes | None = None) -> bytes:
    """Send a request that nobody repeats."""
    headers = {
        "Authorization": "AWS4-HMAC-SHA256 Credential=nobody/20300101/us-east-1/s3/aws4_request",
        "Content-Type": "application/octet-stream",
    }
    request = urllib.request.Request(f"{store.endpoint}/bucket/asked.bin", content, headers, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        body: bytes = answer.read()
        return body


@pytest.mark.parametrize("kind", KINDS)
def test_the_store_fails_on_request(store: FaultyStore, url: str, kind: str) -> None:
    before, after = b"before" * 1000, b"after" * 1000
    ask(store, "PUT", before)
    store.fail(kind, "asked", methods="GET" if kind == "cut answer" else "PUT", first=2, times=1)
    if kind == "cut answer":
        assert ask(store, "GET") == before  # the first one
        with pytest.raises(http.client.IncompleteRead):
            ask(store, "GET")
    else:
        ask(store, "PUT", before)
        if kind in ERRORS:
            with pytest.raises(urllib.error.HTTPError, match=kind):
                ask(store, "PUT", after)
        elif kind == "delay":
            ask(store, "PUT", after)
        else:
            with pytest.raises((http.client.RemoteDisconnected, ConnectionError, urllib.error.URLError)):
                ask(store, "PUT", after)
    assert store.faults() == [kind]
    assert ask(store, "GET") == (after if kind in ("lost answer", "delay") else before)
    assert store.faults() == []


# The same bytes, wherever sources and shards lie


def test_from_store_to_store_as_from_disk_to_disk(store: FaultyStore, url: str, local: Path, photos: str) -> None:
    build(photos, url)
    puts = [request["path"] for request in store.requests() if request["method"] == "PUT"]
    assert puts[-1].endswith("/manifest.json")
    assert_same(objects(url), files_of(local / "shards"))
    assert list(DatasetPaths(as_path(url)).temporary.glob("*")) == []
    assert not any(name.startswith(".build/") for name in objects(url))
    store.requests()
    assert "complete already" in build(photos, url).summary()
    written = [request["path"] for request in store.requests() if request["method"] == "PUT"]
    assert all(path.endswith("/lock.json") for path in written)


def test_from_disk_to_store_and_from_store_to_disk(url: str, local: Path, photos: str, tmp_path: Path) -> None:
    build(local / "photos", url)
    assert_same(objects(url), files_of(local / "shards"))
    build(photos, tmp_path / "shards")
    assert_same(files_of(tmp_path / "shards"), files_of(local / "shards"))


def test_lists_of_urls(url: str, local: Path, photos: str, tmp_path: Path) -> None:
    names = sorted(path.name for path in (local / "photos/images").iterdir())
    lists = {role: [f"{photos}/{role}/{name}" for name in names] for role in ("images", "masks")}
    keys = [Path(name).stem for name in names]
    build(None, tmp_path / "shards", **lists, keys=keys)
    assert (
        files_of(tmp_path / "shards")["data/g0001/rows/train_r0001.json"]
        == (local / "shards/data/g0001/rows/train_r0001.json").read_bytes()
    )
    mixed = {"images": lists["images"], "masks": [local / "photos/masks" / name for name in names]}
    build(None, tmp_path / "mixed", **mixed, keys=keys)
    assert precompute.verify(tmp_path / "mixed", sources=3).problems == []
    lists["masks"][3] += ".gone"
    with pytest.raises(
        SourceError, match=r"1 of 12 files cannot be found:\n  's003': s3://bucket/photos/masks/s003.png.gone"
    ):
        build(None, tmp_path / "other", **lists, keys=keys)


def test_rows_come_and_go_in_a_store(url: str, local: Path, photos: str, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    shutil.copytree(local / "shards", out)
    for source, target in ((photos, url), (local / "photos", out)):
        build(source, target)
        build(source, target, variants=4)
        precompute.drop(target, rows="1-2")
        precompute.regenerate(target, seed=5, jobs=1, backend="sequential", quiet=True)
        build(source, target, variants=1, image_format="jpeg", replace=True)
        precompute.follow(target, keep=2, rows=1, jobs=1, backend="sequential", quiet=True)
    assert_same(objects(url), files_of(out))
    assert precompute.verify(url, sources=5).problems == []


def test_with_workers(url: str, local: Path, photos: str) -> None:
    get_reusable_executor(kill_workers=True).shutdown(kill_workers=True)  # others know nothing of this store
    build(photos, url, jobs=2, backend="loky")
    assert_same(objects(url), files_of(local / "shards"))


def test_bad_sources_are_left_out_as_on_a_disk(url: str, local: Path, tmp_path: Path) -> None:
    shutil.copytree(local / "photos", tmp_path / "photos")
    (tmp_path / "photos/images/s005.png").write_bytes(b"no image")
    source = put_tree(tmp_path / "photos", url.replace("/shards", "/photos"))
    build(source, url, skip_bad="1")
    build(tmp_path / "photos", tmp_path / "shards", skip_bad="1")
    stored = json.loads(objects(url)["manifest.json"])
    assert [(s["key"], s["reason"][:5]) for s in stored["skipped"]] == [("s005", "s3://")]
    assert (
        objects(url)["data/g0001/rows/train_r0000.json"]
        == (tmp_path / "shards/data/g0001/rows/train_r0000.json").read_bytes()
    )


def test_what_is_altered_is_found_and_put_back(url: str, local: Path) -> None:
    put_tree(local / "shards", url)
    name = next(name for name in objects(url) if "train_r0001.tfrecord" in name)
    whole = objects(url)[name]
    (as_path(url) / name).write_bytes(whole[:99] + bytes([whole[99] ^ 1]) + whole[100:])
    problems = precompute.verify(url).problems
    assert [str(problem.path) for problem in problems] == [f"{url}/{name}"]
    build(local / "photos", url, check="full")
    assert objects(url)[name] == whole
    assert precompute.verify(url).problems == []


def test_a_dry_run_writes_nothing(store: FaultyStore, url: str, photos: str) -> None:
    summary = build(photos, url, dry_run=True).summary()
    assert "nothing was written" in summary
    assert "disk: an object store, which shows no limit" in summary
    assert {request["method"] for request in store.requests()} == {"GET", "HEAD"}


# Faults

POINTS = {
    "source": (r"/photos/(images|masks)/s00[2-5]", "GET"),
    "listing": "list-type",
    "draft": r"plan\.json",
    "shard": (r"tfrecord", "PUT"),
    "size of a shard": (r"tfrecord", "HEAD"),
    "receipt": (r"/receipts/", "PUT"),
    "reading a receipt": (r"/receipts/", "GET"),
    "row file": r"/rows/.*json",
    "manifest": r"manifest\.json",
    "lock": r"lock\.json",
    "deletion": (r"\?delete", "POST"),
}


TIMES = (1, 10**9)
# Every kind at every point, once or on and on: each kind and each point meets both.
FAULTS = [
    pytest.param(point, kind, times := TIMES[(i + j) % 2], id=f"{point}-{kind}-{'once' if times == 1 else 'on and on'}")
    for i, point in enumerate(POINTS)
    for j, kind in enumerate(KINDS)
]


def fail_at(store: FaultyStore, kind: str, point: str, *, times: int) -> None:
    path, methods = POINTS[point] if isinstance(POINTS[point], tuple) else (POINTS[point], "GET PUT HEAD")
    store.fail(kind, str(path), methods=methods, first=1, times=times)


def build_with_fault(source: str, url: str) -> PrecomputeError | None:
    """Return the error that a build ends with, if it does; what is listed then is there all the same."""
    try:
        build(source, url)
    except PrecomputeError as error:
        return error
    return None


def check_fault(store: FaultyStore, url: str, local: Path, photos: str, kind: str, point: str, times: int) -> None:
    fail_at(store, kind, point, times=times)
    error = build_with_fault(photos, url)
    assert store.faults(), f"no request came to {point}"
    store.heal()
    if error is not None:
        assert isinstance(error, StorageError), repr(error)
        assert "s3://bucket/" in str(error)
        assert "un the same command again" in str(error) or "may these credentials" in str(error)
    assert_listed_is_there(url)
    build(photos, url)
    assert_same(objects(url), files_of(local / "shards"))


def test_a_store_that_fails_for_long_ends_the_build_and_the_same_command_goes_on(
    store: FaultyStore, url: str, local: Path, photos: str
) -> None:
    check_fault(store, url, local, photos, "500", "manifest", 10**9)


@pytest.mark.parametrize(("point", "kind", "times"), FAULTS)
def test_faults_end_in_success_or_an_error_and_after_the_same_command_in_the_same_bytes(
    store: FaultyStore, url: str, local: Path, photos: str, kind: str, point: str, times: int
) -> None:
    check_fault(store, url, local, photos, kind, point, times)


def test_a_source_that_the_store_does_not_hand_out_is_no_bad_source(store: FaultyStore, url: str, photos: str) -> None:
    store.fail("503", r"/photos/images/s004")
    with pytest.raises(StorageError, match="s3://bucket/photos/images/s004.png: the store cannot be reached, or has"):
        build(photos, url, skip_bad="50%")
    assert "manifest.json" not in objects(url)


KILLED = """
import sys
import precompute
from tests.helpers.small_datasets import options
if __name__ == "__main__":
    precompute.build(sys.argv[1], sys.argv[2], **options(variants=2, jobs=2, backend="loky", shard_size=4096))
"""


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_killed_and_resumed(store: FaultyStore, url: str, photos: str, local: Path, tmp_path: Path, nth: int) -> None:
    (tmp_path / "killed.py").write_text(KILLED)
    store.fail("delay", "/receipts/", methods="PUT", first=nth, delay_s=0.5)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "killed.py"), photos, url],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    while not store.faults():
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert "manifest.json" not in objects(url)
    assert any("/receipts/" in name for name in objects(url)) or nth == 1
    store.heal()
    whole = precompute.build(local / "photos", tmp_path / "shards", **options(variants=2, shard_size=4096))
    assert whole.num_records > 0
    build(photos, url, shard_size=4096)
    assert_same(objects(url), files_of(tmp_path / "shards"))


def test_a_transfer_that_is_cut_goes_on(store: FaultyStore, url: str, tmp_path: Path) -> None:
    content = os.urandom(300_000)
    (tmp_path / "sent").write_bytes(content)
    path: Any = as_path(url) / "x.bin"
    for kind in ("cut request", "lost answer", "503"):
        store.fail(kind, "x.bin", methods="PUT", times=1)
        upload(tmp_path / "sent", path)
        assert store.faults() == [kind]
        store.fail("cut answer", "x.bin", methods="GET", times=1)
        download(path, tmp_path / "got")
        assert store.faults() == ["cut answer"]
        assert (tmp_path / "got").read_bytes() == content
        path.unlink()


def test_a_large_file_is_sent_in_parts_and_appears_whole(
    store: FaultyStore, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(S3_OPTIONS, "chunksize", 5 * 2**20)  # the smallest that S3 takes
    content = os.urandom(11 * 2**20)
    (tmp_path / "sent").write_bytes(content)
    path: Any = as_path(url) / "x.bin"
    store.fail("500", "partNumber=3", methods="PUT")
    with pytest.raises(StorageError, match="x.bin"):
        upload(tmp_path / "sent", path)
    assert not path.exists()
    store.fail("cut request", "partNumber=2", methods="PUT", times=1)
    upload(tmp_path / "sent", path)
    assert path.read_bytes() == content


# One writer at a time


def write_other_lock(url: str) -> Any:
    path: Any = as_path(url) / ".build/lock.json"
    path.write_bytes(json.dumps({"id": "1", "disk": "2", "host": "elsewhere", "pid": 7}).encode())
    return path


def test_a_build_on_another_machine_keeps_this_one_away(url: str, photos: str) -> None:
    path = write_other_lock(url)
    with pytest.raises(FolderInUseError, match=r"another build is writing here \(elsewhere, process 7"):
        build(photos, url)
    assert json.loads(path.read_bytes())["host"] == "elsewhere"


def test_a_lock_that_was_not_renewed_is_taken_over(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_other_lock(url)
    now = time.time()
    monkeypatch.setattr("precompute.building.folder.time.time", lambda: now + EXPIRES_S + 1)
    with write_lock(as_path(url)):
        assert json.loads(path.read_bytes())["pid"] == os.getpid()
    assert not path.exists()


def test_the_lock_of_a_killed_build_on_this_machine_is_taken_over_at_once(url: str) -> None:
    killed: Any = RemoteLock(as_path(url))  # type: ignore[arg-type]
    assert killed.acquire() is None
    with write_lock(as_path(url)):
        pass
    assert objects(url) == {}


def test_a_lock_whose_answer_was_lost_is_had_all_the_same(store: FaultyStore, url: str) -> None:
    store.fail("lost answer", "lock.json", methods="PUT", times=1)
    with write_lock(as_path(url)):
        assert store.faults() == ["lost answer"]
    assert objects(url) == {}


def test_two_builds_on_one_machine(url: str) -> None:
    with (
        write_lock(as_path(url)),
        pytest.raises(FolderInUseError, match="another build is writing here; wait"),
        write_lock(as_path(url)),
    ):
        pass


# Messages


def test_a_bucket_that_is_not_there(url: str, local: Path) -> None:
    with pytest.raises(StorageError, match=r"s3://nowhere/shards.*does the bucket exist\?"):
        build(local / "photos", "s3://nowhere/shards")
    with pytest.raises(SourceError, match="s3://nowhere/photos: there is no such folder"):
        build("s3://nowhere/photos", url)


def test_no_permission(store: FaultyStore, url: str, local: Path) -> None:
    store.fail("403", "shards", methods="PUT")
    with pytest.raises(StorageError, match=r"shards/.*: the store refuses access .*look at the credentials"):
        build(local / "photos", url)


def test_what_a_url_is_of_no_use_for(url: str, local: Path) -> None:
    with pytest.raises(UsageError, match=r"images: expected a path on this machine's disks, got s3://bucket"):
        precompute.prepare_images(local / "shards", [url])


def test_another_folder_of_objects_is_no_dataset(url: str, local: Path) -> None:
    (as_path(url) / "notes.txt").write_bytes(b"")
    with pytest.raises(PrecomputeError, match="holds other files and no dataset"):
        build(local / "photos", url)
    assert list(objects(url)) == ["notes.txt"]


def test_the_command_line_takes_urls(url: str, local: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from precompute.cli import main

    put_tree(local / "shards", url)
    assert main(["drop", url, "--rows", "0"]) == 0
    assert [row for row, _, _ in rows_of(url)] == [1]  # type: ignore[arg-type]
    assert main(["inspect", url]) == 0
    assert main(["verify", url]) == 0
    assert "all as written" in capsys.readouterr().out
    assert not filesystem("s3").find(f"{url}/.build")
