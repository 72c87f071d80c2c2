"""Colours of classes stay apart: by how far people see them from each other (L*a*b*, CIE 1976)."""

from __future__ import annotations

import colorsys
import os
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest

from precompute.fields.skeleton import make_skeleton
from precompute.report.drawing import skeleton_legend
from precompute.report.palette import FIRST_COLORS, NUM_COLORS, Color, class_color, to_lab

LEAST = [(20, 24), (80, 19), (255, 10)]  # colours, how far apart they are at the least


def colors(num: int) -> list[Color]:
    return [class_color(class_id) for class_id in range(1, num + 1)]


def least_distance(colors: Sequence[Color]) -> float:
    lab = to_lab(colors)
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    return float(apart[~np.eye(len(lab), dtype=bool)].min())


@pytest.mark.parametrize(("num", "least"), LEAST)
def test_colours_of_many_classes_stay_apart(num: int, least: float) -> None:
    assert least_distance(colors(num)) >= least


@pytest.mark.parametrize(("num", "least"), LEAST)
def test_hues_in_steps_of_the_golden_ratio_are_too_close(num: int, least: float) -> None:
    hues = [colorsys.hsv_to_rgb(i * 0.618034 % 1, 0.55 + 0.45 * (i % 2), 0.95) for i in range(19, num + 1)]
    others = [(int(255 * red), int(255 * green), int(255 * blue)) for red, green, blue in hues]
    assert least_distance([*FIRST_COLORS, *others]) < least


PRINT_COLORS = """
from precompute.report.palette import NUM_COLORS, class_color
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
    return dict(skeleton_legend(make_skeleton(names, flip_pairs=flip_pairs)))


def test_the_legend_of_keypoints_says_what_their_colours_mean() -> None:
    names = ["nose", "left_eye", "right_eye"]
    sided = legend(names, "auto")
    assert [*sided] == ["left", "right", "neither left nor right", "hollow: hidden"]
    assert legend(["nose", "r_eye", "l_eye"], [["r_eye", "l_eye"]]) == sided
    assert [*legend(names[1:], "auto")] == ["left", "right", "hollow: hidden"]
    unsided = legend(list("abcdefgh"), [["a", "b"], ["d", "c"], ["e", "f"], ["h", "g"]])
    first, second = "a, d, e, …: first of their flip pair", "b, c, f, …: second of their flip pair"
    assert [*unsided] == [first, second, "hollow: hidden"]
    one = legend(["a", "b", "c"], [["a", "b"]])
    assert [*one] == ["a: first of its flip pair", "b: second of its flip pair", "in no flip pair", "hollow: hidden"]
    assert [*one.values()] == [*sided.values()]


def test_keypoints_of_no_pair_have_the_colours_of_classes_after_the_first() -> None:
    names = [f"point{index}" for index in range(20)]
    assert [*legend(names, "none").items()] == [*zip(names, colors(21)[1:], strict=True), ("hollow: hidden", None)]
