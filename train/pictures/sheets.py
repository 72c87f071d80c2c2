"""Pictures of images as PNGs: predictions beside the truth, and predictions for images without one.

They are sheets like those of `precompute preview`, with the same colours of classes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from precompute.fields.layers import Layers
from precompute.pictures.drawing import as_rgb, draw_layers, lay_mask
from precompute.pictures.legend import Entry, legend_of, mask_entries
from precompute.pictures.palette import class_color
from precompute.pictures.sheet import Cell, Line, Sheet, draw_sheet
from precompute.text.format import format_count
from train.samples import STANDINGS, Sample

__all__ = [
    "Prediction",
    "class_colors",
    "draw_boxes",
    "draw_classes",
    "draw_images",
    "draw_labels",
    "draw_masks",
    "draw_predictions",
    "draw_values",
    "format_value",
    "lay_boxes",
    "lay_over",
    "name_numbers",
    "show_boxes",
    "show_image",
    "show_mask",
    "show_together",
    "show_words",
]

BACKGROUND, WRONG_PIXEL = (26, 26, 36), (217, 26, 26)
RIGHT, WRONG = (26, 127, 55), (198, 40, 40)
OPACITY = 0.5  # of the colours over an image
LARGE = 384  # pixels of a picture with boxes
KIND, LABEL = 5, 4  # columns of the truth of boxes
MAX_NAMED = 3  # labels an image; of more, their number
MAX_LINES = 4  # values an image; of more, the first ones
MAX_DECIMALS, LARGEST = 8, 1e12  # of numbers that are written out


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The pictures of one image with its prediction.

    Attributes:
        cells: Pictures, side by side.
        legend: Target → its mask, whose colours the pictures show; the only target has no name.
        max_cell: Largest longer side of a picture, in pixels.
    """

    cells: Sequence[Cell]
    legend: Mapping[str, Layers] = field(default_factory=dict)
    max_cell: int = Sheet.max_cell


# Predictions beside the truth: the best, the median and the worst of a split


def draw_masks(samples: Sequence[Sample], class_names: Sequence[str], *, ignore_class: int | None = None) -> bytes:
    """Draw one row per sample: image, truth and prediction, and where they differ."""
    masks = (mask for sample in samples for mask in (sample.truth, sample.predicted))
    return _png(
        columns=("image", "truth", "prediction", "differences"),
        lines=[_mask_line(sample, ignore_class) for sample in samples],
        legend=mask_entries(masks, class_names, ignore_class, BACKGROUND),
    )


def _mask_line(sample: Sample, ignore_class: int | None) -> Line:
    counts = np.ones(sample.truth.shape, bool) if ignore_class is None else sample.truth != ignore_class
    ground = np.full((*sample.truth.shape, 3), BACKGROUND, np.uint8)
    maps = [lay_mask(ground, mask, ignore_class, opacity=1.0) for mask in (sample.truth, sample.predicted)]
    faint = (sample.image.mean(axis=2)[..., None].repeat(3, axis=2) / 2 + 127.5).astype(np.uint8)
    faint[(sample.truth != sample.predicted) & counts] = WRONG_PIXEL
    agree = (sample.truth == sample.predicted)[counts]
    share = agree.mean() if agree.size else 1.0
    return Line(
        caption=sample.standing,
        remark=f"IoU {sample.score:.3f}, {share:.1%} of pixels right",
        cells=[Cell(image=picture) for picture in (sample.image, *maps, faint)],
    )


def draw_classes(samples: Sequence[Sample], class_names: Sequence[str]) -> bytes:
    """Draw images, each with the predicted class; wrong ones name the truth."""

    def cell(sample: Sample) -> Cell:
        right = int(sample.truth) == int(sample.predicted)
        predicted = f"{class_names[int(sample.predicted)]}  {sample.confidence:.0%}"
        truth = "right" if right else f"it is {class_names[int(sample.truth)]}  {sample.score:.0%}"
        return Cell(image=sample.image, notes=[predicted, truth], color=RIGHT if right else WRONG)

    return _by_standing(samples, cell, subtitle="chosen by the probability that was given to the true class")


def draw_labels(samples: Sequence[Sample], class_names: Sequence[str]) -> bytes:
    """Draw images with the predicted labels and, where they differ from the truth, missing and wrong ones.

    Args:
        samples: `truth` and `predicted` are multi-hot [C].
        class_names: Names of the C classes.
    """

    def names(labels: Any) -> str:
        found = [name for name, given in zip(class_names, labels, strict=True) if given]
        return format_count(len(found), "label") if len(found) > MAX_NAMED else ", ".join(found) or "none"

    def cell(sample: Sample) -> Cell:
        truth, predicted = np.asarray(sample.truth) > 0, np.asarray(sample.predicted) > 0
        parts = {"missing": truth & ~predicted, "too much": predicted & ~truth}
        wrong = [f"{note}: {names(labels)}" for note, labels in parts.items() if labels.any()]
        return Cell(
            image=sample.image, notes=[names(predicted), *(wrong or ["right"])], color=WRONG if wrong else RIGHT
        )

    return _by_standing(samples, cell)


