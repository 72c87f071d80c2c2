"""The draws that end up on disk, through a real build with two workers."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
from PIL import Image

import precompute
from precompute.records.example import decode_example
from precompute.records.tfrecord import read_records
from tests.helpers.small_datasets import options, save

SOURCES, VARIANTS = 50, 20


def marked(folder: Path) -> Path:
    """Images whose red tells left from right, green top from bottom, blue whether they were inverted."""
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, :4, 0], image[:, 4:, 0] = 60, 200
    image[:4, :, 1], image[4:, :, 1] = 60, 200
    image[..., 2] = 60
    for i in range(SOURCES):
        save(folder / "only" / f"{i:03d}.png", image)
    return folder


def stored_images(out: Path) -> list[np.ndarray[Any, Any]]:
    shards = sorted((out / "data").rglob("*.tfrecord-*"))
    records = [decode_example(record) for shard in shards for record in read_records(shard)]
    return [np.asarray(Image.open(io.BytesIO(record["image/encoded"][0]))).astype(int) for record in records]


def gates(image: np.ndarray[Any, Any]) -> tuple[bool, bool, bool]:
    """Return whether a stored image was flipped left to right, top to bottom, and inverted."""
    inverted = image[..., 2].mean() > 128
    upright = 255 - image if inverted else image
    return (
        upright[:, :4, 0].mean() > upright[:, 4:, 0].mean(),
        upright[:4, :, 1].mean() > upright[4:, :, 1].mean(),
        bool(inverted),
    )


@pytest.mark.parametrize(
    "transforms",
    [
        [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5), A.InvertImg(p=0.5)],
        [
            A.OneOf([A.HorizontalFlip(p=1), A.NoOp(p=1)], p=1),
            A.SomeOf([A.VerticalFlip(p=1), A.NoOp(p=1)], n=1, p=1),
            A.Sequential([A.OneOf([A.InvertImg(p=1), A.NoOp(p=1)], p=1)], p=1),
        ],
    ],
    ids=["plain", "nested"],
)
@pytest.mark.slow
def test_gates_are_even_and_uncorrelated(tmp_path: Path, transforms: list[Any]) -> None:
    noise = A.GaussNoise(std_range=(0.01, 0.03), p=1)
    given = options(pipeline=A.Compose([*transforms, noise]), validation_split=0.0, variants=VARIANTS)
    precompute.build(marked(tmp_path / "data"), tmp_path / "out", **{**given, "jobs": 2, "backend": "loky"})
    images = stored_images(tmp_path / "out")
    assert len(images) == SOURCES * VARIANTS == 1000
    drawn = np.array([gates(image) for image in images])
    for horizontal, vertical in itertools.product((False, True), repeat=2):
        share = np.mean((drawn[:, 0] == horizontal) & (drawn[:, 1] == vertical))
        assert 0.20 <= share <= 0.30, (horizontal, vertical, share)
    correlation = np.corrcoef(drawn.T.astype(float))
    assert np.abs(correlation[np.triu_indices(3, 1)]).max() < 0.12, correlation  # 0.12: 3.8 standard deviations
    # The noise is made of draws: were any set of draws used twice, two of these equal sources would be equal again.
    assert len({image.tobytes() for image in images}) == len(images)


def test_the_measure_sees_draws_that_fire_together(tmp_path: Path) -> None:
    image = np.asarray(Image.open(marked(tmp_path) / "only" / "000.png"))
    drawn = []
    for seed in range(200):  # what Compose(seed=…) does, and why it is not used
        compose = A.Compose([A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)], seed=seed)
        drawn.append(gates(compose(image=image)["image"].astype(int))[:2])
    assert np.corrcoef(np.array(drawn).T.astype(float))[0, 1] > 0.9
