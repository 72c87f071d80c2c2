"""Masks that number objects are told from masks of classes, and the way on is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import precompute
from precompute.dataset.manifest import Manifest
from precompute.images.mask_files import InstanceIdMasks, find_instance_ids
from precompute.options.values import parse_mask_map
from tests.helpers.numbered_masks import draw_numbered, grid_of, numbered
from tests.helpers.small_datasets import draw_pairs, options

LOOKS_SO = "these look like numbers of objects, not classes"


# The question itself


@settings(max_examples=40)
@given(st.lists(st.integers(5, 200), min_size=6, max_size=12, unique=True))
def test_objects_numbered_from_one_are_found_whatever_their_number(counts: list[int]) -> None:
    found = find_instance_ids(numbered(counts))
    assert found == InstanceIdMasks(list(range(len(counts))), len(counts))


def test_few_people_a_picture_and_two_pictures_of_cells_are_found() -> None:
    assert find_instance_ids(numbered([2, 1, 3, 2, 8, 4, 2, 1, 5, 2, 3, 2])) is not None
    assert find_instance_ids(numbered([57, 83])) is not None


def test_gaps_between_very_many_numbers_and_void_and_a_few_cut_objects_change_nothing() -> None:
    rng = np.random.default_rng(0)
    cropped = [grid_of(rng.choice(np.arange(1, 400), 20 + i, replace=False).tolist()) for i in range(8)]
    assert find_instance_ids(cropped) is not None
    voided = [np.where(mask == 0, 255, mask) for mask in numbered([2, 1, 3, 2, 8, 4, 5, 2, 3])]
    assert find_instance_ids(voided) is None
    assert find_instance_ids(voided, ignore_class=255) is not None
    cut = [np.concatenate([mask, np.where(mask == 1, 1, 0)]) for mask in numbered([20, 30, 40, 50])]
    assert find_instance_ids(cut) is not None


@settings(max_examples=100)
@given(seed=st.integers(0, 10**6), num_classes=st.integers(1, 60), num_masks=st.integers(1, 20), data=st.data())
def test_classes_that_come_and_go_are_never_taken_for_numbers(
    seed: int, num_classes: int, num_masks: int, data: st.DataObject
) -> None:
    """Each class is one patch, which is as near as classes come to objects."""
    rng, share = np.random.default_rng(seed), data.draw(st.floats(0.1, 0.9))
    masks = [grid_of([i for i in range(1, num_classes + 1) if rng.random() < share], cells=8) for _ in range(num_masks)]
    assert find_instance_ids(masks) is None


@pytest.mark.parametrize(
    "masks",
    [
        pytest.param([grid_of(list(range(1, 21)))] * 12, id="all of 20 classes in each"),
        pytest.param([grid_of(list(range(1, 8 + i % 2))) for i in range(16)], id="layers, and one more now and then"),
        pytest.param([grid_of([1, 2, 3][: i % 4]) for i in range(16)], id="three nested classes"),
        pytest.param([grid_of(list(range(1, 4 + i)) * 2) for i in range(12)], id="two patches of each"),
        pytest.param([np.zeros((8, 8), np.uint8)] * 5, id="nothing"),
        pytest.param([], id="no masks"),
        pytest.param([grid_of([1]), grid_of([1, 2]), grid_of([1, 2, 3, 4])], id="chance in three masks"),
    ],
)
def test_classes_are_not_taken_for_numbers(masks: list[np.ndarray[Any, Any]]) -> None:
    assert find_instance_ids(masks) is None


@settings(max_examples=50)
@given(seed=st.integers(0, 10**6), num_classes=st.integers(2, 32))
def test_pictures_partitioned_into_classes_are_not_taken_for_numbers(seed: int, num_classes: int) -> None:
    rng = np.random.default_rng(seed)
    coarse = [rng.integers(0, rng.integers(2, num_classes + 1), (12, 12)) for _ in range(12)]
    assert find_instance_ids([np.kron(mask, np.ones((4, 4), int)).astype(np.uint8) for mask in coarse]) is None


# Where the user hears of it


def test_a_build_warns_once_and_inspect_and_the_dry_run_say_it_too(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source, out = draw_numbered(tmp_path / "in", [20, 31, 12, 44, 25, 38, 17, 29]), tmp_path / "out"
    given = options(quiet=False, variants=1, validation_split=0.0)
    precompute.build(source, out, **given, dry_run=True)
    assert capfd.readouterr().err.count(LOOKS_SO) == 1
    precompute.build(source, out, **given)
    said = capfd.readouterr().err
    assert said.count(LOOKS_SO) == 1
    assert "masks: 45 classes, but in 8 of 8 masks looked at each id is one connected patch" in said
    assert "a mask file for each (images/a.jpg, masks/a/1.png" in said
    assert "--mask-map 1-99:1 --num-classes 2" in said
    assert "--class-names or --num-classes" in said
    assert Manifest.load(out).counters["numbered"]["number"] == 8
    assert precompute.inspect(out).text().count(LOOKS_SO) == 1


@pytest.mark.parametrize("kind", ["lists", "table"])
def test_lists_and_tables_are_looked_at_like_folders(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    source = draw_numbered(tmp_path / "in", [20, 31, 12, 44, 25, 38])
    images, masks = sorted((source / "images").iterdir()), sorted((source / "masks").iterdir())
    given = options(quiet=False, variants=1)
    if kind == "lists":
        precompute.build(images=images, masks=masks, output=tmp_path / "out", **given)
    else:
        lines = ["image,mask", *(f"{image},{mask}" for image, mask in zip(images, masks, strict=True))]
        (tmp_path / "table.csv").write_text("\n".join(lines))
        precompute.build(tmp_path / "table.csv", tmp_path / "out", **given)
    assert capfd.readouterr().err.count(LOOKS_SO) == 1


@pytest.mark.parametrize(
    "way",
    [
        {"mask_map": parse_mask_map("1-99:1"), "num_classes": 2},
        {"num_classes": 45},
        {"class_names": [f"c{i}" for i in range(45)]},
    ],
    ids=["one class", "counted", "named"],
)
def test_the_ways_on_that_the_warning_names_end_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], way: dict[str, Any]
) -> None:
    source = draw_numbered(tmp_path / "in", [20, 31, 12, 44, 25, 38])
    result = precompute.build(source, tmp_path / "out", **options(quiet=False, variants=1, **way))
    assert LOOKS_SO not in capfd.readouterr().err
    assert result.manifest is not None
    assert result.manifest.target.num_classes == way.get("num_classes", 45)


def test_masks_of_classes_bring_no_warning(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    result = precompute.build(draw_pairs(tmp_path / "in"), tmp_path / "out", **options(quiet=False, variants=1))
    assert LOOKS_SO not in capfd.readouterr().err
    assert result.manifest is not None
    assert result.manifest.counters == {}


def test_a_range_of_ids_is_mapped_and_shown_as_one(tmp_path: Path) -> None:
    assert parse_mask_map("3-5:1, 9:2") == {3: 1, 4: 1, 5: 1, 9: 2}
    out = tmp_path / "out"
    source = draw_numbered(tmp_path / "in", [20, 31, 12, 44, 25, 38])
    precompute.build(source, out, **options(variants=1, mask_map=parse_mask_map("1-99:1,200:0"), num_classes=2))
    assert "ids mapped 1-99:1, 200:0" in precompute.inspect(out).text()


@pytest.mark.parametrize("text", ["5-3:1", "1-:1", "-3:1", "1-999999:1", "1:2:3", "a:1", ""])
def test_ranges_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(precompute.errors.UsageError, match=r"such as 255:1,128:2 or 1-999:1"):
        parse_mask_map(text)
