"""How a run went: loss, score and learning rate over its epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from train.pictures.figures import new_figure, to_png

__all__ = ["draw_curves"]

TRAIN, VALIDATION = "#8a94a6", "#1f5fbf"


def draw_curves(history: Sequence[Mapping[str, float]], *, score: str, best_epoch: int | None) -> bytes:
    """Draw loss, score and learning rate over the epochs.

    Args:
        history: A mapping an epoch, validation's numbers with the prefix ``val_``.
        score: Name of the score to draw.
        best_epoch: Is marked.
    """
    figure = new_figure(12, 3.6)
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
    return to_png(figure)
