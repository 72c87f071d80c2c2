"""Colours of classes stay apart: by how far people see them from each other (L*a*b*, CIE 1976)."""

from __future__ import annotations

import colorsys
import os
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest

from precompute.look.palette import FIRST_COLORS, NUM_COLORS, Color, class_color, to_lab
from precompute.look.skeletons import skeleton_legend
from precompute.targets.keypoints import make_skeleton

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
from precompute.look.palette import NUM_COLORS, class_color
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


def test_the_legend_of_keypoints_says_what_their_colours_mean() -> None:
    sided = make_skeleton(["nose", "left_eye", "right_eye"], flip_pairs="auto")
    names = [name for name, _ in skeleton_legend(sided)]
    assert names == ["first of a flip pair", "second of it", "of no pair", "hollow: hidden"]
    plain = skeleton_legend(make_skeleton(["a", "b"]))
    assert [name for name, _ in plain] == ["a", "b", "hollow: hidden"]
    assert plain[0][1] != plain[1][1]
