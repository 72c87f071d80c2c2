"""Colours of classes stay apart: by how far people see them from each other (CIEDE2000)."""

from __future__ import annotations

import colorsys
import os
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from precompute.fields.skeleton import make_skeleton
from precompute.pictures.legend import skeleton_entries
from precompute.pictures.palette import NUM_COLORS, Color, class_color, class_pattern, color_distance, to_lab

LEAST = [(8, 24), (20, 19), (40, 14), (80, 10), (255, 6)]  # colours, how far apart they are at the least
LEAST_WITHOUT_A_CONE = 9  # of the first eight


Lab = tuple[float, float, float]


def colors(num: int) -> list[Color]:
    return [class_color(class_id) for class_id in range(1, num + 1)]


def least_distance(lab: NDArray[np.float64]) -> float:
    apart = color_distance(lab[:, None], lab[None])
    return float(apart[~np.eye(len(lab), dtype=bool)].min())


@pytest.mark.parametrize(("num", "least"), LEAST)
def test_colours_of_many_classes_stay_apart(num: int, least: float) -> None:
    assert least_distance(to_lab(colors(num))) >= least


@pytest.mark.parametrize("cone", [0, 1, 2])
def test_the_first_colours_stay_apart_without_one_kind_of_cone(cone: int) -> None:
    assert least_distance(to_lab(colors(8), cone)) >= LEAST_WITHOUT_A_CONE
    assert least_distance(to_lab(colors(20), cone)) < LEAST_WITHOUT_A_CONE


@pytest.mark.parametrize(("num", "least"), LEAST)
def test_hues_in_steps_of_the_golden_ratio_are_too_close(num: int, least: float) -> None:
    hues = [colorsys.hsv_to_rgb(i * 0.618034 % 1, 0.55 + 0.45 * (i % 2), 0.95) for i in range(num)]
    assert least_distance(to_lab(255 * np.array(hues))) < least


def test_a_pattern_tells_apart_what_colours_cannot() -> None:
    assert [class_pattern(class_id) for class_id in (1, 80, 81, 160, 161, 241, 320, 321)] == [0, 0, 1, 1, 2, 3, 3, 0]
    drawn = {(class_color(class_id), class_pattern(class_id)) for class_id in range(1, 321)}
    assert len(drawn) == 320


# Source: Sharma, Wu and Dalal 2005, table 1, pairs 1, 7, 16, 20, 24, 34.
@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
        ((50, 2.5, 0), (58, 24, 15), 19.4535),
        ((50, 2.5, 0), (50, 3.2592, 0.3350), 1.0000),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_distances_of_published_pairs(first: Lab, second: Lab, distance: float) -> None:
    assert color_distance(np.array(first), np.array(second)) == pytest.approx(distance, abs=1e-4)
    assert color_distance(np.array(second), np.array(first)) == pytest.approx(distance, abs=1e-4)


PRINT_COLORS = """
from precompute.pictures.palette import NUM_COLORS, class_color
print([class_color(class_id) for class_id in range(1, NUM_COLORS + 1)])
"""


def test_each_process_chooses_the_same_colours() -> None:
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", PRINT_COLORS],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            timeout=120,
            check=True,
        )
        assert done.stdout == f"{colors(NUM_COLORS)}\n"


def test_no_colour_is_that_of_the_paper_or_of_outlines() -> None:
    lab = to_lab(colors(80))
    for other in to_lab([(0, 0, 0), (255, 255, 255)]):
        assert np.linalg.norm(lab - other, axis=1).min() > 15


def test_colours_come_again_after_the_last_one() -> None:
    assert class_color(NUM_COLORS + 1) == class_color(1) == (0, 235, 100)


def test_lab_of_known_colours() -> None:
    known = {(255, 0, 0): (53.24, 80.09, 67.20), (0, 0, 255): (32.30, 79.19, -107.86), (255, 255, 255): (100, 0, 0)}
    assert np.allclose(to_lab(list(known)), list(known.values()), atol=0.1)


def legend(names: Sequence[str], flip_pairs: str | list[list[str]]) -> dict[str, Color | None]:
    return {entry.text: entry.color for entry in skeleton_entries(make_skeleton(names, flip_pairs=flip_pairs))}


def test_the_legend_of_keypoints_says_what_their_colours_mean() -> None:
    names = ["nose", "left_eye", "right_eye"]
    sided = legend(names, "auto")
    assert [*sided] == ["left", "right", "neither left nor right", "hollow: hidden"]
    assert legend(["nose", "r_eye", "l_eye"], [["r_eye", "l_eye"]]) == sided
    assert [*legend(names[1:], "auto")] == ["left", "right", "hollow: hidden"]
    unsided = legend(list("abcdefgh"), [["a", "b"], ["d", "c"], ["e", "f"], ["h", "g"]])
    first, second = "a, d, e, …: first of their flip pair", "b, c, f, …: second of their flip pair"
    numbered = [f"{number} {name}" for number, name in enumerate("abcdefgh", 1)]
    assert [*unsided] == [first, second, *numbered, "hollow: hidden"]
    assert unsided["4 d"] == unsided[first] and unsided["3 c"] == unsided[second]
    one = legend(["a", "b", "c"], [["a", "b"]])
    assert [*one] == ["a: first of its flip pair", "b: second of its flip pair", "in no flip pair", "hollow: hidden"]
    assert [*one.values()] == [*sided.values()]


@pytest.mark.parametrize(("num", "numbered"), [(8, False), (20, True)])
def test_keypoints_of_no_pair_have_the_colours_of_classes_after_the_first(num: int, numbered: bool) -> None:
    names = [f"point{index}" for index in range(num)]
    written = [f"{number} {name}" for number, name in enumerate(names, 1)] if numbered else names
    expected = [*zip(written, colors(num + 1)[1:], strict=True), ("hollow: hidden", None)]
    assert [*legend(names, "none").items()] == expected
