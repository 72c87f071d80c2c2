"""What splits are called: one rule for folders, tables, lists and data.yaml; what is a class's name stays one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from precompute.errors import SourceError
from precompute.sources.annotations.coco_files import split_of_name
from precompute.sources.split_folders import split_of
from tests.helpers.box_datasets import draw_boxed
from tests.helpers.box_files import coco_of, rows_of, size_of, sources_of, xml_of
from tests.helpers.small_datasets import save
from tests.helpers.source_columns import boxes_of, labels_of, masks_of
from tests.helpers.source_folders import find_sources

TRAIN = ["train", "Train", "train2017", "training", "Training", "trainset", "training_set", "train-set", "train_2012"]
VALIDATION = [
    "val",
    "valid",
    "validation",
    "val2017",
    "valset",
    "Validation_Set",
    "dev",
    "eval",
    "evaluation",
    "devset",
]
TEST = ["test", "test2017", "testing", "Testing", "testset", "test_set", "TEST"]
NONE = ["trains", "trainer", "valve", "value", "latest", "contest", "test1", "devil", "trainval", "test cases", "tests"]


@pytest.mark.parametrize("name", [*TRAIN, *VALIDATION, *TEST, *NONE])
def test_names(name: str) -> None:
    expected = {"train": TRAIN, "validation": VALIDATION, "test": TEST, None: NONE}
    assert [split for split, names in expected.items() if name in names] == [split_of(name)]


def picture(*paths: Path) -> None:
    for path in paths:
        save(path, np.zeros((8, 8, 3), np.uint8))


@pytest.mark.parametrize(
    ("train", "validation"),
    [("train2017", "val2017"), ("Training", "Testing"), ("training_set", "test_set"), ("trainset", "dev")],
)
@pytest.mark.parametrize("above", [True, False])
def test_folders_above_and_below_classes(tmp_path: Path, train: str, validation: str, above: bool) -> None:
    for split in (train, validation):
        for name in ("hat", "coat"):
            folder = tmp_path / split / name if above else tmp_path / name / split
            picture(folder / "1.png", folder / "2.png")
    sources = find_sources(tmp_path)
    assert sources.class_names == ["coat", "hat"]
    assert sources.splits.count("train") == 4 and sources.splits.count(split_of(validation)) == 4
    for key, label in zip(sources.keys, labels_of(sources), strict=True):
        assert sources.class_names[label] in key.split("/")


def test_keys_stay_what_they_were(tmp_path: Path) -> None:
    picture(*(tmp_path / "long" / split / "hat" / "1.png" for split in ("train2017", "val2017")))
    assert find_sources(tmp_path / "long").keys == ["train2017/hat/1", "val2017/hat/1"]
    picture(*(tmp_path / "mixed" / split / "hat" / f"{split}.png" for split in ("training", "validation")))
    assert find_sources(tmp_path / "mixed").keys == ["training/hat/training", "validation/hat/validation"]
    picture(*(tmp_path / "short" / split / "hat" / f"{split}.png" for split in ("train", "val")))
    assert find_sources(tmp_path / "short").keys == ["hat/train", "hat/val"]


def test_masks(tmp_path: Path) -> None:
    for split in ("training", "validation"):  # as in ADE20K
        picture(tmp_path / "images" / split / f"{split}.png", tmp_path / "masks" / split / f"{split}.png")
    sources = find_sources(tmp_path)
    assert sources.splits == ["train", "validation"] and masks_of(sources) == [
        "masks/training/training.png",
        "masks/validation/validation.png",
    ]


def test_names_of_classes_stay_so(tmp_path: Path) -> None:
    for names in (("training", "running"), ("testing", "dev"), ("test1", "test2"), ("eval",)):
        top = tmp_path / "_".join(names)
        picture(*(top / name / "1.png" for name in names))
        assert find_sources(top).class_names == sorted(names)
    picture(tmp_path / "beside" / "train2017" / "1.png", tmp_path / "beside" / "background" / "1.png")
    with pytest.raises(
        SourceError, match="there is a train folder, but these folders belong to no split:\n  background/"
    ):
        find_sources(tmp_path / "beside")


def test_a_column_of_a_table(tmp_path: Path) -> None:
    words = ["Training", "dev", "test_set", "train"]
    picture(*(tmp_path / f"{i}.png" for i in range(4)))
    lines = "".join(f"{i}.png,a,{word}\n" for i, word in enumerate(words))
    (tmp_path / "t.csv").write_text(f"image,label,split\n{lines}")
    assert sources_of(tmp_path / "t.csv").splits == ["train", "validation", "test", "train"]


def test_lists_of_voc(tmp_path: Path) -> None:
    truth = draw_boxed(tmp_path / "JPEGImages", 4)
    (tmp_path / "Annotations").mkdir()
    for name, rows in truth.items():
        size = size_of(tmp_path / "JPEGImages" / f"{name}.png")
        (tmp_path / "Annotations" / f"{name}.xml").write_text(xml_of(rows, size))
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    for name, keys in (("train2012", "i000\ni001\n"), ("val2012", "i002\n"), ("testing", "i003\n")):
        (tmp_path / "ImageSets" / "Main" / f"{name}.txt").write_text(keys)
    assert sources_of(tmp_path).splits == ["train", "train", "validation", "test"]


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("instances_train2017.json", "train"),
        ("instances_val2017.json", "validation"),
        ("image_info_test-dev2017.json", "test"),
        ("training/_annotations.coco.json", "train"),
        ("eval.json", "validation"),
        ("instances_all.json", None),
    ],
)
def test_json_files(path: str, split: str | None) -> None:
    assert split_of_name(Path(path)) == split


def test_coco_as_it_is_published(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    for split, first in (("train2017", 100), ("val2017", 200)):
        truth = {f"{split}_{name}": rows for name, rows in draw_boxed(tmp_path / split, 3).items()}
        for name in truth:
            (tmp_path / split / f"{name.split('_')[1]}.png").rename(tmp_path / split / f"{name}.png")
        content = coco_of(tmp_path / split, truth, first_id=first)
        (tmp_path / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    sources = sources_of(tmp_path)
    assert sources.splits == ["train"] * 3 + ["validation"] * 3 and len(rows_of(sources)) == 6
    assert sources.keys[0] == "train2017/train2017_i000"  # as it was


@pytest.mark.parametrize("name", ["test", "dev", "train2017"])
def test_an_image_that_is_called_like_a_split_keeps_its_boxes(tmp_path: Path, name: str) -> None:
    for folder in ("beside", "apart"):
        images, labels = (tmp_path / folder / sub for sub in (("images", "labels") if folder == "apart" else ("", "")))
        picture(images / f"{name}.png", images / "other.png")
        labels.mkdir(exist_ok=True)
        for stem in (name, "other"):
            (labels / f"{stem}.txt").write_text("0 .5 .5 .2 .2\n")
        (tmp_path / folder / "classes.txt").write_text("cat\n")
        boxes = boxes_of(sources_of(tmp_path / folder))
        assert boxes.counts.tolist() == [1, 1]
