"""Predictions beside the truth: the best, the median and the worst of a split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from precompute.text.format import format_count
from train.pictures.figures import add_legend, class_colors, color_mask, new_figure, shorten, show, to_png
from train.samples import STANDINGS, Sample

__all__ = ["draw_classes", "draw_labels", "draw_masks"]

RIGHT, WRONG = "#1a7f37", "#c62828"
MAX_NAMED = 3  # labels an image; of more, their number


def draw_masks(samples: Sequence[Sample], class_names: Sequence[str], *, ignore_class: int | None = None) -> bytes:
    """Draw a row a sample: image, truth and prediction, and where they differ."""
    colors = class_colors(len(class_names))
    height, width = samples[0].image.shape[:2]
    row_height = min(4.5, 2.2 * height / width) + 0.3
    figure = new_figure(9.6, row_height * len(samples) + 0.8)
    grid = figure.subplots(len(samples), 4, squeeze=False)
    for axes, title in zip(grid[0], ("image", "truth", "prediction", "differences"), strict=True):
        axes.set_title(title, fontsize=11)
    for row, sample in zip(grid, samples, strict=True):
        ignored = sample.truth == ignore_class if ignore_class is not None else np.zeros(sample.truth.shape, bool)
        truth, predicted = color_mask(sample.truth, colors, ignored), color_mask(sample.predicted, colors)
        pictures: list[npt.NDArray[Any]] = [sample.image, truth, predicted, _color_differences(sample, ignored)]
        for axes, picture in zip(row, pictures, strict=True):
            show(axes, picture)
        row[0].set_ylabel(f"{sample.standing}\nIoU {sample.score:.3f}", fontsize=10)
        agree = (sample.truth == sample.predicted)[~ignored]
        row[3].set_xlabel(f"{agree.mean() if agree.size else 1.0:.1%} of pixels right", fontsize=9)
    add_legend(figure, class_names, [m for s in samples for m in (s.truth, s.predicted)], ignore_class)
    return to_png(figure)


def draw_classes(samples: Sequence[Sample], class_names: Sequence[str]) -> bytes:
    """Draw a row of images a standing, each with the predicted class; wrong ones are framed and name the truth."""
    rows = [(name, [s for s in samples if s.standing == name]) for name in STANDINGS]
    rows = [(name, row) for name, row in rows if row]
    columns = max(len(row) for _, row in rows)
    height, width = samples[0].image.shape[:2]
    figure = new_figure(max(2.1 * columns, 4.2), (min(4.0, 1.9 * height / width) + 0.65) * len(rows) + 0.5)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    for line, (standing, row) in zip(grid, rows, strict=True):
        for axes, sample in zip(line, row, strict=False):
            axes.set_axis_on()
            _show_class(axes, sample, class_names)
        line[0].set_ylabel(standing, fontsize=12)
    figure.suptitle("chosen by the probability that was given to the true class", fontsize=10)
    return to_png(figure)


def _show_class(axes: Any, sample: Sample, class_names: Sequence[str]) -> None:
    right = int(sample.truth) == int(sample.predicted)
    color = RIGHT if right else WRONG
    show(axes, sample.image, color=color, width=1.5 if right else 4)
    axes.set_title(f"{shorten(class_names[int(sample.predicted)], 20)}  {sample.confidence:.0%}", color=color, size=10)
    truth = f"it is {shorten(class_names[int(sample.truth)], 18)}  {sample.score:.0%}"
    axes.set_xlabel("right" if right else truth, color=color, fontsize=9)


def _color_differences(sample: Sample, ignored: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return the image in faint grey with wrong pixels in red."""
    grey = sample.image.mean(axis=2)[..., None].repeat(3, axis=2) / 255 * 0.5 + 0.5
    grey[(sample.truth != sample.predicted) & ~ignored] = (0.85, 0.1, 0.1)
    return np.asarray(grey)


# Images with several labels: the best, the median and the worst of a split


def draw_labels(samples: Sequence[Sample], class_names: Sequence[str]) -> bytes:
    """Draw images with the predicted labels above and, where they differ, what is missing and what is too much below.

    Args:
        samples: `truth` and `predicted` are multi-hot [C].
        class_names: Names of the C classes.
    """
    ordered = sorted(samples, key=lambda sample: STANDINGS.index(sample.standing))
    columns = min(6, max(1, len(ordered)))
    rows = -(-len(ordered) // columns)
    height, width = ordered[0].image.shape[:2]
    figure = new_figure(2.3 * columns, (min(4.0, 2.1 * height / width) + 0.95) * rows + 0.3)
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in cells[len(ordered) :]:
        axes.set_axis_off()
    for axes, sample in zip(cells, ordered, strict=False):
        truth, predicted = np.asarray(sample.truth) > 0, np.asarray(sample.predicted) > 0
        right = bool((truth == predicted).all())
        color = RIGHT if right else WRONG
        show(axes, sample.image, color=color, width=1.5 if right else 4)
        axes.set_title(f"{sample.standing}: {_names(predicted, class_names)}", color=color, fontsize=9)
        parts = {"missing": truth & ~predicted, "too much": predicted & ~truth}
        notes = [f"{note}: {_names(labels, class_names)}" for note, labels in parts.items() if labels.any()]
        axes.set_xlabel("\n".join(notes) or "right", color=color, fontsize=8)
    return to_png(figure)


def _names(labels: Any, class_names: Sequence[str]) -> str:
    found = [name for name, given in zip(class_names, labels, strict=True) if given]
    if len(found) > MAX_NAMED:
        return f"{format_count(len(found), 'label')}"
    return ", ".join(shorten(name, 28 // len(found)) for name in found) or "none"
