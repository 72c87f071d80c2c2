"""File systems that lack a call: folders that cannot be synced, files that cannot be locked or linked."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

import precompute
from precompute.building import files
from precompute.building.folder import FolderInUseError, write_lock
from precompute.errors import BuildError
from tests.helpers.small_datasets import draw_pairs, options, shard_hashes

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows syncs no folders")


def fail_for_folders(patch: pytest.MonkeyPatch, number: int) -> None:
    """Let syncing of folders fail, and of nothing else."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        real(descriptor)

    patch.setattr(files, "_unsynced", {})
    patch.setattr(files.os, "fsync", fsync)


@pytest.mark.parametrize("name", ["EINVAL", "ENOTSUP", "EPERM", "EACCES", "ENOSYS"])
def test_a_build_goes_on_with_one_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folder, out = draw_pairs(tmp_path / "data", 12), tmp_path / "out"
    fail_for_folders(monkeypatch, getattr(errno, name))
    for variants in (2, 3):
        precompute.build(folder, out, **options(quiet=False, variants=variants))
    assert capsys.readouterr().err.count("this file system cannot sync folders") == 1
    assert precompute.verify(out, jobs=1).problems == []
    monkeypatch.undo()
    precompute.build(folder, tmp_path / "whole" / "out", **options())
    assert shard_hashes(out) == shard_hashes(tmp_path / "whole" / "out")


def test_nothing_is_said_where_folders_are_synced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    precompute.build(draw_pairs(tmp_path / "data", 12), tmp_path / "out", **options(quiet=False))
    assert "sync" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["EIO", "ENOSPC"])
def test_a_disk_that_fails_still_fails_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    folder, out = draw_pairs(tmp_path / "data", 12), tmp_path / "out"
    fail_for_folders(monkeypatch, getattr(errno, name))
    with pytest.raises(BuildError, match=os.strerror(getattr(errno, name))):
        precompute.build(folder, out, **options())
    assert not (out / "manifest.json").exists()


@pytest.mark.parametrize("name", ["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def test_a_folder_that_cannot_be_locked_is_held_by_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    import fcntl

    def flock(*_: object) -> None:
        raise OSError(getattr(errno, name), name)

    monkeypatch.setattr(fcntl, "flock", flock)
    folder, out = draw_pairs(tmp_path / "data", 12), tmp_path / "out"
    precompute.build(folder, out, **options())
    with write_lock(out), pytest.raises(FolderInUseError, match="another build is writing here"), write_lock(out):
        pytest.fail("two hold it")
    precompute.build(folder, out, **options(variants=4))


def test_shards_are_copied_where_files_have_one_name_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no hard links")

    monkeypatch.setattr(files.os, "link", link)
    (tmp_path / "a").write_bytes(b"content")
    files.link_or_copy(tmp_path / "a", tmp_path / "b", tmp_path / "tmp")
    assert (tmp_path / "b").read_bytes() == b"content"
