"""Annotations that are named are read with their images and nothing else; of several nobody guesses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import precompute
from precompute.errors import SourceError
from tests.helpers.box_datasets import draw_boxed
from tests.helpers.box_files import coco_of, rows_of, size_of, sources_of, xml_of, yolo_of
from tests.helpers.small_datasets import options, save


def write_part(folder: Path, names: str, *, splits: tuple[str, ...] = ("train", "val"), num: int = 3) -> None:
    """A YOLO data set of its own, with a data.yaml."""
    for split in splits:
        for i in range(num):
            save(
                folder / "images" / split / f"{folder.name}{i}.png".replace("0", split), np.zeros((20, 20, 3), np.uint8)
            )
        (folder / "labels" / split).mkdir(parents=True)
        for image in (folder / "images" / split).iterdir():
            image = image.rename(image.with_name(f"{split}_{image.name}"))
            (folder / "labels" / split / f"{image.stem}.txt").write_text("0 .5 .5 .2 .2\n")
    entries = "".join(f"{split}: images/{split}\n" for split in splits)
    (folder / "data.yaml").write_text(f"{entries}names: {names}\n")


def write_two(top: Path, first: str = "[cat]", second: str = "[dog]") -> None:
    write_part(top / "a", first)
    write_part(top / "b", second)


def test_a_named_data_yaml_is_read_with_its_images_alone(tmp_path: Path) -> None:
    write_two(tmp_path / "two")
    (tmp_path / "two" / "b" / "labels" / "train" / "lost.txt").write_text("7 .5 .5 .2 .2\n")  # none of our business
    sources = sources_of(tmp_path / "two", annotations="a/data.yaml")
    assert sources.class_names == ["cat"] and len(sources) == 6
    assert all(image.startswith("a/images/") for image in sources.images)
    assert sources.splits == ["train"] * 3 + ["validation"] * 3
    assert sources.keys[0].startswith("a/train_")  # as it was when all were read
    assert "6 images that --annotations a/data.yaml does not name were passed over." in sources.notes


def test_a_named_data_yaml_up_to_the_tensors(tmp_path: Path) -> None:
    write_two(tmp_path / "two")
    given = options(annotations="b/data.yaml", variants=1, validation_split=0.0)
    precompute.build(tmp_path / "two", tmp_path / "out", **given)
    for split in ("train", "validation"):
        examples = list(precompute.read(tmp_path / "out", split=split))
        assert len(examples) == 3 and {name for e in examples for name in e["class_names"]} == {"dog"}


def test_several_that_number_differently_have_to_be_chosen_from(tmp_path: Path) -> None:
    write_two(tmp_path / "two")
    message = (
        r"(?s)number classes differently:\n  a/data.yaml: cat\n  b/data.yaml: dog\nName the one .* --annotations a/"
    )
    with pytest.raises(SourceError, match=message):
        sources_of(tmp_path / "two")
    with pytest.raises(SourceError, match="number classes differently"):
        sources_of(tmp_path / "two", class_names=["cat"])


def test_several_that_say_the_same_are_one_data_set(tmp_path: Path) -> None:
    write_two(tmp_path / "two", second="{0: cat}")
    sources = sources_of(tmp_path / "two")
    assert sources.class_names == ["cat"] and len(sources) == 12


@pytest.mark.parametrize("other", ["b/classes.txt", "classes.txt", "b/labels/obj.names"])
def test_lists_of_classes_count_too(tmp_path: Path, other: str) -> None:
    write_two(tmp_path / "two")
    (tmp_path / "two" / "b" / "data.yaml").unlink()
    (tmp_path / "two" / other).write_text("dog\n")
    with pytest.raises(SourceError, match=f"(?s)number classes differently.*{other}: dog"):
        sources_of(tmp_path / "two")
    assert sources_of(tmp_path / "two", annotations="a/data.yaml").class_names == ["cat"]


def test_names_of_a_part_are_not_those_of_all(tmp_path: Path) -> None:
    write_two(tmp_path / "two")
    (tmp_path / "two" / "b" / "data.yaml").unlink()
    sources = sources_of(tmp_path / "two")
    assert sources.class_names == ["0"] and "a/data.yaml names the classes of a part" in " ".join(sources.notes)
    (tmp_path / "one").mkdir()
    (tmp_path / "two" / "a").rename(tmp_path / "one" / "a")
    assert sources_of(tmp_path / "one").class_names == ["cat"]


def test_a_named_folder_of_texts_is_read_with_its_images_alone(tmp_path: Path) -> None:
    write_two(tmp_path / "two")
    for folder, number in (("a/labels", 6), ("a", 6), ("a/labels/train", 3)):
        sources = sources_of(tmp_path / "two", annotations=folder)
        assert (sources.class_names, len(sources)) == (["cat"], number), folder
        assert all(image.startswith("a/") for image in sources.images)


ENTRIES = {
    "a folder": "train: images/train\nval: images/val\n",
    "with a path": "path: ../a\ntrain: images/train\nval: images/val\n",
    "of an export": "train: ../images/train\nval: ../images/val\ntest: ../images/test\n",
    "lists of folders": "train: [images/train]\nvalid:\n  - images/val\n",
    "lists of images": "train: train.txt\nval: val.txt\n",
    "of another name": "train: images/train\nvalidation: images/val\n",
}


@pytest.mark.parametrize("entries", ENTRIES.values(), ids=ENTRIES)
def test_every_way_to_name_images(tmp_path: Path, entries: str) -> None:
    write_two(tmp_path / "two")
    folder = tmp_path / "two" / "a"
    for split in ("train", "val"):
        lines = [f"./images/{split}/{image.name}" for image in (folder / "images" / split).iterdir()]
        (folder / f"{split}.txt").write_text("\n".join(lines))
    (folder / "data.yaml").write_text(f"{entries}names: [cat]\n")
    sources = sources_of(tmp_path / "two", annotations="a/data.yaml")
    assert sources.splits == ["train"] * 3 + ["validation"] * 3
    assert sources_of(folder, annotations="data.yaml").splits == sources.splits


def test_a_list_names_some_images_of_a_folder(tmp_path: Path) -> None:
    write_part(tmp_path, "[cat]", splits=("pool",), num=6)
    images = sorted((tmp_path / "images" / "pool").iterdir())
    (tmp_path / "some.txt").write_text("".join(f"{image}\n" for image in images[:4]))
    (tmp_path / "rest.txt").write_text(f"{images[5]}\n")
    (tmp_path / "data.yaml").write_text("train: some.txt\nval: rest.txt\nnames: [cat]\n")
    sources = sources_of(tmp_path, annotations="data.yaml")
    assert len(sources) == 5 and sources.splits.count("validation") == 1


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ("train: images/nowhere\n", r"Entries that lead nowhere \(1\):\n  train: images/nowhere"),
        ("train: list.txt\n", r"Entries that lead nowhere \(1\):\n  list.txt: gone.png"),
        ("train: {}\n", r"lead out of .* \(1\):\n  .*elsewhere/"),
        ("train: empty\n", "data.yaml: not one of 6 images below .* is one that it names"),
    ],
)
def test_entries_that_cannot_be_read(tmp_path: Path, entries: str, message: str) -> None:
    write_part(tmp_path / "a", "[cat]")
    (tmp_path / "a" / "list.txt").write_text("gone.png\n")
    (tmp_path / "a" / "empty").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a" / "data.yaml").write_text(f"{entries.format(tmp_path / 'elsewhere')}names: [cat]\n")
    with pytest.raises(SourceError, match=message):
        sources_of(tmp_path / "a", annotations="data.yaml")


def test_folders_that_are_named_need_no_names_of_splits(tmp_path: Path) -> None:
    write_part(tmp_path / "a", "[cat]", splits=("train", "more"))
    (tmp_path / "a" / "data.yaml").write_text("train: images/train\nval: images/more\nnames: [cat]\n")
    sources = sources_of(tmp_path, annotations="a/data.yaml")
    assert sorted(filter(None, sources.splits)) == ["train"] * 3 + ["validation"] * 3


def test_a_named_folder_of_xml_is_read_with_its_images_alone(tmp_path: Path) -> None:
    truth: dict[str, Any] = {}
    for part, num in (("a", 4), ("b", 6)):
        truth[part] = draw_boxed(tmp_path / part / "JPEGImages", num)
        (tmp_path / part / "Annotations").mkdir()
        for name, rows in truth[part].items():
            size = size_of(tmp_path / part / "JPEGImages" / f"{name}.png")
            (tmp_path / part / "Annotations" / f"{name}.xml").write_text(xml_of(rows, size))
        lists = tmp_path / part / "ImageSets" / "Main"
        lists.mkdir(parents=True)
        (lists / "train.txt").write_text("i000\ni001\n")
        (lists / "val.txt").write_text("i002\ni003\n")
    sources = sources_of(tmp_path, annotations="b/Annotations")
    assert rows_of(sources) == {f"b/{name}": rows for name, rows in list(truth["b"].items())[:4]}
    assert "4 images that --annotations b/Annotations does not name were passed over." in sources.notes


def test_a_named_json_takes_the_images_that_lie_nearest(tmp_path: Path) -> None:
    truth: dict[str, Any] = {}
    for part, num in (("a", 4), ("b", 6)):
        truth[part] = draw_boxed(tmp_path / part / "images", num)
        (tmp_path / part / "annotations").mkdir()
        content = coco_of(tmp_path / part, truth[part])
        (tmp_path / part / "annotations" / "instances.json").write_text(json.dumps(content))
    save(tmp_path / "c" / "train" / "other.png", np.zeros((8, 8, 3), np.uint8))  # would be a split beside none
    sources = sources_of(tmp_path, annotations="b/annotations/instances.json")
    assert rows_of(sources) == {f"b/{name}": rows for name, rows in truth["b"].items()}


def test_json_files_that_number_differently_go_by_names(tmp_path: Path) -> None:
    """The order is that of train, whichever file comes first; what another one has alone comes after."""
    numbers = {"train": {"disc": 1, "bar": 2, "frame": 10}, "a_val": {"bar": 1, "disc": 2, "frame": 3, "arch": 0}}
    truth: dict[str, Any] = {}
    for split, ids in numbers.items():
        drawn = {f"{split}_{name}": rows for name, rows in draw_boxed(tmp_path / split, 4).items()}
        for name in drawn:
            (tmp_path / split / f"{name.removeprefix(split + '_')}.png").rename(tmp_path / split / f"{name}.png")
        content = coco_of(tmp_path / split, drawn)
        old = {category["id"]: category["name"] for category in content["categories"]}
        for annotation in content["annotations"]:
            annotation["category_id"] = ids[old[annotation["category_id"]]]
        content["categories"] = [{"id": number, "name": name} for name, number in ids.items()]
        (tmp_path / f"{split}.json").write_text(json.dumps(content))
        truth |= {f"{split}/{name}": rows for name, rows in drawn.items()}
    for name in ("train", "a_val"):  # Roboflow's way
        (tmp_path / f"{name}.json").rename(tmp_path / name / "_annotations.coco.json")
    (tmp_path / "a_val").rename(tmp_path / "dev")
    sources = sources_of(tmp_path)
    assert sources.class_names == ["disc", "bar", "frame", "arch"]
    assert {key.replace("dev/", "a_val/"): rows for key, rows in rows_of(sources).items()} == truth
    said = "Files number categories differently: they go by their names, in the order of train/_annotations.coco.json."
    assert said in sources.notes
    assert sources_of(tmp_path, class_names=["frame", "bar", "disc"]).class_names == ["frame", "bar", "disc"]


def test_json_files_that_have_other_categories_each_keep_the_order_of_ids(tmp_path: Path) -> None:
    for part, left_out in (("a", 90), ("b", 3)):
        truth = {f"{part}_{name}": rows for name, rows in draw_boxed(tmp_path / part, 3).items()}
        for name in truth:
            (tmp_path / part / f"{name[2:]}.png").rename(tmp_path / part / f"{name}.png")
        content = coco_of(tmp_path / part, truth)
        content["categories"] = [c for c in content["categories"] if c["id"] != left_out]
        content["annotations"] = [a for a in content["annotations"] if a["category_id"] != left_out]
        (tmp_path / part / "annotations.json").write_text(json.dumps(content))
    sources = sources_of(tmp_path)
    assert sources.class_names == ["bar", "disc", "frame"]
    assert "differently" not in " ".join(sources.notes)


def test_one_id_with_two_names_is_refused(tmp_path: Path) -> None:
    content = coco_of(tmp_path, draw_boxed(tmp_path / "images", 3))
    content["categories"].append({"id": 90, "name": "arch"})
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(SourceError, match="annotations.json: the category 90 is 'frame', and 'arch' as well"):
        sources_of(tmp_path)


def test_a_named_folder_with_several_kinds(tmp_path: Path) -> None:
    truth = draw_boxed(tmp_path / "images", 4)
    (tmp_path / "notes").mkdir()
    for name, rows in truth.items():
        size = size_of(tmp_path / "images" / f"{name}.png")
        (tmp_path / "notes" / f"{name}.xml").write_text(xml_of(rows, size))
        (tmp_path / "notes" / f"{name}.txt").write_text(yolo_of(rows, size))
    with pytest.raises(SourceError, match="notes holds annotations of several kinds: Pascal VOC and YOLO"):
        sources_of(tmp_path, annotations="notes")


@pytest.mark.parametrize("spelled", ["boxes", "./boxes/", "{top}/boxes", "../data/boxes"])
def test_one_place_is_one_however_it_is_spelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelled: str) -> None:
    top = tmp_path / "data"
    truth = draw_boxed(top / "images", 4)
    (top / "boxes").mkdir()
    for name, rows in truth.items():
        (top / "boxes" / f"{name}.xml").write_text(xml_of(rows, size_of(top / "images" / f"{name}.png")))
    given = options(variants=1, validation_split=0.0)
    precompute.build(top, tmp_path / "out", annotations="boxes", **given)
    manifest = (tmp_path / "out" / "manifest.json").read_bytes()
    monkeypatch.chdir(tmp_path)
    precompute.build(top, tmp_path / "out", annotations=spelled.format(top=top), **given)
    monkeypatch.chdir(top.parent)
    precompute.build(top, tmp_path / "out", annotations="data/boxes", **given)
    assert (tmp_path / "out" / "manifest.json").read_bytes() == manifest
