"""What `inspect` tells of a dataset, and the picture of what is stored."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import albumentations as A
import numpy as np
import pytest
from PIL import Image

import precompute
from precompute.dataset.leases import Lease
from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError, UsageError
from precompute.inspecting.inspect import inspect
from precompute.inspecting.inspection import RowGroup, describe_pipeline
from precompute.pictures.stored_sheet import draw_stored, stored_sheet
from precompute.readers.read import read
from tests.helpers.small_datasets import SIZE, draw_classes, draw_pairs, options, pipeline


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds, an original row, and one source less than were found."""
    folder = tmp_path_factory.mktemp("classes")
    source = draw_classes(folder / "sources", 10)
    (source / "cat" / "cat003.png").write_bytes(b"nothing")
    nested = A.Compose(
        [
            A.OneOf([A.HorizontalFlip(p=1), A.Sequential([A.VerticalFlip(p=1)])], p=0.5),
            A.Resize(SIZE, SIZE),
            A.Normalize(),
        ]
    )
    given = options(pipeline={"train": nested}, variants=2, include_original=True, skip_bad="1")
    precompute.build(source, folder / "out", **given)
    precompute.build(source, folder / "out", **{**given, "seed": 5, "variants": 3})
    return folder / "out"


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    precompute.build(draw_pairs(folder / "sources"), folder / "out", **options(image_format="jpeg", quality=80))
    return folder / "out"


def test_numbers_are_those_on_disk(classes: Path) -> None:
    found = inspect(classes)
    train, files = found.splits["train"], list((classes / "data").rglob("*-train_*.tfrecord-*"))
    assert (train.num_sources, train.num_skipped, train.num_rows) == (16, 1, 6)
    assert train.num_shards == len(files)
    assert train.num_bytes == sum(path.stat().st_size for path in files)
    assert train.num_records == sum(len(list(read(classes, row=row))) for row in range(6)) == 15 * 6
    assert train.record_bytes == train.num_bytes // train.num_records
    assert train.class_counts == [7, 8]
    assert found.splits["validation"].class_counts == [2, 2]


def test_rows_are_grouped_by_seed(classes: Path) -> None:
    assert inspect(classes).splits["train"].rows == [
        RowGroup(rows=[0], seed=0, variants=[]),
        RowGroup(rows=[1, 2], seed=0, variants=[0, 1]),
        RowGroup(rows=[3, 4, 5], seed=5, variants=[0, 1, 2]),
    ]


def test_the_report_of_classes(classes: Path) -> None:
    lines = [line.rstrip() for line in inspect(classes).text().splitlines()]
    assert lines[0] == f"out, generation g0001, in {classes}"
    for expected in (
        "  images        16×16 (height × width), 3 channels, png",
        "  target        class, 2 of them",
        f"  sources       {classes.parent / 'sources'}",
        "  one epoch     one row of train: 15 records, every source once, 1 left out as bad; "
        "the first row comes again after 6 epochs",
        "  train         row 0: originals through the validation pipeline",
        "                rows 1-2: seed 0, variants 0-1",
        "                rows 3-5: seed 5, variants 0-2",
        "  validation    row 0: seed 0, variant 0",
        "  train         OneOf(p=0.5):",
        "                  HorizontalFlip(p=1)",
        "                  Sequential(p=0.5):",
        "                    VerticalFlip(p=1)",
        "                left to the model: Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), "
        "max_pixel_value=255)",
        "left out of all rows, 1 bad source:",
    ):
        assert expected in lines
    assert any(line.startswith("  ") and "cat003.png: " in line for line in lines)
    assert any(line.startswith(("written by albumentations", "written by albucore")) for line in lines)


def test_the_report_of_masks(pairs: Path) -> None:
    text = inspect(pairs).text()
    assert "  images        16×16 (height × width), 3 channels, jpeg of quality 80\n" in text
    assert "  target        mask of 3 classes (png uint8)\n" in text
    assert "sources of each class" not in text


def test_what_is_unusual_is_said(pairs: Path, tmp_path: Path) -> None:
    content = json.loads((pairs / "manifest.json").read_text())
    content["settings"]["pixels"]["versions"]["numpy"] = "1.0"
    content["leaks"] = [{"splits": ["train", "validation"], "num_sources": 1, "examples": [["a", "b"]]}]
    content["cpu_features"].append("another")
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    (tmp_path / "data").symlink_to(pairs / "data")
    found = inspect(tmp_path)
    assert found.other_versions == {"numpy": ("1.0", np.__version__)}
    text = found.text()
    assert f"  numpy: 1.0, installed is {np.__version__}" in text
    assert "warning: train and validation share the content of 1 source, so that scores flatter:\n  a = b" in text
    assert "written by 2 kinds of processors" in text


