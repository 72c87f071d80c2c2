"""Keypoints, for any skeleton: they go where arithmetic takes them, and pairs change places in mirrored images."""

from __future__ import annotations

from typing import Any

import albumentations as A
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precompute.fields.boxes import Boxes
from precompute.pipelines.box_rules import BoxRules
from precompute.pipelines.pipeline import Pipeline, prepare
from tests.helpers.decoded_sources import put_through

HEIGHT, WIDTH = 23, 37
# What each element of the dihedral group does to x, y by edges; whether it mirrors.
D4: dict[str, tuple[Any, bool]] = {
    "e": (lambda x, y: (x, y), False),
    "r90": (lambda x, y: (y, WIDTH - x), False),
    "r180": (lambda x, y: (WIDTH - x, HEIGHT - y), False),
    "r270": (lambda x, y: (HEIGHT - y, x), False),
    "h": (lambda x, y: (WIDTH - x, y), True),
    "v": (lambda x, y: (x, HEIGHT - y), True),
    "t": (lambda x, y: (y, x), True),
    "hvt": (lambda x, y: (HEIGHT - y, WIDTH - x), True),
}


class Element(A.D4):
    """One element, chosen by the test; a transform of the user's own."""

    def __init__(self, element: str) -> None:
        super().__init__(p=1)
        self.element = element

    def get_params(self) -> dict[str, Any]:
        return {"group_element": self.element}


PIPELINES = {name: Pipeline(prepare(Element(name), "train", box_rules=BoxRules(points=True)).pickled) for name in D4}


@st.composite
def skeletons(draw: st.DrawFn) -> tuple[list[list[float]], list[list[int]]]:
    """Return points of some objects, and pairs."""
    num_points, num_objects = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    x = st.floats(0, WIDTH, width=32)
    y = st.floats(0, HEIGHT, width=32)
    point = st.tuples(x, y, st.sampled_from([0, 1, 2])).map(lambda p: p if p[2] else (0.0, 0.0, 0))
    rows = draw(
        st.lists(st.lists(point, min_size=num_points, max_size=num_points), min_size=num_objects, max_size=num_objects)
    )
    order = draw(st.permutations(range(num_points)))
    num_pairs = draw(st.integers(0, num_points // 2))
    return [[n for p in row for n in p] for row in rows], [[order[2 * i], order[2 * i + 1]] for i in range(num_pairs)]


@pytest.mark.slow
@settings(max_examples=120)
@given(skeleton=skeletons(), element=st.sampled_from(sorted(D4)), has_boxes=st.booleans())
def test_points_of_any_skeleton_under_any_symmetry(skeleton: Any, element: str, has_boxes: bool) -> None:
    points, pairs = skeleton
    sides = [1, 1, 20, 20] if has_boxes else [0, 0, 0, 0]
    boxes = Boxes.of_rows([[*sides, 0, 0]] * len(points), (WIDTH, HEIGHT), points)
    image, moved = put_through(
        PIPELINES[element], np.zeros((HEIGHT, WIDTH, 3), np.uint8), boxes, seed=0, key="a", variant=0, copy=0
    )
    go, mirrors = D4[element]
    assert moved.mirrored is mirrors and len(moved) == len(points)
    size = np.array([image.shape[1], image.shape[0]])
    partner = {a: b for pair in pairs for a, b in (pair, pair[::-1])} if mirrors else {}
    given = np.array(points).reshape(len(points), -1, 3)
    flipped = moved.flipped(pairs)
    assert flipped.points is not None and flipped.points.shape == given.shape
    for i, of_one in enumerate(given):
        for k, (x, y, visibility) in enumerate(of_one):
            to = flipped.points[i, partner.get(k, k)]
            assert to[2] == visibility
            expected = go(x, y) if visibility else (0, 0)
            np.testing.assert_allclose(to[:2] * size, expected, atol=2e-3)
