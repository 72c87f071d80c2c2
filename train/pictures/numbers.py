"""Numbers of images: predictions beside the truth, and one over the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from train.pictures.figures import new_figure, shorten, show, to_png
from train.samples import STANDINGS, Sample

__all__ = ["draw_scatter", "draw_values", "format_value", "name_numbers"]

POINT, DIAGONAL, MEAN = "#1f5fbf", "#c62828", "#8a94a6"
MAX_LINES = 4  # values an image; of more, the first ones
MAX_PLOTS = 12
MAX_DECIMALS, LARGEST = 8, 1e12  # of numbers that are written out


def format_value(value: float | None, spread: float | None = None) -> str:
    """Return a number to be read; a dash for None and NaN.

    Args:
        value: The number.
        spread: How far numbers of its kind lie apart, of which two digits are shown; None: the number has four digits.
    """
    if value is None or np.isnan(value):
        return "–"
    if spread is None or abs(value) >= LARGEST:
        return f"{value:.4g}"
    return f"{value:,.{np.clip(1 - np.floor(np.log10(spread)), 0, MAX_DECIMALS):.0f}f}"


def draw_values(samples: Sequence[Sample], names: Sequence[str], spreads: Sequence[float]) -> bytes:
    """Draw a grid of images with the predicted numbers above and the true ones below.

    Args:
        samples: `truth` and `predicted` are float [K], the truth NaN where it is not known.
        names: Names of the K values.
        spreads: How far the numbers of each lie apart.
    """
    ordered = sorted(samples, key=lambda sample: STANDINGS.index(sample.standing))
    columns = min(6, max(1, len(ordered)))
    rows = -(-len(ordered) // columns)
    lines = min(len(names), MAX_LINES)
    height, width = ordered[0].image.shape[:2]
    figure = new_figure(2.3 * columns, (min(4.0, 2.1 * height / width) + 0.6 + 0.32 * lines) * rows + 0.3)
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in cells[len(ordered) :]:
        axes.set_axis_off()
    for axes, sample in zip(cells, ordered, strict=False):
        show(axes, sample.image)
        axes.set_title(f"{sample.standing}\n{name_numbers(sample.predicted, names, spreads)}", fontsize=9)
        axes.set_xlabel(f"true: {name_numbers(sample.truth, names, spreads)}", fontsize=8)
    return to_png(figure)


def name_numbers(numbers: Any, names: Sequence[str], spreads: Sequence[float]) -> str:
    """Return a line a value, its name and its number; of many, the first ones."""
    texts = [
        f"{shorten(name, 16)} {format_value(float(number), spread)}"
        for name, number, spread in zip(names[:MAX_LINES], numbers, spreads, strict=False)
    ]
    return "\n".join(texts)


def draw_scatter(values: Sequence[Mapping[str, Any]]) -> bytes:
    """Draw the predictions of each value over its truths, with the diagonal on which both are the same.

    Args:
        values: Of each `value`, its name; `r2` and `mae`, or None; `training_mean`; `points`: `truth` and `predicted`,
            of the same length. Of many, those with the lowest R² are drawn.
    """
    lowest_first = sorted(values, key=lambda row: (row["r2"] is None, row["r2"] or 0.0))
    shown = [row for row in values if row in lowest_first[:MAX_PLOTS]]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = new_figure(4.4 * columns + 0.4, 4.4 * rows + 0.4)
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in cells[len(shown) :]:
        axes.set_axis_off()
    for axes, row in zip(cells, shown, strict=False):
        _scatter(axes, row)
    cells[0].legend(frameon=False, fontsize=8, loc="upper left")
    if len(shown) < len(values):
        figure.suptitle(f"{len(shown)} of {len(values)} values: those with the lowest R²", fontsize=11)
    return to_png(figure)


def _scatter(axes: Any, row: Mapping[str, Any]) -> None:
    truth, predicted = row["points"]["truth"], row["points"]["predicted"]
    low, high = min([*truth, *predicted], default=0.0), max([*truth, *predicted], default=1.0)
    margin = 0.05 * (high - low) or 0.5
    ends = (low - margin, high + margin)
    axes.plot(ends, ends, color=DIAGONAL, linewidth=1.2, label="prediction = truth")
    axes.axhline(row["training_mean"], color=MEAN, linewidth=1.0, linestyle=":", label="mean of training")
    axes.scatter(truth, predicted, s=14, color=POINT, alpha=0.6, linewidths=0)
    axes.set_xlim(ends)
    axes.set_ylim(ends)
    axes.set_aspect("equal")
    axes.set_xlabel("truth")
    axes.set_ylabel("prediction")
    axes.grid(alpha=0.25)
    r2 = "–" if row["r2"] is None else f"{row['r2']:.3f}"
    axes.set_title(f"{shorten(row['value'], 22)}: R² {r2}, MAE {format_value(row['mae'])}", fontsize=11)
