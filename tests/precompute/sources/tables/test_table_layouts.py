"""The guide's rows of tables and of images alone: each command is run, and makes what its row says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

import precompute
from precompute.cli import main
from tests.helpers.guide import read_page
from tests.helpers.table_datasets import draw_colored, number_of, write_table

PAGE = read_page("precompute/docs/layouts.md")
ROWS = re.findall(r"^\| ((?:a table|images alone).*?) \| (.*?) ?\| (.*?) \|$", PAGE, re.MULTILINE)
LABELS = ["cat", "dog", "cat", "cat", "dog", "cat", "dog", "cat"]

KINDS = {
    "images alone": ("image", []),
    "a table with several": ("multilabel", ["cat", "dog"]),
    "a table with a column": ("multilabel", ["rust", "scab"]),
    "a table with columns of numbers": ("value", []),
}


def columns_of(row: str, paths: list[str]) -> dict[str, list[Any]]:
    if "several labels" in row:
        return {"image": paths, "labels": ["cat|dog", "", "dog", "cat"] * 2}
    if "0 and 1" in row:
        return {"image": paths, "rust": [1, 0, 0, 1] * 2, "scab": [1, 0, 1, 0] * 2}
    if "numbers" in row:
        return {"image": paths, "age": list(range(8)), "bmi": [20.5 + i for i in range(8)]}
    if "of labels and of masks" in row:
        return {"image": paths, "label": LABELS, "mask": [path.replace("pics/", "m/") for path in paths]}
    if "others" in row:
        return {"photo": [path.removeprefix("pics/") for path in paths], "diagnosis": LABELS}
    return {"filename": paths, "category": LABELS}


def test_the_rows_are_there() -> None:
    assert len(ROWS) == 7


@pytest.mark.parametrize("kind", [".csv", ".parquet"])
@pytest.mark.parametrize(("first", "add", "becomes"), ROWS)
def test_each_row_is_built(first: str, add: str, becomes: str, kind: str, tmp_path: Path) -> None:
    paths = draw_colored(tmp_path, masks="masks" in first)
    alone = first.startswith("images alone")
    table = write_table(tmp_path / f"t{kind}", columns_of(first, paths))
    given = shlex.split(add.replace("`", "").replace("\\|", "|").replace("DIR", str(tmp_path / "pics")))
    source = tmp_path / "pics" if alone and kind == ".csv" else table
    command = ["build", str(source), str(tmp_path / "out"), "--pipeline", "light", "--image-size", "16", *given]
    quick = ["--variants", "1", "--backend", "sequential", "--jobs", "1", "--quiet", "--image-format", "png"]
    assert main([*command, *quick]) == 0
    target = precompute.inspect(tmp_path / "out").manifest.target
    expected = next((found for begin, found in KINDS.items() if first.startswith(begin)), ("class", ["cat", "dog"]))
    assert (target.kind, target.class_names) == expected
    assert len(list(precompute.read(tmp_path / "out"))) == 8


def test_a_table_of_images_alone_needs_no_option(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", {"image": draw_colored(tmp_path), "split": ["train"] * 6 + ["test"] * 2})
    (tmp_path / "p.py").write_text("import albumentations as A\ntrain = A.Compose([A.NoOp()])\n")
    command = [
        "build",
        str(table),
        str(tmp_path / "out"),
        "--pipeline",
        str(tmp_path / "p.py"),
        "--image-format",
        "png",
    ]
    assert main([*command, "--variants", "1", "--backend", "sequential", "--quiet"]) == 0
    found = [number_of(e["image"]) for e in precompute.read(tmp_path / "out", split="test")]
    assert sorted(found) == [6, 7]


def test_a_table_is_previewed_and_profiled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write_table(tmp_path / "t.csv", {"image": draw_colored(tmp_path), "kind": LABELS})
    given = ["--pipeline", "light", "--image-size", "16", "--label-column", "kind"]
    assert main(["preview", str(table), *given, "--output", str(tmp_path / "sheet.png")]) == 0
    assert "columns: image=image, label=kind." in capsys.readouterr().err
    assert (tmp_path / "sheet.png").stat().st_size > 1000
