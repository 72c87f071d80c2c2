"""The images that a COCO file or a table of keypoints names are found by one rule, however they are written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from precompute.errors import SourceError
from precompute.table.sources import Sources
from tests.helpers.box_files import sources_of
from tests.helpers.small_datasets import save

Read = Callable[..., Sources]


def coco(top: Path, *names: str, place: str = "list") -> Sources:
    """Read a COCO file with these names; every image has a box of its own width."""
    images = [{"id": i, "file_name": name} for i, name in enumerate(names)]
    boxes = [{"id": i, "image_id": i, "category_id": 1, "bbox": [0, 0, i + 1, 2]} for i in range(len(names))]
    content = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "a"}]}
    (top / f"{place}.json").write_text(json.dumps(content))
    return sources_of(top, annotations=f"{place}.json")


def table(top: Path, *names: str) -> Sources:
    lines = [f"{name},{i + 1},2" for i, name in enumerate(names)]
    (top / "list.csv").write_text("\n".join(["image,nose_x,nose_y", *lines]) + "\n", encoding="utf-8")
    return sources_of(top, annotations="list.csv")


def draw(top: Path, *names: str) -> Path:
    for name in names:
        save(top / name, np.zeros((20, 20, 3), np.uint8))
    return top


both = pytest.mark.parametrize("read", [coco, table])


@both
@pytest.mark.parametrize(
    "name",
    [
        *("images/sub/a b.png", "a b.png", "./sub/a b.png", "images\\sub\\a b.png", "sub//a b.png"),
        *("images/sub/a%20b.png", "a%20b.png", "sub%2Fa%20b.png", "../x/../images/sub/a b.png"),
    ],
)
def test_however_it_is_written(read: Read, name: str, tmp_path: Path) -> None:
    sources = read(draw(tmp_path, "images/sub/a b.png", "images/c.png"), name)
    assert sources.images == ["images/sub/a b.png"]
    assert "in other folders" not in " ".join(sources.notes)


@both
@pytest.mark.parametrize("name", ["/home/me/data/old/a.png", "C:\\data\\a.png", "elsewhere/a.png"])
def test_folders_of_another_machine_are_told(read: Read, name: str, tmp_path: Path) -> None:
    sources = read(draw(tmp_path, "images/a.png", "images/c.png"), name)
    assert sources.images == ["images/a.png"]
    said = "1 image lies in other folders than the annotations say, found by the names alone:\n  "
    assert any(said + name in note for note in sources.notes)


@both
def test_two_names_are_not_one_image(read: Read, tmp_path: Path) -> None:
    """As where one of the folders was not copied: its images are not those of the other."""
    draw(tmp_path, "images/a/1.png")
    with pytest.raises(SourceError, match=r"several names stand for \(1\):\n  .*b/1.png: .*/a/1.png, which a/1.png"):
        read(tmp_path, "a/1.png", "b/1.png")


@both
def test_one_image_in_two_ways(read: Read, tmp_path: Path) -> None:
    """Rows of one image belong together; a COCO file lists each image once."""
    draw(tmp_path, "images/a.png", "images/b.png")
    if read is table:
        assert read(tmp_path, "images/a.png", "./a.png", "b.png").images == ["images/a.png", "images/b.png"]
    else:
        with pytest.raises(SourceError, match=r"Images that are listed again \(1\):\n  .*images/a.png"):
            read(tmp_path, "images/a.png", "./a.png")


@both
def test_a_name_that_could_be_several_files(read: Read, tmp_path: Path) -> None:
    draw(tmp_path, "images/a/1.png", "images/b/1.png")
    with pytest.raises(SourceError, match=r"could be several files \(1\):\n  .*1.png: .*/a/1.png, .*/b/1.png"):
        read(tmp_path, "1.png")
    assert read(tmp_path, "b/1.png").images == ["images/b/1.png"]


@both
def test_the_path_itself_outranks_longer_ones(read: Read, tmp_path: Path) -> None:
    draw(tmp_path, "a.png", "old/a.png")
    assert read(tmp_path, "a.png").images == ["a.png"]


@both
def test_a_name_that_is_there_as_it_stands_is_not_decoded(read: Read, tmp_path: Path) -> None:
    draw(tmp_path, "a%20b.png", "a b.png")
    assert read(tmp_path, "a%20b.png").images == ["a%20b.png"]


@both
def test_images_without_a_name_or_a_file(read: Read, tmp_path: Path) -> None:
    draw(tmp_path, "a.png")
    with pytest.raises(SourceError, match=r"not there \(2\):\n  .*: no name\n  .*: gone.png\nPut them there"):
        read(tmp_path, "", "gone.png", "a.png")


def test_a_split_and_a_folder_together_tell_which(tmp_path: Path) -> None:
    """Two data sets below one folder, each with images of the same names in its splits."""
    for part in ("one", "two"):
        draw(tmp_path, *(f"{part}/{split}/{i}.png" for split in ("train", "val") for i in range(2)))
    content: dict[str, Any] = {"categories": [{"id": 1, "name": "a"}]}
    for split in ("train", "val"):
        images = [{"id": i, "file_name": f"{i}.png"} for i in range(2)]
        boxes = [{"id": i, "image_id": i, "category_id": 1, "bbox": [0, 0, 9, 2]} for i in range(2)]
        (tmp_path / "two" / "annotations").mkdir(exist_ok=True)
        path = tmp_path / "two" / "annotations" / f"{split}.json"
        path.write_text(json.dumps({**content, "images": images, "annotations": boxes}))
    sources = sources_of(tmp_path, annotations="two/annotations", split_in_key=True)
    assert sources.images == [f"two/{split}/{i}.png" for split in ("train", "val") for i in range(2)]
    assert sources.splits == ["train", "train", "validation", "validation"]
