"""The guide's table of layouts is run: each line's files are drawn, its options given, its target found."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import precompute
from precompute.cli import main
from precompute.dataset.manifest import Manifest
from precompute.table.sources import Source
from tests.helpers import instance_datasets, keypoint_datasets
from tests.helpers.box_datasets import draw_boxed
from tests.helpers.box_files import write_coco, write_voc, write_yolo, xml_of
from tests.helpers.guide import read_page
from tests.helpers.small_datasets import draw_classes, save

PAGE = read_page("precompute/docs/layouts.md")
ROWS = [re.split(r"(?<!\\)\|", line)[1:4] for line in PAGE.splitlines() if line.startswith("| ")][1:]
ADD = {cell.strip(): [option.replace(r"\|", "|") for option in re.findall("`(.+?)`", add)] for cell, add, _ in ROWS}

TRUTH = instance_datasets.make_truth(4)


@dataclass(frozen=True)
class Line:
    """What a line of the table promises: `files` writes them, `kind` is the target, `add` more options."""

    files: Callable[[Path], Any]
    kind: str
    add: str = ""
    splits: tuple[str, ...] = ("train",)
    source: str = ""  # below the folder, where it is not the folder itself


def picture(folder: Path, *paths: str) -> None:
    for i, path in enumerate(paths):
        save(folder / path, np.random.default_rng(i).integers(0, 255, (12, 14, 3), np.uint8))


def masks(folder: Path, *paths: str) -> None:
    for path in paths:
        save(folder / path, np.eye(12, 14, dtype=np.uint8))


def pairs(images: str, of_masks: str) -> Callable[[Path], None]:
    """Files by patterns, of two keys and of all splits that they name."""
    splits = ("train", "val") if "{split}" in images else ("",)

    def write(folder: Path) -> None:
        for split in splits:
            names = [{"split": split, "key": f"{split}{key}"} for key in "ab"]
            picture(folder, *(images.format(**name) for name in names))
            masks(folder, *(of_masks.format(**name) for name in names))

    return write


def table(name: str, text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        picture(folder, "pics/a.png", "pics/b.png")
        masks(folder, "ids/a.png", "ids/b.png")
        (folder / name).write_text(text)

    return write


def elsewhere(folder: Path) -> None:
    write_coco(folder)
    (folder / "annotations").rename(folder / "notes")


def pose(folder: Path) -> None:
    write_yolo(folder)
    (folder / "data.yaml").write_text("names: [bar, disc, frame]\ntrain: images\nkpt_shape: [2, 2]\n")
    for file in (folder / "labels").iterdir():
        file.write_text("".join(f"{line} .5 .5 .4 .6\n" for line in file.read_text().splitlines()))


def in_a_folder_of_any_name(folder: Path) -> None:
    write_voc(folder)
    (folder / "Annotations").rename(folder / "drawn by hand")


def table_of_boxes(folder: Path) -> None:
    rows = [(name, *row) for name, rows in draw_boxed(folder / "images").items() for row in rows]
    lines = [f"images/{name}.png,{','.join(map(str, row))}" for name, *row in rows]
    (folder / "boxes.csv").write_text("\n".join(["image,xmin,ymin,xmax,ymax,class", *lines]))


def with_lists(folder: Path, start: str) -> None:
    """YOLO without a data.yaml; with a start of its lines, Darknet's obj.data names the lists."""
    truth = write_yolo(folder)
    (folder / "data.yaml").unlink()
    (folder / "obj.names").write_text("bar\ndisc\nframe\n")
    for split, names in {"train": sorted(truth)[:8], "valid": sorted(truth)[8:]}.items():
        (folder / f"{split}.txt").write_text("".join(f"{start}images/{name}.png\n" for name in names))
    if start:
        (folder / "obj.data").write_text(f"train = {start}train.txt\nvalid = {start}valid.txt\n")


def several(folder: Path) -> None:
    for name, rows in write_coco(folder).items():
        (folder / "xml").mkdir(exist_ok=True)
        (folder / "xml" / f"{name}.xml").write_text(xml_of(rows, None))


