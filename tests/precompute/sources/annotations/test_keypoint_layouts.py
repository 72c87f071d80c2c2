"""Keypoints in COCO files and tables, from files to records, and each one's usual mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import SourceError, UsageError
from precompute.options.build_options import BuildOptions
from precompute.sources.find import find
from precompute.table.sources import Sources
from tests.helpers.box_datasets import identity, turning
from tests.helpers.keypoint_datasets import (
    EDGES,
    NAMES,
    check_pixels_under_points,
    coco_of,
    draw_pointed,
    table_of,
    write_coco,
    write_table,
)
from tests.helpers.small_datasets import options, save
from tests.helpers.source_columns import boxes_of

TABLE: dict[str, Any] = {"annotations": "points.csv"}
WRITERS: dict[str, tuple[Callable[[Path], Any], dict[str, Any]]] = {
    "coco": (write_coco, {}),
    "table": (write_table, TABLE),
    "table without boxes": (lambda folder: write_table(folder, has_boxes=False), TABLE),
}


def sources_of(folder: Path, **given: Any) -> Sources:
    return find(folder, BuildOptions.make(**given))


@pytest.mark.parametrize("layout", WRITERS)
def test_files_say_what_was_drawn(layout: str, tmp_path: Path) -> None:
    write, given = WRITERS[layout]
    truth = write(tmp_path)
    found = sources_of(tmp_path, **given)
    assert found.skeleton is not None
    assert found.keys == sorted(truth) and found.skeleton.names == NAMES
    for i, key in enumerate(found.keys):
        boxes, points = truth[key]
        assert boxes_of(found)[i].point_rows() == [[n for point in one for n in point] for one in points]
        if found.skeleton.has_boxes:
            assert [row[:4] for row in boxes_of(found)[i].to_rows()] == [list(box[:4]) for box in boxes]
        assert [found.class_names[label] for label in boxes_of(found)[i].labels] == [box[4] for box in boxes]
    assert found.skeleton.edges == ([list(edge) for edge in EDGES] if layout == "coco" else [])
    assert found.skeleton.has_boxes is ("without" not in layout)


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("turned", [False, True])
def test_from_files_to_records(layout: str, turned: bool, tmp_path: Path) -> None:
    write, given = WRITERS[layout]
    truth = write(tmp_path / "data")
    pipeline = turning() if turned else identity(48, 48)
    chosen = options(pipeline=pipeline, variants=2, flip_pairs="auto", validation_split=0, **given)
    precompute.build(tmp_path / "data", tmp_path / "out", **chosen)
    compared, swapped = check_pixels_under_points(tmp_path / "out")
    assert compared == 2 * sum(v > 0 for _, points in truth.values() for one in points for *_, v in one)
    assert (swapped > 0) is turned
    assert precompute.verify(tmp_path / "out", sources=4).problems == []


def test_images_without_objects_can_be_left_out(tmp_path: Path) -> None:
    write_table(tmp_path, has_boxes=False)
    kept, dropped = (sources_of(tmp_path, drop_empty=drop, **TABLE) for drop in (False, True))
    assert "4 images have none, and are kept (--drop-empty leaves them out)." in kept.notes
    assert (len(kept), len(dropped), dropped.kind) == (10, 6, "keypoints")
    assert "4 images without boxes left out." in dropped.notes


def test_crowds_are_told(tmp_path: Path) -> None:
    truth = write_coco(tmp_path / "data")
    chosen = options(pipeline=identity(48, 48), variants=1, validation_split=0)
    precompute.build(tmp_path / "data", tmp_path / "out", **chosen)
    crowds = {e["key"]: e["crowd"].tolist() for e in precompute.read(tmp_path / "out")}
    assert crowds == {key: [box[4] == "statue" for box in boxes] for key, (boxes, _) in truth.items()}


def test_boxes_alone_if_asked_for(tmp_path: Path) -> None:
    write_coco(tmp_path)
    assert sources_of(tmp_path, target="boxes").kind == "boxes"
    assert sources_of(tmp_path, target="keypoints").kind == "keypoints"
    assert "keypoints of statue, person; --target boxes reads their boxes alone." in sources_of(tmp_path).notes


def test_which_file_of_a_folder(tmp_path: Path) -> None:
    """COCO's own folder holds several files: that of the boxes is read, or that of the keypoints if asked for."""
    truth = write_coco(tmp_path)
    content = coco_of(tmp_path / "images", truth)
    plain = [{"id": c["id"], "name": c["name"]} for c in content["categories"]]
    (tmp_path / "annotations" / "instances_train.json").write_text(json.dumps({**content, "categories": plain}))
    captions = {"images": content["images"], "annotations": [{"id": 1, "image_id": 1, "caption": "a"}]}
    (tmp_path / "annotations" / "captions_train.json").write_text(json.dumps(captions))
    assert sources_of(tmp_path).kind == "boxes"
    assert sources_of(tmp_path, target="keypoints").kind == "keypoints"
    named = sources_of(tmp_path, annotations="annotations/person_keypoints_train.json")
    assert named.kind == "keypoints"


