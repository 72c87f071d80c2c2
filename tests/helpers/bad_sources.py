"""Sources that cannot be used, and pipelines that fail on some."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np

from tests.helpers.small_datasets import draw_pairs, save


class FailsAtVariant(A.ImageOnlyTransform):
    """Raises on images whose corner is red, from one variant on: told by the draws that it sees."""

    def __init__(self, threshold: float, p: float = 1.0) -> None:
        super().__init__(p=p)
        self.threshold = threshold

    def apply(self, img: np.ndarray[Any, Any], draw: float, **params: Any) -> np.ndarray[Any, Any]:
        if tuple(img[0, 0]) == (255, 0, 0) and draw > self.threshold:
            raise ValueError("the red corner")
        return img

    def get_params(self) -> dict[str, float]:
        return {"draw": self.py_random.random()}


def draw_with_bad(folder: Path, num: int = 24) -> Path:
    draw_pairs(folder, num)
    (folder / "images" / "s002.png").write_bytes((folder / "images" / "s002.png").read_bytes()[:200])
    (folder / "images" / "s007.png").write_bytes(b"")
    save(folder / "masks" / "s011.png", np.zeros((5, 5), np.uint8))
    return folder


def red_corners(folder: Path, names: list[str]) -> None:
    for name in names:
        save(folder / "images" / f"{name}.png", np.full((20, 18, 3), (255, 0, 0), np.uint8))
        save(folder / "masks" / f"{name}.png", np.zeros((20, 18), np.uint8))


def fragile(threshold: float = 0.85) -> A.Compose:
    return A.Compose([FailsAtVariant(threshold), A.Resize(16, 16)])
