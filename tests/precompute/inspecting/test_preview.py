"""The preview: what it shows is what a build would write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
from PIL import Image

import precompute
from precompute.errors import BadSourcesError, PipelineError, PrecomputeError, SourceError, UsageError
from precompute.fields.layers import Layers
from precompute.inspecting.preview import draw_preview, preview_sheet
from precompute.inspecting.sample_renderer import make_sample_renderer
from precompute.options.build_options import BuildOptions
from precompute.pictures.palette import IGNORED, class_color
from precompute.pictures.sheet import Cell, Line, Sheet, draw_sheet, save_sheet
from precompute.readers.read import read
from precompute.sources.find import find
from tests.helpers.small_datasets import draw_classes, draw_pairs, options, pipeline, save


def sheet_of(
    source: Path, *, split: str = "train", num_sources: int = 6, num_variants: int = 6, **changes: object
) -> Sheet:
    chosen = BuildOptions.make(**options(**changes))
    studio = make_sample_renderer(find(source, chosen), chosen, split, lambda _: None)
    return preview_sheet(studio, num_sources=num_sources, num_variants=num_variants)


def draw(source: Path, output: Path, **changes: object) -> Path:
    path = draw_preview(source, options=BuildOptions.make(**options(**changes)), output=output).path
    assert path is not None
    return path


@pytest.mark.parametrize("image_format", ["png", "jpeg", "raw"])
@pytest.mark.parametrize("split", ["train", "validation"])
def test_pixels_are_those_that_a_build_stores(tmp_path: Path, image_format: str, split: str) -> None:
    source = draw_pairs(tmp_path / "sources")
    sheet = sheet_of(source, split=split, seed=7, image_format=image_format)
    precompute.build(source, tmp_path / "out", **options(seed=7, image_format=image_format))
    assert len(sheet.columns) == (4 if split == "train" else 2)
    stored = {
        (e["key"], e["variant"]): e
        for row in range(len(sheet.columns) - 1)
        for e in read(tmp_path / "out", split=split, row=row)
    }
    for line in sheet.lines:
        for variant, cell in enumerate(line.cells[1:]):
            np.testing.assert_array_equal(cell.image, stored[line.caption, variant]["image"])
            np.testing.assert_array_equal(cell.layers["mask"].mask, stored[line.caption, variant]["mask"])


def test_the_first_column_is_the_source_as_decoded(tmp_path: Path) -> None:
    source = draw_pairs(tmp_path / "sources", 6)
    for line in sheet_of(source, mask_map={2: 0}).lines:
        np.testing.assert_array_equal(
            line.cells[0].image, np.asarray(Image.open(source / "images" / f"{line.caption}.png"))
        )
        assert set(np.unique(line.cells[0].layers["mask"].mask)) == {0, 1}


def test_several_classes_and_the_same_choice_again(tmp_path: Path) -> None:
    source = draw_classes(tmp_path / "sources", names=("cat", "dog", "eel"))
    sheet = sheet_of(source, num_sources=4, num_variants=1)
    assert sorted({line.remark.partition(",")[0] for line in sheet.lines}) == ["cat", "dog", "eel"]
    captions = [line.caption for line in sheet.lines]
    assert captions == [line.caption for line in sheet_of(source, num_sources=4, num_variants=1, seed=5).lines]


def test_no_more_variants_than_rows(tmp_path: Path) -> None:
    sheet = sheet_of(draw_classes(tmp_path / "sources"), variants=2)
    assert sheet.columns == ["original", "variant 0", "variant 1"]


def test_a_rejected_source_shows_its_reason_and_the_others_are_drawn(tmp_path: Path) -> None:
    source = draw_pairs(tmp_path / "sources", 8)
    bad = source / "images" / "s001.png"
    bad.write_bytes(bad.read_bytes()[:200])
    sheet = sheet_of(source, num_sources=8, validation_split=0.0)
    lines = {line.caption: line for line in sheet.lines}
    assert len(lines) == 8
    assert lines["s001"].remark == "rejected: it would have no records"
    assert "s001.png: cannot be decoded" in lines["s001"].cells[0].text
    assert all(cell.image is not None for key, line in lines.items() if key != "s001" for cell in line.cells)
    save_sheet(sheet, tmp_path / "sheet.png")


def test_a_variant_that_fails_shows_its_reason(tmp_path: Path) -> None:
    source = draw_pairs(tmp_path / "sources", 8)
    save(source / "images" / "s002.png", np.zeros((6, 6, 3), np.uint8))
    save(source / "masks" / "s002.png", np.zeros((6, 6), np.uint8))
    crop = A.Compose([A.RandomCrop(12, 12), A.Resize(16, 16)])
    sheet = sheet_of(source, num_sources=8, validation_split=0.0, pipeline=crop)
    (line,) = [line for line in sheet.lines if line.caption == "s002"]
    assert line.cells[0].image is not None
    assert "s002.png: the pipeline failed at variant 0 (seed 0)" in line.cells[1].text
    assert line.remark == "6×6, rejected: it would have no records"


def test_all_rejected_is_an_error(tmp_path: Path) -> None:
    source = draw_pairs(tmp_path / "sources", 6)
    for path in (source / "images").iterdir():
        path.write_bytes(b"nothing")
    with pytest.raises(BadSourcesError, match="none of the first 6 sources can be used"):
        draw(source, tmp_path / "sheet.png", validation_split=0.0)
    source = draw_pairs(tmp_path / "more", 70)
    chosen = [line.caption for line in sheet_of(source, num_sources=2, num_variants=1).lines]
    for key in chosen:
        (source / "images" / f"{key}.png").write_bytes(b"nothing")
    with pytest.raises(BadSourcesError, match="none of 2 sources to show can be used"):
        sheet_of(source, num_sources=2, num_variants=1)


def test_it_refuses_what_a_build_refuses(tmp_path: Path) -> None:
    source = draw_pairs(tmp_path / "sources", 8)
    cases: list[tuple[type[PrecomputeError], str, dict[str, object]]] = [
        (PipelineError, "pipeline: none given", {"pipeline": None}),
        (PipelineError, "the size of its output varies", {"pipeline": A.Compose([A.HorizontalFlip()])}),
        (PipelineError, "has p=0.5: sometimes the whole pipeline", {"pipeline": A.Compose([A.Resize(8, 8)], p=0.5)}),
        (UsageError, "validation_split", {"validation_split": 1.5}),
    ]
    for error, message, changes in cases:
        with pytest.raises(error, match=message) as previewed:
            draw(source, tmp_path / "sheet.png", **changes)
        with pytest.raises(error) as built:
            precompute.build(source, tmp_path / "out", **options(**changes))
        assert str(previewed.value) == str(built.value)
    for path in (source / "masks").iterdir():
        save(path, np.where(np.asarray(Image.open(path)) > 0, 255, 0).astype(np.uint8))
    with pytest.raises(SourceError, match="pass --mask-map 255:1"):
        draw(source, tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()


def test_notes_of_a_build_are_said(tmp_path: Path) -> None:
    said: list[str] = []
    normalized = A.Compose([A.Resize(16, 16), A.Normalize()])
    chosen = BuildOptions.make(**options(pipeline=normalized, validation_split=0.0))
    draw_preview(draw_classes(tmp_path / "sources"), options=chosen, output=tmp_path / "sheet.png", say=said.append)
    assert any("Normalize was taken off its end" in note for note in said)
    assert any("no validation" in note or "validation" in note for note in said)


def test_the_picture_and_what_it_may_be_called(tmp_path: Path) -> None:
    source = draw_pairs(tmp_path / "sources", 8)
    path = draw(source, tmp_path / "new" / "sheet.jpg")
    with Image.open(path) as picture:
        assert picture.format == "JPEG"
        assert picture.width > 480
    with pytest.raises(UsageError, match=r"output: expected a file that ends with \.png"):
        draw(source, tmp_path / "sheet.txt")
    with pytest.raises(UsageError, match="split: the sources have train, validation; got 'test'"):
        draw_preview(source, options=BuildOptions.make(**options()), output=path, split="test")
    with pytest.raises(UsageError, match="num_sources: expected 1 or more, got 0"):
        draw_preview(source, options=BuildOptions.make(**options()), output=path, num_sources=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        draw(source, tmp_path / "file" / "sheet.png")


def test_nothing_of_a_dataset_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = draw_pairs(tmp_path / "sources", 8)
    before = sorted(tmp_path.rglob("*"))
    draw(source, tmp_path / "sheet.png")
    assert sorted(set(tmp_path.rglob("*")) - set(before)) == [tmp_path / "sheet.png"]


# The sheet itself.


def sheet_with(*cells: Cell) -> Sheet:
    return Sheet(title="t", columns=[str(i) for i in range(len(cells))], lines=[Line(caption="key", cells=cells)])


def masked(image: np.ndarray[Any, Any], mask: np.ndarray[Any, Any], **meaning: Any) -> Cell:
    return Cell(image=image, layers={"mask": Layers(mask=mask, **meaning)})


def test_classes_are_outlined_in_colours_of_their_own_and_the_image_stays_visible() -> None:
    image = np.full((40, 40, 3), 128, np.uint8)
    mask = np.zeros((40, 40), np.uint8)
    mask[5:15, 5:15], mask[5:15, 20:30], mask[25:35, 5:15] = 1, 2, 255
    picture = draw_sheet(sheet_with(masked(image, mask, ignore_class=255, class_names=["sky", "tree", "car"])))
    colors = {color: count for count, color in picture.getcolors(100_000)}
    for expected in (class_color(1), class_color(2), IGNORED):
        assert colors.get(expected, 0) > 100
    assert colors[128, 128, 128] > 10_000  # class 0 is as it was


def test_edge_of_the_picture_is_no_outline() -> None:
    filled = masked(np.full((8, 8, 3), 100, np.uint8), np.ones((8, 8), np.uint8), class_names=["a", "b"])
    plain = Cell(image=np.full((8, 8, 3), 100, np.uint8))
    sheets = [draw_sheet(sheet_with(cell)) for cell in (filled, plain)]
    tinted = tuple(round(100 + 0.12 * (c - 100)) for c in (0, 235, 100))
    assert {c: n for n, c in sheets[0].getcolors(10_000)}[tinted] == 256 * 256
    assert {c: n for n, c in sheets[1].getcolors(10_000)}[100, 100, 100] == 256 * 256


@pytest.mark.slow
def test_any_size_number_and_text_is_drawn() -> None:
    odd = [Cell(image=np.zeros(shape, np.uint8)) for shape in ((1, 900, 3), (900, 1, 3), (3000, 20, 3))]
    draw_sheet(sheet_with(*odd, Cell(), Cell(text="long " * 200), Cell(text="unbroken" * 100)))
    ids = np.arange(400, dtype=np.uint16).reshape(20, 20)
    many = masked(np.zeros((20, 20, 3), np.uint8), ids, class_names=["n" * 40] * 400)
    long = Line(caption="folder/" * 60, cells=[many] * 12, remark="remark " * 40)
    picture = draw_sheet(Sheet(title="x" * 500, columns=["heading"] * 12, lines=[long]))
    assert picture.width < 4000


def test_real_pairs(real_data: Path, tmp_path: Path) -> None:
    given = options(pipeline=pipeline(128), mask_map={255: 1}, limit=24)
    path = draw_preview(real_data / "nuclei", options=BuildOptions.make(**given), output=tmp_path / "sheet.png").path
    assert path is not None
    with Image.open(path) as picture:
        assert picture.width == 2 * 20 + 4 * (256 + 6) - 6
