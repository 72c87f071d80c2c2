"""Names that are URLs, and what is told where a store cannot be used. No store is asked but one in memory."""

from __future__ import annotations

import pickle
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from fsspec.registry import _registry

import precompute
from precompute.errors import StorageError, UsageError
from precompute.sources.walk import walk
from precompute.storage import store as stores
from precompute.storage.paths import absolute, as_path, common_folder, is_remote, is_url, local_path
from precompute.storage.remote_path import RemotePath
from precompute.storage.snapshot import seen_at_once
from precompute.storage.store import translate_errors
from precompute.storage.transfer import copy_object, delete_objects, delete_tree
from tests.helpers.small_datasets import draw_classes, options


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Any:
    """A folder of a store in memory."""
    return as_path(f"memory://bucket/{request.node.name}")


def test_names() -> None:
    path: Any = as_path("S3://bucket//a/./b.json/")
    assert str(path) == path.as_posix() == f"{path}" == "s3://bucket/a/b.json"
    assert (path.name, path.suffix, str(path.parent)) == ("b.json", ".json", "s3://bucket/a")
    assert [str(parent) for parent in path.parents] == ["s3://bucket/a", "s3://bucket"]
    assert str(path.with_name("c")) == "s3://bucket/a/c"
    assert str(path.parent / "x/y" / "z") == "s3://bucket/a/x/y/z"
    assert str(path / "gs://other/y") == "gs://other/y"
    assert path.is_relative_to(as_path("s3://bucket/a"))
    assert not path.is_relative_to(as_path("s3://bucket/ab"))
    assert pickle.loads(pickle.dumps(path)) == path
    assert path.absolute() == path.resolve() == path
    assert str(absolute(path / "../../c")) == "s3://bucket/c"
    assert str(absolute(as_path("s3://bucket/../../c"))) == "s3://bucket/c"
    with pytest.raises(TypeError):
        open(path)  # noqa: PTH123, SIM115 (it is no local file)


def test_what_is_a_url(tmp_path: Path) -> None:
    assert is_remote(as_path("s3://b")) and is_url("gs://b/c")
    for local in ("a/b", "C:/a", "C:\\a", "/a:b/c", "a://b"):
        assert not is_url(local)
        assert as_path(local) == Path(local)
    assert as_path(f"file://{tmp_path}/a%20b") == tmp_path / "a b"
    assert as_path(tmp_path) is not None
    with pytest.raises(UsageError, match="s3:/b/c: this was a URL before pathlib.Path left out a slash"):
        as_path(Path("s3://b/c"))
    with pytest.raises(UsageError, match="s3://: expected the URL of a bucket"):
        as_path("s3://")
    with pytest.raises(UsageError, match="--output: expected a path on this machine's disks, got s3://b/c"):
        local_path("s3://b/c", "--output")


def test_common_folders(tmp_path: Path) -> None:
    assert str(common_folder(["s3://b/x/1", "s3://b/x/23", "s3://b/x/2/3"])) == "s3://b/x"
    assert str(common_folder(["s3://b/ab", "s3://b/ac"])) == "s3://b"
    assert common_folder(["s3://b/x", "s3://c/x"]) is None
    assert common_folder(["s3://b/x", "/x"]) is None
    assert common_folder([f"{tmp_path}/a", f"{tmp_path}/b"]) == tmp_path


def test_objects_as_files(folder: Any) -> None:
    for name in ("g0001/plan.json", "g0002/plan.json", "g0002/other", "h/plan.json"):
        (folder / name).write_bytes(name.encode())
    assert sorted(str(path.parent.name) for path in folder.glob("g*/plan.json")) == ["g0001", "g0002"]
    assert {path.name for path in folder.iterdir()} == {"g0001", "g0002", "h"}
    assert list((folder / "missing").iterdir()) == list((folder / "missing").glob("*")) == []
    path = folder / "g0002/other"
    assert (path.exists(), path.is_file(), path.is_dir()) == (True, True, False)
    assert (folder.exists(), folder.is_file(), folder.is_dir()) == (True, False, True)
    assert not (folder / "g000").exists()
    assert path.stat().st_size == 11
    assert stat.S_ISREG(path.lstat().st_mode)
    assert path.read_text() == "g0002/other"
    with path.open("rb") as file:
        assert file.read(5) == b"g0002"
    copy_object(path, folder / "copy")
    delete_objects([path, folder / "never there"])
    assert not path.exists()
    assert (folder / "copy").read_bytes() == b"g0002/other"
    with pytest.raises(FileNotFoundError):
        path.read_bytes()
    with pytest.raises(FileNotFoundError):
        path.unlink()
    path.unlink(missing_ok=True)
    delete_tree(folder)
    delete_tree(folder)
    assert not folder.exists()


