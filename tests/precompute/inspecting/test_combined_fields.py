"""A dataset of many fields at once, one of them of a type that the project does not know: told, drawn, and not lost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import precompute
from precompute.building.result import BuildResult
from precompute.dataset.manifest import Manifest
from precompute.errors import UsageError
from precompute.exporting.export import export
from precompute.fields.boxes import Boxes
from precompute.fields.field import Field, Schema
from precompute.fields.label import LabelField
from precompute.fields.objects import ObjectsField
from precompute.fields.value import ValueField
from precompute.inspecting.inspect import inspect
from precompute.pictures.palette import class_color
from precompute.pictures.sheet import Sheet, draw_sheet
from precompute.pictures.stored_sheet import stored_sheet
from precompute.records.example import decode_example, encode_example
from precompute.records.tfrecord import frame, read_records
from tests.helpers.angles import AngleField
from tests.helpers.small_datasets import SIZE, draw_pairs, options

NAMES = ["cat", "dog"]
BOX = np.array([[2, 3, 12, 14]], np.float32)
ADDED: list[tuple[Field, Any]] = [
    (LabelField(name="label", num_classes=2, class_names=NAMES), 1),
    (
        ObjectsField(name="objects", num_classes=2, class_names=NAMES),
        Boxes(corners=BOX, labels=np.array([1], np.int32), flags=np.zeros(1, np.uint8), size=(SIZE, SIZE)),
    ),
    (ValueField(name="age", dtype="int"), 7),
    (ValueField(name="dose", dtype="float"), 0.25),
    (AngleField(name="angles"), [1.0, 2.5]),
]


@dataclass(frozen=True, kw_only=True)
class Combined:
    """A dataset of pairs to whose records fields were added."""

    out: Path
    manifest: Manifest
    result: BuildResult

    @property
    def sheet(self) -> Sheet:
        """Two sources in all rows."""
        return stored_sheet(self.out, self.manifest, "train", self.manifest.splits["train"].rows, 2)


@pytest.fixture(scope="module")
def combined(tmp_path_factory: pytest.TempPathFactory) -> Combined:
    folder = tmp_path_factory.mktemp("combined")
    result = precompute.build(draw_pairs(folder / "sources"), folder / "out", **options(variants=2))
    added = {key: value for field, of_it in ADDED for key, value in field.record_values(of_it, (SIZE, SIZE)).items()}
    for path in (folder / "out" / "data").rglob("*.tfrecord-*"):
        records = [encode_example({**decode_example(record), **added}) for record in read_records(path)]
        path.write_bytes(b"".join(map(frame, records)))
    built = Manifest.load(folder / "out")
    manifest = replace(built, schema=Schema([*built.schema.values(), *(field for field, _ in ADDED)]))
    return Combined(out=folder / "out", manifest=manifest, result=replace(result, manifest=manifest))


def test_an_inspection_names_each_field(combined: Combined, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Manifest, "load", lambda _: combined.manifest)
    text = inspect(combined.out).text()
    assert (
        "  targets       mask of 3 classes (png uint8)\n"
        "                label: class, 2 of them\n"
        "                objects: boxes of 2 classes, at most 0 an image\n"
        "                angles (angles)\n"
        "  extra         age (int), dose (float)\n"
    ) in text
    assert "label: sources of each class\n" in text
    assert "objects: boxes of each class, in the sources\n" in text


def test_warnings_of_a_build_name_all_that_differs(combined: Combined) -> None:
    conflicts = {"num_sources": 2, "examples": [["a", "b"]]}
    result = replace(combined.result, manifest=replace(combined.manifest, conflicts=conflicts))
    (warning,) = result.warnings()
    assert "another mask or another label or other boxes or another angles" in warning
    assert result.summary()


def test_a_sheet_draws_all_fields_on_one_picture(combined: Combined) -> None:
    sheet = combined.sheet
    for line in sheet.lines:
        assert line.remark == "dog, age 7, dose 0.25"
        for cell in line.cells:
            assert set(np.unique(cell.layers["mask"].mask)) <= {0, 1, 2}
            np.testing.assert_allclose(cell.layers["objects"].boxes, BOX, atol=1e-4)
            assert cell.caption == "angles: [1.  2.5]"
    picture = draw_sheet(sheet)
    colors = {color: count for count, color in picture.getcolors(1_000_000)}
    assert all(colors.get(class_color(i), 0) > 100 for i in (1, 2))  # regions of the mask, and the box in the second
    without = [replace(line, cells=[replace(cell, layers={}) for cell in line.cells]) for line in sheet.lines]
    plain = draw_sheet(replace(sheet, lines=without))
    assert picture.height > plain.height  # the text below the pictures


def test_an_export_says_what_no_layout_holds(
    combined: Combined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Manifest, "load", lambda _: combined.manifest)
    for format in ("files", "coco", "yolo", "voc"):
        with pytest.raises(UsageError) as refused:
            export(combined.out, tmp_path / "plain", format=format)
        assert str(refused.value) == (
            f"format: {format} has no place for the mask, label, objects and angles of out; read the row in Python "
            "with precompute.read."
        )
    assert not (tmp_path / "plain").exists()
