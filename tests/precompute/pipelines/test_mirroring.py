"""What a reader may mirror of its own accord: what the train pipeline does, and nothing where nobody said so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError, SettingsError
from precompute.pipelines.description import mirrorings
from precompute.pipelines.pipeline import prepare
from tests.helpers.golden_datasets import GOLDEN
from tests.helpers.small_datasets import draw_classes, options


class OwnFlip(A.HorizontalFlip):
    """A user's transform that is called a flip and is none."""

    def apply(self, img: np.ndarray[Any, Any], **_: Any) -> np.ndarray[Any, Any]:
        return img


H, V = ["horizontal"], ["vertical"]


@pytest.mark.parametrize(
    ("transforms", "expected"),
    [
        ([], []),
        ([A.HorizontalFlip(p=0.5)], H),
        ([A.VerticalFlip(p=1)], V),
        ([A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.1)], H + V),
        ([A.HorizontalFlip(p=0)], []),
        ([A.D4(p=0.5)], H + V),
        ([A.SquareSymmetry(p=1)], H + V),
        ([A.Transpose(p=0.5), A.RandomRotate90(p=0.5), A.Rotate(limit=180)], []),
        ([A.OneOf([A.HorizontalFlip(p=0.5), A.Blur(p=1)], p=0.3)], H),
        ([A.OneOf([A.HorizontalFlip(p=0.5), A.Blur(p=1)], p=0)], []),
        ([A.OneOf([A.HorizontalFlip(p=0), A.Blur(p=1)], p=1)], []),
        ([A.Sequential([A.SomeOf([A.VerticalFlip(), A.Blur()], n=1, p=1)], p=0.5)], V),
        ([A.Compose([A.RandomOrder([A.VerticalFlip(), A.Blur()], n=2, p=0.5)])], V),
        ([A.SelectiveChannelTransform([A.HorizontalFlip(p=1)], p=1)], []),
        ([A.TimeReverse(p=1), OwnFlip(p=1)], []),
    ],
)
def test_what_single_transforms_do(transforms: list[Any], expected: list[str]) -> None:
    assert mirrorings(prepare(A.Compose(transforms), "train").pickled) == expected


def test_the_manifest_says_what_the_train_pipeline_does(tmp_path: Path) -> None:
    pipeline = {"train": A.Compose([A.VerticalFlip(), A.Resize(16, 16)])}
    pipeline["validation"] = A.Compose([A.D4(), A.Resize(16, 16)])
    data = draw_classes(tmp_path / "data")
    precompute.build(data, tmp_path / "out", **options(pipeline=pipeline, variants=1))
    assert Manifest.load(tmp_path / "out").mirroring == V
    precompute.regenerate(tmp_path / "out", seed=1, backend="sequential", quiet=True)
    assert Manifest.load(tmp_path / "out").mirroring == V
    with pytest.raises(SettingsError, match="dataset.no_mirroring: none in the dataset, True now"):
        precompute.build(data, tmp_path / "out", **options(pipeline=pipeline, variants=1, no_mirroring=True))


def test_it_can_be_forbidden(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data")
    precompute.build(data, tmp_path / "out", **options(variants=1, no_mirroring=True))
    precompute.build(data, tmp_path / "out", **options(variants=2, no_mirroring=True))
    assert Manifest.load(tmp_path / "out").mirroring == []


def test_datasets_of_format_1_0_allow_nothing(tmp_path: Path) -> None:
    content = json.loads((GOLDEN / "mask-png" / "golden" / "manifest.json").read_text())
    assert content["version"] == [1, 0] and "mirroring" not in content
    assert Manifest.load(GOLDEN / "mask-png" / "golden").mirroring == []
    shutil.copytree(GOLDEN / "mask-png" / "golden", tmp_path / "golden")
    precompute.drop(tmp_path / "golden", rows=[1])
    content = json.loads((tmp_path / "golden" / "manifest.json").read_text())
    assert content["version"] == [2, 0] and content["mirroring"] == []


@pytest.mark.parametrize(
    ("mirroring", "message"),
    [(["sideways"], "mirroring: 'sideways' is not what precompute writes"), ("horizontal", "mirroring: expected list")],
)
def test_what_is_no_mirroring_is_refused(tmp_path: Path, mirroring: Any, message: str) -> None:
    content = json.loads((GOLDEN / "mask-png" / "golden" / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**content, "mirroring": mirroring}))
    with pytest.raises(DatasetError, match=message):
        Manifest.load(tmp_path)
