"""Texts in files that people hand in come out as they are written, or the file is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import PrecomputeError, SourceError, UsageError
from precompute.options.build_options import BuildOptions
from precompute.sources.classes import class_order
from precompute.sources.find import find
from precompute.text.files import decode_text, lines_of
from tests.helpers.box_datasets import examples_of
from tests.helpers.small_datasets import draw_pairs, options, save

Write = Callable[[Path, str, str], Path]


def draw(folder: Path, *names: str) -> None:
    for i, name in enumerate(names):
        save(folder / name, np.full((20, 20, 3), 40 * i, np.uint8))


def yolo(folder: Path) -> Path:
    draw(folder, "images/a.png", "images/b.png")
    (folder / "labels").mkdir(exist_ok=True)
    for i, stem in enumerate("ab"):
        (folder / f"labels/{stem}.txt").write_text(f"{i} .5 .5 .2 .2\n")
    return folder


def classes_txt(folder: Path, name: str, encoding: str) -> Path:
    (yolo(folder) / "classes.txt").write_bytes(f"{name}\nb\n".encode(encoding))
    return folder


def data_yaml(folder: Path, name: str, encoding: str) -> Path:
    (yolo(folder) / "data.yaml").write_bytes(f"nc: 2\nnames: [{name}, b]\n".encode(encoding))
    return folder


def voc(folder: Path, name: str, encoding: str, *, declared: str = "") -> Path:
    draw(folder, "JPEGImages/a.png", "JPEGImages/b.png")
    (folder / "Annotations").mkdir()
    for stem, label in (("a", name), ("b", "b")):
        box = "<xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax>"
        text = f"{declared}<annotation>\n<object><name>{label}</name><bndbox>{box}</bndbox></object></annotation>"
        (folder / f"Annotations/{stem}.xml").write_bytes(text.encode(encoding))
    return folder


def coco(folder: Path, name: str, encoding: str) -> Path:
    draw(folder, "images/a.png", "images/b.png")
    categories = [{"id": i, "name": label} for i, label in enumerate((name, "b"))]
    images = [{"id": i, "file_name": f"{stem}.png", "width": 20, "height": 20} for i, stem in enumerate("ab")]
    boxes = [{"id": i, "image_id": i, "category_id": i, "bbox": [1, 1, 9, 9]} for i in range(2)]
    content = {"images": images, "categories": categories, "annotations": boxes}
    (folder / "annotations.json").write_bytes(json.dumps(content, ensure_ascii=False).encode(encoding))
    return folder


def table(folder: Path, name: str, encoding: str) -> Path:
    draw(folder, "a.png", "b.png")
    path = folder / "t.csv"
    path.write_bytes(f"image,label\na.png,{name}\nb.png,b\n".encode(encoding))
    return path


def json_lines(folder: Path, name: str, encoding: str) -> Path:
    draw(folder, "a.png", "b.png")
    lines = [
        json.dumps({"image": f"{stem}.png", "label": label}, ensure_ascii=False)
        for stem, label in (("a", name), ("b", "b"))
    ]
    path = folder / "t.jsonl"
    path.write_bytes("\n".join(lines).encode(encoding))
    return path


WRITERS = [classes_txt, data_yaml, voc, coco, table, json_lines]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("write", WRITERS)
def test_names_come_out_as_they_are_written(write: Write, encoding: str, tmp_path: Path) -> None:
    source = write(tmp_path / "in", "Größe 猫", encoding)
    precompute.build(source, tmp_path / "out", **options(validation_split=0.0))
    assert sorted(Manifest.load(tmp_path / "out").target.class_names) == ["Größe 猫", "b"]


@pytest.mark.parametrize("encoding", ["cp1252", "gbk"])
@pytest.mark.parametrize("write", WRITERS)
def test_another_encoding_is_refused_with_file_line_and_byte(write: Write, encoding: str, tmp_path: Path) -> None:
    source = write(tmp_path / "in", "Größe" if encoding == "cp1252" else "猫大", encoding)
    with pytest.raises(
        SourceError, match=r"(?s)\.(txt|yaml|xml|json|csv|jsonl): line \d: byte 0x[0-9a-f]{2} is no UTF-8: .*as UTF-8"
    ):
        precompute.build(source, tmp_path / "out", **options(validation_split=0.0))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("encoding", ["gbk", "windows-1252", "ISO-8859-1", "shift_jis"])
def test_xml_may_declare_its_encoding(encoding: str, tmp_path: Path) -> None:
    name = "猫大" if encoding in ("gbk", "shift_jis") else "Größe"
    source = voc(tmp_path / "in", name, encoding, declared=f'<?xml version="1.0" encoding="{encoding}"?>\n')
    assert sorted(find(source, BuildOptions()).class_names) == sorted([name, "b"])


def test_other_lists_are_text_files_too(tmp_path: Path) -> None:
    source = voc(tmp_path / "in", "a", "utf-8")
    (source / "ImageSets/Main").mkdir(parents=True)
    (source / "ImageSets/Main/train.txt").write_bytes(b"a\n\xe4\n")
    with pytest.raises(SourceError, match=r"train\.txt: line 2: byte 0xe4 is no UTF-8"):
        find(source, BuildOptions())
    colors = tmp_path / "colors.csv"
    colors.write_bytes("color,class\n#000000,Größe\n".encode("cp1252"))
    with pytest.raises(UsageError, match=r"mask_colors \(--mask-colors\): .*colors\.csv: line 2: byte 0xf6"):
        BuildOptions(mask_colors=colors)
    points = tmp_path / "points.csv"
    points.write_bytes("image,größe_x,größe_y\n".encode("cp1252"))
    with pytest.raises(SourceError, match=r"points\.csv: line 1: byte 0xf6"):
        find(draw_pairs(tmp_path / "pairs") / "images", BuildOptions(annotations=str(points)))


def test_a_file_of_names_is_named_where_they_are_wrong(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"classes\.txt: each name once, but these appear again:\n  b"):
        find(classes_txt(tmp_path / "txt", "b", "utf-8"), BuildOptions())
    with pytest.raises(UsageError, match=r"data\.yaml: each name once, but these appear again:\n  b"):
        find(data_yaml(tmp_path / "yaml", "b", "utf-8"), BuildOptions())


@given(strategies.binary(max_size=40))
def test_any_bytes_are_text_or_refused(content: bytes) -> None:
    try:
        text = decode_text(content, Path("x.txt"))
    except PrecomputeError as error:
        assert "x.txt: line " in str(error)
    else:
        assert text.encode("utf-8") in content or content.startswith((b"\xff\xfe", b"\xfe\xff"))


# The order of classes


def folders(folder: Path) -> Path:
    draw(folder, *(f"{name}/{name}.png" for name in NAMES))
    return folder


def objects(folder: Path) -> Path:
    draw(folder, "images/a.png")
    for i, name in enumerate(NAMES):
        mask = np.zeros((20, 20), np.uint8)
        mask[i, 3:9] = 255
        save(folder / f"masks/a/{name}/0.png", mask)
    return folder


def annotated(folder: Path) -> Path:
    draw(folder, "JPEGImages/a.png")
    (folder / "Annotations").mkdir()
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    inside = "".join(f"<object><name>{name}</name>{box}</object>" for name in NAMES)
    (folder / "Annotations/a.xml").write_text(f"<annotation>{inside}</annotation>")
    return folder


def listed(folder: Path) -> Path:
    draw(folder, *(f"{name}.png" for name in NAMES))
    (folder / "t.csv").write_text("image,label\n" + "".join(f"{name}.png,{name}\n" for name in NAMES))
    return folder / "t.csv"


NAMES = ["0", "1", "2", "3", "10", "11"]


@pytest.mark.parametrize("lay_out", [folders, objects, annotated, listed])
def test_numbers_as_names_have_one_order_in_all_layouts(lay_out: Callable[[Path], Path], tmp_path: Path) -> None:
    assert find(lay_out(tmp_path / "in"), BuildOptions()).class_names == NAMES


@given(strategies.lists(strategies.integers(-999, 999), unique=True, min_size=1))
def test_any_whole_numbers_are_ordered_as_numbers(numbers: list[int]) -> None:
    assert class_order(map(str, numbers)) == [str(number) for number in sorted(numbers)]
    assert class_order([*map(str, numbers), "x"]) == sorted([*map(str, numbers), "x"])


def test_a_note_says_that_numbers_are_not_text(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given_options = options(validation_split=0.0, quiet=False, dry_run=True)
    precompute.build(folders(tmp_path / "in"), tmp_path / "out", **given_options)
    assert "note: Classes are numbers: their indices follow the numbers, not the text" in capfd.readouterr().err


# Categories that are no classes


def project(folder: Path, **changes: Any) -> Path:
    source = coco(folder, "cat", "utf-8")
    content = json.loads((source / "annotations.json").read_text())
    for category in content["categories"]:
        category |= {"id": category["id"] + 1, "supercategory": "animals"}
    for annotation in content["annotations"]:
        annotation["category_id"] += 1
    content["categories"].insert(0, {"id": 0, "name": "animals", "supercategory": "none", **changes})
    (source / "annotations.json").write_text(json.dumps(content))
    return source


def test_the_name_of_a_project_is_no_class(tmp_path: Path) -> None:
    sources = find(project(tmp_path), BuildOptions())
    assert sources.class_names == ["cat", "b"]
    assert [sources.targets[0].classes(i) for i in range(2)] == [(0,), (1,)]
    assert any("The category 'animals' is no class" in note for note in sources.notes)


@pytest.mark.parametrize("changes", [{"name": "dog"}, {"supercategory": "all"}])
def test_other_categories_without_objects_are_classes(changes: dict[str, str], tmp_path: Path) -> None:
    assert len(find(project(tmp_path, **changes), BuildOptions()).class_names) == 3


def test_class_names_take_away_and_keep_categories_without_objects(tmp_path: Path) -> None:
    source = project(tmp_path)
    assert find(source, BuildOptions(class_names=["b", "cat"])).class_names == ["b", "cat"]
    assert find(source, BuildOptions(class_names=["animals", "cat", "b"])).class_names == ["animals", "cat", "b"]
    with pytest.raises(SourceError, match=r"does not hold \(1\):\n  'b' of 'b'"):
        find(source, BuildOptions(class_names=["animals", "cat"]))


def test_a_dataset_with_the_name_of_a_project_as_class_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    source, given_options = project(tmp_path / "in"), options(validation_split=0.0, quiet=False)
    with monkeypatch.context() as patch:
        patch.setattr("precompute.sources.annotations.coco_files._projects", lambda *_: set())
        precompute.build(source, tmp_path / "out", **given_options)
    precompute.build(source, tmp_path / "out", **{**given_options, "variants": 4})
    assert Manifest.load(tmp_path / "out").target.class_names == ["animals", "cat", "b"]
    assert "note: Classes stay as this dataset was built, animals, cat, b; a new" in capfd.readouterr().err
    names = {name for example in examples_of(tmp_path / "out") for name in example["class_names"]}
    assert names == {"cat", "b"}


# Names that YAML, CSV or JSON would make into something else

NUMBERS = strategies.from_regex(r"[-+]?(0[xob])?[0-9_]{1,6}([.:][0-9]{1,3})?(e[-+]?[0-9])?", fullmatch=True)
WORDS = strategies.sampled_from(
    ["yes", "no", "on", "Off", "true", "null", "~", "NA", "nan", "None", "2020-01-01", ".inf"]
)


@settings(max_examples=50)
@given(NUMBERS | WORDS)
def test_any_number_or_word_is_a_name_in_yaml(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = yolo(tmp_path_factory.mktemp("names"))
    for text in (
        f"names: [{name}, other]\nval: x",
        f"names:\n  - {name}\n  - other",
        f"names:\n  0: {name}\n  1: other",
    ):
        (folder / "data.yaml").write_text(f"{text}\n")
        assert find(folder, BuildOptions()).class_names == [name, "other"]


@given(NUMBERS | WORDS)
def test_any_number_or_word_is_a_name_in_tables(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    for write in (table, json_lines):
        source = write(tmp_path_factory.mktemp("names"), name, "utf-8")
        assert sorted(find(source, BuildOptions()).class_names) == sorted([name, "b"])


def test_categories_are_named_by_texts_or_whole_numbers(tmp_path: Path) -> None:
    source = coco(tmp_path, "a", "utf-8")
    content = json.loads((source / "annotations.json").read_text())
    content["categories"][0]["name"] = 7
    (source / "annotations.json").write_text(json.dumps(content))
    assert find(source, BuildOptions()).class_names == ["7", "b"]
    for name in (True, None, 1.5, ["a"], ""):
        content["categories"][0]["name"] = name
        (source / "annotations.json").write_text(json.dumps(content))
        with pytest.raises(SourceError, match="a category without an id, or a name that is a text"):
            find(source, BuildOptions())


def test_lines_end_where_text_files_end_them_and_nowhere_else() -> None:
    assert lines_of("a\u2028b\nc\x85d\r\ne\x0bf\rg") == ["a\u2028b", "c\x85d", "e\x0bf", "g"]