def draw_values(samples: Sequence[Sample], names: Sequence[str], spreads: Sequence[float]) -> bytes:
    """Draw images with the predicted numbers and the true ones.

    Args:
        samples: `truth` and `predicted` are float [K]; the truth is NaN where it is unknown.
        names: Names of the K values.
        spreads: Spread of the numbers of each value.
    """

    def cell(sample: Sample) -> Cell:
        predicted = name_numbers(sample.predicted, names, spreads)
        truth = [format_value(float(number), spread) for number, spread in zip(sample.truth, spreads, strict=True)]
        return Cell(image=sample.image, notes=[f"{a}, true {b}" for a, b in zip(predicted, truth, strict=False)])

    return _by_standing(samples, cell)


def _by_standing(samples: Sequence[Sample], cell: Callable[[Sample], Cell], **parts: Any) -> bytes:
    """Draw one row of images for each standing."""
    rows = {name: [cell(sample) for sample in samples if sample.standing == name] for name in STANDINGS}
    lines = [Line(caption=name, cells=cells) for name, cells in rows.items() if cells]
    return _png(columns=[""] * max(map(len, rows.values())), lines=lines, **parts)


def draw_images(samples: Sequence[Sample], *, low: float, high: float) -> bytes:
    """Draw one row per sample: image, truth and prediction, and how much they differ.

    Args:
        samples: `truth` and `predicted` are [H, W, C].
        low: Value that is drawn black.
        high: Value that is drawn white; a difference of a quarter of the span is white, too.
    """
    return _png(
        columns=("image", "truth", "prediction", "differences, ×4"),
        lines=[_image_line(sample, low, high) for sample in samples],
    )


def _image_line(sample: Sample, low: float, high: float) -> Line:
    span = (high - low) or 1.0
    shares = [(np.asarray(values, np.float64) - low) / span for values in (sample.truth, sample.predicted)]
    differences = abs(shares[0] - shares[1])
    pictures = [sample.image, *map(_as_pixels, shares), _as_pixels(4 * differences.mean(axis=2, keepdims=True))]
    return Line(
        caption=sample.standing,
        remark=f"SSIM {sample.score:.3f}, {differences.mean():.1%} of the range off",
        cells=[Cell(image=picture) for picture in pictures],
    )


