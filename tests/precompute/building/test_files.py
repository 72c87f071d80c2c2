"""All file operations of a build go through one module, so that what is shown of that module holds for a build."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import precompute
from precompute.building import files
from precompute.errors import BadSourcesError
from tests.helpers.file_operations import Operation, watch
from tests.helpers.small_datasets import draw_pairs, options


def test_commands_touch_files_through_one_module_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, out = draw_pairs(tmp_path / "data", 20), tmp_path / "out"
    (folder / "images" / "s003.png").write_bytes(b"")
    kinds, strangers = set(), []

    def look(when: str, operation: Operation) -> None:
        if when == "before":
            return  # it may fail: the lock asks for a folder that is there
        frame = sys._getframe()
        while frame is not None and frame.f_code.co_filename != files.__file__:
            frame = frame.f_back  # type: ignore[assignment]
        kinds.add(operation.kind)
        if frame is None:
            strangers.append(operation)

    watch(out, look, monkeypatch.setattr)
    with pytest.raises(BadSourcesError):
        precompute.build(folder, out, **options(variants=2))
    precompute.build(folder, out, **options(variants=2, skip_bad="1"))
    precompute.regenerate(out, seed=7, jobs=1, backend="sequential", quiet=True)
    files.remove(next(out.rglob("*.tfrecord-*")))
    precompute.build(folder, out, **options(seed=7, variants=2, skip_bad="1"))
    precompute.drop(out, rows=[2])
    assert strangers == []
    assert {"shard", "receipt", "column", "row file", "sources file", "TFDS file", "manifest", "bad sources"} <= kinds
