"""Pascal VOC, COCO and YOLO, from files to records: the same objects in each, and each one's usual mistakes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import SourceError, UsageError
from tests.helpers.box_datasets import NAMES, check_pixels_under_boxes, draw_boxed, identity, turning
from tests.helpers.box_files import (
    Truth,
    coco_of,
    rows_of,
    size_of,
    sources_of,
    write_coco,
    write_voc,
    write_yolo,
    xml_of,
    yolo_of,
)
from tests.helpers.small_datasets import draw_classes, draw_pairs, options, save
from tests.helpers.source_columns import boxes_of

WRITERS: dict[str, Callable[[Path], Truth]] = {"voc": write_voc, "coco": write_coco, "yolo": write_yolo}


@pytest.mark.parametrize("layout", WRITERS)
def test_found_by_itself_with_every_side(layout: str, tmp_path: Path) -> None:
    truth = WRITERS[layout](tmp_path)
    sources = sources_of(tmp_path)
    assert rows_of(sources) == truth
    assert (sources.kind, sources.class_names) == ("boxes", NAMES)
    assert "18 boxes in 12 images; 3 of them have none" in " ".join(sources.notes)
    assert sources.splits == [None] * 12


@pytest.mark.slow
@pytest.mark.parametrize("layout", WRITERS)
def test_from_files_to_records(layout: str, tmp_path: Path) -> None:
    truth = WRITERS[layout](tmp_path / "data")
    for name, made in (("unmoved", identity(44, 60)), ("turned", turning())):
        given = options(pipeline={"train": made, "validation": made}, variants=3)
        precompute.build(tmp_path / "data", tmp_path / name, **given)
        compared = check_pixels_under_boxes(tmp_path / name)
        assert compared > sum(map(len, truth.values()))
        assert precompute.verify(tmp_path / name, sources=6).problems == []
    assert Manifest.load(tmp_path / "turned").target.class_names == NAMES


@pytest.mark.slow
def test_all_layouts_make_the_same_records(tmp_path: Path) -> None:
    """Up to the file name, which is in them, and COCO's crowds."""
    labels = {}
    for layout, write in WRITERS.items():
        write(tmp_path / layout)
        given = options(pipeline=turning(), variants=2)
        precompute.build(tmp_path / layout, tmp_path / f"out_{layout}", **given)
        labels[layout] = [
            (e["key"], e["boxes"].round(3).tolist(), e["class_names"])
            for e in precompute.read(tmp_path / f"out_{layout}", row=1)
        ]
    assert labels["voc"] == labels["coco"] == labels["yolo"]


def test_drop_empty(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    sources = sources_of(tmp_path, drop_empty=True)
    assert len(sources) == 9 and all(rows_of(sources).values())
    draw_classes(tmp_path / "classes")
    with pytest.raises(UsageError, match="drop_empty: .* these sources have no boxes"):
        sources_of(tmp_path / "classes", drop_empty=True)


def test_other_layouts_are_found_as_before(tmp_path: Path) -> None:
    draw_classes(tmp_path / "classes")
    (tmp_path / "classes" / "labels.txt").write_text("cat\ndog\n")
    (tmp_path / "classes" / "info.json").write_text("{}")
    assert sources_of(tmp_path / "classes").kind == "class"
    draw_pairs(tmp_path / "pairs")
    (tmp_path / "pairs" / "notes.xml").write_text("<notes/>")
    assert sources_of(tmp_path / "pairs").kind == "mask"


def test_several_kinds_need_a_word(tmp_path: Path) -> None:
    truth = write_voc(tmp_path)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "i001.txt").write_text("0 .5 .5 .1 .1\n")
    with pytest.raises(SourceError, match="several kinds: Pascal VOC and YOLO. Name the ones that count with --annot"):
        sources_of(tmp_path)
    assert rows_of(sources_of(tmp_path, annotations="Annotations")) == truth
    with pytest.raises(
        SourceError,
        match="--annotations no: there is no .*/no and no .*/no. Paths start from the working",
    ):
        sources_of(tmp_path, annotations="no")
    with pytest.raises(SourceError, match="JPEGImages holds no annotations that are read"):
        sources_of(tmp_path, annotations="JPEGImages")
    with pytest.raises(UsageError, match="they name boxes, --masks"):
        sources_of(tmp_path, annotations="Annotations", masks="masks")


