"""Whatever a file system lets files and folders be called: from sources to records, to exported files, and back."""

from __future__ import annotations

import shutil
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import precompute
from precompute.cli import main
from precompute.errors import PrecomputeError
from tests.helpers.every_layout import BOX, CLASSES, LAYOUTS, SIDE, coco, paired, read
from tests.helpers.source_columns import boxes_of

PIPELINE = {"train": A.Compose([A.NoOp()])}
ODD = [
    *("n" * 251, "é" * 125, "a'b\"c", "100%d%s", "a#b", "-x", "trail ", "trail.", " lead", "👩‍👩‍👧 😀", "\u202eabc"),
    *("a,b;c|d", "@file", "{a}[b]*?", "a&b<c>", "a%20b", "http:x", "a\u00a0b", "a\u2028b", "=1+1", "NULL"),
    *("007", "$HOME `ls`", "~", '"a"', "a.png", "a.b.c", "a\u200bb", "\ufeffa"),
]
REFUSED = ["a\nb", "a\tb", "a\rb", "a\\b", "a\x7fb"]


def build(source: Any, out: Path, **given: Any) -> Any:
    return precompute.build(source, out, pipeline=PIPELINE, variants=1, jobs=1, quiet=True, **given)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_odd_names_are_found_in_every_layout_or_refused_in_one_line(layout: str, tmp_path: Path) -> None:
    # Cells of a CSV lose the blanks around them, as spreadsheets leave some.
    odd = [name for name in ODD if name == name.lstrip() or layout not in ("table", "mask_table", "keypoints")]
    sources = read(LAYOUTS[layout](tmp_path / "data", ["a1", *odd]))
    assert len(boxes_of(sources).labels if layout == "mask_files" else sources) == 1 + len(odd)  # type: ignore[union-attr]
    for name in REFUSED:
        folder = tmp_path / f"refused{REFUSED.index(name)}"
        folder.mkdir()
        try:
            found = read(LAYOUTS[layout](folder, ["a1", name]))
        except PrecomputeError as error:
            assert name not in str(error) and str(error).splitlines()[-1].endswith((".", ")"))
        else:
            assert layout in ("mask_files", "keyed_lines"), found.keys


@pytest.mark.parametrize("format", ["coco", "yolo", "voc"])
def test_boxes_of_images_of_odd_names_come_back_from_every_format(format: str, tmp_path: Path) -> None:
    source, _ = coco(tmp_path / "data", ["a1", *ODD])
    result = build(source, tmp_path / "out")
    precompute.export(tmp_path / "out", tmp_path / "files", format=format)
    sources = read((tmp_path / "files", {}))
    assert len(sources) == 1 + len(ODD) == result.manifest.splits["train"].num_places
    assert sources.class_names == CLASSES
    size = SIDE if format == "yolo" else 1  # its numbers are shares
    np.testing.assert_allclose(boxes_of(sources).corners * size, np.tile(BOX, (len(sources), 1)), atol=0.01)


names = st.text(st.characters(exclude_characters="/\\", exclude_categories=["Cc", "Cs", "Cn"]), min_size=1, max_size=40)


@pytest.mark.slow
@settings(max_examples=8)
@given(st.lists(names.filter(lambda name: not name.startswith(".")), min_size=3, max_size=5, unique_by=str.casefold))
@example(ODD[:10])
@example(ODD[10:])
def test_a_dataset_goes_through_plain_files_and_comes_back(chosen: list[str]) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        if len({unicodedata.normalize("NFKC", name).casefold() for name in chosen}) < len(chosen):
            return  # look alike: refused elsewhere
        source, given = paired(folder / "data", chosen)
        result = build(source, folder / "out", **given)
        stored = {found["key"]: found["image"].tobytes() for found in precompute.read(folder / "out")}
        assert set(stored) == set(chosen)
        assert main(["inspect", str(folder / "out")]) == 0
        assert precompute.verify(folder / "out", source=source, sources=9).num_records == len(chosen)
        precompute.export(folder / "out", folder / "files")
        again = build(folder / "files", folder / "again", num_classes=2)
        found = {found["key"]: found["image"].shape for found in precompute.read(folder / "again")}
        assert len(found) == len(stored) == again.manifest.splits["train"].num_places
        assert result.manifest.splits["train"].num_places == len(chosen)
    finally:
        shutil.rmtree(folder)
