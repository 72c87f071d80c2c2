"""Boxes over images: beside the truth, and alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke
from PIL import Image, ImageDraw

from precompute.report.drawing import as_rgb
from train.pictures.figures import MAX_LEGEND, class_colors, new_figure, shorten, show, to_png
from train.pictures.predictions import Prediction, grid_of
from train.samples import Sample

__all__ = ["draw_boxes", "draw_predicted_boxes", "lay_boxes"]

KIND, LABEL = 5, 4  # columns of the truth
LABELLED = 12  # boxes up to which each has its score written to it
DARK_EDGE = withStroke(linewidth=2.6, foreground="black")  # shows lines and letters on images of any colour


def draw_boxes(samples: Sequence[Sample], class_names: Sequence[str], *, least: float) -> bytes:
    """Draw a row a sample: the image, its truth, and the boxes that were found, with their scores.

    Args:
        samples: `truth` float [N, 7] of `train.detection.truth`, `predicted` float [found, 6]: box, score, label.
        class_names: Name of each label.
        least: Score from which a box is drawn.
    """
    colors = box_colors(len(class_names))
    height, width = samples[0].image.shape[:2]
    figure = new_figure(12.0, (min(6.0, 3.9 * height / width) + 0.3) * len(samples) + 0.8)
    grid = figure.subplots(len(samples), 3, squeeze=False)
    for axes, title in zip(grid[0], ("image", "truth", f"found (score from {least})"), strict=True):
        axes.set_title(title, fontsize=11)
    shown = set[int]()
    for row, sample in zip(grid, samples, strict=True):
        truth = sample.truth[sample.truth[:, LABEL] >= 0]
        found = sample.predicted[sample.predicted[:, 4] >= least]
        for axes in row:
            show(axes, sample.image)
        for box in truth:
            _frame(row[1], box[:4], colors[int(box[LABEL])], dashed=bool(box[KIND]))
        _frame_found(row[2], found, colors)
        row[0].set_ylabel(f"{sample.standing}\nF1 {sample.score:.3f}", fontsize=10)
        row[1].set_xlabel(f"{len(truth)} in truth", fontsize=9)
        row[2].set_xlabel(f"{len(found)} found", fontsize=9)
        shown |= {int(label) for label in (*truth[:, LABEL], *found[:, 5])}
    _legend(figure, class_names, colors, shown, any((s.truth[:, KIND] > 0).any() for s in samples))
    return to_png(figure)


def draw_predicted_boxes(predictions: Sequence[Prediction], class_names: Sequence[str]) -> bytes:
    """Draw a grid of images with the boxes that were found in them."""
    colors, shown = box_colors(len(class_names)), set[int]()
    figure, cells = grid_of(predictions, columns=3, width=3.9)
    for axes, prediction in zip(cells, predictions, strict=False):
        show(axes, prediction.image)
        _frame_found(axes, prediction.boxes, colors)
        axes.set_title(prediction.text, fontsize=10)
        axes.set_xlabel(shorten(prediction.name, 40, keep_end=True), fontsize=8)
        shown |= {int(label) for label in prediction.boxes[:, 5]}
    _legend(figure, class_names, colors, shown, False)
    return to_png(figure)


def lay_boxes(image: npt.NDArray[np.uint8], boxes: npt.NDArray[Any], num_classes: int) -> npt.NDArray[np.uint8]:
    """Return the image, uint8 [H, W, 1, 3 or 4], as RGB with frames around boxes [found, 6], in its pixels."""
    picture = Image.fromarray(as_rgb(image))
    draw, width = ImageDraw.Draw(picture), max(1, round(max(image.shape[:2]) / 300))
    colors = (box_colors(num_classes) * 255).round().astype(int)
    for *corners, _, label in boxes.tolist():
        x0, y0, x1, y1 = map(round, corners)  # the last pixel inside lies one before the edge
        x1, y1 = max(x0, x1 - 1), max(y0, y1 - 1)
        draw.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline=(0, 0, 0))  # shows it on images of any colour
        draw.rectangle((x0, y0, x1, y1), outline=tuple(colors[int(label)].tolist()), width=width)
    return np.asarray(picture)


def box_colors(num_classes: int) -> npt.NDArray[np.float64]:
    """Return RGB [num_classes, 3], 0 to 1: none is the dark one of a background."""
    return class_colors(max(num_classes, 2) + 1)[1 : num_classes + 1]


def _frame_found(axes: Any, boxes: npt.NDArray[Any], colors: npt.NDArray[np.float64]) -> None:
    for number, (*corners, score, label) in enumerate(boxes.tolist()):
        _frame(axes, corners, colors[int(label)])
        if number < LABELLED:
            text = f"{score:.2f}".lstrip("0")
            axes.annotate(
                text,
                corners[:2],
                xytext=(3, -3),
                textcoords="offset points",
                va="top",
                color="white",
                fontsize=7,
                path_effects=[DARK_EDGE],
                annotation_clip=False,
            )


def _frame(axes: Any, corners: Any, color: npt.NDArray[np.float64], *, dashed: bool = False) -> None:
    x0, y0, x1, y1 = (float(value) - 0.5 for value in corners)  # edges; matplotlib counts from a pixel's middle
    frame = Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, color=tuple(color), lw=1.4, ls="--" if dashed else "-")
    if not dashed:  # the edge would fill the gaps
        frame.set_path_effects([DARK_EDGE])
    axes.add_patch(frame)


def _legend(
    figure: Any, class_names: Sequence[str], colors: npt.NDArray[np.float64], shown: set[int], ignored: bool
) -> None:
    named = [(tuple(colors[c]), shorten(class_names[c], 20)) for c in sorted(shown)[:MAX_LEGEND]]
    patches = [Patch(facecolor="none", edgecolor=color, label=name) for color, name in named]
    if ignored:
        patches.append(Patch(facecolor="none", edgecolor="#888888", linestyle="--", label="not counted"))
    if patches:
        figure.legend(handles=patches, loc="outside lower center", ncols=min(len(patches), 6), frameon=False)
