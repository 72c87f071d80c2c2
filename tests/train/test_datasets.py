"""Tiny datasets for the trainer's tests, written straight to the format; and that they are read as meant."""

from __future__ import annotations

import numpy as np

import precompute
from tests.helpers.trainer_datasets import SIZE, write_classes, write_masks


def test_masks_are_read_as_written(tmp_path):
    images, masks = next(iter(precompute.load(write_masks(tmp_path, border=255), split="validation", check="full")))
    assert images.shape == (6, SIZE, SIZE, 3)
    assert set(np.unique(masks)) == {0, 1, 255}
    assert images.numpy()[masks == 1].min() >= 120


def test_classes_are_read_as_written(tmp_path):
    images, labels = next(iter(precompute.load(write_classes(tmp_path), split="validation", check="full")))
    np.testing.assert_array_equal(labels, [0, 1, 2] * 3)
    assert images.numpy()[1, ..., 1].min() >= 120
