"""What all pictures share: colours, images without axes, legends, names that fit.

Figures are made by themselves, without pyplot: it keeps global state and picks a backend that may want a screen.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from precompute.report.drawing import as_rgb
from precompute.report.palette import class_color

__all__ = ["IGNORED", "add_legend", "class_colors", "color_mask", "new_figure", "shorten", "show", "to_png"]

BACKGROUND, IGNORED = (0.10, 0.10, 0.14), (0.78, 0.78, 0.78)
MAX_LEGEND = 24  # classes; more would cover the picture


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, at 100 pixels an inch."""
    return Figure(figsize=(width, height), dpi=100, layout="constrained")


def to_png(figure: Figure) -> bytes:
    """Return the figure as a PNG."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def show(axes: Any, picture: npt.NDArray[Any], *, color: str = "#cccccc", width: float = 0.5) -> None:
    """Show uint8 [H, W, 1, 3 or 4], or 0…1 float [H, W, 3], in a frame, without ticks."""
    axes.imshow(as_rgb(picture) if picture.ndim == 3 else picture, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(color=color, linewidth=width)


def class_colors(num_classes: int) -> npt.NDArray[np.float64]:
    """Return RGB [num_classes, 3], 0 to 1; class 0, which is most often the background, is dark."""
    if num_classes == 2:
        return np.array([BACKGROUND, (0.98, 0.80, 0.30)])
    others = (np.array(class_color(class_id)) / 255 for class_id in range(1, num_classes))
    return np.array([BACKGROUND, *others])[:num_classes]


def color_mask(
    mask: npt.NDArray[Any], colors: npt.NDArray[np.float64], ignored: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.float64]:
    """Return the colours [H, W, 3] of class ids [H, W]; grey where they are ignored."""
    colored = colors[np.clip(mask.astype(np.int64), 0, len(colors) - 1)]
    if ignored is not None:
        colored[ignored] = IGNORED
    return colored


def add_legend(
    figure: Figure, class_names: Sequence[str], masks: Iterable[npt.NDArray[Any]], ignore_class: int | None
) -> None:
    """Name the colours of the classes that the masks hold, below the figure."""
    colors = class_colors(len(class_names))
    held = sorted({int(class_id) for mask in masks for class_id in np.unique(mask)} - {ignore_class})
    known = [class_id for class_id in held if 0 <= class_id < len(class_names)]
    patches = [_patch(tuple(colors[c]), shorten(class_names[c], 20)) for c in known[:MAX_LEGEND]]
    if len(known) > MAX_LEGEND:
        patches.append(Patch(facecolor="none", label=f"… and {len(known) - MAX_LEGEND} more"))
    if ignore_class is not None:
        patches.append(_patch(IGNORED, "not counted"))
    width = max([len(patch.get_label()) for patch in patches], default=0)
    ncols = max(1, min(len(patches), int(figure.get_figwidth() / (0.6 + 0.09 * width))))
    figure.legend(handles=patches, loc="outside lower center", ncols=ncols, frameon=False)


def shorten(name: str, length: int, *, keep_end: bool = False) -> str:
    """Cut a name to so many characters."""
    if len(name) <= length:
        return name
    return "…" + name[1 - length :] if keep_end else name[: length - 1] + "…"


def _patch(color: tuple[float, ...], label: str) -> Any:
    return Patch(facecolor=color, edgecolor="#888888", label=label)
