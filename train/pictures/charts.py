"""Charts as PNGs: curves of a training, scores of classes, predicted numbers over true ones. Owns matplotlib.

Figures are made without pyplot, which keeps global state and picks a backend that may need a screen.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from precompute.text.format import format_count
from train.pictures.sheets import format_value

__all__ = ["draw_class_scores", "draw_confusion", "draw_curves", "draw_histograms", "draw_scatter"]

MAX_CLASSES = 30  # of a matrix whose names can still be read
MAX_COUNTED = 15  # classes up to which the cells hold counts
MAX_BARS = 60
MAX_BINS = 30
BAR, MEAN = "#1f5fbf", "#c62828"
PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}  # behind text that a line would cross
TRAIN, VALIDATION = "#8a94a6", BAR
MAX_PLOTS = 12


def draw_confusion(confusion: npt.NDArray[np.int64], class_names: Sequence[str]) -> bytes:
    """Draw how often each class was taken for each, as a share of the true class.

    Of more than 30 classes, those with the most errors are shown.

    Args:
        confusion: int64 [C, C]: truth in rows, prediction in columns.
        class_names: Names of the C classes.
    """
    totals = confusion.sum(axis=1)
    shares = confusion / np.maximum(totals, 1)[:, None]
    shown = _most_confused(confusion)
    small = len(shown) > MAX_COUNTED
    side = len(shown) * (0.3 if small else 0.6)
    figure = _figure(max(side + 3.8, 6.4), max(side + 2.6, 5.0))
    axes = figure.subplots()
    scale = PowerNorm(0.5, vmin=0, vmax=1)  # a few errors among many hits shall be seen
    # The axes have no equal sides: the layout would leave no room for labels.
    picture = axes.imshow(shares[np.ix_(shown, shown)], cmap="Blues", norm=scale, aspect="auto")
    names = [_shorten(class_names[c], 22) for c in shown]
    axes.set_xticks(range(len(shown)), names, rotation=90)
    axes.set_yticks(range(len(shown)), [f"{name} ({totals[c]:,})" for name, c in zip(names, shown, strict=True)])
    axes.set_xlabel("prediction")
    axes.set_ylabel("truth (images)")
    whole = "how often each class was taken for each"
    figure.suptitle(_choice(len(shown), len(class_names), "class", "most errors") or whole, fontsize=11)
    for row, truth in enumerate(shown if not small else []):
        for column, predicted in enumerate(shown):
            if confusion[truth, predicted]:
                color = "white" if shares[truth, predicted] > 0.35 else "#333333"
                axes.text(
                    column, row, f"{confusion[truth, predicted]:,}", ha="center", va="center", color=color, size=9
                )
    figure.colorbar(picture, ax=axes, shrink=0.8, label="share of the true class", ticks=[0, 0.01, 0.1, 0.25, 0.5, 1])
    return _png(figure)


def draw_class_scores(
    classes: Sequence[Mapping[str, Any]],
    score: str,
    counted: str,
    *,
    mean: float,
    total: int | None = None,
    title: str,
    share: str,
) -> bytes:
    """Draw one bar per class; of very many classes, those with the lowest scores.

    Args:
        classes: The classes that count, each a dictionary with its `name` and the two that follow.
        score: Key of the score, from 0 to 1; None for a class that does not occur.
        counted: Key of the number of images, pixels or objects of the class in the truth.
        mean: Mean score of the classes that occur.
        total: Number that shares are of; None: the sum over the classes.
        title: Name of the score.
        share: Words for what shares are of.
    """
    class_names, ious = [row["name"] for row in classes], [row[score] for row in classes]
    total = max(1, sum(row[counted] for row in classes) if total is None else total)
    lowest_first = sorted(range(len(ious)), key=lambda c: (ious[c] is None, ious[c] or 0.0))
    shown = sorted(lowest_first[:MAX_BARS])
    figure = _figure(8.4, 0.27 * len(shown) + 1.4)
    axes = figure.subplots()
    axes.barh(range(len(shown)), [ious[c] or 0.0 for c in shown], color=BAR, height=0.7)
    axes.axvline(mean, color=MEAN, linewidth=1.2, linestyle=":", label=f"mean {mean:.3f}")
    for place, c in enumerate(shown):
        iou = ious[c]
        text = "does not occur" if iou is None else f"{iou:.3f}   {classes[c][counted] / total:.1%} {share}"
        axes.text((iou or 0.0) + 0.01, place, text, va="center", fontsize=8.5, bbox=PAPER)
    axes.set_yticks(range(len(shown)), [_shorten(class_names[c], 26) for c in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0, 1.32)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(title)
    axes.set_title(_choice(len(shown), len(ious), "class", f"lowest {title}"), fontsize=11)
    figure.legend(frameon=False, loc="outside upper right")
    return _png(figure)


def _most_confused(confusion: npt.NDArray[np.int64]) -> list[int]:
    """Return the classes to show, in their own order."""
    hits = np.diag(confusion)
    errors = confusion.sum(axis=0) + confusion.sum(axis=1) - 2 * hits
    return sorted(np.argsort(-errors, kind="stable")[:MAX_CLASSES].tolist())


def _choice(num_shown: int, number: int, noun: str, what: str) -> str:
    """Return words for which ones are shown; empty where all are."""
    return f"{num_shown} of {format_count(number, noun)}: those with the {what}" if num_shown < number else ""


def draw_curves(history: Sequence[Mapping[str, float]], *, score: str, best_epoch: int | None) -> bytes:
    """Draw loss, score and learning rate over the epochs.

    Args:
        history: One mapping per epoch; numbers of validation have the prefix ``val_``.
        score: Name of the score to draw.
        best_epoch: Epoch to mark.
    """
    figure = _figure(12, 3.6)
    epochs = [entry["epoch"] for entry in history]
    for axes, name in zip(figure.subplots(1, 3), ("loss", score, "learning_rate"), strict=True):
        for prefix, label, color in (("", "train", TRAIN), ("val_", "validation", VALIDATION)):
            values = [entry.get(prefix + name, np.nan) for entry in history]
            if np.isfinite(values).any():
                axes.plot(epochs, values, color=color, label=label, linewidth=1.8, marker="o", markersize=2.5)
        if best_epoch is not None and name != "learning_rate":
            axes.axvline(best_epoch, color="black", linewidth=0.8, linestyle=":", label=f"best: epoch {best_epoch}")
        axes.set_title(name.replace("_", " ").replace("iou", "IoU"))
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.25)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if name != "learning_rate":
            axes.legend(frameon=False)
    return _png(figure)


def draw_scatter(values: Sequence[Mapping[str, Any]]) -> bytes:
    """Draw the predictions of each value over its truths, with the diagonal on which both are equal.

    Args:
        values: For each value a dictionary: `value`, its name; `r2` and `mae`, or None; `training_mean`; `points`:
            `truth` and `predicted`, of the same length. Of many values, those with the lowest R² are drawn.
    """
    lowest_first = sorted(values, key=lambda row: (row["r2"] is None, row["r2"] or 0.0))
    shown = [row for row in values if row in lowest_first[:MAX_PLOTS]]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = _figure(4.4 * columns + 0.4, 4.4 * rows + 0.4)
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in cells[len(shown) :]:
        axes.set_axis_off()
    for axes, row in zip(cells, shown, strict=False):
        _scatter(axes, row)
    cells[0].legend(frameon=False, fontsize=8, loc="upper left")
    if title := _choice(len(shown), len(values), "value", "lowest R²"):
        figure.suptitle(title, fontsize=11)
    return _png(figure)


def draw_histograms(values: Mapping[str, Sequence[float]]) -> bytes:
    """Draw how many images have which score, a plot for each score, with its mean.

    Args:
        values: Title of a plot → the score of each image.
    """
    figure = _figure(4.4 * len(values) + 0.4, 3.8)
    for axes, (title, of_images) in zip(figure.subplots(1, len(values), squeeze=False)[0], values.items(), strict=True):
        mean = float(np.mean(of_images))
        axes.hist(of_images, bins=min(MAX_BINS, max(5, len(of_images) // 4)), color=BAR)
        axes.axvline(mean, color=MEAN, linewidth=1.2, label=f"mean {format_value(mean)}")
        axes.set_title(title, fontsize=11)
        axes.set_ylabel("images")
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False, fontsize=8)
    return _png(figure)


def _scatter(axes: Any, row: Mapping[str, Any]) -> None:
    truth, predicted = row["points"]["truth"], row["points"]["predicted"]
    low, high = min([*truth, *predicted], default=0.0), max([*truth, *predicted], default=1.0)
    margin = 0.05 * (high - low) or 0.5
    ends = (low - margin, high + margin)
    axes.plot(ends, ends, color=MEAN, linewidth=1.2, label="prediction = truth")
    axes.axhline(row["training_mean"], color=TRAIN, linewidth=1.0, linestyle=":", label="mean of training")
    axes.scatter(truth, predicted, s=14, color=BAR, alpha=0.6, linewidths=0)
    axes.set_xlim(ends)
    axes.set_ylim(ends)
    axes.set_aspect("equal")
    axes.set_xlabel("truth")
    axes.set_ylabel("prediction")
    axes.grid(alpha=0.25)
    r2 = "–" if row["r2"] is None else f"{row['r2']:.3f}"
    axes.set_title(f"{_shorten(row['value'], 22)}: R² {r2}, MAE {format_value(row['mae'])}", fontsize=11)


def _figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, at 100 pixels an inch."""
    return Figure(figsize=(width, height), dpi=100, layout="constrained")


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _shorten(name: str, length: int) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"