LAYOUTS: dict[str, list[Line]] = {
    "`cat/1.jpg`, `dog/2.jpg`": [
        Line(draw_classes, "class"),
        Line(lambda folder: picture(folder, "animals/cat/1.jpg", "animals/dog/2.jpg"), "class"),
    ],
    "`train/cat/1.jpg`": [
        Line(
            lambda f: picture(
                f, *(f"{split}/{name}/of_{split}.jpg" for split in ("train", "val") for name in ("cat", "dog"))
            ),
            "class",
            splits=("train", "validation"),
        ),
        Line(
            lambda f: picture(
                f, *(f"{name}/{split}/of_{split}.jpg" for split in ("train", "valid") for name in ("cat", "dog"))
            ),
            "class",
            splits=("train", "validation"),
        ),
    ],
    "`images/1.jpg` + `masks/1.png`": [Line(pairs("images/{key}.jpg", "masks/{key}.png"), "mask")],
    "`images/cat/1.jpg` + `masks/cat/1.png`": [
        Line(pairs("images/{key}/1.jpg", "masks/{key}/1.png"), "class"),
    ],
    "`images/1.jpg` + `masks_fine/1.png`": [
        Line(
            lambda f: (
                pairs("images/{key}.jpg", "masks_fine/{key}.png")(f),
                masks(f, *(f"masks_coarse/{key}.png" for key in "ab")),
            ),
            "mask",
        ),
    ],
    "`train/images/1.jpg`": [
        Line(pairs("{split}/images/{key}.jpg", "{split}/masks/{key}.png"), "mask", splits=("train", "validation")),
        Line(pairs("images/{split}/{key}.jpg", "masks/{split}/{key}.png"), "mask", splits=("train", "validation")),
    ],
    "`train/1.png` + `trainannot/1.png`": [
        Line(pairs("{split}/{key}.png", "{split}annot/{key}.png"), "mask", splits=("train", "validation")),
        Line(pairs("X/{key}.png", "X_mask/{key}.png"), "mask"),
    ],
    "`leftImg8bit/": [
        Line(pairs("leftImg8bit/{key}_leftImg8bit.png", "gtFine/{key}_gtFine_labelTrainIds.png"), "mask"),
    ],
    "`1.jpg` beside": [Line(pairs("{key}.jpg", "{key}_mask.png"), "mask")],
    "Pascal VOC": [Line(write_voc, "boxes"), Line(in_a_folder_of_any_name, "boxes")],
    "COCO: images": [Line(write_coco, "boxes")],
    "YOLO: ": [
        Line(write_yolo, "boxes"),
        Line(lambda f: with_lists(f, ""), "boxes", splits=("train", "validation")),
        Line(lambda f: with_lists(f, "data/"), "boxes", splits=("train", "validation")),
    ],
    "YOLO pose": [Line(pose, "keypoints"), Line(pose, "boxes", "--target boxes")],
    "COCO keypoints": [
        Line(keypoint_datasets.write_coco, "keypoints"),
        Line(keypoint_datasets.write_coco, "boxes", "--target boxes"),
        Line(keypoint_datasets.write_coco, "keypoints", "--target keypoints"),
    ],
    "table of boxes": [Line(table_of_boxes, "boxes")],
    "table of keypoints": [Line(keypoint_datasets.write_table, "keypoints")],
    "`images/a.jpg` + `masks/a/0.png`": [
        Line(lambda f: instance_datasets.write_files(f, TRUTH), "instances", "--class-names nucleus")
    ],
    "the same with a folder a class": [Line(lambda f: instance_datasets.write_classes(f, TRUTH), "instances")],
    "Data Science Bowl": [Line(lambda f: instance_datasets.write_bowl(f, TRUTH), "instances")],
    "COCO: polygons": [
        Line(lambda f, write=write: write(f, TRUTH), "instances")  # type: ignore[misc]
        for write in (
            instance_datasets.write_coco,
            instance_datasets.write_coco_runs,
            instance_datasets.write_coco_compressed,
        )
    ],
    "any of these four": [
        Line(lambda f, name=name: instance_datasets.WRITERS[name](f, TRUTH), target, f"--target {target}")  # type: ignore[misc]
        for name in ("files", "classes", "bowl", "coco")
        for target in ("mask", "boxes")
    ],
    "annotations elsewhere": [
        Line(elsewhere, "boxes", "--annotations notes"),
        Line(several, "boxes", "--annotations annotations"),
    ],
    "a table: ": [
        Line(table("t.csv", "image,label\npics/a.png,cat\npics/b.png,dog\n"), "class", source="t.csv"),
        Line(table("t.tsv", "path\tmask\npics/a.png\tids/a.png\npics/b.png\tids/b.png\n"), "mask", source="t.tsv"),
        Line(
            table("t.jsonl", '{"image": "pics/a.png", "label": "x"}\n{"image": "pics/b.png", "label": "y"}\n'),
            "class",
            source="t.jsonl",
        ),
    ],
    "a table with columns of labels and of masks": [
        Line(
            table("t.csv", "image,label,mask\npics/a.png,cat,ids/a.png\npics/b.png,dog,ids/b.png\n"),
            "class",
            source="t.csv",
        ),
    ],
    "a table with several labels": [
        Line(table("t.csv", "image,label\npics/a.png,cat|dog\npics/b.png,dog\n"), "multilabel", source="t.csv"),
        Line(
            table("t.jsonl", '{"image": "pics/a.png", "label": ["x", "y"]}\n{"image": "pics/b.png", "label": []}\n'),
            "multilabel",
            "--label-column label",
            source="t.jsonl",
        ),
    ],
    "a table with a column of 0": [
        Line(table("t.csv", "image,rust,scab\npics/a.png,1,1\npics/b.png,0,1\n"), "multilabel", source="t.csv"),
    ],
    "a table with columns of numbers": [
        Line(table("t.csv", "image,age,bmi\npics/a.png,31,20.5\npics/b.png,5,17\n"), "value", source="t.csv"),
    ],
    "a table whose names": [
        Line(table("t.csv", "photo,diagnosis\na.png,ill\nb.png,well\n"), "class", source="t.csv"),
    ],
    "images alone": [
        Line(lambda folder: picture(folder, "a.png", "more/b.png"), "image"),
        Line(table("t.csv", "image\npics/a.png\npics/b.png\n"), "image", source="t.csv"),
    ],
}


