"""`precompute inspect --options` prints a file from which the same dataset is built again."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import albumentations as A
import pytest
import yaml

import precompute
from precompute.cli import main
from precompute.dataset.manifest import Manifest
from precompute.inspecting.stored_options import stored_options
from precompute.options.build_options import BuildOptions
from tests.helpers.golden_datasets import FORMATS, KEPT
from tests.helpers.growing_datasets import GROWING, KINDS, lay_out, run_build
from tests.helpers.small_datasets import draw_classes, draw_pairs, options

# What no manifest holds: names of a table's columns, and what is left out by name.
BESIDE = {
    "multilabel": ["--label-column", "labels", "--label-separator", "|"],
    "columns": ["--label-columns", "ant,bee"],
}
FROM_FILES = [kind for kind in KINDS if kind not in ("dropout", "keypoints")]  # the others are lists from Python
QUICK = FROM_FILES[:3]
QUIETLY = ["--jobs", "1", "--backend", "sequential", "--quiet"]


def file_of(out: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Return what the command prints, as a file."""
    capsys.readouterr()
    assert main(["inspect", str(out), "--options"]) == 0
    file = out.parent / "options.toml"
    file.write_text(capsys.readouterr().out, encoding="utf-8")
    return file


def pipeline_file(pipeline: Any, folder: Path) -> str:
    """Return how the command line names a pipeline."""
    if isinstance(pipeline, str | Path):
        return str(pipeline)
    pipelines = pipeline if isinstance(pipeline, dict) else {"train": pipeline}
    content = {split: compose.to_dict() for split, compose in pipelines.items()}
    (folder / "pipelines.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(content))))
    return str(folder / "pipelines.yaml")


@pytest.mark.parametrize(
    "kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in FROM_FILES]
)
def test_a_build_with_the_file_makes_the_same_dataset(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = lay_out(kind, tmp_path)
    given["pipeline"] = pipeline_file(given["pipeline"], tmp_path)
    out = run_build(tmp_path, given, variants=2)
    file, again = file_of(out, capsys), tmp_path / "again"
    more = [*BESIDE.get(kind, []), *QUIETLY]
    if given["pipeline"] != "light":
        more += ["--pipeline", given["pipeline"]]
        if "image_size" in given:
            more += ["--image-size", str(given["image_size"])]
    if kind == "columns":
        more += ["--group-column", "patient"]
    assert main(["build", str(given["source"]), str(again), "--options", str(file), *more]) == 0
    first, second = Manifest.load(out), Manifest.load(again)
    assert second.fingerprint == first.fingerprint
    assert second.settings == first.settings and second.schema == first.schema
    for name, split in first.splits.items():
        assert second.splits[name].sources_sha256 == split.sources_sha256
        assert [row.sha256 for row in second.splits[name].rows] == [row.sha256 for row in split.rows]
    assert stored_options(again).splitlines()[2:] == stored_options(out).splitlines()[2:]


@pytest.mark.parametrize("kept", [*KEPT, *(f"growing/{kind}" for kind in KINDS)])
def test_earlier_datasets_print_what_they_know(kept: str) -> None:
    out = (GROWING if kept.startswith("growing/") else FORMATS / kept.partition("/")[0]) / kept.partition("/")[2]
    text = stored_options(out / "golden")
    values = BuildOptions.check_values(tomllib.loads(text), "printed")
    seeds = {row.seed for row in Manifest.load(out / "golden").splits["train"].rows}
    assert {values.get("seed", 0)} == seeds and "variants" in values


def test_presets_and_what_fills_masks_are_known(tmp_path: Path) -> None:
    data = draw_pairs(tmp_path / "data")
    given = options(pipeline="light", image_size=(16, 24), ignore_class=255, variants=1)
    for mask_fill in ("ignore", "as-written"):
        precompute.build(data, tmp_path / mask_fill, **given, mask_fill=mask_fill)
        values = BuildOptions.check_values(tomllib.loads(stored_options(tmp_path / mask_fill)), "printed")
        assert (values["pipeline"], values["image_size"], values["ignore_class"]) == ("light", [16, 24], 255)
        assert values.get("mask_fill", "ignore") == mask_fill
    assert Manifest.load(tmp_path / "ignore").fingerprint != Manifest.load(tmp_path / "as-written").fingerprint


def test_a_pipeline_from_python_other_seeds_and_places_stand_in_comments(tmp_path: Path) -> None:
    data, out = draw_classes(tmp_path / "data"), tmp_path / "out"
    given = options(pipeline=A.Compose([A.HorizontalFlip(p=0.5)]), images=str(data), variants=1)
    precompute.build(data, out, **given)
    precompute.build(data, out, **{**given, "seed": 3, "variants": 2})
    lines = stored_options(out).splitlines()
    assert f"# Its sources: {data}" in lines
    assert "#     HorizontalFlip(p=0.5)" in lines
    assert "# There are rows of the seeds 0, 3: a build makes one." in lines
    assert {"seed = 3", "variants = 2"} < set(lines)
    assert f'# images = "{data}"  # a place on the machine that built it' in lines
    assert not any(line.startswith(("pipeline", "images", "jobs", "backend")) for line in lines)