# Pascal VOC


def test_voc_flags(tmp_path: Path) -> None:
    write_voc(tmp_path)
    sources = sources_of(tmp_path)
    assert boxes_of(sources)[sources.keys.index("i003")].flags.tolist() == [2, 4, 0]


def test_voc_beside_the_images(tmp_path: Path) -> None:
    truth = draw_boxed(tmp_path)
    for name, rows in truth.items():
        (tmp_path / f"{name}.xml").write_text(xml_of(rows, None))  # size 0: that of the image
    assert rows_of(sources_of(tmp_path)) == truth


def test_images_in_a_folder_of_another_name(tmp_path: Path) -> None:
    truth = write_voc(tmp_path)
    (tmp_path / "JPEGImages").rename(tmp_path / "photos")
    save(tmp_path / "cover.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(SourceError, match=r"Images without an annotation \(13\):\n  cover.png"):
        sources_of(tmp_path)
    assert rows_of(sources_of(tmp_path, images="photos")) == truth
    with pytest.raises(SourceError, match="expected a folder pictures/ with images"):
        sources_of(tmp_path, images="pictures")


def test_voc_of_pascal_counts_pixels_from_one(tmp_path: Path) -> None:
    truth = draw_boxed(tmp_path / "JPEGImages")
    (tmp_path / "Annotations").mkdir()
    for name, rows in truth.items():
        text = xml_of(rows, None, database="The VOC2007 Database", first=1)
        (tmp_path / "Annotations" / f"{name}.xml").write_text(text)
    sources = sources_of(tmp_path)
    assert rows_of(sources) == truth
    assert "12 annotations are PASCAL's own" in " ".join(sources.notes)


def write_lists(folder: Path, lists: dict[str, list[str]]) -> None:
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    for name, keys in lists.items():
        (folder / "ImageSets" / "Main" / f"{name}.txt").write_text("".join(f"{key}\n" for key in keys))


def test_voc_lists_are_splits(tmp_path: Path) -> None:
    truth = write_voc(tmp_path / "VOC2012")
    keys = sorted(truth)
    lists = {"train": keys[:6], "val": keys[6:9], "trainval": keys[:9], "bar_train": [f"{key} -1" for key in keys[:6]]}
    write_lists(tmp_path / "VOC2012", {**lists, "test": [keys[9], f"{keys[10]}.png", ""]})
    for top, prefix in ((tmp_path / "VOC2012", ""), (tmp_path, "VOC2012/")):
        sources = sources_of(top)
        assert sources.keys == [prefix + key for key in keys[:11]]
        assert sources.splits == ["train"] * 6 + ["validation"] * 3 + ["test"] * 2
        assert "1 image that no list in ImageSets/Main names was passed over." in sources.notes


def test_voc_lists_that_do_not_fit(tmp_path: Path) -> None:
    keys = sorted(write_voc(tmp_path))
    write_lists(tmp_path, {"train": [*keys[:6], "nowhere"], "val": keys[5:8]})
    with pytest.raises(SourceError) as caught:
        sources_of(tmp_path)
    assert "that are not there (1):\n  train.txt: nowhere" in str(caught.value)
    assert "in the lists of two splits (1):\n  i005: train and validation" in str(caught.value)


VOC_MISTAKES = [
    ("i001.xml", None, r"Images without an annotation \(1\):\n  JPEGImages/i001.png\nExpected for each an xml"),
    ("i099.xml", xml_of([], None), r"Annotations without an image \(1\):\n  .*i099.xml"),
    ("i001.xml", "", r"i001.xml: the file is empty"),
    ("i001.xml", "<annotation><object>", "i001.xml: not valid XML"),
    ("i001.xml", "<root/>", "expected <annotation>, got <root>"),
    ("i001.xml", "<annotation><object/></annotation>", "object 0 has no name"),
    ("i001.xml", "<annotation><object><name>bar</name></object></annotation>", r"object 0 \(bar\) has no bndbox"),
    (
        "i001.xml",
        xml_of([(0, 0, 1, 1, "bar")], None).replace("xmin>0", "xmin>a"),
        "expected numbers for xmin, ymin, xmax, ymax",
    ),
]


@pytest.mark.parametrize(("name", "content", "message"), VOC_MISTAKES, ids=range(len(VOC_MISTAKES)))
def test_voc_mistakes(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    write_voc(tmp_path)
    path = tmp_path / "Annotations" / name
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(SourceError, match=message):
        sources_of(tmp_path)


def test_voc_unknown_class_and_other_size(tmp_path: Path) -> None:
    truth = write_voc(tmp_path)
    with pytest.raises(SourceError, match=r"\(--class-names\) does not hold.*\n  'frame' of 'i002'"):
        sources_of(tmp_path, class_names=["bar", "disc"])
    assert sources_of(tmp_path, class_names=["frame", "disc", "bar", "none"]).class_names[3] == "none"
    (tmp_path / "Annotations" / "i003.xml").write_text(xml_of(truth["i003"], (40, 59)))
    with pytest.raises(
        precompute.PrecomputeError, match="i003.png: is 59×40 .* but its boxes are meant for 40×59: was it"
    ):
        precompute.build(tmp_path, tmp_path / "out", **options(pipeline=turning()))


def test_two_images_of_one_name(tmp_path: Path) -> None:
    write_voc(tmp_path)
    shutil.copy(tmp_path / "JPEGImages" / "i001.png", tmp_path / "JPEGImages" / "i001.bmp")
    with pytest.raises(SourceError, match=r"Images that share a key \(1\):\n.*i001.bmp, .*i001.png \(key 'i001'\)"):
        sources_of(tmp_path)


@pytest.mark.parametrize("layout", ["voc", "yolo"])
def test_unmatched_are_left_out_where_they_are_accepted(layout: str, tmp_path: Path) -> None:
    truth = WRITERS[layout](tmp_path)
    folder, ending = ("JPEGImages", "xml") if layout == "voc" else ("images", "txt")
    (tmp_path / folder / "i002.png").unlink()
    with pytest.raises(SourceError, match=rf"(?s)without an image \(1\):\n  .*i002.{ending}.*--skip-unmatched 1 "):
        sources_of(tmp_path)
    found = sources_of(tmp_path, skip_unmatched="1")
    assert rows_of(found) == {key: rows for key, rows in truth.items() if key != "i002"}
    assert any(note.split("\n")[0].endswith("without an image, left out (1):") for note in found.notes)


def test_images_without_an_annotation_are_left_out_where_they_are_accepted(tmp_path: Path) -> None:
    truth = write_voc(tmp_path)
    (tmp_path / "Annotations" / "i003.xml").unlink()
    found = sources_of(tmp_path, skip_unmatched="9%")
    assert rows_of(found) == {key: rows for key, rows in truth.items() if key != "i003"}


def test_annotations_start_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name leads to what stands in the working folder, then to what stands below the source."""
    truth = write_voc(tmp_path / "data")
    (tmp_path / "data" / "Annotations").rename(tmp_path / "data" / "boxes")
    monkeypatch.chdir(tmp_path)
    assert rows_of(sources_of(tmp_path / "data", annotations="boxes")) == truth
    (tmp_path / "boxes").mkdir()
    with pytest.raises(SourceError, match=f"{tmp_path}/boxes holds no annotations"):
        sources_of(tmp_path / "data", annotations="boxes")
    assert rows_of(sources_of(tmp_path / "data", annotations="data/boxes")) == truth


def test_blood_is_read_as_it_is(real_data: Path) -> None:
    sources = sources_of(real_data / "blood")
    assert len(sources) == 364 and sources.class_names == ["Platelets", "RBC", "WBC"]
    assert len(boxes_of(sources).labels) == 4886
    notes = "\n".join(sources.notes)
    assert "2 boxes without area" in notes
    assert "BloodImage_00338: 504, 337, 504, 337\n  BloodImage_00343: 181, 329, 181, 329" in notes
    counts = {split: sources.splits.count(split) for split in ("train", "validation", "test")}
    assert counts == {"train": 205, "validation": 87, "test": 72}


# COCO


def test_coco_crowds_and_gaps(tmp_path: Path) -> None:
    truth = write_coco(tmp_path)
    sources = sources_of(tmp_path)
    crowds = int((boxes_of(sources).flags == 1).sum())
    assert crowds == sum(row[4] == "frame" for rows in truth.values() for row in rows) > 3


def test_coco_splits_by_file(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    for name in ("train2017", "val2017"):
        folder = tmp_path / name
        truth = draw_boxed(folder, 4)
        for key in truth:
            (folder / f"{key}.png").rename(folder / f"{name}_{key}.png")
        renamed = {f"{name}_{key}": rows for key, rows in truth.items()}
        content = json.dumps(coco_of(folder, renamed))
        (tmp_path / "annotations" / f"instances_{name}.json").write_text(content)
        (tmp_path / "annotations" / f"captions_{name}.json").write_text('{"annotations": []}')
    sources = sources_of(tmp_path)
    assert sources.splits == ["train"] * 4 + ["validation"] * 4
    assert sources.keys[0] == "train2017/train2017_i000"


def test_coco_beside_the_images(tmp_path: Path) -> None:
    """As Roboflow exports it: equal names in several splits, which the folder of the file tells apart."""
    for name in ("train", "valid"):
        truth = draw_boxed(tmp_path / name, 4)
        content = coco_of(tmp_path / name, truth)
        content["categories"].append({"id": 0, "name": "things"})
        (tmp_path / name / "_annotations.coco.json").write_text(json.dumps(content))
    with pytest.raises(SourceError, match=r"share a key \(4\):.*\n(.*\n)+.*give --split-in-key"):
        sources_of(tmp_path)
    sources = sources_of(tmp_path, split_in_key=True)
    assert sources.keys == [f"{split}/i{i:03}" for split in ("train", "valid") for i in range(4)]
    assert sources.splits == ["train"] * 4 + ["validation"] * 4
    assert sources.class_names == ["things", *NAMES]
    assert "Classes without an object:\n  things" in sources.notes


def test_coco_file_is_named(tmp_path: Path) -> None:
    truth = draw_boxed(tmp_path / "photos")
    content = coco_of(tmp_path, {key: truth[key] for key in list(truth)[:5]})
    for image in content["images"]:
        image["file_name"] = f"photos/{image['file_name']}"
        del image["width"]
    (tmp_path / "mine.json").write_text(json.dumps(content))
    sources = sources_of(tmp_path, annotations="mine.json")
    assert rows_of(sources) == {f"photos/{key}": truth[key] for key in list(truth)[:5]}
    assert "7 images that no annotation file names were passed over." in sources.notes


def change(content: dict[str, Any], path: str, value: Any) -> None:
    *names, last = path.split(".")
    at: Any = content
    for name in names:
        at = at[int(name) if name.isdigit() else name]
    at[int(last) if last.isdigit() else last] = value


COCO_MISTAKES = [
    ("images.0.file_name", "gone.png", r"Images that are not there \(1\):\n  instances_all.json: gone.png"),
    ("images.0.id", 99, "image id 99"),
    ("images.0.file_name", "i010.png", r"Images that are listed again \(1\):\n  .*/i010.png\nList each once"),
    (
        "annotations.0.image_id",
        7,
        r"of images that are not listed \(1\):\n  instances_all.json: annotation 1: image_id 7",
    ),
    ("annotations.0.category_id", 4, r"of unknown categories \(1\):\n  .*annotation 1: category_id 4"),
    ("annotations.0.bbox", [1, 2, 3], r"without a box of four numbers \(1\):\n  .*annotation 1: bbox \[1, 2, 3\]"),
    ("categories.0.name", "bar", "categories of one name under several ids:\n  bar"),
    ("categories.0.name", "", "a category without an id, or a name that is a text"),
    ("images", {}, "expected a COCO file with a list of objects under 'images'"),
]


@pytest.mark.parametrize(("path", "value", "message"), COCO_MISTAKES, ids=range(len(COCO_MISTAKES)))
def test_coco_mistakes(tmp_path: Path, path: str, value: Any, message: str) -> None:
    write_coco(tmp_path)
    file = tmp_path / "annotations" / "instances_all.json"
    content = json.loads(file.read_text())
    change(content, path, value)
    file.write_text(json.dumps(content))
    with pytest.raises(SourceError, match=message):
        sources_of(tmp_path)


def test_coco_files_that_cannot_be_read(tmp_path: Path) -> None:
    write_coco(tmp_path)
    file = tmp_path / "annotations" / "instances_all.json"
    for content, message in (("", "the file is empty"), ('{"images": [', "not valid JSON")):
        file.write_text(content)
        with pytest.raises(SourceError, match=message):
            sources_of(tmp_path, annotations="annotations/instances_all.json")
    with pytest.raises(SourceError, match=r"does not hold \(6\):\n  'disc' of 'i001'"):
        write_coco(tmp_path / "again")
        sources_of(tmp_path / "again", class_names=["bar", "frame"])


def test_a_box_outside_is_reported(tmp_path: Path) -> None:
    write_coco(tmp_path)
    file = tmp_path / "annotations" / "instances_all.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["bbox"] = [500, 3, 4, 4]
    content["annotations"][1]["bbox"] = [-2, 3, 6, 4]
    file.write_text(json.dumps(content))
    notes = "\n".join(sources_of(tmp_path).notes)
    assert "1 box outside of their images left out:\n  i011: 500, 3, 504, 7" in notes
    assert "1 box that reached beyond their images were clipped" in notes


# YOLO


def test_yolo_splits_by_folder(tmp_path: Path) -> None:
    for split in ("train", "val"):
        truth = draw_boxed(tmp_path / "images" / split, 4)
        (tmp_path / "labels" / split).mkdir(parents=True)
        for name, rows in truth.items():
            path = tmp_path / "images" / split / f"{name}.png"
            path = path.rename(path.with_name(f"{split}_{name}.png"))
            (tmp_path / "labels" / split / f"{path.stem}.txt").write_text(yolo_of(rows, size_of(path)))
    sources = sources_of(tmp_path)
    assert sources.splits == ["train"] * 4 + ["validation"] * 4
    assert sources.class_names == ["0", "1", "2"]
    assert "their numbers are their names" in sources.notes[0]
    assert sources_of(tmp_path, class_names=NAMES).class_names == NAMES


def test_yolo_splits_by_data_yaml(tmp_path: Path) -> None:
    truth = write_yolo(tmp_path)
    keys = sorted(truth)
    (tmp_path / "val.txt").write_text("".join(f"./images/{key}.png\n" for key in keys[8:]))
    (tmp_path / "few.txt").write_text("".join(f"images/{key}.png\n" for key in keys[:8]))
    (tmp_path / "data.yaml").write_text("path: .\ntrain: [few.txt]\nval: val.txt\nnames: {0: bar, 1: disc, 2: frame}\n")
    sources = sources_of(tmp_path)
    assert sources.splits == ["train"] * 8 + ["validation"] * 4 and sources.class_names == NAMES
    (tmp_path / "data.yaml").write_text("train: few.txt\nval: images\nnames: [bar, disc, frame]\n")
    with pytest.raises(SourceError, match=r"its splits overlap.\nImages in two of them \(8\)"):
        sources_of(tmp_path)


def test_yolo_beside_the_images_with_a_class_list(tmp_path: Path) -> None:
    truth = draw_boxed(tmp_path)
    for name, rows in truth.items():
        (tmp_path / f"{name}.txt").write_text(yolo_of(rows, size_of(tmp_path / f"{name}.png")))
    (tmp_path / "classes.txt").write_text("bar\ndisc\nframe\n")
    sources = sources_of(tmp_path)
    assert rows_of(sources) == truth and sources.class_names == NAMES


def test_yolo_polygons_and_repeated_lines(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    (tmp_path / "labels" / "i001.txt").write_text("1 0.1 0.2 0.5 0.2 0.3 0.75\n1 0.1 0.2 0.5 0.2 0.3 0.75\n")
    sources = sources_of(tmp_path)
    np.testing.assert_allclose(boxes_of(sources)[1].corners, [[0.1, 0.2, 0.5, 0.75]])
    assert "1 line that repeats another of its file was left out." in sources.notes


def test_coco_without_boxes_has_polygons(tmp_path: Path) -> None:
    truth = write_coco(tmp_path)
    file = tmp_path / "annotations" / "instances_all.json"
    content = json.loads(file.read_text())
    for annotation in content["annotations"]:
        x, y, width, height = annotation.pop("bbox")
        annotation["segmentation"] = [
            [x, y + 1, x + width, y, x + 1, y + height],
            [x + 1, y + 1, x + 2, y + 2, x + 1, y],
        ]
    content["images"][0]["file_name"] = content["images"][0]["file_name"].replace("i", "%69")
    file.write_text(json.dumps(content))
    assert rows_of(sources_of(tmp_path)) == truth


def test_yolo_beyond_the_image_is_clipped(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    (tmp_path / "labels" / "i001.txt").write_text("1 0.98 0.5 0.2 1.5\n0 1.3 0.5 0.2 0.2\n")
    sources = sources_of(tmp_path)
    np.testing.assert_allclose(boxes_of(sources)[1].corners, [[0.88, 0, 1, 1]], atol=1e-6)
    assert "1 box outside of their images left out:\n  i001: 1.2, 0.4, 1.4, 0.6" in sources.notes


YOLO_MISTAKES = [
    ("labels/i099.txt", "0 .5 .5 .1 .1", r"Text files without an image \(1\):\n  .*i099.txt"),
    ("labels/i001.txt", "0 .5 .5 .1", "i001.txt, line 1: expected 5 numbers, or a polygon .*, got 4"),
    ("labels/i001.txt", "0 .5 .5 .1 .1 .9", "got 6; is the last one a confidence"),
    ("labels/i001.txt", "0 .5 .5 .1 .1\nbar .5 .5 .1 .1", "line 2: expected numbers alone, got 'bar"),
    ("labels/i001.txt", "3 .5 .5 .1 .1", r"class 3, of 3 names \(0 to 2\)"),
    ("labels/i001.txt", "-1 .5 .5 .1 .1", "expected the number of a class, 0 or more, got -1"),
    ("labels/i001.txt", "0 120 80 30 30", "expected shares from 0 to 1, got 120: are these pixels"),
    ("labels/i001.txt", "0 nan .5 .1 .1", "expected finite numbers"),
    ("data.yaml", "nc: 2\nnames: [bar, disc, frame]\n", "nc is 2, but there are 3 names"),
    ("data.yaml", "nc: 4\nnames: {0: bar, 2: disc}\n", "nc is 4, but there are 3 names"),
    ("data.yaml", "names: {0: bar, two: disc}\n", "expected a list of class names, or names by their numbers"),
    ("data.yaml", "nc: 2\nnames: [bar, bar]\n", "each name once"),
]


@pytest.mark.parametrize(("name", "content", "message"), YOLO_MISTAKES, ids=range(len(YOLO_MISTAKES)))
def test_yolo_mistakes(tmp_path: Path, name: str, content: str, message: str) -> None:
    write_yolo(tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises((SourceError, UsageError), match=message):
        sources_of(tmp_path)


@pytest.mark.parametrize("count", ["", "nc: 2\n", "nc: 4\n"])
def test_yolo_numbers_without_a_name_go_by_the_number(tmp_path: Path, count: str) -> None:
    truth = write_yolo(tmp_path)
    for path in (tmp_path / "labels").iterdir():
        path.write_text("".join(f"3{line[1:]}\n" for line in path.read_text().splitlines()))
    (tmp_path / "data.yaml").write_text(f"{count}names: {{0: bar, 3: disc}}\n")
    sources = sources_of(tmp_path)
    assert sources.class_names == ["bar", "1", "2", "disc"]
    assert set(boxes_of(sources).labels.tolist()) == {3} and len(sources) == len(truth)


def test_lists_of_numbers_beside_class_folders_are_no_boxes(tmp_path: Path) -> None:
    """As CUB-200 has them."""
    draw_classes(tmp_path / "images")
    (tmp_path / "classes.txt").write_text("1 001.Albatross\n")
    (tmp_path / "bounding_boxes.txt").write_text("1 60.0 27.0 325.0 304.0\n2 139.0 30.0 153.0 264.0\n")
    assert sources_of(tmp_path).kind == "class"


def test_annotations_in_a_folder_of_a_folder(tmp_path: Path) -> None:
    """As Oxford's pets have them: annotations/xmls beside annotations/trimaps."""
    truth = write_voc(tmp_path)
    (tmp_path / "Annotations").rename(tmp_path / "xmls")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "xmls").rename(tmp_path / "annotations" / "xmls")
    assert rows_of(sources_of(tmp_path)) == truth


def write_yolo_lists(folder: Path, kind: str) -> None:
    """Write lists of the first eight images for train and of the others for validation, as programs write them."""
    names = [f"images/i{i:03}.png" for i in range(12)]
    parts = {"train": names[:8], "valid": names[8:]}
    for split, of_split in parts.items():
        (folder / f"{split}.txt").write_text("".join(f"{'data/' * (kind == 'obj.data')}{name}\n" for name in of_split))
    if kind == "obj.data":
        lines = "classes = 3\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\n"
        (folder / "obj.data").write_text(lines)


@pytest.mark.parametrize("kind", ["obj.data", "texts"])
def test_lists_of_darknet_and_cvat_are_splits(tmp_path: Path, kind: str) -> None:
    truth = write_yolo(tmp_path)
    (tmp_path / "data.yaml").unlink()
    (tmp_path / "obj.names").write_text("bar\ndisc\nframe\n")
    write_yolo_lists(tmp_path, kind)
    sources = sources_of(tmp_path)
    assert rows_of(sources) == truth
    assert sources.splits == ["train"] * 8 + ["validation"] * 4
    with (tmp_path / "train.txt").open("a") as file:
        file.write("images/gone.png\n")
    found = sources_of(tmp_path)
    assert found.splits == sources.splits
    assert "images that are not there (1):\n  train.txt: images/gone.png" in " ".join(found.notes)
    with (tmp_path / "train.txt").open("a") as file:
        file.write("images/i011.png\n")
    found = sources_of(tmp_path)
    assert set(found.splits) == {None} and "1 image stands in the lists of two splits" in " ".join(found.notes)
    for split in ("train", "valid"):
        (tmp_path / f"{split}.txt").write_text(f"/elsewhere/{split}.png\n")
    found = sources_of(tmp_path)
    assert set(found.splits) == {None} and "that they are no splits" in " ".join(found.notes)


def test_images_in_two_lists_of_data_yaml_are_told(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    write_yolo_lists(tmp_path, "texts")
    (tmp_path / "data.yaml").write_text("names: [bar, disc, frame]\ntrain: train.txt\nval: valid.txt\n")
    with (tmp_path / "valid.txt").open("a") as file:
        file.write("images/i000.png\n")
    found = sources_of(tmp_path)
    assert found.splits == ["train"] * 8 + ["validation"] * 4
    assert "named for two splits, of which the first counts (1):\n  " in " ".join(found.notes)


def test_a_dataset_keeps_its_splits_where_lists_say_others(tmp_path: Path) -> None:
    """It was built before such lists were read."""
    write_yolo(tmp_path / "data")
    (tmp_path / "data" / "data.yaml").write_text("names: [bar, disc, frame]\n")
    given = options(variants=1, validation_split=0.25)
    precompute.build(tmp_path / "data", tmp_path / "out", **given)
    before = {
        split: [e["key"] for e in precompute.read(tmp_path / "out", split=split)] for split in ("train", "validation")
    }
    write_yolo_lists(tmp_path / "data", "texts")
    assert sources_of(tmp_path / "data").splits == ["train"] * 8 + ["validation"] * 4
    precompute.build(tmp_path / "data", tmp_path / "out", **given | {"variants": 2})
    for split, keys in before.items():
        assert {e["key"] for e in precompute.read(tmp_path / "out", split=split)} == set(keys)


@pytest.mark.parametrize("layout", ["voc", "yolo"])
def test_annotations_in_a_folder_of_any_name(tmp_path: Path, layout: str) -> None:
    truth = WRITERS[layout](tmp_path)
    (tmp_path / {"voc": "Annotations", "yolo": "labels"}[layout]).rename(tmp_path / "made by hand")
    assert rows_of(sources_of(tmp_path)) == truth


def test_an_empty_folder_of_images(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 .5 .5 .1 .1\n")
    with pytest.raises(SourceError, match="there are no images"):
        sources_of(tmp_path)
    save(tmp_path / "images" / "b.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(SourceError, match="Not one of 1 image has a text file of its name"):
        sources_of(tmp_path)


# Tables of boxes


def write_boxes(folder: Path, header: str = "image,xmin,ymin,xmax,ymax,class") -> Truth:
    truth = draw_boxed(folder / "images")
    rows = [f"images/{name}.png,{','.join(map(str, row))}" for name, rows in truth.items() for row in rows]
    (folder / "boxes.csv").write_text("\n".join([header, *rows]))
    return {name: rows for name, rows in truth.items() if rows}


@pytest.mark.parametrize("header", ["image,xmin,ymin,xmax,ymax,class", "filename,x1,y1,x2,y2,label"])
def test_a_table_of_boxes(tmp_path: Path, header: str) -> None:
    truth = write_boxes(tmp_path, header)
    sources = sources_of(tmp_path, annotations="boxes.csv")
    assert rows_of(sources) == truth and (sources.kind, sources.class_names) == ("boxes", NAMES)


def test_a_table_of_boxes_as_the_source(tmp_path: Path) -> None:
    write_boxes(tmp_path)
    with pytest.raises(UsageError, match="seems to be a table of boxes.* as --annotations"):
        sources_of(tmp_path / "boxes.csv")


def test_a_table_of_boxes_in_shares(tmp_path: Path) -> None:
    write_boxes(tmp_path)
    (tmp_path / "boxes.csv").write_text("image,xmin,ymin,xmax,ymax\nimages/i000.png,0.1,0.2,0.5,0.9\n")
    with pytest.raises(SourceError, match="no side of a box is above 0.9: these are shares of the images"):
        sources_of(tmp_path, annotations="boxes.csv")


@pytest.mark.parametrize("layout", ["coco", "table"])
def test_images_that_are_named_and_not_there(tmp_path: Path, layout: str) -> None:
    truth = write_coco(tmp_path) if layout == "coco" else write_boxes(tmp_path)
    given = {} if layout == "coco" else {"annotations": "boxes.csv"}
    lost = next(name for name, rows in truth.items() if rows)
    next(tmp_path.rglob(f"{lost}.png")).unlink()
    with pytest.raises(SourceError, match=r"(?s)Images that are not there \(1\):.*--skip-unmatched 1"):
        sources_of(tmp_path, **given)
    found = sources_of(tmp_path, skip_unmatched="1", **given)
    assert rows_of(found) == {name: rows for name, rows in truth.items() if name != lost}
    assert "Images that are not there, left out (1):" in " ".join(found.notes)
