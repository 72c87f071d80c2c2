"""Further images as plain files beside the images, and datasets built from them again."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest

import precompute
from precompute.cli import make_parser
from precompute.errors import UsageError
from precompute.options.build_options import BuildOptions
from tests.helpers.decoded_sources import random_pixels
from tests.helpers.small_datasets import options, save

NUM = 6
MOVES = {"depth": "mask", "range": "mask", "twin": "image"}
PIPELINE = {split: A.Compose([A.NoOp()], additional_targets=MOVES) for split in ("train", "validation")}
TARGETS: dict[str, dict[str, Any]] = {
    "none": {},
    "classes": {"labels": ["cat", "dog"] * 3},
    "labels": {"labels": [["cat"], [], ["cat", "dog"]] * 2},
    "numbers": {"values": {"age": [1.0, 2, 3, 4, 5, 6]}},
    "masks": {"masks": True},
}


def lists_of(folder: Path) -> dict[str, Any]:
    """Write images and what lies beside them; return lists of them."""
    written: dict[str, Any] = {"images": [], "depth": [], "range": [], "twin": [], "masks": []}
    for i in range(NUM):
        pixels = random_pixels(10, 12, 3, seed=i)
        beside = {"images": pixels, "twin": 255 - pixels, "masks": pixels[..., 0] // 100}
        for name, values in {**beside, "depth": pixels[..., 0].astype(np.uint16) * 200}.items():
            save(folder / name / f"{i}.png", values)
            written[name].append(folder / name / f"{i}.png")
        (folder / "range").mkdir(exist_ok=True)
        np.save(folder / "range" / f"{i}.npy", pixels[..., 1].astype(np.float32) / 3)
        written["range"].append(folder / "range" / f"{i}.npy")
    return written


def build(folder: Path, target: str, **changes: Any) -> Path:
    """Build a dataset of this target with further images."""
    lists = lists_of(folder / "sources")
    given = {**TARGETS[target]}
    given |= {"masks": lists["masks"]} if "masks" in given else {}
    extra = {name: lists[name] for name in MOVES}
    chosen = options(pipeline=PIPELINE, variants=1, **given, **changes)
    precompute.build(output=folder / "out", images=lists["images"], extra_images=extra, **chosen)
    return folder / "out"


def examples(out: Path, **chosen: Any) -> dict[str, dict[str, Any]]:
    return {Path(example["key"]).name: example for example in precompute.read(out, **chosen)}


@pytest.mark.parametrize("image_format", ["png", "raw"])
@pytest.mark.parametrize("target", TARGETS)
def test_there_and_back(target: str, image_format: str, tmp_path: Path) -> None:
    out = build(tmp_path, target, image_format=image_format, validation_split=0)
    exported = precompute.export(out, tmp_path / "files")
    is_table = target in ("labels", "numbers")
    source = tmp_path / "files" / "labels.csv" if is_table else tmp_path / "files"
    arguments = make_parser().parse_args(["build", str(source), "again", *exported.build_options])
    given = BuildOptions.from_arguments(arguments)
    chosen = {name: getattr(given, name) for name in BuildOptions.names() if name in vars(arguments)}
    precompute.build(source, tmp_path / "again", **options(pipeline=PIPELINE, variants=1, validation_split=0, **chosen))
    before, after = examples(out), examples(tmp_path / "again")
    assert before.keys() == after.keys() and len(before) == NUM
    for key, example in before.items():
        for name in ("image", *MOVES):
            np.testing.assert_array_equal(after[key][name], example[name])
            assert after[key][name].dtype == example[name].dtype


def test_jpegs_are_those_that_are_stored(tmp_path: Path) -> None:
    out = build(tmp_path, "none", image_format="jpeg", validation_split=0)
    precompute.export(out, tmp_path / "files")
    assert {path.suffix for path in (tmp_path / "files").rglob("*.*")} == {".jpg", ".png", ".npy", ".csv"}
    assert len(list((tmp_path / "files" / "twin").glob("*.jpg"))) == NUM


def test_splits_have_them_each(tmp_path: Path) -> None:
    out = build(tmp_path, "none", validation_split=0.5)
    exported = precompute.export(out, tmp_path / "files", split="all")
    with (tmp_path / "files" / "labels.csv").open(newline="") as file:
        for line in csv.DictReader(file):
            assert line["depth"] == f"{line['split']}/depth/{line['key']}.png"
            assert (tmp_path / "files" / line["range"]).suffix == ".npy"
    given = BuildOptions.from_arguments(
        make_parser().parse_args(["build", "files", "again", *exported.build_options])
    )  # fmt: skip
    chosen = options(pipeline=PIPELINE, variants=1, extra_images=given.extra_images, target="none", validation_split=0)
    precompute.build(tmp_path / "files", tmp_path / "again", **chosen)
    for split in ("train", "validation"):
        before, after = (examples(folder, split=split) for folder in (out, tmp_path / "again"))
        assert before.keys() == after.keys() and len(before) == NUM // 2
        assert all(np.array_equal(after[key]["range"], before[key]["range"]) for key in before)


def test_an_earlier_export_is_replaced_with_all_of_it(tmp_path: Path) -> None:
    out = build(tmp_path, "none", validation_split=0.5)
    precompute.export(out, tmp_path / "files")
    (tmp_path / "files" / "depth" / "mine.txt").write_text("kept")
    precompute.export(out, tmp_path / "files", split="validation", overwrite=True)
    assert len(list((tmp_path / "files" / "depth").glob("*.png"))) == NUM // 2
    assert (tmp_path / "files" / "depth" / "mine.txt").exists()


def test_formats_of_boxes_have_no_place_for_them(tmp_path: Path) -> None:
    lists = lists_of(tmp_path)
    chosen = options(pipeline=A.Compose([A.NoOp()], additional_targets=MOVES), variants=1, validation_split=0)
    boxes = [[(1, 1, 5, 5, "cat")]] * NUM
    precompute.build(
        output=tmp_path / "out", images=lists["images"], boxes=boxes, extra_images={"depth": lists["depth"]}, **chosen
    )
    with pytest.raises(UsageError, match="coco has no place for the objects and depth of out; read the row in Python"):
        precompute.export(tmp_path / "out", tmp_path / "files", format="coco")


def test_a_class_of_the_same_name_is_refused(tmp_path: Path) -> None:
    lists = lists_of(tmp_path)
    chosen = options(pipeline=PIPELINE, variants=1, validation_split=0, labels=["depth", "dog"] * 3)
    precompute.build(
        output=tmp_path / "out", images=lists["images"], extra_images={"depth": lists["depth"]}, **chosen
    )  # fmt: skip
    with pytest.raises(UsageError, match="depth is a class and a further image"):
        precompute.export(tmp_path / "out", tmp_path / "files")