PERSON = [
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
]  # fmt: skip


def write_person(folder: Path) -> None:
    """Like COCO's own: 17 points, a person without any, a crowd, gaps in ids, an image without persons."""
    for name in ("000000000139", "000000000285", "000000000632"):
        save(folder / "val2017" / f"{name}.jpg", np.full((64, 80, 3), 90, np.uint8))
    edges = [[16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7], [6, 8], [7, 9], [8, 10],
             [9, 11], [2, 3], [1, 2], [1, 3], [2, 4], [3, 5], [4, 6], [5, 7]]  # fmt: skip
    some = [0] * 51
    some[:9] = [30, 10, 2, 32, 8, 1, 28, 8, 2]
    annotations = [
        {"id": 230831, "image_id": 139, "bbox": [20.5, 4.25, 30, 50], "keypoints": some, "num_keypoints": 3},
        {"id": 233201, "image_id": 139, "bbox": [60, 30, 5, 9], "keypoints": [0] * 51, "num_keypoints": 0},
        {"id": 900100632, "image_id": 632, "bbox": [0, 0, 80, 20], "keypoints": [0] * 51, "num_keypoints": 0,
         "iscrowd": 1, "segmentation": {"counts": [5120], "size": [64, 80]}},
    ]  # fmt: skip
    content = {
        "info": {"year": 2017},
        "licenses": [],
        "images": [
            {"id": int(name), "file_name": f"{name}.jpg", "width": 80, "height": 64, "coco_url": "http://images/"}
            for name in ("000000000632", "000000000139", "000000000285")
        ],
        "annotations": [{"iscrowd": 0, "category_id": 1, "area": 9.5, **a} for a in annotations],
        "categories": [{"supercategory": "person", "id": 1, "name": "person", "keypoints": PERSON, "skeleton": edges}],
    }
    (folder / "annotations").mkdir(parents=True)
    (folder / "annotations" / "person_keypoints_val2017.json").write_text(json.dumps(content))


def test_a_file_like_cocos_own(tmp_path: Path) -> None:
    write_person(tmp_path / "coco")
    chosen = options(pipeline=identity(64, 80), variants=1, validation_split=0, flip_pairs="auto")
    precompute.build(tmp_path / "coco", tmp_path / "out", images="val2017", **chosen)
    examples = {e["key"]: e for e in precompute.read(tmp_path / "out")}
    assert {key: len(e["labels"]) for key, e in examples.items()} == {
        "000000000139": 2,
        "000000000285": 0,
        "000000000632": 1,
    }
    first = examples["000000000139"]
    assert first["keypoints"][0, :3].tolist() == [[30.5, 10.5], [32.5, 8.5], [28.5, 8.5]]
    assert first["visibility"].tolist() == [[2, 1, 2] + [0] * 14, [0] * 17]
    assert first["boxes"].tolist() == [[20.5, 4.25, 50.5, 54.25], [60, 30, 65, 39]]
    assert examples["000000000285"]["keypoints"].shape == (0, 17, 2)
    assert examples["000000000632"]["crowd"].tolist() == [True]
    skeleton = Manifest.load(tmp_path / "out").target.keypoints
    assert skeleton is not None and skeleton.flip_pairs == [[i, i + 1] for i in range(1, 17, 2)]
    assert [15, 13] in skeleton.edges and len(skeleton.edges) == 19
    found = sources_of(tmp_path / "coco", images="val2017")
    assert "3 labelled keypoints of 3 objects with 17 each; 2 of them are without any, and stay." in found.notes


