"""PNGs of curves and predictions. The one module that owns matplotlib.

Figures are made by themselves, without pyplot: it keeps global state and picks a backend that may want a screen.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

__all__ = ["Sample", "draw_classes", "draw_curves", "draw_masks"]

RIGHT, WRONG = "#1a7f37", "#c62828"
TRAIN, VALIDATION = "#8a94a6", "#1f5fbf"
BACKGROUND, IGNORED = (0.10, 0.10, 0.14), (0.78, 0.78, 0.78)
MAX_LEGEND = 12  # classes; more would cover the picture


@dataclass(frozen=True, kw_only=True)
class Sample:
    """An example with what the model made of it.

    Attributes:
        image: uint8 [H, W, C].
        truth: Class ids: a scalar, or [H, W].
        predicted: Class ids of the same shape.
        confidence: Probability of the predicted class; for masks its mean over the pixels.
    """

    image: npt.NDArray[np.uint8]
    truth: npt.NDArray[Any]
    predicted: npt.NDArray[Any]
    confidence: float


def draw_curves(history: Sequence[Mapping[str, float]], *, score: str, best_epoch: int | None) -> bytes:
    """Draw loss, score and learning rate over the epochs.

    Args:
        history: A mapping an epoch, validation's numbers with the prefix ``val_``.
        score: Name of the score to draw.
        best_epoch: Is marked.
    """
    figure = Figure(figsize=(12, 3.6), dpi=100, layout="constrained")
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
    return _to_png(figure)


def draw_masks(samples: Sequence[Sample], class_names: Sequence[str], *, ignore_class: int | None = None) -> bytes:
    """Draw a row a sample: image, truth and prediction, and where they differ."""
    colors = _class_colors(len(class_names))
    titles = ("image", "truth", "prediction", "differences")
    figure = Figure(figsize=(9.2, 2.35 * len(samples) + 0.7), dpi=100, layout="constrained")
    grid = figure.subplots(len(samples), 4, squeeze=False)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=11)
    for row, sample in zip(grid, samples, strict=True):
        ignored = sample.truth == ignore_class if ignore_class is not None else np.zeros(sample.truth.shape, bool)
        truth, predicted = _color_mask(sample.truth, colors, ignored), _color_mask(sample.predicted, colors, None)
        differs = _color_differences(sample, ignored)
        pictures: list[npt.NDArray[Any]] = [sample.image, truth, predicted, differs]
        for axes, picture in zip(row, pictures, strict=True):
            _show(axes, picture)
        agree = (sample.truth == sample.predicted)[~ignored]
        row[3].set_xlabel(f"{agree.mean() if agree.size else 1.0:.1%} of pixels right", fontsize=9)
    _add_legend(figure, class_names, colors, ignore_class)
    return _to_png(figure)


def draw_classes(samples: Sequence[Sample], class_names: Sequence[str]) -> bytes:
    """Draw a grid of images with the predicted class; wrong ones are framed and name the truth."""
    columns = min(6, max(1, len(samples)))
    rows = -(-len(samples) // columns)
    figure = Figure(figsize=(2.1 * columns, 2.55 * rows), dpi=100, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(samples) :]:
        axes.set_axis_off()
    for axes, sample in zip(grid, samples, strict=False):
        right = int(sample.truth) == int(sample.predicted)
        color = RIGHT if right else WRONG
        _show(axes, sample.image, color=color, width=1.5 if right else 4)
        axes.set_title(f"{class_names[int(sample.predicted)]}  {sample.confidence:.0%}", color=color, fontsize=10)
        note = "right" if right else f"wrong: it is {class_names[int(sample.truth)]}"
        axes.set_xlabel(note, color=color, fontsize=9)
    return _to_png(figure)


def _show(axes: Any, picture: npt.NDArray[Any], *, color: str = "#cccccc", width: float = 0.5) -> None:
    if picture.ndim == 3 and picture.shape[2] == 1:
        picture = np.repeat(picture, 3, axis=2)
    axes.imshow(picture, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(color=color, linewidth=width)


def _class_colors(num_classes: int) -> npt.NDArray[np.float64]:
    """Return RGB [num_classes, 3]; class 0, which is most often the background, is dark."""
    if num_classes == 2:
        return np.array([BACKGROUND, (0.98, 0.80, 0.30)])
    name, steps = ("tab20", np.arange(20)) if num_classes <= 21 else ("hsv", np.linspace(0, 1, num_classes))
    return np.array([BACKGROUND, *(color[:3] for color in colormaps[name](steps))])[:num_classes]


def _color_mask(
    mask: npt.NDArray[Any], colors: npt.NDArray[np.float64], ignored: npt.NDArray[np.bool_] | None
) -> npt.NDArray[np.float64]:
    colored = colors[np.clip(mask.astype(np.int64), 0, len(colors) - 1)]
    if ignored is not None:
        colored[ignored] = IGNORED
    return colored


def _color_differences(sample: Sample, ignored: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return the image in faint grey with wrong pixels in red."""
    grey = sample.image.mean(axis=2)[..., None].repeat(3, axis=2) / 255 * 0.5 + 0.5
    grey[(sample.truth != sample.predicted) & ~ignored] = (0.85, 0.1, 0.1)
    return np.asarray(grey)


def _add_legend(
    figure: Figure, class_names: Sequence[str], colors: npt.NDArray[np.float64], ignore_class: int | None
) -> None:
    if len(class_names) > MAX_LEGEND:
        return
    patches = [
        Patch(facecolor=tuple(color), edgecolor="#888888", label=name)
        for class_id, (name, color) in enumerate(zip(class_names, colors, strict=True))
        if class_id != ignore_class
    ]
    if ignore_class is not None:
        patches.append(Patch(facecolor=IGNORED, edgecolor="#888888", label="not counted"))
    figure.legend(handles=patches, loc="outside lower center", ncols=min(6, len(patches)), frameon=False)


def _to_png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()
