"""Limits that the system itself sets: the size of a file, and a small file system that fills up."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import precompute
from precompute.errors import BuildError
from tests.helpers.project import ROOT
from tests.helpers.small_datasets import draw_pairs, options, shard_hashes
from tests.helpers.small_disk import (
    mount,
    small,  # noqa: F401 (a fixture)
)

LIMITED = """
import resource, sys
from precompute.cli import main
if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
    sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize("backend", ["sequential", pytest.param("loky", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_a_limit_on_the_size_of_files_is_one_clear_error(tmp_path: Path, backend: str) -> None:
    data, out, whole = draw_pairs(tmp_path / "data", 24), tmp_path / "out", tmp_path / "whole" / "out"
    script = tmp_path / "limited.py"
    script.write_text(LIMITED)
    command = [sys.executable, str(script), "build", str(data), str(out), "--variants", "3", "--image-format", "png"]
    command += ["--pipeline", "light", "--image-size", "16", "--backend", backend, "--jobs", "2", "--quiet"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith(f"error: {out}: {os.strerror(errno.EFBIG)}. The system limits the size of a file")
    assert "a shard here takes about" in done.stderr and "ulimit -f" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list((out / "data").rglob("*.tfrecord-*")) and not (out / "manifest.json").exists()
    given = {"pipeline": "light", "image_size": 16, "validation_split": 0.0}
    for folder in (out, whole):
        precompute.build(data, folder, **options(**given))
    assert shard_hashes(out) == shard_hashes(whole)


@pytest.mark.slow
def test_a_file_system_that_is_full_or_read_only(tmp_path: Path, small: Path) -> None:  # noqa: F811
    data, out, whole = draw_pairs(tmp_path / "data", 24), small / "out", tmp_path / "whole" / "out"
    with pytest.raises(BuildError, match=r"about \d.* kB are needed for what is missing, .* kB are free"):
        precompute.build(data, out, **options(variants=30))
    with pytest.raises(BuildError) as full:
        precompute.build(data, out, **options(variants=30, ignore_space=True))
    assert os.strerror(errno.ENOSPC) in str(full.value)
    assert "are needed for what is missing" in str(full.value) and "make space, then run" in str(full.value)
    assert not (out / "manifest.json").exists()
    precompute.build(data, whole, **options(variants=30))
    assert shard_hashes(out).items() <= shard_hashes(whole).items(), "nothing partial has a final name"

    assert mount("-o", "remount,ro", str(small)).returncode == 0
    with pytest.raises(BuildError, match=f"cannot be written to: {os.strerror(errno.EROFS)}"):
        precompute.build(data, out, **options(variants=30))
    assert mount("-o", "remount,rw,size=20m", str(small)).returncode == 0
    precompute.build(data, out, **options(variants=30))
    assert shard_hashes(out) == shard_hashes(whole)
