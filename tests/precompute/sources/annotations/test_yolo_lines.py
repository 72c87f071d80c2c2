"""Every form of a line of YOLO's text files: boxes, polygons, oriented boxes, poses; and what is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import precompute
from precompute.errors import SourceError, UsageError
from precompute.sources.annotations.yolo_lines import read_line
from tests.helpers.box_datasets import identity
from tests.helpers.box_files import sources_of
from tests.helpers.small_datasets import options, save
from tests.helpers.source_columns import boxes_of

POSE = "0 .5 .5 .2 .2 .45 .45 .55 .45 .5 .55"
POSE_YAML = "train: images\nnames: [cat]\nkpt_shape: [3, 2]\n"


def write(folder: Path, lines: str, data: str | None = None, *, size: int = 100) -> Path:
    save(folder / "images" / "a.png", np.zeros((size, size, 3), np.uint8))
    save(folder / "images" / "b.png", np.zeros((size, size, 3), np.uint8))
    for name in ("a", "b"):
        (folder / "labels").mkdir(exist_ok=True)
        (folder / "labels" / f"{name}.txt").write_text(lines)
    if data is not None:
        (folder / "data.yaml").write_text(data)
    return folder


def test_a_pose_is_its_box(tmp_path: Path) -> None:
    write(tmp_path / "data", POSE, POSE_YAML)
    same = {"train": identity(100, 100), "validation": identity(100, 100)}
    precompute.build(tmp_path / "data", tmp_path / "out", **options(pipeline=same, variants=1, validation_split=0.5))
    (example,) = precompute.read(tmp_path / "out", split="train")
    np.testing.assert_allclose(example["boxes"], [[40, 40, 60, 60]], atol=1e-4)
    notes = " ".join(sources_of(tmp_path / "data").notes)
    assert "There are keypoints (kpt_shape), and boxes are read alone: --target keypoints reads both." in notes


def test_a_pose_is_its_keypoints_where_they_are_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "data", POSE, POSE_YAML + "flip_idx: [1, 0, 2]\n")
    flip = A.Compose([A.HorizontalFlip(p=1)])
    chosen = options(pipeline={"train": flip, "validation": flip}, variants=1, validation_split=0.5, target="keypoints")
    precompute.build(tmp_path / "data", tmp_path / "out", **chosen)
    (example,) = precompute.read(tmp_path / "out", split="train")
    np.testing.assert_allclose(example["boxes"], [[40, 40, 60, 60]], atol=1e-4)
    # Left and right change places by flip_idx: in the mirror, kpt0 is where it was.
    np.testing.assert_allclose(example["keypoints"][0], [[45, 45], [55, 45], [50, 55]], atol=1e-4)


@pytest.mark.parametrize(
    ("data", "chosen", "names", "pairs"),
    [
        ("", {}, ["kpt0", "kpt1", "kpt2"], []),
        ("kpt_names: {0: [l, r, m]}\nflip_idx: [1, 0, 2]\n", {}, ["l", "r", "m"], [[0, 1]]),
        ("kpt_names: [l, r, m]\n", {"flip_pairs": "auto"}, ["l", "r", "m"], [[0, 1]]),
        ("flip_idx: [1, 0, 2]\n", {"keypoint_names": ["x", "y", "z"]}, ["x", "y", "z"], [[0, 1]]),
        ("flip_idx: [1, 0, 2]\n", {"flip_pairs": "none"}, ["kpt0", "kpt1", "kpt2"], []),
    ],
)
def test_names_and_pairs_of_keypoints(
    tmp_path: Path, data: str, chosen: dict[str, Any], names: list[str], pairs: list[list[int]]
) -> None:
    write(tmp_path, POSE, POSE_YAML + data)
    skeleton = sources_of(tmp_path, target="keypoints", **chosen).skeleton
    assert skeleton is not None
    assert (skeleton.names, skeleton.flip_pairs) == (names, pairs)


def test_visibility_is_the_third_number_or_comes_from_the_place(tmp_path: Path) -> None:
    write(tmp_path / "three", "0 .5 .5 .2 .2 .45 .45 2 .55 .45 1 0 0 0", "nc: 1\nnames: [cat]\nkpt_shape: [3, 3]\n")
    write(tmp_path / "two", "0 .5 .5 .2 .2 .45 .45 -1 -1 0 0", POSE_YAML)
    for folder, visibility in (("three", [2, 1, 0]), ("two", [2, 0, 0])):
        boxes = boxes_of(sources_of(tmp_path / folder, target="keypoints"))
        assert boxes.points is not None
        assert boxes.points[0, :, 2].tolist() == visibility


MISTAKES = [
    (
        "0 .5 .5 .2 .2",
        POSE_YAML,
        r"a.txt, line 1: expected 11 numbers, a box and 3 keypoints of 2 \(kpt_shape .* got 5",
    ),
    (POSE + " .5", POSE_YAML, "expected 11 numbers, .*, got 12"),
    ("0 .5 .5 .2 .2 45 .45 .55 .45 .5 .55", POSE_YAML, "expected shares from 0 to 1, got 45: are these pixels"),
    ("0 .5 .5 .2 .2 .1 .1 2 .1 .1 2 .1 .1 2", None, "got 14; keypoints are told by kpt_shape in data.yaml"),
    ("0 .5 .5 .2 .2 .9", None, "got 6; is the last one a confidence"),
    ("0 .5 .5", None, "got 3"),
    ("0 .5 .5 -.2 .2", None, "line 1: expected a width and a height of 0 or more, got -0.2 and 0.2"),
    ("0 .5 .5 inf .2", None, "expected finite numbers"),
    ("0.5 .5 .5 .2 .2", None, "expected the number of a class, 0 or more, got 0.5"),
    (
        POSE,
        POSE_YAML.replace("[3, 2]", "[3, 4]"),
        "kpt_shape: expected the number of keypoints, and 2 or 3 numbers each",
    ),
    (POSE, POSE_YAML + "kpt_names: [a, b]\n", r"kpt_names: expected 3 names \(kpt_shape\)"),
    (POSE, POSE_YAML + "flip_idx: [1, 2, 0]\n", "flip_idx: expected for each of 3 keypoints"),
]


@pytest.mark.parametrize(("lines", "data", "message"), MISTAKES, ids=range(len(MISTAKES)))
def test_lines_of_no_known_form(tmp_path: Path, lines: str, data: str | None, message: str) -> None:
    write(tmp_path, lines, data)
    with pytest.raises((SourceError, UsageError), match=message):
        sources_of(tmp_path)


def test_an_oriented_box_is_the_box_around_it(tmp_path: Path) -> None:
    write(tmp_path, "0 .1 .2 .5 .1 .6 .4 .2 .5")
    boxes = boxes_of(sources_of(tmp_path))
    np.testing.assert_allclose(boxes.corners[0], [0.1, 0.1, 0.6, 0.5])


def test_polygons_that_may_be_poses_are_told(tmp_path: Path) -> None:
    write(tmp_path / "pose", POSE)
    said = "2 lines of 11 numbers taken for polygons; they would do as well for a box and keypoints"
    assert said in " ".join(sources_of(tmp_path / "pose").notes)
    write(tmp_path / "polygon", "0 .1 .1 .5 .1 .5 .5 .3 .6 .1 .5")
    assert "polygons" not in " ".join(sources_of(tmp_path / "polygon").notes)


@given(
    kpt_shape=st.none() | st.tuples(st.integers(1, 20), st.sampled_from([2, 3])),
    numbers=st.lists(st.floats(0, 1), max_size=70),
)
def test_a_line_is_a_box_inside_what_it_says_or_refused(
    kpt_shape: tuple[int, int] | None, numbers: list[float]
) -> None:
    words = ["0", *map(repr, numbers)]
    known = {5 + kpt_shape[0] * kpt_shape[1]} if kpt_shape else {5, *range(7, 99, 2)}
    if len(words) not in known:
        with pytest.raises(ValueError, match=f"expected .*, got {len(words)}"):
            read_line(words, 1, kpt_shape)
        return
    found = read_line(words, 1, kpt_shape)
    x_min, y_min, x_max, y_max = found.shape
    assert x_min <= x_max and y_min <= y_max and (found.label, found.flags) == (0, 0)
    assert len(found.points) == (3 * kpt_shape[0] if kpt_shape else 0)
    if kpt_shape or len(words) == 5:
        np.testing.assert_allclose([(x_min + x_max) / 2, (y_min + y_max) / 2], numbers[:2], atol=1e-9)
