"""Sheets in notebooks: the same pictures as a table, with text that can be read."""

from __future__ import annotations

import base64
import io
import re
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

import precompute
from precompute.dataset.manifest import Manifest
from precompute.pictures.sheet import Cell, Line, Sheet
from precompute.pictures.sheet_html import pictures_of_dataset, sheet_html
from precompute.readers.read import read
from precompute.storage.paths import as_path
from precompute.text.display import Html
from tests.helpers.small_datasets import draw_classes, draw_pairs, options


def pictures_in(html: str) -> list[Image.Image]:
    found = re.findall(r'src="data:image/(?:jpeg|png);base64,([^"]*)"', html)
    return [Image.open(io.BytesIO(base64.b64decode(content))) for content in found]


def joined(parts: object) -> str:
    assert isinstance(parts, list) and all(isinstance(part, Html) for part in parts)
    return "\n".join(parts)


def test_a_cell_is_a_picture_or_its_reason_and_nothing_in_captions_is_html() -> None:
    image = np.full((8, 12, 3), (200, 30, 40), np.uint8)
    line = Line(caption="<i>key</i>", remark="8×12", cells=[Cell(image=image, notes=["a & b"]), Cell(text="<bad>")])
    shown = joined(list(sheet_html(Sheet(title="<t>", columns=["one", "<two>"], lines=[line]), size=48)))
    (picture,) = pictures_in(shown)
    assert picture.size == (48, 32)  # scaled by a whole number
    np.testing.assert_allclose(np.asarray(picture)[16, 24], (200, 30, 40), atol=4)
    assert re.findall(r"<(?!/?(?:div|table|thead|tbody|tr|th|td|br|img)\b)", shown) == []
    for text in ("&lt;i&gt;key&lt;/i&gt;", "8×12", "a &amp; b", "&lt;bad&gt;", "&lt;two&gt;", "&lt;t&gt;"):
        assert text in shown


def test_masks_and_classes_have_their_legend(tmp_path: Path) -> None:
    shown = precompute.preview(draw_pairs(tmp_path / "sources"), num_sources=2, num_variants=2, **options())
    legend, *pictures = pictures_in(shown._repr_html_())
    assert legend.width > 300 and len(pictures) == 2 * 3
    assert len(shown._repr_html_()) < 200_000


def test_a_preview_shows_itself_and_can_be_kept(tmp_path: Path) -> None:
    source = draw_classes(tmp_path / "sources", names=("<b>", "dog"))
    shown = precompute.preview(source, num_sources=2, num_variants=2, **options(validation_split=0.0))
    assert repr(shown).startswith("train: 2 of 12 sources under seed 0, as they would be stored: 16×16 png\n  note: ")
    assert "&lt;b&gt;" in shown._repr_html_() and "<b>" not in shown._repr_html_() and shown.path is None
    assert "NO VALIDATION SPLIT" in shown._repr_html_()
    path = shown.save(tmp_path / "kept.png")
    drawn = precompute.preview(source, num_sources=2, num_variants=2, output=tmp_path / "same.png", **options())
    assert drawn.path is not None and Image.open(drawn.path).size == Image.open(path).size
    images = [str(file) for file in sorted(source.rglob("*.png"))]
    lists = precompute.preview(images=images, labels=["x", "y"] * 6, num_sources=2, num_variants=2, **options())
    assert len(lists.sheet.lines) == 2


def test_results_of_a_dataset_show_its_first_records(tmp_path: Path) -> None:
    source = draw_pairs(tmp_path / "sources")
    built = precompute.build(source, tmp_path / "out", **options())
    for result in (built, precompute.inspect(tmp_path / "out")):
        _, *pictures = pictures_in(result._repr_html_())
        assert len(pictures) == 3 * 3
    first = next(iter(read(tmp_path / "out", row=0)))
    assert first["key"] in built._repr_html_()
    assert "GenerationPlan" not in repr(built) and repr(built) == built.summary()
    shutil.rmtree(tmp_path / "out" / "data")
    assert pictures_in(built._repr_html_()) == [] and "9 sources" in built._repr_html_()


def test_of_a_plan_and_of_a_store_no_records_are_shown(tmp_path: Path) -> None:
    planned = precompute.build(draw_pairs(tmp_path / "sources"), tmp_path / "out", **options(dry_run=True))
    assert pictures_in(planned._repr_html_()) == [] and "nothing was written" in planned._repr_html_()
    precompute.build(tmp_path / "sources", tmp_path / "out", **options())
    manifest = Manifest.load(tmp_path / "out")
    assert list(pictures_of_dataset(as_path("s3://nowhere/out"), manifest)) == []
