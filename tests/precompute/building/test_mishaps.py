"""Workers that die and disks that are full: one clear error, nothing lost."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import precompute
from precompute.building import files
from precompute.dataset.manifest import Manifest
from precompute.errors import BadSourcesError, BuildError
from tests.helpers.file_operations import Operation, watch, watch_records
from tests.helpers.small_datasets import draw_pairs, options, rows_of, save, shard_hashes
from tests.helpers.stored_keys import keys_of

# Kills its process, as a crash in a codec would, unless that is the one that tries the pipeline before the job.
PIPELINES = """
import os, signal
from pathlib import Path
import albumentations as A

PARENT = {parent}
ONCE = Path({once!r})

class Deadly(A.ImageOnlyTransform):
    def apply(self, img, **params):
        if tuple(img[0, 0]) == (255, 0, 0) and os.getpid() != PARENT:
            if not ONCE.name or not ONCE.exists():
                ONCE.name and ONCE.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return img

train = A.Compose([Deadly(p=1), A.HorizontalFlip(p=0.5), A.Resize(16, 16)])
validation = A.Compose([A.Resize(16, 16)])
"""


def deadly(folder: Path, keys: list[str], *, once: str = "") -> Path:
    for key in keys:
        save(folder / "data" / "images" / f"{key}.png", np.full((20, 18, 3), (255, 0, 0), np.uint8))
        save(folder / "data" / "masks" / f"{key}.png", np.zeros((20, 18), np.uint8))
    path = folder / "pipelines.py"
    path.write_text(PIPELINES.format(parent=os.getpid(), once=once))
    return path


@pytest.mark.slow
def test_a_source_that_kills_its_worker_is_a_bad_source(tmp_path: Path) -> None:
    draw_pairs(tmp_path / "data", 40)
    given = options(
        pipeline=deadly(tmp_path, ["s004", "s030"]), backend="loky", jobs=2, validation_split=0.0, variants=2
    )
    with pytest.raises(BadSourcesError) as caught:
        precompute.build(tmp_path / "data", tmp_path / "out", **given)
    for part in ("2 of 40 sources are bad", "s004.png: the worker process that tried it died, twice", "s030.png: the"):
        assert part in str(caught.value)
    assert not (tmp_path / "out" / "manifest.json").exists()
    precompute.build(tmp_path / "data", tmp_path / "out", **{**given, "skip_bad": "2"})
    manifest = Manifest.load(tmp_path / "out")
    assert sorted(entry["key"] for entry in manifest.skipped) == ["s004", "s030"]
    assert "died, twice" in manifest.skipped[0]["reason"]
    for row in manifest.splits["train"].rows:
        assert len(keys_of(tmp_path / "out", "train", row.row)) == 38


@pytest.mark.slow
def test_a_worker_that_dies_once_changes_nothing(tmp_path: Path) -> None:
    draw_pairs(tmp_path / "data", 40)
    path = deadly(tmp_path, ["s004"], once=str(tmp_path / "died"))
    given = options(pipeline=path, validation_split=0.0, variants=2)
    precompute.build(tmp_path / "data", tmp_path / "out", **{**given, "backend": "loky", "jobs": 2})
    assert (tmp_path / "died").exists()
    assert len(rows_of(tmp_path / "out")) == 2
    precompute.build(tmp_path / "data", tmp_path / "whole" / "out", **given)
    assert shard_hashes(tmp_path / "out") == shard_hashes(tmp_path / "whole" / "out")
    assert not any((tmp_path / "out" / ".build" / "at").glob("*"))


@pytest.mark.parametrize("after", [0, 3, 40, 80])
@pytest.mark.slow
def test_a_full_disk_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    folder, out = draw_pairs(tmp_path / "data", 24), tmp_path / "out"
    real, left = os.fsync, [*range(after)]

    def fsync(descriptor: int) -> None:
        if not left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left.pop()
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", fsync)
        with pytest.raises(BuildError, match="No space left on device"):
            precompute.build(folder, out, **options(variants=30))
    assert not (out / "manifest.json").exists()
    precompute.build(folder, out, **options(variants=30))
    precompute.build(folder, tmp_path / "whole" / "out", **options(variants=30))
    assert shard_hashes(out) == shard_hashes(tmp_path / "whole" / "out")


@pytest.mark.parametrize(
    ("code", "point"),
    [
        (errno.EROFS, "make folder of shards"),
        (errno.EROFS, "create shard"),
        (errno.ENOSPC, "write shard"),
        (errno.EDQUOT, "sync shard"),
        (errno.EIO, "rename shard"),
        (errno.ENOSPC, "create receipt"),
        (errno.EDQUOT, "create row file"),
        (errno.EROFS, "rename manifest"),
    ],
)
@pytest.mark.slow
def test_a_disk_that_fails_anywhere_is_one_clear_error(tmp_path: Path, code: int, point: str) -> None:
    folder, out, done = draw_pairs(tmp_path / "data", 24), tmp_path / "out", False

    def fail(when: str, operation: Operation) -> None:
        nonlocal done
        if when == "before" and operation.point == point:
            done = True
            raise OSError(code, os.strerror(code), operation.path)

    with pytest.MonkeyPatch.context() as patch:
        watch(out, fail, patch.setattr)
        watch_records(fail, patch.setattr)
        with pytest.raises(
            BuildError, match=f"{os.strerror(code)}.*What was finished is kept: (fix this|make space), then run"
        ):
            precompute.build(folder, out, **options(variants=2))
    assert done
    assert not (out / "manifest.json").exists()
    precompute.build(folder, out, **options(variants=2))
    precompute.build(folder, tmp_path / "whole" / "out", **options(variants=2))
    assert shard_hashes(out) == shard_hashes(tmp_path / "whole" / "out")


def test_a_job_that_cannot_fit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    class Usage:
        free = 5_000

    def usage(_: Any) -> type[Usage]:
        return Usage

    monkeypatch.setattr(shutil, "disk_usage", usage)
    folder = draw_pairs(tmp_path / "data", 24)
    with pytest.raises(BuildError, match=r"about [\d.]+ kB are needed for what is missing, 5\.0 kB are free"):
        precompute.build(folder, tmp_path / "out", **options())
    assert not list((tmp_path / "out").rglob("*.tfrecord-*"))
    precompute.build(folder, tmp_path / "out", **options(ignore_space=True))
