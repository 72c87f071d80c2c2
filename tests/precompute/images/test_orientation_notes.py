"""Images that an EXIF orientation turned are counted where boxes or masks lie on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import precompute
from precompute.dataset.manifest import Manifest
from precompute.images.decode import orientation_of
from tests.helpers.box_datasets import identity
from tests.helpers.small_datasets import options

SAID = "2 images carry an EXIF orientation and were turned upright by it; if they were annotated as they are stored"


def photo(path: Path, orientation: int | None, size: tuple[int, int] = (40, 20)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.new("RGB", size).save(path, exif=exif)
    return path


def built(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, dict[str, object]]:
    same = {"train": identity(40, 40), "validation": identity(40, 40)}
    result = precompute.build(tmp_path / "data", tmp_path / "out", **options(pipeline=same, variants=1, quiet=False))
    captured = capsys.readouterr()
    return f"{captured.out}{captured.err}{result}", Manifest.load(tmp_path / "out").counters


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "tif"])
def test_the_orientation_is_read_without_decoding(tmp_path: Path, extension: str) -> None:
    for orientation in (None, 1, 3, 6):
        assert orientation_of(photo(tmp_path / f"a.{extension}", orientation).read_bytes()) == (orientation or 1)
    assert orientation_of(b"Exif\0\0 and no image") == 1


def test_boxes_on_turned_images_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data" / "labels").mkdir(parents=True)
    for i, orientation in enumerate((6, 3, 1, None)):
        photo(tmp_path / "data" / "images" / f"{i}.jpg", orientation)
        (tmp_path / "data" / "labels" / f"{i}.txt").write_text("0 .5 .5 .2 .2\n")
    said, counters = built(tmp_path, capsys)
    assert SAID in said and "precompute preview" in said
    assert counters["turned"] == {"number": 2, "num_sources": 2, "examples": ["0", "1"]}


def test_masks_on_turned_images_are_told_unless_they_are_turned_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i, (image, mask) in enumerate(((3, None), (3, 3), (2, 1), (None, None))):
        photo(tmp_path / "data" / "images" / f"{i}.jpg", image)
        exif = Image.Exif()
        if mask is not None:
            exif[0x0112] = mask
        (tmp_path / "data" / "masks").mkdir(exist_ok=True)
        Image.fromarray(np.zeros((20, 40), np.uint8)).save(tmp_path / "data" / "masks" / f"{i}.png", exif=exif)
    said, counters = built(tmp_path, capsys)
    assert SAID in said and counters["turned"]["examples"] == ["0", "2"]  # type: ignore[index]


def test_classes_of_turned_images_need_no_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(4):
        photo(tmp_path / "data" / "cat" / f"{i}.jpg", 6)
    said, counters = built(tmp_path, capsys)
    assert "EXIF" not in said and not counters
