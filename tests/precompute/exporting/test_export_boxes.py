"""`precompute export` of boxes as COCO, YOLO and Pascal VOC, and datasets built from them again."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import albumentations as A
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import precompute
from precompute.cli import main
from precompute.dataset.manifest import Manifest
from precompute.errors import UsageError
from precompute.options.build_options import BuildOptions
from precompute.sources.find import find
from tests.helpers.box_datasets import NAMES, check_pixels_under_boxes, draw_boxed, identity, seen_boxes
from tests.helpers.small_datasets import draw_classes, options, save

FORMATS = ("coco", "yolo", "voc")
HOLDS = {"coco": {"crowd"}, "yolo": set(), "voc": {"difficult", "truncated"}}
FLAGS = ("crowd", "difficult", "truncated")
PIPELINES = {"train": identity(), "validation": identity()}


def build(folder: Path, *, num: int = 12, flags: bool = False, **changes: Any) -> Path:
    """Build a dataset of drawn objects, the first of each image marked in turn."""
    truth = draw_boxed(folder / "drawn" / "images", num)
    boxes: list[list[tuple[Any, ...]]] = [list(rows) for rows in truth.values()]
    if flags:
        for i, rows in enumerate(boxes):
            rows[:1] = [(*rows[0], FLAGS[i % 3])] if rows else []
    images = [folder / "drawn" / "images" / f"{name}.png" for name in truth]
    given = options(pipeline=PIPELINES, variants=1, **changes)
    precompute.build(images=images, boxes=boxes, output=folder / "out", **given)
    return folder / "out"


def rebuild(source: Path, out: Path, names: list[str] | None = None) -> Path:
    size = next(Image.open(path).size for path in sorted(source.rglob("*.png")))
    same = {split: A.Compose([A.Crop(0, 0, *size)]) for split in ("train", "validation")}
    precompute.build(source, out, **options(pipeline=same, variants=1, validation_split=0, class_names=names))
    return out


def examples(out: Path, split: str = "train") -> dict[str, dict[str, Any]]:
    return {example["key"]: example for example in precompute.read(out, split=split)}


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_boxes_there_and_back(tmp_path: Path, format: str) -> None:
    out = build(tmp_path, flags=True)
    exported = precompute.export(out, tmp_path / "files", format=format, split="all")
    assert exported.split == "train" and list(exported.others) == ["validation"] and exported.build_options == []
    again = rebuild(tmp_path / "files", tmp_path / "again")
    assert Manifest.load(again).target.class_names == NAMES
    seen = set[str]()
    for split in ("train", "validation"):
        first, second = examples(out, split), examples(again, split)
        assert first.keys() == second.keys() and len(first) == {"train": 9, "validation": 3}[split]
        for key, example in first.items():
            np.testing.assert_array_equal(second[key]["image"], example["image"])
            np.testing.assert_allclose(second[key]["boxes"], example["boxes"], rtol=3e-7)
            assert second[key]["class_names"] == example["class_names"]
            for flag in FLAGS:
                expected = example[flag] & (flag in HOLDS[format])
                np.testing.assert_array_equal(second[key][flag], expected)
                seen |= {flag} if example[flag].any() else set()
    lost = sorted(seen - HOLDS[format])
    assert len(seen) == 3
    assert sorted(flag for flag in FLAGS if any(f"marked {flag}:" in note for note in exported.notes)) == lost
    assert check_pixels_under_boxes(again) > 10  # what came back is still where the colours are


@pytest.mark.parametrize("format", FORMATS)
def test_what_the_files_say_is_where_the_colours_are(tmp_path: Path, format: str) -> None:
    """By a reader of its own: each format's numbers, against the pixels of its images."""
    out, folder = build(tmp_path), tmp_path / "files"
    precompute.export(out, folder, format=format)
    read = {"coco": read_coco, "yolo": read_yolo, "voc": read_voc}[format](folder)
    assert len(read) == 9
    for path, boxes in read.items():
        with Image.open(path) as picture:
            seen = seen_boxes(np.asarray(picture.convert("RGB")))
        assert boxes.keys() == seen.keys()
        for name, box in boxes.items():
            np.testing.assert_allclose(box, seen[name], atol=1e-3)


