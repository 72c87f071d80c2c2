"""The page for contributors shows a whole layout: it is run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import precompute
from precompute.errors import SourceError
from precompute.sources.annotations import find
from tests.helpers.box_datasets import draw_boxed
from tests.helpers.box_files import Truth, rows_of, sources_of
from tests.helpers.project import ROOT
from tests.helpers.small_datasets import options, pipeline

PAGE = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
CODE = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(autouse=True)
def layout(monkeypatch: pytest.MonkeyPatch) -> None:
    """One module and one line."""
    assert CODE is not None
    module = ModuleType("boxes_in_text_files")
    exec(compile(CODE[1], str(ROOT / ".github" / "CONTRIBUTING.md"), "exec"), vars(module))
    monkeypatch.setattr(find, "LAYOUTS", (*find.LAYOUTS, module.LAYOUT))


def write(folder: Path) -> Truth:
    truth = draw_boxed(folder)
    for name, rows in truth.items():
        lines = [" ".join([row[-1], *map(str, row[:4])]) for row in rows]
        (folder / f"{name}.boxes").write_text("\n".join(lines))
    return truth


def test_it_is_found_by_itself(tmp_path: Path) -> None:
    truth = write(tmp_path)
    sources = sources_of(tmp_path)
    assert rows_of(sources) == truth and sources.kind == "boxes"
    assert rows_of(sources_of(tmp_path, exclude="i000.*")) == {key: truth[key] for key in truth if key != "i000"}


def test_its_mistakes_are_told(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "i001.boxes").write_text("disc 1 2 3\n")
    with pytest.raises(SourceError, match=r"Lines that are no box \(1\):\n  .*i001.boxes, line 1: 'disc 1 2 3'"):
        sources_of(tmp_path)
    (tmp_path / "i001.boxes").unlink()
    with pytest.raises(SourceError, match=r"Images without an annotation \(1\):\n  i001.png\nExpected for each"):
        sources_of(tmp_path)
    assert len(sources_of(tmp_path, skip_unmatched=1)) == 11


def test_it_is_built_and_read(tmp_path: Path) -> None:
    truth = write(tmp_path / "data")
    made = {split: pipeline() for split in ("train", "validation")}
    precompute.build(tmp_path / "data", tmp_path / "out", **options(pipeline=made, variants=1))
    read = {
        example["key"]: example
        for split in ("train", "validation")
        for example in precompute.read(tmp_path / "out", split=split)
    }
    assert {key: len(example["boxes"]) for key, example in read.items()} == {
        key: len(rows) for key, rows in truth.items()
    }
    assert all(np.isfinite(example["boxes"]).all() for example in read.values())
