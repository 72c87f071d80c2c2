"""Several fields as plain files, which a build reads again."""

from __future__ import annotations

import csv
import shlex
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest

import precompute
from precompute.cli import main
from precompute.dataset.manifest import Manifest
from tests.helpers.several_targets import CLASSES, OF_FOLDERS, OPTIONS, check, draw, lists_of

STILL = A.Compose([A.NoOp()], additional_targets={"depth": "mask"})


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return draw(tmp_path_factory.mktemp("together"), 6)


def again(folder: Path, out: Path, options: list[str], tmp_path: Path) -> Manifest:
    """Build from the table of an export with the options that it names."""
    pipeline = tmp_path / "still.py"
    pipeline.write_text("from tests.precompute.exporting.test_export_together import STILL\n\ntrain = STILL\n")
    fixed = ["--pipeline", str(pipeline), "--variants", "1", "--jobs", "1", "--backend", "sequential", "--quiet"]
    command = ["build", str(folder / "labels.csv"), str(out), *fixed, "--image-format", "png", *options]
    assert main(command) == 0
    return Manifest.load(out)


@pytest.mark.parametrize("split", ["train", "all"])
def test_labels_masks_and_numbers_are_built_again(drawn: list[dict[str, Any]], split: str, tmp_path: Path) -> None:
    options = {"mask_map": {"fine": {255: 1}}, "class_names": {"label": CLASSES[::-1], "coarse": list("abcd")}}
    manifest = precompute.build(None, tmp_path / "out", **OPTIONS | lists_of(drawn) | options).manifest
    made = precompute.export(tmp_path / "out", tmp_path / "files", split=split)
    assert set(made.num_files) == ({"train", "validation"} if split == "all" else {"images", "fine", "coarse"})
    assert f"to build from labels.csv, give {shlex.join(made.build_options)}" in made.summary()
    found = again(tmp_path / "files", tmp_path / "again", made.build_options, tmp_path)
    assert found.targets == manifest.targets
    splits = ["train", "validation"] if split == "all" else ["train"]
    for name in splits:
        before = {example["key"]: example for example in precompute.read(tmp_path / "out", split=name)}
        for example in precompute.read(tmp_path / "again", split=name):
            was = before[example["key"].removeprefix(f"{name}/").removeprefix("images/")]
            assert np.array_equal(example["image"], was["image"]) and example["values"] == was["values"]
            assert example["class_name"] == was["class_name"]
            check(example["image"], {"fine": example["fine"], "coarse": example["coarse"]})


def test_an_export_that_was_made_before_is_replaced(drawn: list[dict[str, Any]], tmp_path: Path) -> None:
    folder = drawn[0]["images"].parents[2]
    precompute.build(folder, tmp_path / "out", **OPTIONS | OF_FOLDERS | {"validation_split": 0})
    precompute.export(tmp_path / "out", tmp_path / "files")
    (tmp_path / "files/fine/mine.png").write_bytes(b"x")
    with (tmp_path / "files/labels.csv").open() as file:
        [first, *_] = csv.DictReader(file)
    assert first["fine"] == first["image"].replace("images/", "fine/") == f"fine/{first['key']}.png"
    assert first["label"] == first["key"].partition("/")[0]
    made = precompute.export(tmp_path / "out", tmp_path / "files", row=1, overwrite=True)
    assert made.foreign == 1 and len(list((tmp_path / "files/fine").rglob("*.png"))) == 7


@pytest.mark.parametrize("encoding", ["png", "raw"])
def test_further_images_go_with_them(encoding: str, drawn: list[dict[str, Any]], tmp_path: Path) -> None:
    lists = {name: lists_of(drawn)[name] for name in ("images", "labels", "masks")}
    depths = [tmp_path / f"{i}.npy" for i in range(len(drawn))]
    for i, path in enumerate(depths):
        np.save(path, np.random.default_rng(i).random((24, 28), np.float32))
    options = OPTIONS | {"pipeline": STILL, "image_format": encoding, "validation_split": 0, "variants": 1}
    options["mask_map"] = {"fine": {255: 1}}
    precompute.build(None, tmp_path / "out", **options | lists, extra_images={"depth": depths})
    made = precompute.export(tmp_path / "out", tmp_path / "files")
    again(tmp_path / "files", tmp_path / "again", made.build_options, tmp_path)
    for one, other in zip(precompute.read(tmp_path / "out"), precompute.read(tmp_path / "again"), strict=True):
        assert one["depth"].dtype == np.float32 and one["class_name"] == other["class_name"]
        for name in ("image", "depth", "fine", "coarse"):
            assert np.array_equal(one[name], other[name])


def test_several_labels_beside_a_mask(drawn: list[dict[str, Any]], tmp_path: Path) -> None:
    lists = {"images": [one["images"] for one in drawn], "masks": [one["masks_coarse"] for one in drawn]}
    labels = [["a", "b"], [], ["b"], ["a"], ["c"], ["a", "c"]]
    options = OPTIONS | {"pipeline": STILL, "variants": 1, "validation_split": 0}
    precompute.build(None, tmp_path / "out", **options | lists, labels=labels)
    made = precompute.export(tmp_path / "out", tmp_path / "files")
    found = again(tmp_path / "files", tmp_path / "again", made.build_options, tmp_path)
    assert list(found.targets) == ["labels", "mask"] and found.targets["mask"].num_classes == 4
    names = [example["class_names"] for example in precompute.read(tmp_path / "out")]
    assert [example["class_names"] for example in precompute.read(tmp_path / "again")] == names