Read = dict[Path, dict[str, tuple[float, ...]]]


def read_coco(folder: Path) -> Read:
    content = json.loads((folder / "annotations/instances_train.json").read_bytes())
    names = {category["id"]: category["name"] for category in content["categories"]}
    assert names == dict(enumerate(NAMES, 1))
    paths = {image["id"]: folder / "images/train" / image["file_name"] for image in content["images"]}
    found: Read = {path: {} for path in paths.values()}
    for row in content["annotations"]:
        x, y, width, height = row["bbox"]
        assert row["area"] == pytest.approx(width * height)
        found[paths[row["image_id"]]][names[row["category_id"]]] = (x, y, x + width, y + height)
    return found


def read_yolo(folder: Path) -> Read:
    content = yaml.safe_load((folder / "data.yaml").read_text())
    assert content == {"train": "images/train", "nc": 3, "names": NAMES}
    found: Read = {}
    for path in (folder / content["train"]).rglob("*.png"):
        with Image.open(path) as picture:
            width, height = picture.size
        found[path] = {}
        text = folder / "labels" / path.relative_to(folder / "images").with_suffix(".txt")
        for line in text.read_text().splitlines():
            label, x, y, w, h = map(float, line.split())
            box = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
            found[path][NAMES[int(label)]] = box
    return found


def read_voc(folder: Path) -> Read:
    found: Read = {}
    for name in (folder / "ImageSets/Main/train.txt").read_text().splitlines():
        root = ElementTree.parse(folder / f"Annotations/{name}.xml").getroot()
        path = folder / f"JPEGImages/{name}.png"
        assert root.findtext("filename") == path.name and root.findtext("size/width") == "60"
        found[path] = {
            node.findtext("name", ""): tuple(
                float(node.findtext(f"bndbox/{side}", "")) for side in ("xmin", "ymin", "xmax", "ymax")
            )
            for node in root.findall("object")
        }
    return found