# Mistakes


def broken_coco(folder: Path, change: Callable[[Any], Any]) -> None:
    truth = draw_pointed(folder / "images")
    content = coco_of(folder / "images", truth)
    change(content)
    (folder / "annotations.json").write_text(json.dumps(content))


def coco_mistakes() -> dict[str, tuple[Callable[[Any], Any], str]]:
    def other(content: Any) -> None:
        content["categories"][1] = {**content["categories"][1], "keypoints": NAMES[::-1]}

    def outside(content: Any) -> None:
        content["annotations"][0]["keypoints"][:3] = [500, 3, 2]
        for annotation in content["annotations"]:
            annotation["keypoints"] = [500, 3, 2] * len(NAMES)

    def cut(content: Any) -> None:
        content["annotations"][0]["keypoints"].pop()

    def texts(content: Any) -> None:
        content["annotations"][0]["keypoints"][0] = "1"

    def no_list(content: Any) -> None:
        content["annotations"][0]["keypoints"] = {"nose": 1}

    def edge(content: Any) -> None:
        content["categories"][0]["skeleton"] = [[0, 1]]

    def invisible(content: Any) -> None:
        content["annotations"][0]["keypoints"][2] = 3

    def unlabelled(content: Any) -> None:
        for annotation in content["annotations"]:
            annotation["keypoints"] = [0] * 3 * len(NAMES)

    def boxless(content: Any) -> None:
        del content["annotations"][0]["bbox"]

    def empty(content: Any) -> None:
        content["annotations"].clear()

    def missing(content: Any) -> None:
        content["images"][0]["file_name"] = "gone.png"

    return {
        "not 3K": (cut, r"not three numbers for each that their category names \(1\):\n.*annotation 7: 14 values"),
        "texts": (texts, "not three numbers for each"),
        "no list": (no_list, "not three numbers for each"),
        "different": (other, "categories with different keypoints: 'statue' .* Expected the same ones, in one order"),
        "outside": (outside, "has a labelled keypoint inside its image:\n.*500.5, 3.5, visibility 2"),
        "edge": (edge, "skeleton: expected pairs of numbers from 1 to 5"),
        "visibility": (invisible, "keypoints with a visibility other than 0"),
        "unlabelled": (unlabelled, "; all have visibility 0"),
        "boxless": (boxless, r"Annotations without a box of four numbers \(1\)"),
        "empty": (empty, "not one of 10 images has an object with keypoints"),
        "missing image": (missing, r"Images that are not there \(1\):\n  annotations.json: gone.png"),
    }


@pytest.mark.parametrize("name", coco_mistakes())
def test_coco_mistakes(name: str, tmp_path: Path) -> None:
    change, message = coco_mistakes()[name]
    broken_coco(tmp_path, change)
    with pytest.raises(SourceError, match=message):
        sources_of(tmp_path)


def test_points_outside_are_not_labelled_and_counted(tmp_path: Path) -> None:
    def change(content: Any) -> None:
        content["annotations"][0]["keypoints"] = [500, 3, 2, *([4, 4, 2] * 4)]

    broken_coco(tmp_path, change)
    found = sources_of(tmp_path)
    (note,) = [note for note in found.notes if "outside" in note]
    assert "1 keypoint outside of the image: taken as not labelled, visibility 0:\n" in note
    assert "nose at 500.5, 3.5, visibility 2" in note
    assert [0, 0, 0, *([4.5, 4.5, 2] * 4)] in [row for i in range(10) for row in boxes_of(found)[i].point_rows() or ()]


