"""Reports of datasets of every kind of field, each asked the same questions; one kind is of the tests alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest

import precompute
from precompute import Source
from precompute.fields.boxes import Boxes
from precompute.fields.counts import Contents
from precompute.fields.layers import Layers
from precompute.fields.mask import MaskField
from precompute.fields.objects import ObjectsField
from precompute.reporting.gallery import picture_of
from precompute.reporting.result import Report
from tests.helpers import instance_datasets, keypoint_datasets
from tests.helpers.small_datasets import options, save

NUM = 8


def pictures(folder: Path) -> list[Path]:
    paths = [folder / f"{i}.png" for i in range(NUM)]
    for i, path in enumerate(paths):
        save(path, np.random.default_rng(i).integers(0, 255, (24, 30, 3), dtype=np.uint8))
    return paths


def listed(folder: Path, field: Callable[[int], dict[str, Any]]) -> list[Source]:
    """Sources with some field each."""
    splits = ["train"] * (NUM - 2) + ["validation"] * 2
    return [
        Source(str(i), path, split=split, **field(i))
        for i, (path, split) in enumerate(zip(pictures(folder), splits, strict=True))
    ]


KINDS: dict[str, Callable[[int], dict[str, Any]]] = {
    "class": lambda i: {"label": ["cat", "dog"][i % 2]},
    "multilabel": lambda i: {"label": ["cat", "dog"][: i % 3]},
    "boxes": lambda i: {"boxes": [(2, 3, 12, 14, "cat"), (8, 8, 28, 22, "dog")][: 1 + i % 2]},
    "values": lambda i: {"values": {"age": float(i)}, "weight": 1.0 + i, "extra": {"note": f"n{i}"}},
    "image only": lambda i: {},
}


def report_of(folder: Path, source: Any, **changes: Any) -> Report:
    precompute.build(source, folder / "out", **options(**{"validation_split": 0, "variants": 2, **changes}))
    return precompute.report(folder / "out")


def check(found: Report, num_train: int) -> None:
    """What holds for every kind."""
    assert found.notes == ()
    train = found.transforms[0]
    assert train.num_same == train.num_records == 2 * num_train
    assert all(sample.picture is not None and sample.variants for sample in found.samples)
    assert found.json()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_report_of_each_kind_of_field(kind: str, tmp_path: Path) -> None:
    found = report_of(tmp_path, listed(tmp_path / "sources", KINDS[kind]))
    check(found, NUM - 2)
    shown = {name for sample in found.samples for name in sample.classes}
    assert shown == ({"cat", "dog"} if kind in ("class", "multilabel", "boxes") else set())


@pytest.mark.slow
def test_a_report_of_masks_of_objects(tmp_path: Path) -> None:
    truth = instance_datasets.make_truth(6)
    made = instance_datasets.write_coco(tmp_path / "sources", truth)
    found = report_of(tmp_path, tmp_path / "sources", **made, pipeline=instance_datasets.identity())
    check(found, 6)
    assert {one.num_before == one.num_after for one in found.effects[0].lost} == {True}


@pytest.mark.slow
def test_a_report_of_keypoints(tmp_path: Path) -> None:
    keypoint_datasets.write_coco(tmp_path / "sources")
    pipeline = A.Compose([A.HorizontalFlip(p=0.5), A.Resize(48, 48)])
    found = report_of(tmp_path, tmp_path / "sources", pipeline=pipeline)
    check(found, 10)
    assert {one.by for one in found.effects[0].lost} >= {"class"}


@pytest.mark.slow
def test_objects_that_were_lost_are_known_from_the_listing_where_sources_are_gone(tmp_path: Path) -> None:
    sources = listed(tmp_path / "sources", KINDS["boxes"])
    pipeline = A.Compose([A.Crop(0, 0, 7, 7), A.Resize(16, 16)])
    there = report_of(tmp_path, sources, pipeline=pipeline).effects[0]
    shutil.rmtree(tmp_path / "sources")
    gone = precompute.report(tmp_path / "out").effects[0]
    by_class = [one for one in there.lost if one.by == "class"]
    assert list(gone.lost) == by_class
    assert any(one.num_after < one.num_before for one in by_class)
    assert gone.num_emptied == there.num_emptied


# What fields hold


def test_a_mask_holds_the_pixels_of_its_classes_without_those_that_do_not_count() -> None:
    field = MaskField(
        name="mask", num_classes=3, class_names=["sky", "sea"], encoding="png", dtype="uint8", ignore_class=9
    )
    mask = np.array([[0, 0, 1], [9, 2, 2]], np.uint8)
    found = field.contents({"mask": mask})
    assert found.class_pixels == {0: 2, 1: 1, 2: 2}
    assert [found.class_name(i) for i in range(3)] == ["sky", "sea", "2"]
    assert not found.has_objects


def test_objects_have_classes_and_areas_in_sources_and_in_records() -> None:
    field = ObjectsField(name="objects", num_classes=2, class_names=["cat", "dog"])
    corners = np.array([[0, 0, 10, 5], [10, 10, 20, 20]], np.float32)
    labels = np.array([1, 0], np.int32)
    boxes = Boxes(corners=corners, labels=labels, flags=np.zeros(2, np.uint8), size=(20, 20))
    image = np.zeros((20, 20, 3), np.uint8)
    stored = field.contents({"boxes": corners, "labels": labels.astype(np.int64), "image": image})
    source = field.source_contents(boxes, (20, 20))
    for found in (stored, source):
        assert found.labels.tolist() == [1, 0]
        assert found.areas == pytest.approx([0.125, 0.25])
        assert found.has_objects


def test_pictures_that_fields_show_beside_the_image_stand_beside_it() -> None:
    image = np.full((16, 20, 3), 90, np.uint8)
    depth = np.full((16, 20, 1), 200, np.uint8)
    assert picture_of(image, {}).beside == {}
    [(name, shown)] = picture_of(image, {"depth": Layers(beside=depth)}).beside.items()
    assert (name, shown.shape, shown.min()) == ("depth", (16, 20, 3), 200)


def test_a_field_that_counts_nothing_holds_nothing() -> None:
    assert (Contents().class_pixels, len(Contents().labels), Contents().has_objects) == ({}, 0, False)