@pytest.mark.slow
@settings(max_examples=4)
@given(st.integers(0, 2**32 - 1))
def test_boxes_of_any_place_come_back(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    rng, folder = np.random.default_rng(seed), tmp_path_factory.mktemp("any")
    width, height = (int(size) for size in rng.integers(17, 60, 2))
    images, boxes = [], []
    for i in range(4):
        save(folder / f"drawn/{i}.png", rng.integers(0, 255, (height, width, 3), dtype=np.uint8))
        images.append(folder / f"drawn/{i}.png")
        corners = np.sort(np.clip(rng.uniform(-0.4, 1.4, (4, 2, 2)), 0, 1), axis=1) * [width, height]
        corners = corners[(corners[:, 0] < corners[:, 1]).all(axis=1)]
        boxes.append([(*low, *high, NAMES[int(rng.integers(3))]) for low, high in corners.tolist()])
    given_options = options(
        pipeline={"train": A.Compose([A.Crop(0, 0, width, height)])}, variants=1, validation_split=0
    )
    precompute.build(images=images, boxes=boxes, output=folder / "out", class_names=NAMES, **given_options)
    first = examples(folder / "out")
    for format in FORMATS:
        precompute.export(folder / "out", folder / format, format=format)
        chosen = BuildOptions(pipeline="light", class_names=NAMES)
        notes = " ".join(find(folder / format, chosen).notes)
        assert "clipped" not in notes and "left out" not in notes  # sides at an edge are there again
        second = examples(rebuild(folder / format, folder / f"{format} again", names=NAMES))
        assert first.keys() == second.keys()
        for key, example in first.items():
            np.testing.assert_allclose(second[key]["boxes"], example["boxes"], rtol=1e-6, atol=1e-5)
            assert second[key]["class_names"] == example["class_names"]


@pytest.mark.parametrize("format", FORMATS)
def test_keys_with_folders_of_telling_names(tmp_path: Path, format: str) -> None:
    """Folders of the keys that would mean a split or a role are called otherwise, and nothing is lost."""
    for i, key in enumerate(("a/images/1", "a/train/1", "b/test/labels/1", "b c/1", "b c/2")):
        image = np.full((20, 20, 3), 80, np.uint8)
        image[2:9, 3 + i : 12] = (250, 20, 20)
        save(tmp_path / "drawn" / f"{key}.png", image)
    paths = sorted((tmp_path / "drawn").rglob("*.png"))
    boxes = [[(*seen_boxes(np.asarray(Image.open(path)))["bar"], "bar")] for path in paths]
    same = {"train": A.Compose([A.Crop(0, 0, 20, 20)])}
    given_options = options(pipeline=same, variants=1, validation_split=0)
    precompute.build(images=paths, boxes=boxes, output=tmp_path / "out", **given_options)
    precompute.export(tmp_path / "out", tmp_path / "files", format=format)
    again = rebuild(tmp_path / "files", tmp_path / "again")
    assert len(examples(again)) == len(paths) == 5
    assert check_pixels_under_boxes(again) == 5


def test_copies_and_the_table(tmp_path: Path) -> None:
    out = build(tmp_path)
    precompute.export(out, tmp_path / "files", format="voc")
    with (tmp_path / "files/labels.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["key"] for line in lines} == set(examples(out))
    assert all((tmp_path / "files" / line[name]).is_file() for line in lines for name in ("image", "annotation"))
    assert sum(int(line["boxes"]) for line in lines) == sum(len(e["boxes"]) for e in examples(out).values())


def test_an_order_of_names_that_voc_cannot_hold_is_told(tmp_path: Path) -> None:
    out = build(tmp_path, num=5, class_names=["frame", "bar", "disc"])
    told = {name: precompute.export(out, tmp_path / name, format=name).build_options for name in FORMATS}
    assert told == {"coco": [], "yolo": [], "voc": ["--class-names", "frame,bar,disc"]}


@pytest.mark.slow
def test_another_format_in_the_same_folder_takes_the_place_of_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, folder = build(tmp_path), tmp_path / "files"
    for format in (*FORMATS, "coco"):
        command = ["export", str(out), "--format", format, "--split", "all", "--output", str(folder), "--overwrite"]
        assert main(command) == 0
        said = capsys.readouterr().out
        assert "wrote row 0 (seed 0, variant 0) of train, row 0 (seed 0, variant 0) of validation" in said
        assert "other file" not in said
        assert len(examples(rebuild(folder, tmp_path / f"again {format}"))) == 9
        shutil.rmtree(tmp_path / f"again {format}")


def test_what_has_no_boxes_is_refused_and_boxes_are_no_plain_files(tmp_path: Path) -> None:
    out = build(tmp_path)
    with pytest.raises(UsageError, match="files has no place for the boxes of out; expected coco, yolo, voc"):
        precompute.export(out, tmp_path / "files")
    draw_classes(tmp_path / "classes")
    precompute.build(tmp_path / "classes", tmp_path / "other", **options())
    with pytest.raises(UsageError, match="coco has no place for the class of other; expected files"):
        precompute.export(tmp_path / "other", tmp_path / "files", format="coco")
    assert not (tmp_path / "files").exists()


def test_names_that_xml_cannot_hold(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.zeros((20, 20, 3), np.uint8))
    source = {"images": [tmp_path / "a.png"], "boxes": [[(1, 1, 9, 9, "bad\ufffe")]]}
    same = {"train": A.Compose([A.Resize(20, 20)])}
    precompute.build(**source, output=tmp_path / "out", **options(pipeline=same, variants=1, validation_split=0))
    with pytest.raises(UsageError, match="XML cannot hold the names of its classes.*export coco or yolo"):
        precompute.export(tmp_path / "out", tmp_path / "files", format="voc")
