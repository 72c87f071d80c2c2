"""Images with several labels: the best, the median and the worst of a split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from precompute.text import format_count
from train.pictures.figures import new_figure, shorten, show, to_png
from train.pictures.samples import RIGHT, WRONG
from train.samples import STANDINGS, Sample

__all__ = ["draw_labels"]

MAX_NAMED = 3  # labels an image; of more, their number


def draw_labels(samples: Sequence[Sample], class_names: Sequence[str]) -> bytes:
    """Draw images with the predicted labels above and, where they differ, what is missing and what is too much below.

    Args:
        samples: `truth` and `predicted` are multi-hot [C].
        class_names: C names.
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
