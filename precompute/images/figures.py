"""Figures of an image: how bright, contrasted, sharp and colourful it is."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["FIGURES", "image_figures"]

FIGURES = {  # name → unit in words
    "brightness": "mean luma, 0 to 255",
    "contrast": "standard deviation of luma",
    "sharpness": "mean size of the Laplacian of luma",
    "colour": "colourfulness, 0 for grey",
}


def image_figures(image: NDArray[np.uint8]) -> dict[str, float]:
    """Return each figure of an image, uint8 [H, W, 1, 3 or 4]; alpha does not count.

    Source: Hasler and Süsstrunk, Measuring colourfulness in natural images, 2003, for the colour.
    """
    luma = np.ascontiguousarray(image[..., 0]) if image.shape[2] == 1 else _luma(image)
    mean, deviation = cv2.meanStdDev(luma)
    return {
        "brightness": float(mean[0, 0]),
        "contrast": float(deviation[0, 0]),
        "sharpness": float(np.abs(cv2.Laplacian(luma, cv2.CV_16S)).mean()),
        "colour": 0.0 if image.shape[2] == 1 else _colourfulness(image),
    }


def _luma(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    luma: NDArray[np.uint8] = cv2.cvtColor(np.ascontiguousarray(image[..., :3]), cv2.COLOR_RGB2GRAY).astype(np.uint8)
    return luma


def _colourfulness(image: NDArray[np.uint8]) -> float:
    red, green, blue = (image[..., channel].astype(np.float32) for channel in range(3))
    opponents = red - green, (red + green) / 2 - blue
    spread = math.hypot(*(float(one.std()) for one in opponents))
    return spread + 0.3 * math.hypot(*(float(one.mean()) for one in opponents))
