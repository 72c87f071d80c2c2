"""An object that a transform cuts into pieces has one box around all of them where it has keypoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest

import precompute
from precompute.dataset.manifest import Manifest
from precompute.fields.boxes import Boxes
from precompute.pipelines import pipeline as pipelines
from precompute.pipelines.box_rules import BoxRules
from precompute.pipelines.pipeline import Pipeline, prepare
from tests.helpers.decoded_sources import put_through
from tests.helpers.small_datasets import save

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
    pixels, moved = put_through(pipeline, image, boxes, seed=0, key="a", variant=variant, copy=0)
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


@pytest.mark.parametrize("step", ["build", "regenerate"])
def test_a_dataset_that_was_built_before_keeps_the_box_of_the_first_piece(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in "abcd":
        save(tmp_path / f"{name}.png", np.full((SIZE, SIZE, 3), 90, np.uint8))
    given: dict[str, Any] = {
        "images": sorted(tmp_path.glob("*.png")),
        "boxes": [[(*CORNERS, "bird")]] * 4,
        "keypoints": [[[(15, 15, 2)]]] * 4,
        "keypoint_names": ["beak"],
        "pipeline": A.Compose([A.RandomGridShuffle((2, 2), p=1)]),
        "jobs": 1,
        "validation_split": 0.25,
    }
    out, new = tmp_path / "out", tmp_path / "new"
    with monkeypatch.context() as before:
        before.setattr(pipelines, "cuts_objects", lambda compose: False)
        precompute.build(output=out, variants=1, **given)
    fingerprint = Manifest.load(out).fingerprint
    capfd.readouterr()
    if step == "build":
        precompute.build(output=out, variants=2, **given)
        assert "pieces has the box of the first one, as when this dataset was built" in capfd.readouterr().err
    else:
        precompute.regenerate(out, seed=1, jobs=1)
    assert (Manifest.load(out).generation, Manifest.load(out).fingerprint) == ("g0001", fingerprint)
    assert precompute.verify(out, jobs=1, sources=4).problems == []
    precompute.build(output=new, variants=2, **given)
    assert "as when this dataset was built" not in capfd.readouterr().err
    assert Manifest.load(new).fingerprint != fingerprint
    assert precompute.verify(new, jobs=1, sources=4).problems == []
    if step == "build":
        first, around = (np.concatenate([r["boxes"] for r in precompute.read(folder, row=1)]) for folder in (out, new))
        sizes = [(corners[:, 2:] - corners[:, :2]).prod(axis=1) for corners in (first, around)]
        assert (sizes[0] <= sizes[1] + 1e-6).all()
        assert (sizes[0] < sizes[1]).any()