def test_objects_of_categories_without_keypoints_are_left_out(tmp_path: Path) -> None:
    broken_coco(tmp_path, lambda content: content["categories"][0].pop("keypoints"))
    found = sources_of(tmp_path)
    assert found.class_names == ["person"]
    assert "3 objects of categories without keypoints left out: statue." in found.notes


def test_without_any_box_there_are_points_alone(tmp_path: Path) -> None:
    broken_coco(tmp_path, lambda content: [a.pop("bbox") for a in content["annotations"]])
    found = sources_of(tmp_path)
    assert found.skeleton is not None and not found.skeleton.has_boxes and found.class_names == ["person", "statue"]


def test_keypoints_asked_for_and_not_there(tmp_path: Path) -> None:
    broken_coco(tmp_path, lambda content: [c.pop("keypoints") for c in content["categories"]])
    assert sources_of(tmp_path).kind == "boxes"
    with pytest.raises(SourceError, match=r"annotations.json: no category names keypoints. Expected a file such as"):
        sources_of(tmp_path, target="keypoints")
    with pytest.raises(UsageError, match="skeleton .*: is for keypoints; these sources have none, but boxes"):
        sources_of(tmp_path, skeleton="a:b")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"flip_pairs": "left_eye:right_ear"}, "there is no keypoint 'right_ear'"),
        ({"skeleton": "nose:tail"}, "there is no keypoint 'tail'"),
        ({"keypoint_names": ["a"]}, "the file has its own, in another order or others"),
    ],
)
def test_names_that_the_file_does_not_have(given: Any, message: str, tmp_path: Path) -> None:
    write_coco(tmp_path)
    with pytest.raises(UsageError, match=message):
        sources_of(tmp_path, **given)


HEAD = "image,nose_x,nose_y,nose_v\n"
TABLES = {
    "empty": ("", "points.csv: the table is empty"),
    "no rows": (HEAD, "there are no rows below the header"),
    "no image": ("name,nose_x,nose_y\na,1,2\n", "no column of images; expected one of image, image_path"),
    "no points": ("image,label\np00.png,a\n", "no columns of boxes or keypoints among image, label"),
    "half": ("image,nose_x\np00.png,1\n", "there is a column 'nose_x' and none 'nose_y'"),
    "twice": ("image,nose_x,nose_x,nose_y\np00.png,1,1,2\n", "columns that come again: nose_x"),
    "cells": (
        f"{HEAD}p00.png,1,2\n",
        "expected 4 cells in each line, as in the header, but 1 line has others:\n  line 2: 3",
    ),
    "text": (f"{HEAD}p00.png,1,two,2\n", r"Cells that are no numbers \(1\):\n  line 2: nose_y: 'two'"),
    "missing": (f"{HEAD}gone.png,1,2,2\n", r"Images that are not there \(1\):\n  line 2: gone.png"),
    "ambiguous": (f"{HEAD}p01.png,1,2,2\n", r"Images that could be several files \(1\):\n  line 2: p01.png"),
    "visibility": (f"{HEAD}p00.png,1,2,5\n", "visibility other than 0"),
    "nothing": (f"{HEAD}p00.png,,,\n", "no row has an object"),
    "box": (
        "image,nose_x,nose_y,xmin,ymin,xmax,ymax\np00.png,1,2,0,0,,9\n",
        "line 2: p00.png: a box without all of its sides",
    ),
    "no box": (
        "image,nose_x,nose_y,xmin,ymin,xmax,ymax\np00.png,1,2,,,,\n",
        "line 2: p00.png: keypoints without a box",
    ),
    "split": (f"split,{HEAD}fold3,p00.png,1,2,2\n", r"Splits that are none, or differ \(1\):\n  line 2: 'fold3'"),
}


@pytest.mark.parametrize("name", TABLES)
def test_table_mistakes(name: str, tmp_path: Path) -> None:
    text, message = TABLES[name]
    draw_pointed(tmp_path, 2)
    save(tmp_path / "more" / "p01.png", np.zeros((9, 9, 3), np.uint8))
    save(tmp_path / "other" / "p01.png", np.zeros((9, 9, 3), np.uint8))
    (tmp_path / "p01.png").unlink()
    (tmp_path / "points.csv").write_text(text)
    with pytest.raises(SourceError, match=message):
        sources_of(tmp_path, **TABLE)


