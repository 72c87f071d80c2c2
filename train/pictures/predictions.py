"""Predictions for images without a truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from precompute.report.drawing import as_rgb
from train.pictures.figures import add_legend, class_colors, color_mask, new_figure, shorten, show, to_png

__all__ = ["Prediction", "draw_predicted_classes", "draw_predicted_masks", "grid_of", "lay_over"]

OPACITY = 0.5  # of the colours over an image


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One image and what a model sees in it.

    Attributes:
        name: Name of the file.
        image: uint8 [H, W, C], as the model got it.
        mask: Class ids [H, W]; empty when other things are predicted.
        boxes: float [found, 6]: xyxy in pixels of the image, score, label; none when other things are predicted.
        text: What was predicted, in words; empty for masks.
    """

    name: str
    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[Any] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    boxes: npt.NDArray[Any] = field(default_factory=lambda: np.zeros((0, 6)))
    text: str = ""


def draw_predicted_classes(predictions: Sequence[Prediction]) -> bytes:
    """Draw a grid of images, each with its file's name and what was predicted."""
    figure, cells = grid_of(predictions, columns=6)
    for axes, prediction in zip(cells, predictions, strict=False):
        show(axes, prediction.image)
        axes.set_title(prediction.text, fontsize=10)
        axes.set_xlabel(shorten(prediction.name, 28, keep_end=True), fontsize=8)
    return to_png(figure)


def draw_predicted_masks(predictions: Sequence[Prediction], class_names: Sequence[str]) -> bytes:
    """Draw a grid of images, each beside itself with its mask laid over."""
    figure, cells = grid_of(predictions, columns=3, num_each=2)
    pairs = cells.reshape(-1, 2)
    masks = [prediction.mask for prediction in predictions]
    for (left, right), prediction, mask in zip(pairs, predictions, masks, strict=False):
        show(left, prediction.image)
        show(right, lay_over(prediction.image, mask, len(class_names)))
        left.set_xlabel(shorten(prediction.name, 28, keep_end=True), fontsize=8)
    add_legend(figure, class_names, masks, None)
    return to_png(figure)


def lay_over(image: npt.NDArray[np.uint8], mask: npt.NDArray[Any], num_classes: int) -> npt.NDArray[np.uint8]:
    """Return the image, uint8 [H, W, 1, 3 or 4], as RGB under the colours of its mask; class 0 leaves it as it is."""
    opacity = np.where(mask == 0, 0.0, OPACITY)[..., None]
    mixed = as_rgb(image) * (1 - opacity) + color_mask(mask, class_colors(num_classes)) * 255 * opacity
    return np.asarray(mixed.round().astype(np.uint8))


def grid_of(
    predictions: Sequence[Prediction], *, columns: int, num_each: int = 1, width: float = 2.1
) -> tuple[Any, npt.NDArray[Any]]:
    """Return a figure and its axes, row by row; those that stay empty are switched off."""
    columns = min(columns, len(predictions))
    rows = -(-len(predictions) // columns)
    shape = predictions[0].image.shape
    height = min(4.0, (width - 0.2) * shape[0] / shape[1]) + 0.65
    figure = new_figure(max(width * columns * num_each, 4.2), height * rows + 0.5)
    cells = figure.subplots(rows, columns * num_each, squeeze=False).ravel()
    for axes in cells[len(predictions) * num_each :]:
        axes.set_axis_off()
    return figure, cells
