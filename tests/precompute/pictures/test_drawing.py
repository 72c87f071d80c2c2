"""Patterns, dashes, numbers and legends: what tells classes and keypoints apart where colours do not."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFont

from precompute.fields.layers import Layers
from precompute.fields.skeleton import make_skeleton
from precompute.pictures import legend, lettering
from precompute.pictures.drawing import draw_layers, lay_mask
from precompute.pictures.legend import Entry, draw_legend, legend_of
from precompute.pictures.palette import class_color
from precompute.pictures.sheet import Cell, Line, Sheet, draw_sheet

IMAGE = np.full((64, 64, 3), 128, np.uint8)


def share_of(picture: Image.Image | np.ndarray, color: tuple[int, int, int]) -> float:
    return float((np.asarray(picture) == color).all(axis=-1).mean())


@pytest.mark.parametrize("opacity", [None, 0.5, 1.0])
def test_classes_that_colours_do_not_suffice_for_are_hatched(opacity: float | None) -> None:
    plain, *hatched = (lay_mask(IMAGE, np.full((64, 64), i, np.int32), opacity=opacity) for i in (80, 81, 161, 241))
    assert len(np.unique(plain.reshape(-1, 3), axis=0)) == 1
    lines = [(picture != picture[0, 4]).any(axis=-1) for picture in hatched]  # no line of a pattern lies there
    np.testing.assert_array_equal(lines[0][1:, :-1], lines[0][:-1, 1:])
    np.testing.assert_array_equal(lines[1][1:, 1:], lines[1][:-1, :-1])
    np.testing.assert_array_equal(lines[2], lines[0] | lines[1])


def boxed(label: int, **further: object) -> Image.Image:
    return draw_layers(IMAGE, [Layers(boxes=np.array([[4, 4, 60, 60]]), labels=np.array([label]), **further)])  # type: ignore[arg-type]


def test_frames_of_such_classes_are_dashed_with_white_and_those_that_do_not_count_with_nothing() -> None:
    plain, striped, not_counted = boxed(1), boxed(81), boxed(1, not_counted=np.array([True]))
    assert share_of(plain, (255, 255, 255)) == 0 < share_of(striped, (255, 255, 255))
    assert 0 < share_of(striped, class_color(82)) < share_of(plain, class_color(2))
    assert (
        share_of(not_counted, (0, 0, 0)) == 0 < share_of(not_counted, class_color(2)) < share_of(plain, class_color(2))
    )


def test_scores_stand_above_all_boxes() -> None:
    assert share_of(boxed(1, scores=np.array([0.5])), (255, 255, 255)) > 0


def test_numbers_stand_beside_keypoints_that_have_room() -> None:
    def drawn(num: int, space: float) -> Image.Image:
        points = np.array([[[8 + space * (i % 4), 8 + space * (i // 4)] for i in range(num)]])
        skeleton = make_skeleton([f"point{i}" for i in range(num)])
        layer = Layers(points=points, visibility=np.full((1, num), 2), skeleton=skeleton)
        return draw_layers(np.repeat(np.repeat(IMAGE, 4, axis=0), 4, axis=1), [layer])

    assert share_of(drawn(8, 50), (255, 255, 255)) == 0
    assert share_of(drawn(9, 50), (255, 255, 255)) > 0
    assert share_of(drawn(9, 6), (255, 255, 255)) < share_of(drawn(9, 50), (255, 255, 255)) / 2


# Legends


def test_a_legend_has_as_few_rows_as_fit_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [Entry(f"class {i}", class_color(i + 1), "area", i + 1) for i in range(80)]
    assert draw_legend(entries[:3], 900).height == legend.ROW
    assert draw_legend([], 900).height == 0
    whole = draw_legend(entries, 900)
    assert legend.ROW < whole.height <= legend.MAX_ROWS * legend.ROW
    assert all(share_of(whole, class_color(i + 1)) > 0 for i in range(80))
    written: list[Entry] = []
    width = legend._width
    monkeypatch.setattr(legend, "_width", lambda entry: [written.append(entry), width(entry)][1])
    cut = draw_legend(entries, 300)
    assert cut.height <= legend.MAX_ROWS * legend.ROW
    num_shown = sum(share_of(cut, class_color(i + 1)) > 0 for i in range(80))
    assert 0 < num_shown < 80
    assert written[-1].text == f"and {80 - num_shown} more"


def test_a_legend_lies_above_the_pictures_and_covers_none_of_them() -> None:
    ids = np.arange(6400).reshape(80, 80) // 80 + 1
    image = np.full((80, 80, 3), 7, np.uint8)
    layers = {"mask": Layers(mask=ids * (ids > 79), class_names=[f"class {i}" for i in range(81)])}
    sheet = Sheet(columns=["one"], lines=[Line(cells=[Cell(image=image, layers=layers)])])
    rows = np.flatnonzero((np.asarray(draw_sheet(sheet)) == 7).all(axis=-1).any(axis=1))
    assert len(rows) > 200 and rows.min() > legend.ROW


def test_a_legend_names_boxes_that_do_not_count() -> None:
    layer = Layers(boxes=np.zeros((1, 4)), labels=np.zeros(1, int), class_names=["cat"], not_counted=np.ones(1, bool))
    assert [(entry.text, entry.shape) for entry in legend_of([layer])] == [("cat", "frame"), ("not counted", "dashed")]


def test_letters_that_the_font_lacks_are_told_by_ones_that_it_has() -> None:
    own = ImageFont.load_default(12)
    assert lettering.printable("Grüße × Ж…", own) == "Gru?e x ?..."
    assert lettering.shorten("a/very/long/key.png", own, 80).startswith("a/ve")
    dejavu = lettering.load_font(12)
    if dejavu.getname()[0] == "DejaVu Sans":  # type: ignore[union-attr]
        assert lettering.printable("Grüße × Ж…\n", dejavu) == "Grüße × Ж… "


def test_pictures_of_fields_stand_below_that_of_the_image() -> None:
    other = Layers(beside=np.full((64, 64, 1), 200, np.uint8))
    cells = [Cell(image=IMAGE, layers={"depth": other}), Cell(image=IMAGE)]
    picture = draw_sheet(Sheet(columns=["one", "two"], lines=[Line(cells=cells)]))
    pixels = np.asarray(picture)
    first, second = pixels[:, : picture.width // 2], pixels[:, picture.width // 2 :]
    assert (first == 128).all(axis=-1).sum() == (second == 128).all(axis=-1).sum() > 0
    rows = {level: np.flatnonzero((first == level).all(axis=-1).any(axis=1)) for level in (128, 200)}
    assert rows[128].max() < rows[200].min()