def line_of(start: str) -> str:
    """Return the one line of the table whose first cell begins so; of two the longer beginning counts."""
    found = [cell for cell in ADD if cell.startswith(start)]
    longer = [other for other in LAYOUTS if other != start and other.startswith(start)]
    found = [cell for cell in found if not any(cell.startswith(other) for other in longer)]
    assert len(found) == 1, (start, found)
    return found[0]


def test_every_line_is_run() -> None:
    lines = {line_of(start) for start in LAYOUTS} | {cell for cell in ADD if cell.startswith("Python: ")}
    assert set(ADD) == lines


@pytest.mark.slow
@pytest.mark.parametrize(("start", "number"), [(s, i) for s, lines in LAYOUTS.items() for i in range(len(lines))])
def test_a_line_becomes_what_it_says(start: str, number: int, tmp_path: Path) -> None:
    layout = LAYOUTS[start][number]
    source, out = tmp_path / "data", tmp_path / "out"
    source.mkdir()
    layout.files(source)
    added = " ".join(ADD[line_of(start)][:1]).replace("DIR", str(source / "pics"))
    words = layout.add if layout.add and not layout.add.startswith("--class-names") else f"{added} {layout.add}"
    fixed = ["--pipeline", "light", "--image-size", "16", "--variants", "1", "--jobs", "1", "--ignore-space", "--quiet"]
    arguments = ["build", str(source / layout.source), str(out), *fixed, *shlex.split(words)]
    assert main(arguments) == 0
    manifest = Manifest.load(out)
    assert manifest.target.kind == layout.kind
    assert {name for name, split in manifest.splits.items() if split.rows} == set(layout.splits)


def python_lines(folder: Path) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """Line of the table → kind and arguments of `precompute.build`, as the line gives them."""
    picture(folder, "a.png", "b.png")
    masks(folder, "m/a.png", "m/b.png")
    images = [folder / "a.png", folder / "b.png"]
    points = [[[(1.5, 2.5, 2), (3, 4, 1)]], []]
    objects = [[(folder / "m/a.png", "cell"), (folder / "m/b.png", "cell", "crowd")], []]
    sources = [Source("a", images[0], label="x", split="train", weight=2.0, extra={"age": 3})]
    boxes = [[(1, 2, 5, 6, "cat"), (0, 0, 9, 9, "dog", "crowd")], []]
    return {
        "Python: `images=paths` alone": [("image", {})],
        "Python: `images=paths, labels=names`": [
            ("class", {"labels": ["cat", "dog"]}),
            ("mask", {"masks": [folder / "m/a.png", folder / "m/b.png"]}),
        ],
        "Python: `images=paths, labels=[[": [("multilabel", {"labels": [["cat", "dog"], []]})],
        "Python: `images=paths, labels=names, masks=": [
            (
                "class",
                {"labels": ["cat", "dog"], "masks": {"fine": [folder / "m/a.png"] * 2, "b": [folder / "m/b.png"] * 2}},
            )
        ],
        "Python: `images=paths, values": [("value", {"values": {"age": [31, 5.5]}})],
        "Python: `images=paths, boxes": [("boxes", {"boxes": boxes})],
        "Python: `images=paths, keypoints": [
            ("keypoints", {"keypoints": points, "keypoint_names": ["nose", "tail"]}),
            ("keypoints", {"keypoints": points, "keypoint_names": ["n", "t"], "boxes": [[(1, 2, 5, 6, "cat")], []]}),
        ],
        "Python: `images=paths, instances": [("instances", {"instances": objects})],
        "Python: any iterable": [("class", {"source": sources})],
    }


@pytest.mark.slow
def test_lines_of_python_become_what_they_say(tmp_path: Path) -> None:
    lines = python_lines(tmp_path / "data")
    cells = {next(cell for cell in ADD if cell.startswith(start)) for start in lines}
    assert cells == {cell for cell in ADD if cell.startswith("Python: ")}
    for start, calls in lines.items():
        for number, (kind, given) in enumerate(calls):
            out = tmp_path / f"{len(start)}-{number}-{kind}"
            images = {} if "source" in given else {"images": [tmp_path / "data/a.png", tmp_path / "data/b.png"]}
            precompute.build(
                output=out, pipeline="light", image_size=16, variants=1, jobs=1, quiet=True, **images, **given
            )
            assert Manifest.load(out).target.kind == kind


def test_source_has_the_fields_that_the_table_names() -> None:
    named = next(cell for cell in ADD if "precompute.Source(" in cell)
    fields = re.findall(r"(\w+)(?:=|,|\))", named.split("precompute.Source(")[1])
    assert set(fields) == set(inspect.signature(Source).parameters)
