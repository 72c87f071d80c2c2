"""What image files are called: one list, of what is decoded, in every layout; others are told by their endings."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import precompute
from precompute.errors import SourceError, UsageError
from precompute.images.color_modes import parse_scale
from precompute.images.file_kinds import IMAGE_EXTENSIONS, UNREADABLE
from precompute.options.build_options import BuildOptions
from precompute.preparing import prepare_images
from precompute.sources.find import find
from precompute.table.sources import Sources
from tests.helpers.box_datasets import identity
from tests.helpers.decoding import decode_image
from tests.helpers.small_datasets import options, save
from tests.helpers.source_columns import masks_of

PROJECT = Path(precompute.__file__).parent


def write(path: Path, *, grey: bool = False) -> Path:
    """A picture of the kind that the ending names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = {".pbm": "1", ".pfm": "F", ".pgm": "L"}.get(path.suffix.lower(), "L" if grey else "RGB")
    kind = "JPEG" if path.suffix.lower() == ".mpo" else None
    Image.new(mode, (12, 10)).save(path, format=kind)
    return path


def found(folder: Path, **given: object) -> Sources:
    return find(folder, BuildOptions.make(**given))


@pytest.mark.parametrize("extension", IMAGE_EXTENSIONS)
def test_what_is_found_is_decoded(tmp_path: Path, extension: str) -> None:
    content = write(tmp_path / f"a{extension}").read_bytes()
    image = decode_image(content, "rgb", parse_scale("minmax") if extension == ".pfm" else None)
    assert image.shape == (10, 12, 3)


@pytest.mark.parametrize("extension", [*IMAGE_EXTENSIONS, ".JFIF", ".PpM"])
def test_every_layout_finds_every_ending(tmp_path: Path, extension: str) -> None:
    name = f"a{extension}"
    write(tmp_path / "classes" / "cat" / name)
    assert found(tmp_path / "classes").images == [f"cat/{name}"]
    write(tmp_path / "pairs" / "images" / name)
    write(tmp_path / "pairs" / "masks" / name)
    assert masks_of(found(tmp_path / "pairs")) == [f"masks/{name}"]
    write(tmp_path / "objects" / "images" / name)
    write(tmp_path / "objects" / "masks" / "a" / f"0{extension}")
    assert found(tmp_path / "objects").kind == "instances"
    write(tmp_path / "yolo" / "images" / name)
    (tmp_path / "yolo" / "labels").mkdir()
    (tmp_path / "yolo" / "labels" / "a.txt").write_text("0 .5 .5 .2 .2\n")
    assert found(tmp_path / "yolo").kind == "boxes"
    (tmp_path / "yolo" / "images" / "t.csv").write_text("image_id,label\na,cat\n")
    assert found(tmp_path / "yolo" / "images" / "t.csv").images == [name]


def test_a_folder_of_jfif_and_ppm_up_to_the_records(tmp_path: Path) -> None:
    for i, extension in enumerate((".jfif", ".ppm", ".jpe", ".JPG", ".pgm", ".tif")):
        write(tmp_path / "data" / "cat" / f"{i}{extension}")
    same = {"train": identity(10, 12), "validation": identity(10, 12)}
    precompute.build(tmp_path / "data", tmp_path / "out", **options(pipeline=same, variants=1))
    split = [len(list(precompute.read(tmp_path / "out", split=split))) for split in ("train", "validation")]
    assert sum(split) == 6


def test_images_that_cannot_be_decoded_are_told_beside_others(tmp_path: Path) -> None:
    write(tmp_path / "cat" / "a.jpg")
    for name in ("1.heic", "2.HEIC", "3.npy", "notes.txt"):
        (tmp_path / "cat" / name).write_bytes(b"x")
    sources = found(tmp_path)
    assert "2 .heic, 1 .npy files cannot be decoded: convert them to JPEG or PNG." in sources.notes
    assert sources.passed == {".heic": 2, ".npy": 1, ".txt": 1}


@pytest.mark.parametrize("chosen", [{}, {"target": "none"}, {"annotations": "labels"}])
def test_images_that_cannot_be_decoded_are_told_where_there_are_no_others(
    tmp_path: Path, chosen: dict[str, str]
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "1.txt").write_text("0 .5 .5 .2 .2\n" if "annotations" in chosen else "")
    for i in range(12):
        (tmp_path / "images" / f"{i}.heic").write_bytes(b"x")
    with pytest.raises(SourceError, match=re.escape("12 .heic files cannot be decoded: convert them to JPEG or PNG.")):
        found(tmp_path, **chosen)


def test_what_was_passed_over_is_told_by_its_endings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(4):
        save(tmp_path / "data" / "cat" / f"{i}.png", np.zeros((12, 10, 3), np.uint8))
        (tmp_path / "data" / "cat" / f"{i}.txt").write_text("")
    (tmp_path / "data" / "LICENSE").write_text("")
    (tmp_path / "data" / "film.mp4").write_text("")
    precompute.build(tmp_path / "data", tmp_path / "out", **options(quiet=False, variants=1))
    said = capsys.readouterr().err
    assert "passed over   5 files (4 .txt, 1 without an ending): cat/ 4, at the top 1\n" in said
    assert "1 .mp4 files cannot be decoded" in said


def test_predictions_find_every_ending_and_tell_the_others(tmp_path: Path) -> None:
    for i in range(4):
        save(tmp_path / "data" / "cat" / f"{i}.png", np.zeros((12, 10, 3), np.uint8))
    precompute.build(tmp_path / "data", tmp_path / "out", **options(variants=1))
    write(tmp_path / "new" / "a.jfif")
    (tmp_path / "new" / "b.heic").write_bytes(b"x")
    said: list[str] = []
    prepared = prepare_images(tmp_path / "out", [tmp_path / "new"], say=said.append)
    assert [item.problem for item in prepared] == [None]
    assert said == ["1 .heic files cannot be decoded: convert them to JPEG or PNG."]
    (tmp_path / "new" / "a.jfif").unlink()
    with pytest.raises(UsageError, match=r"1 \.heic files cannot be decoded"):
        prepare_images(tmp_path / "out", [tmp_path / "new"])


def test_no_ending_is_both_and_the_page_names_all_that_are_read() -> None:
    assert not UNREADABLE & set(IMAGE_EXTENSIONS)
    page = (PROJECT / "IMAGE_FILES.md").read_text()
    assert set(re.findall(r"`(\.\w+)`", page)) - UNREADABLE == set(IMAGE_EXTENSIONS)
