"""Names that are written in two Unicode normal forms: paired where that is sure, else said which form stands where."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from precompute.errors import SourceError
from precompute.options.build_options import BuildOptions
from precompute.sources.find import find
from precompute.sources.unicode_forms import UnicodeForms, visible
from tests.helpers.box_files import sources_of, xml_of
from tests.helpers.small_datasets import save
from tests.helpers.source_columns import boxes_of, masks_of

NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
FORMS = pytest.mark.parametrize(("here", "there"), [(NFC, NFD), (NFD, NFC), (NFD, NFD)], ids=["c-d", "d-c", "d-d"])


def picture(path: Path, *, mask: bool = False) -> None:
    save(path, np.zeros((20, 20) if mask else (20, 20, 3), np.uint8))


def pairs(top: Path, here: str, there: str) -> Path:
    picture(top / "images" / f"{here}.png")
    picture(top / "masks" / f"{there}.png", mask=True)
    return top


def table(top: Path, here: str, there: str) -> Path:
    picture(top / here / f"{here}.png")
    (top / "t.csv").write_text(f"image,label\n{there}/{there}.png,a\n", encoding="utf-8")
    return top / "t.csv"


def stems(top: Path, here: str, there: str) -> Path:
    picture(top / f"{here}.png")
    (top / "t.csv").write_text(f"image_id,label\n{there},a\n", encoding="utf-8")
    return top / "t.csv"


def yolo(top: Path, here: str, there: str) -> Path:
    picture(top / "images" / f"{here}.png")
    (top / "labels").mkdir()
    (top / "labels" / f"{there}.txt").write_text("0 .5 .5 .2 .2\n")
    return top


def yolo_list(top: Path, here: str, there: str) -> Path:
    yolo(top, here, here)
    picture(top / "images" / "other.png")
    (top / "labels" / "other.txt").write_text("0 .5 .5 .2 .2\n")
    (top / "a.txt").write_text(f"./images/{there}.png\n", encoding="utf-8")
    (top / "data.yaml").write_text("train: a.txt\nnames: [x]\n")
    return top


def voc(top: Path, here: str, there: str) -> Path:
    picture(top / "JPEGImages" / f"{here}.png")
    (top / "Annotations").mkdir()
    (top / "Annotations" / f"{there}.xml").write_text(xml_of([(2, 3, 8, 9, "cat")], (20, 20)))
    (top / "ImageSets" / "Main").mkdir(parents=True)
    (top / "ImageSets" / "Main" / "train.txt").write_text(f"{there}\n", encoding="utf-8")
    return top


def coco(top: Path, here: str, there: str) -> Path:
    picture(top / here / f"{here}.png")
    (top / "instances.json").write_text(
        json.dumps(
            {
                "images": [{"id": 1, "file_name": f"{there}/{there}.png"}],
                "categories": [{"id": 1, "name": "cat"}],
                "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 3, 6, 6]}],
            }
        )
    )
    return top


def points(top: Path, here: str, there: str) -> Path:
    picture(top / f"{here}.png")
    (top / "points.csv").write_text(f"image,nose_x,nose_y\n{there}.png,3,4\n", encoding="utf-8")
    return top


def objects(top: Path, here: str, there: str) -> Path:
    picture(top / "images" / f"{here}.png")
    save(top / "masks" / there / "0.png", np.ones((20, 20), np.uint8))
    picture(top / "images" / "b.png")
    save(top / "masks" / "b" / "0.png", np.ones((20, 20), np.uint8))
    return top


@FORMS
@pytest.mark.parametrize(
    ("write", "chosen"),
    [
        (pairs, {}),
        (table, {}),
        (stems, {}),
        (yolo, {}),
        (yolo_list, {"annotations": "data.yaml"}),
        (voc, {}),
        (coco, {}),
        (coco, {"annotations": "instances.json"}),
        (points, {"annotations": "points.csv"}),
        (objects, {}),
    ],
)
def test_what_looks_alike_belongs_together(
    tmp_path: Path, write: Callable[[Path, str, str], Path], chosen: dict[str, str], here: str, there: str
) -> None:
    sources = sources_of(write(tmp_path, here, there), **chosen)
    assert any(image.endswith(f"{here}.png") for image in sources.images)  # as it is on the disk
    assert any(key.endswith(here) for key in sources.keys)
    assert "objects" not in sources.columns or boxes_of(sources).counts[sources.keys.index(sources.keys[-1])] == 1


@FORMS
def test_lists_of_python(tmp_path: Path, here: str, there: str) -> None:
    picture(tmp_path / f"{here}.png")
    lists = {"images": [tmp_path / f"{there}.png"], "labels": ["a"]}
    assert find(None, BuildOptions.make(), lists).images == [f"{here}.png"]


def test_a_name_that_is_there_as_it_stands_is_taken(tmp_path: Path) -> None:
    for name in (NFC, NFD):
        picture(tmp_path / "images" / f"{name}.png")
        picture(tmp_path / "masks" / f"{name}.png", mask=True)
    sources = sources_of(tmp_path)
    assert [Path(path).name for path in sources.images] == [Path(path).name for path in masks_of(sources) or ()]


def test_several_that_look_alike_are_told_with_their_forms() -> None:
    three = "\u1ed9", "o\u0323\u0302", "o\u0302\u0323"  # one visible letter in three ways
    with pytest.raises(SourceError, match=r"(?s)2 names look like it, in other Unicode.*NFD: 'o\\u0323\\u0302'"):
        UnicodeForms(three[:2]).find(three[2])


def test_classes_of_one_visible_name_are_refused(tmp_path: Path) -> None:
    message = r"one visible name in several Unicode normal forms:\n  .*\(NFD: 'cafe\\u0301'\), .*\(NFC: 'caf\\xe9'\)"
    picture(tmp_path / "folders" / NFC / "1.png")
    picture(tmp_path / "folders" / NFD / "2.png")
    with pytest.raises(SourceError, match=message):
        sources_of(tmp_path / "folders")
    for i in range(2):
        picture(tmp_path / f"{i}.png")
    (tmp_path / "t.csv").write_text(f"image,label\n0.png,{NFC}\n1.png,{NFD}\n", encoding="utf-8")
    with pytest.raises(SourceError, match=message):
        sources_of(tmp_path / "t.csv")


@given(st.text(min_size=1), st.sampled_from(["NFC", "NFD"]))
def test_any_name_is_found_in_any_form(name: str, form: str) -> None:
    stored = unicodedata.normalize(form, name)
    assert UnicodeForms([stored, "other"]).find(name) in {stored, name}
    assert visible(UnicodeForms([stored]).find(name)) == visible(name)
