"""Pipelines that fail on one source, but not at its first variant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np

from tests.helpers.small_datasets import save

KEY = "s008"  # the only red one
LIMIT = 0.6  # which its draw in variant 0 is below, and that in variant 1 above


class FailsLater(A.ImageOnlyTransform):
    """Raises on red images, told by the draws that it sees."""

    def apply(self, img: np.ndarray[Any, Any], draw: float, **params: Any) -> np.ndarray[Any, Any]:
        if tuple(img[0, 0]) == (255, 0, 0) and draw > LIMIT:
            raise ValueError("the red one")
        return img

    def get_params(self) -> dict[str, float]:
        return {"draw": self.py_random.random()}


train = A.Compose([FailsLater(p=1), A.HorizontalFlip(p=0.5), A.Resize(16, 16)])
validation = A.Compose([A.Resize(16, 16)])


def redden(folder: Path) -> Path:
    """Make the image red that the train pipeline fails on."""
    save(folder / "images" / f"{KEY}.png", np.full((22, 21, 3), (255, 0, 0), np.uint8))
    return folder