def test_no_validation_is_said(tmp_path: Path) -> None:
    precompute.build(draw_classes(tmp_path / "sources"), tmp_path / "out", **options(validation_split=0.0, variants=1))
    text = inspect(tmp_path / "out").text()
    assert "warning: there is no validation split" in text
    assert "every source once; the same row every time" in text


def test_rows_in_use_are_said(pairs: Path) -> None:
    lease, gone = Lease(pairs, [("g0001", "train", 0), ("g0001", "train", 2)]), Lease(pairs, [("g0000", "train", 0)])
    try:
        found = inspect(pairs)
        assert found.splits["train"].held == [0, 2]
        assert "in use by readers: 0, 2\n" in found.text()
        assert "1 unlisted row is still in use" in found.text()
    finally:
        lease.close()
        gone.close()
    assert inspect(pairs).splits["train"].held == []


def test_a_pipeline_of_nothing_and_one_that_holds_code() -> None:
    assert describe_pipeline({"transform": {"__class_fullname__": "Compose", "transforms": []}}) == [
        "nothing: images as they are"
    ]
    own = {"__class_fullname__": "mine.Own", "p": 1.0, "limit": [0.1, 2], "fill": None}
    described = {"transform": {"__class_fullname__": "Compose", "transforms": [own]}}
    assert describe_pipeline(described) == ["Own(limit=(0.1, 2), p=1)"]


def test_a_dataset_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="build the dataset first"):
        inspect(tmp_path)


def test_inspecting_loads_nothing_heavy(pairs: Path) -> None:
    heavy = "{'tensorflow', 'keras', 'albumentations', 'cv2', 'PIL'}"
    code = f"from precompute.inspecting.inspect import inspect; inspect({str(pairs)!r}).text()"
    for first, expected in (("import sys", "set()"), ("import sys, PIL", "{'PIL'}")):  # the second: it can fail
        done = subprocess.run(
            [sys.executable, "-c", f"{first}; {code}; print({heavy} & set(sys.modules))"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == f"{expected}\n"


# What is stored, as a picture.


def test_the_sheet_shows_what_is_stored(pairs: Path) -> None:
    manifest = Manifest.load(pairs)
    rows = manifest.splits["train"].rows
    sheet = stored_sheet(pairs, manifest, "train", rows, 4)
    assert sheet.columns == [f"row {i}: seed 0, variant {i}" for i in range(3)]
    for i, row in enumerate(rows):
        stored = {example["key"]: example for example in read(pairs, row=row.row)}
        for line in sheet.lines:
            np.testing.assert_array_equal(line.cells[i].image, stored[line.caption]["image"])
            np.testing.assert_array_equal(line.cells[i].layers["mask"].mask, stored[line.caption]["mask"])


def test_chosen_rows_classes_and_no_skipped_source(classes: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(classes)
    sheet = stored_sheet(classes, manifest, "train", manifest.splits["train"].rows, 100)
    assert sheet.columns[:2] == ["row 0: original", "row 1: seed 0, variant 0"]
    assert {line.remark for line in sheet.lines} == {"cat", "dog"}
    assert len(sheet.lines) == 15
    path = draw_stored(classes, tmp_path / "sheet.png", rows=[5, 1], num_sources=2)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
    with pytest.raises(UsageError, match=r"train lists \(0-5\), got \[8\]"):
        draw_stored(classes, tmp_path / "sheet.png", rows=[8])
    with pytest.raises(UsageError, match="the dataset has train, validation; got 'test'"):
        draw_stored(classes, tmp_path / "sheet.png", split="test")


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    precompute.build(draw_pairs(tmp_path / "sources"), tmp_path / "out", **options(variants=1))
    (shard,) = (tmp_path / "out" / "data").rglob("*-train_*")
    shard.write_bytes(b"")
    with pytest.raises(DatasetError, match="row 0 of train has no record of s0.*precompute verify"):
        draw_stored(tmp_path / "out", tmp_path / "sheet.png")


def test_real_classes(real_data: Path, tmp_path: Path) -> None:
    given = options(pipeline=pipeline(64), variants=1, limit=80, image_format="jpeg")
    precompute.build(real_data / "clothing", tmp_path / "out", **given)
    found = inspect(tmp_path / "out")
    assert found.manifest.target.class_names[-1] == "t-shirt"
    assert sum(sum(split.class_counts) for split in found.splits.values()) == 80
    sheet = stored_sheet(tmp_path / "out", found.manifest, "train", found.manifest.splits["train"].rows, 10)
    assert len({line.remark for line in sheet.lines}) == 10
