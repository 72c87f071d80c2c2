"""Datasets in an object store, read: `load` and `read` through a local cache."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import precompute
from precompute.dataset.leases import Lease, held_rows
from precompute.dataset.shard_cache import default_folder, open_cache
from precompute.errors import DatasetError, StorageError, UsageError
from precompute.storage.paths import as_path
from precompute.storage.remote_path import RemotePath
from tests.helpers.faulty_store import FaultyStore
from tests.helpers.object_stores import build, objects, put_tree
from tests.helpers.small_datasets import draw_pairs

pytestmark = pytest.mark.slow  # they start the store, and ask it hundreds of times

NUM_TRAIN = 18  # of 24 sources


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset on the local disk: of train four rows of two blocks, the original row among them."""
    folder = tmp_path_factory.mktemp("local")
    photos = draw_pairs(folder / "photos", 24)
    build(photos, folder / "shards", variants=3, include_original=True, shard_size=8192)
    return folder / "shards"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for cached shards."""
    monkeypatch.setenv("AUGMENT_ONCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def pixels(path: Any, *, epochs: int = 1, **arguments: Any) -> list[np.ndarray[Any, Any]]:
    dataset = precompute.load(path, batch_size=8, **arguments)
    return [part.numpy() for _ in range(epochs) for batch in dataset for part in batch]


def assert_equal(found: list[Any], expected: list[Any]) -> None:
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def cached(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.tfrecord"))


def until(true: Any) -> None:
    """Wait for what another thread is about to do."""
    for _ in range(3000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it has not come to that within 30 s")


def test_load_gives_what_the_local_dataset_gives(url: str, shards: Path, cache: Path) -> None:
    put_tree(shards, url)
    for arguments in ({"epochs": 5}, {"split": "validation"}, {"rows": "follow", "epochs": 2}):
        assert_equal(pixels(url, **arguments), pixels(shards, **arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        {"rows": "all"},
        {"rows": "follow", "epochs": 5},
        {"rows": [3, 1], "epochs": 2, "shuffle": False},
        {"cache": True, "epochs": 4},
        {"clean_from": 1, "epochs": 2, "check": "full"},
        {"start_batch": 1, "epochs": 2, "check": "none"},
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_load_with_other_arguments(url: str, shards: Path, cache: Path, arguments: dict[str, Any]) -> None:
    put_tree(shards, url)
    assert_equal(pixels(url, **arguments), pixels(shards, **arguments))


def test_read_gives_what_the_local_dataset_gives(url: str, shards: Path, cache: Path) -> None:
    put_tree(shards, url)
    for found, expected in zip(precompute.read(url, row=2), precompute.read(shards, row=2), strict=True):
        assert found["key"] == expected["key"]
        np.testing.assert_array_equal(found["image"], expected["image"])
        np.testing.assert_array_equal(found["mask"], expected["mask"])
    assert {path.name.split("-")[1] for path in cached(cache)} == {"train_r0002"}


def test_a_shard_is_fetched_once(store: FaultyStore, url: str, shards: Path, cache: Path) -> None:
    put_tree(shards, url)
    pixels(url, rows="all", epochs=2)
    pixels(url, rows="all")
    gets = [r["path"] for r in store.requests() if r["method"] == "GET" and ".tfrecord-" in r["path"]]
    assert len(gets) == len(set(gets)) == len(cached(cache)) == 8
    assert [path for path in cache.rglob("*") if "unfinished" in path.name] == []


def test_the_next_row_is_fetched_while_one_is_read(url: str, shards: Path, cache: Path) -> None:
    put_tree(shards, url)
    iterator = iter(precompute.load(url, batch_size=8, rows=[2, 0]))
    next(iterator)
    until(lambda: {path.name.split("-")[1] for path in cached(cache)} == {"train_r0002", "train_r0000"})


@pytest.mark.parametrize("check", ["sizes", "full"])
def test_a_cached_file_that_was_changed_is_fetched_again(url: str, shards: Path, cache: Path, check: str) -> None:
    put_tree(shards, url)
    expected = pixels(url, rows=[0])
    first, second = [path for path in cached(cache) if "r0000" in path.name]
    whole = first.read_bytes(), second.read_bytes()
    first.write_bytes(whole[0][:-7])
    if check == "full":
        second.write_bytes(whole[1][:50] + bytes([whole[1][50] ^ 1]) + whole[1][51:])
    assert_equal(pixels(url, rows=[0], check=check), expected)
    assert (first.read_bytes(), second.read_bytes()) == whole


def test_what_is_altered_in_the_store_is_refused(url: str, shards: Path, cache: Path) -> None:
    put_tree(shards, url)
    name = next(name for name in objects(url) if "train_r0001.tfrecord-00001" in name)
    path: Any = as_path(url) / name
    whole = path.read_bytes()
    path.write_bytes(whole[:50] + bytes([whole[50] ^ 1]) + whole[51:])
    with pytest.raises(DatasetError, match=r"tfrecord-00001-of-00002: this is not the shard .*--check full"):
        list(precompute.read(url, row=1))
    path.write_bytes(whole[:50])
    with pytest.raises(DatasetError, match="1 of 2 shards of train is not what the manifest says"):
        precompute.load(url, rows=[1])
    path.unlink()
    with pytest.raises(DatasetError, match="tfrecord-00001-of-00002: missing"):
        precompute.load(url, rows=[1])
    assert not any("r0001-00001" in path.name for path in cached(cache))


def test_a_download_that_is_cut(store: FaultyStore, url: str, shards: Path, cache: Path) -> None:
    put_tree(shards, url)
    store.fail("cut answer", "tfrecord", methods="GET", times=1)
    assert len(list(precompute.read(url))) == NUM_TRAIN
    assert store.faults() == ["cut answer"]
    store.fail("cut answer", "r0001.tfrecord", methods="GET")
    with pytest.raises(StorageError, match=r"train_r0001\.tfrecord.*Run the same command|run the same command"):
        list(precompute.read(url, row=1))
    assert store.faults()
    store.heal()
    assert len(list(precompute.read(url, row=1))) == NUM_TRAIN


def test_a_reader_leaves_a_lease_and_takes_it_away(url: str, shards: Path, cache: Path) -> None:
    put_tree(shards, url)
    reading = precompute.read(url, row=1)
    next(reading)
    assert held_rows(as_path(url), now=time.time()) == {("g0001", "train", 1)}
    reading.close()
    assert held_rows(as_path(url), now=time.time()) == set()
    assert not any(".leases" in name for name in objects(url))


def test_a_bucket_that_is_read_only_is_read(store: FaultyStore, url: str, shards: Path, cache: Path) -> None:
    put_tree(shards, url)
    store.fail("403", ".", methods="PUT DELETE POST")
    with pytest.warns(UserWarning, match="can leave no lease there.*--lease-dir"):
        examples = precompute.read(url)
    assert len(list(examples)) == NUM_TRAIN
    assert store.faults()
    with pytest.raises(UsageError, match=r"lease_dir: s3://bucket/leases cannot be written to .*refuses access"):
        precompute.load(url, lease_dir="s3://bucket/leases")


def test_rows_that_are_no_longer_listed_leave_the_cache(url: str, shards: Path, cache: Path) -> None:
    put_tree(shards, url)
    held = precompute.read(url, row=1)
    next(held)
    pixels(url, rows="all")
    precompute.drop(url, rows="1-2")
    pixels(url, rows=[0])
    assert {path.name.split("-")[1] for path in cached(cache)} == {"train_r0000", "train_r0001", "train_r0003"}
    held.close()
    pixels(url, rows=[0])
    assert {path.name.split("-")[1] for path in cached(cache)} == {"train_r0000", "train_r0003"}


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str) -> None:
    monkeypatch.delenv("AUGMENT_ONCE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert default_folder() == tmp_path / "augment-once"
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "windows"))
    assert default_folder() == tmp_path / "windows/augment-once"
    assert open_cache(tmp_path, None) is None
    assert open_cache(as_path("gs://bucket/shards"), None, tensorflow=True) is None
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cache_dir: .*file.* cannot be written to .*AUGMENT_ONCE_CACHE"):
        open_cache(as_path(url), tmp_path / "file")


def test_a_model_is_trained_from_a_store(url: str, shards: Path, cache: Path, tmp_path: Path) -> None:
    from train.fit import fit
    from train.options import FitOptions

    put_tree(shards, url)
    options = FitOptions(epochs=2, batch_size=8, base_channels=4, deterministic=True)
    histories = []
    for name, dataset in (("remote", url), ("local", str(shards))):
        fit(dataset, run=tmp_path / name, options=options)
        lines = (tmp_path / name / "history.csv").read_text().splitlines()
        histories.append([line.split(",")[:3] for line in lines])
    assert histories[0] == histories[1]
    assert json.loads((tmp_path / "remote/options.json").read_text())["dataset"] == url


def test_a_lease_that_ends_while_it_is_renewed_does_not_come_back(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = Lease(as_path(url), [("g0001", "train", 0)])
    write = RemotePath.write_bytes

    def close_meanwhile(path: RemotePath, content: bytes) -> None:
        lease.close()
        write(path, content)

    monkeypatch.setattr(RemotePath, "write_bytes", close_meanwhile)
    lease._file.renew()
    assert objects(url) == {}
    lease._file.renew()
    assert objects(url) == {}
