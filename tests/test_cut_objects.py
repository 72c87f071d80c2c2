"""An object that a transform cuts into pieces has one box around all of them where it has keypoints."""

from __future__ import annotations

from typing import Any

import albumentations as A
import numpy as np

from precompute.record.pipelines.box_rules import BoxRules
from precompute.record.pipelines.pipeline import Pipeline, prepare
from precompute.targets.boxes import Boxes

SIZE = 40
CORNERS = [8, 10, 30, 33]


class Copying(A.DualTransform):
    """Puts a copy of each box beside it."""

    def apply(self, img: Any, **params: Any) -> Any:
        return img

    def apply_to_bboxes(self, bboxes: Any, **params: Any) -> Any:
        copies = bboxes.copy()
        copies[:, [0, 2]] += 0.1
        return np.concatenate([bboxes, copies])

    def apply_to_keypoints(self, keypoints: Any, **params: Any) -> Any:
        return keypoints

    @property
    def targets(self) -> dict[str, Any]:
        return {"image": self.apply, "bboxes": self.apply_to_bboxes, "keypoints": self.apply_to_keypoints}


def moved_by(transform: Any, variant: int, *, points: bool) -> tuple[Any, Boxes]:
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    image[CORNERS[1] : CORNERS[3], CORNERS[0] : CORNERS[2]] = 255
    boxes = Boxes.of_rows([[*CORNERS, 0, 0]], (SIZE, SIZE), [[15, 15, 2]] if points else None)
    pipeline = Pipeline(prepare(transform, "train", box_rules=BoxRules(points=points)).pickled)
    pixels, moved = pipeline.apply(image, boxes, seed=0, key="a", variant=variant, copy=0)
    return pixels, moved


def test_one_box_lies_around_all_pieces() -> None:
    num_pieces = []
    for variant in range(8):
        shuffle = A.RandomGridShuffle((2, 2), p=1)
        pixels, moved = moved_by(shuffle, variant, points=True)
        across, down = np.flatnonzero(pixels.any(axis=(0, 2))), np.flatnonzero(pixels.any(axis=(1, 2)))
        expected = [across[0], down[0], across[-1] + 1, down[-1] + 1]
        np.testing.assert_allclose(moved.corners * SIZE, [expected], atol=1e-4)
        num_pieces.append(len(moved_by(shuffle, variant, points=False)[1]))
    assert max(num_pieces) > 1


def test_of_copies_the_first_counts() -> None:
    _, moved = moved_by(Copying(p=1), 0, points=True)
    np.testing.assert_allclose(moved.corners * SIZE, [CORNERS], atol=1e-4)