def _as_pixels(shares: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return values from 0 to 1 as uint8; others are cut."""
    return np.asarray(np.clip(shares, 0, 1) * 255).round().astype(np.uint8)


def draw_boxes(samples: Sequence[Sample], class_names: Sequence[str], *, least: float) -> bytes:
    """Draw one row per sample: the image, its truth, and the boxes that were found, with their scores.

    Args:
        samples: `truth` float [N, 7] of `train.detection.truth`, `predicted` float [found, 6]: box, score, label.
        class_names: Name of each label.
        least: Lowest score of boxes that are drawn.
    """
    return _png(
        columns=("image", "truth", f"found (score from {least})"),
        lines=[_box_line(sample, class_names, least) for sample in samples],
        max_cell=LARGE,
    )


def _box_line(sample: Sample, class_names: Sequence[str], least: float) -> Line:
    truth = sample.truth[sample.truth[:, LABEL] >= 0]
    found = sample.predicted[sample.predicted[:, 4] >= least]
    layers = [
        _box_layers(
            truth[:, :4], truth[:, LABEL], class_names, f"{len(truth)} in truth", not_counted=truth[:, KIND] > 0
        ),
        _box_layers(found[:, :4], found[:, 5], class_names, f"{len(found)} found", scores=found[:, 4]),
    ]
    drawn = [Cell(image=sample.image, layers={"boxes": layer}) for layer in layers]
    return Line(caption=sample.standing, remark=f"F1 {sample.score:.3f}", cells=[Cell(image=sample.image), *drawn])


def _box_layers(corners: Any, labels: Any, class_names: Sequence[str], text: str, **further: Any) -> Layers:
    return Layers(boxes=corners, labels=labels.astype(int), class_names=class_names, text=text, **further)


# Predictions for images without a truth


def draw_predictions(predictions: Sequence[Prediction]) -> bytes:
    """Draw a grid of images with their predictions, as `show_words` and its neighbours make them."""
    cells = [cell for prediction in predictions for cell in prediction.cells]
    max_cell, width = predictions[0].max_cell, len(predictions[0].cells)
    columns = min((3 if max_cell == LARGE else 6) // width * width or width, len(cells))
    legend: list[Entry] = []
    for target in predictions[0].legend:
        head = [Entry(f"{target}:")] if target else []
        legend += [*head, *legend_of([prediction.legend[target] for prediction in predictions])]
    return _png(
        columns=[""] * columns,
        lines=[Line(cells=cells[i : i + columns]) for i in range(0, len(cells), columns)],
        legend=legend,
        max_cell=max_cell,
    )


def show_words(name: str, image: npt.NDArray[np.uint8], text: str) -> Prediction:
    """Return the picture of a prediction in words, one line or more, above the file's name."""
    return Prediction(cells=[Cell(image=image, notes=[*text.split("\n"), name])])


def show_mask(
    name: str, image: npt.NDArray[np.uint8], mask: npt.NDArray[Any], class_names: Sequence[str], *, target: str = ""
) -> Prediction:
    """Return the image, and beside it the image under the class ids [H, W] of its mask; several targets have names."""
    legend = {target: Layers(mask=mask, class_names=class_names)}
    under = Cell(image=lay_over(image, mask), notes=[target] if target else [])
    return Prediction(cells=[Cell(image=image, notes=[name]), under], legend=legend)


def show_image(
    name: str, image: npt.NDArray[np.uint8], values: npt.NDArray[Any], *, low: float, high: float, target: str = ""
) -> Prediction:
    """Return the image, and beside it the predicted one, [H, W, C], from black at `low` to white at `high`."""
    beside = Cell(image=_as_pixels((values - low) / ((high - low) or 1.0)), notes=[target] if target else [])
    return Prediction(cells=[Cell(image=image, notes=[name]), beside])


def show_together(shown: Sequence[Prediction]) -> Prediction:
    """Return the pictures of several predictions for one image: all words under it, and then what is laid over it."""
    name = shown[0].cells[0].notes[-1]
    words = [note for one in shown for note in one.cells[0].notes[:-1]]
    first = replace(shown[0].cells[0], notes=[*words, name])
    cells = [first, *(cell for one in shown for cell in one.cells[1:])]
    return Prediction(cells=cells, legend={target: of for one in shown for target, of in one.legend.items()})


def show_boxes(
    name: str, image: npt.NDArray[np.uint8], boxes: npt.NDArray[Any], class_names: Sequence[str], text: str
) -> Prediction:
    """Return the image with its boxes, float [found, 6]: xyxy in pixels of the image, score, label."""
    layers = _box_layers(boxes[:, :4], boxes[:, 5], class_names, text, scores=boxes[:, 4])
    return Prediction(cells=[Cell(image=image, layers={"boxes": layers}, notes=[name])], max_cell=LARGE)


def lay_over(image: npt.NDArray[np.uint8], mask: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return the image, uint8 [H, W, 1, 3 or 4], as RGB under the colours of its mask; class 0 leaves it as it is."""
    return lay_mask(as_rgb(image), mask, opacity=OPACITY)


def lay_boxes(image: npt.NDArray[np.uint8], boxes: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return the image, uint8 [H, W, 1, 3 or 4], as RGB with frames around boxes [found, 6], in its pixels."""
    return np.asarray(draw_layers(image, [Layers(boxes=boxes[:, :4], labels=boxes[:, 5].astype(int))]))


def class_colors(num_classes: int) -> npt.NDArray[np.float64]:
    """Return RGB [num_classes, 3], 0 to 1; class 0, which is most often the background, is dark."""
    return np.array([BACKGROUND, *map(class_color, range(1, num_classes))])[:num_classes] / 255


# Shared functions


def name_numbers(numbers: Any, names: Sequence[str], spreads: Sequence[float]) -> list[str]:
    """Return one line per value, with its name and its number; of many, the first ones."""
    return [
        f"{name} {format_value(float(number), spread)}"
        for name, number, spread in zip(names[:MAX_LINES], numbers, spreads, strict=False)
    ]


def format_value(value: float | None, spread: float | None = None) -> str:
    """Return a number as text for people; a dash for None and NaN.

    Args:
        value: The number.
        spread: Spread of such numbers, of which two digits are shown; None: the number is shown with four digits.
    """
    if value is None or np.isnan(value):
        return "–"
    if spread is None or abs(value) >= LARGEST:
        return f"{value:.4g}"
    return f"{value:,.{np.clip(1 - np.floor(np.log10(spread)), 0, MAX_DECIMALS):.0f}f}"


def _png(**parts: Any) -> bytes:
    buffer = io.BytesIO()
    draw_sheet(Sheet(**parts)).save(buffer, format="PNG")
    return buffer.getvalue()