def test_folders_seen_at_once(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/1", "a/2", "b/3"):
        (folder / name).write_bytes(name.encode())
    with seen_at_once(folder / "a", folder / "none", contents=(folder / "b",)):
        monkeypatch.setattr(stores.filesystem("memory"), "info", None)  # nothing is asked any more
        assert (folder / "a/1").stat().st_size == 3
        assert (folder / "b/3").read_bytes() == b"b/3"
        assert not (folder / "a/3").exists()
        assert not (folder / "none/1").exists()
        with pytest.raises(FileNotFoundError):
            (folder / "b/1").read_bytes()
    monkeypatch.undo()
    (folder / "a/3").write_bytes(b"")
    assert (folder / "a/3").exists()


def test_a_walk_in_a_store_finds_what_one_on_a_disk_finds(folder: Any, tmp_path: Path) -> None:
    names = ["cat/1.jpg", "cat/.2.jpg", "dog/x/3.PNG", ".git/4.jpg", "dog/__MACOSX/y/5.jpg", "notes.txt", "masks/6.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
        (folder / name).write_bytes(name.encode())
    for skip in (None, "masks"):
        found = [
            [
                (f.parts, f.path.removeprefix(top.as_posix()), sorted(f.files), f.num_ignored_files)
                for f in walk(top, skip=[top / skip] if skip else ()).folders
            ]
            for top in (folder, tmp_path)
        ]
        assert found[0] == found[1]


# Where it cannot be used


def test_without_fsspec_local_files_are_as_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    stores._made.cache_clear()
    precompute.build(draw_classes(tmp_path / "data"), tmp_path / "out", **options(variants=1, validation_split=0.0))
    assert len(list(precompute.read(tmp_path / "out"))) == 12
    with pytest.raises(UsageError, match=r"s3://: a package for this store is not installed.*augment-once\[s3\]"):
        precompute.build(tmp_path / "data", "s3://bucket/out", **options())
    with pytest.raises(UsageError, match=r"gs://: a package for this store is not installed.*augment-once\[gcs\]"):
        precompute.build("gs://bucket/photos", tmp_path / "other", **options())


def test_without_the_package_of_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(_registry, "s3", raising=False)
    stores._made.cache_clear()
    with pytest.raises(UsageError, match=r"s3://: a package .* is not installed .*: pip install 'augment-once\[s3\]'"):
        as_path("s3://bucket/x").exists()
    stores._made.cache_clear()


def test_a_scheme_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="s4://: expected a local path, or the URL of a store that fsspec knows"):
        precompute.build("s4://bucket/photos", tmp_path / "out", **options())


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (PermissionError("Forbidden"), r"s3://b/x: the store refuses access \(Forbidden\); look at the credentials"),
        (RuntimeError("Unable to locate credentials"), r"refuses access \(Unable to locate credentials\)"),
        (OSError(121, "We failed."), r"cannot be reached, or has failed \(OSError: We failed\)\. What was finished is"),
        (TimeoutError(), r"has failed \(TimeoutError: TimeoutError\)"),
    ],
)
def test_what_libraries_raise_is_explained(raised: Exception, message: str) -> None:
    with pytest.raises(StorageError, match=message), translate_errors("s3://b/x"):
        raise raised


def test_a_full_disk_is_no_fault_of_the_store() -> None:
    with pytest.raises(OSError, match="No space left"), translate_errors("s3://b/x"):
        raise OSError(28, "No space left on device", "/tmp/x")


def test_a_path_of_a_store_has_no_local_name() -> None:
    assert not hasattr(RemotePath, "__fspath__")