def test_what_tables_may_look_like(tmp_path: Path) -> None:
    """A byte order mark, semicolons, splits, an order of names; no visibility means visible."""
    draw_pointed(tmp_path, 3)
    rows = "Filename;split;b_x;b_y;a_x;a_y\np00.png;train;1;2;3;4\np01.png;val;5;6;;\np00.png;train;7;8;9;10\n"
    (tmp_path / "points.csv").write_text(rows, encoding="utf-8-sig")
    found = sources_of(tmp_path, keypoint_names=["a", "b"], **TABLE)
    assert found.skeleton is not None
    assert (found.keys, found.splits) == (["p00", "p01"], ["train", "validation"])
    assert boxes_of(found)[0].point_rows() == [[3.5, 4.5, 2, 1.5, 2.5, 2], [9.5, 10.5, 2, 7.5, 8.5, 2]]
    assert boxes_of(found)[1].point_rows() == [[0, 0, 0, 5.5, 6.5, 2]]
    assert "1 image that points.csv does not name was passed over." in found.notes
    with pytest.raises(UsageError, match="has no columns of c; it has those of:\n  b\n  a"):
        sources_of(tmp_path, keypoint_names=["c"], **TABLE)


@pytest.mark.slow
def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Validation has no pipeline of its own: it is resized, its keypoints too."""
    from precompute.cli import main

    write_coco(tmp_path / "data")
    write_table(tmp_path / "table")
    (tmp_path / "pipelines.py").write_text(
        "import albumentations as A\n"
        "train = A.Compose([A.PadIfNeeded(48, 48, border_mode=0, position='top_left'), A.HorizontalFlip(p=0.5)])\n"
    )
    given = [f"--pipeline={tmp_path / 'pipelines.py'}", "--flip-pairs=auto", "--validation-split=0.4", "--limit=9"]
    building = [*given, "--variants=2", "--image-format=png", "--jobs=1", "--backend=sequential", "--quiet"]
    table = ["--annotations=points.csv", "--skeleton=nose:left_eye,nose:right_eye", "--target=keypoints"]
    for name, more in (("data", []), ("table", table)):
        assert main(["build", str(tmp_path / name), str(tmp_path / f"{name}-out"), *building, *more]) == 0
        for example in precompute.read(tmp_path / f"{name}-out", split="validation"):
            boxes = example["boxes"].reshape(-1, 1, 4)
            labelled = example["visibility"] > 0
            inside = (example["keypoints"] >= boxes[..., :2]) & (example["keypoints"] <= boxes[..., 2:])
            assert inside[labelled].all()
        assert main(["inspect", str(tmp_path / f"{name}-out")]) == 0
        assert "objects with boxes and 5 keypoints each, 2 flip pairs" in capsys.readouterr().out
        assert main(["verify", str(tmp_path / f"{name}-out"), "--sources=3"]) == 0
    assert main(["preview", str(tmp_path / "table"), f"--output={tmp_path / 'p.png'}", *given, *table]) == 0
    assert main(["profile", str(tmp_path / "data"), *given, "--num-sources=2", "--num-variants=1", "--jobs=1"]) == 0


def test_all_layouts_make_the_same_records(tmp_path: Path) -> None:
    records = []
    for layout in ("coco", "table"):
        write, given = WRITERS[layout]
        write(tmp_path / layout)
        chosen = options(pipeline=turning(), variants=2, flip_pairs="auto", validation_split=0, **given)
        precompute.build(tmp_path / layout, tmp_path / f"{layout}-out", **chosen)
        found = {
            (e["key"], e["variant"]): e for r in (0, 1) for e in precompute.read(tmp_path / f"{layout}-out", row=r)
        }
        records.append(found)
    assert records[0].keys() == records[1].keys()
    for name, example in records[0].items():
        other = records[1][name]
        for field in ("image", "boxes", "keypoints", "visibility", "labels"):
            np.testing.assert_array_equal(example[field], other[field])


def test_table_is_what_it_says() -> None:
    truth = {"p": ([(0, 0, 9, 9, "person")], [[(1.5, 2.5, 1), *[(0, 0, 0)] * 4]])}
    assert table_of(truth, has_boxes=False).splitlines()[1] == "images/p.png,person,1,2,1" + ",,,0" * 4  # type: ignore[arg-type]


# Tables of other kinds


def write_kind(folder: Path, suffix: str, rows: list[dict[str, Any]]) -> str:
    if suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "points.parquet")
    elif suffix == ".jsonl":
        (folder / "points.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        separator = {".csv": "|", ".tsv": "\t"}[suffix]
        lines = [list(rows[0]), *([row.get(name) for name in rows[0]] for row in rows)]
        texts = [["" if cell is None else str(cell) for cell in line] for line in lines]
        (folder / f"points{suffix}").write_text("\n".join(map(separator.join, texts)) + "\n")
    return f"points{suffix}"


ROWS: list[dict[str, Any]] = [
    {"image": "p00.png", "label": 4, "split": "train", "a_x": 3.0, "a_y": 4, "a_v": 1},
    {"image": "p01.png", "label": 2, "split": "val", "a_x": 5.5, "a_y": 6, "a_v": 2},
    {"image": "p00.png", "label": 2, "split": None, "a_x": 7.0, "a_y": 8, "a_v": 0},
    {"image": "p02.png", "label": None, "split": None, "a_x": None, "a_y": None, "a_v": None},
    {"image": None, "label": None, "split": None, "a_x": None, "a_y": None, "a_v": None},
    {"image": "p01.png", "label": 4, "split": None, "a_x": 1.0, "a_y": 2, "a_v": 2},
]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_table_that_is_read_may_hold_keypoints(suffix: str, tmp_path: Path) -> None:
    draw_pointed(tmp_path, 4)
    sources = sources_of(tmp_path, annotations=write_kind(tmp_path, suffix, ROWS))
    assert (sources.keys, sources.class_names) == (["p00", "p01", "p02"], ["2", "4"])
    assert sources.splits == ["train", "validation", None]
    boxes = [boxes_of(sources)[i] for i in range(3)]
    assert [of_one.point_rows() for of_one in boxes] == [[[3.5, 4.5, 1]], [[6, 6.5, 2], [1.5, 2.5, 2]], []]
    assert [of_one.labels.tolist() for of_one in boxes] == [[1], [0, 1], []]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"a_x": "three"}, "Cells that are no numbers"),
        ({"a_x": True}, "Cells that are no numbers"),
        ({"a_x": [1, 2]}, "Cells that are no numbers"),
        ({"label": None}, r"Objects without a class \(1\):\n  (line 1|row 0): p00.png"),
        ({"split": "fold3"}, "Splits that are none"),
        ({"a_v": 7}, "visibility other than 0"),
    ],
)
def test_typed_tables_that_hold_something_else(
    suffix: str, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    draw_pointed(tmp_path, 2)
    with pytest.raises(SourceError, match=message):
        sources_of(tmp_path, annotations=write_kind(tmp_path, suffix, [{**ROWS[0], **changes}]))


def test_lines_are_told_as_an_editor_counts_them(tmp_path: Path) -> None:
    draw_pointed(tmp_path, 2)
    rows = 'note,image,a_x,a_y\n"two\nlines",p00.png,1,2\n,,,\n"three\n\nlines",p01.png,3,x\n'
    (tmp_path / "points.csv").write_text(rows)
    with pytest.raises(SourceError, match="line 7: a_y: 'x'"):
        sources_of(tmp_path, **TABLE)


def test_many_wrong_lines_are_counted_and_the_first_shown(tmp_path: Path) -> None:
    draw_pointed(tmp_path, 2)
    (tmp_path / "points.csv").write_text("image,a_x,a_y\n" + "p00.png,x,1\n" * 3000)
    message = r"no numbers \(3,000\):\n  line 2: a_x: 'x'\n(.*\n){4}  … and 2995 more"
    with pytest.raises(SourceError, match=message):
        sources_of(tmp_path, **TABLE)
