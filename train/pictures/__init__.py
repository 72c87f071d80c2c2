"""PNGs of curves, scores and predictions. The one package that owns matplotlib.

figures ◄ {samples, scores, numbers, predictions};  predictions ◄ boxes
"""

from __future__ import annotations

from train.pictures.boxes import draw_boxes, draw_predicted_boxes, lay_boxes
from train.pictures.figures import class_colors
from train.pictures.numbers import draw_scatter, draw_values, format_value, name_numbers
from train.pictures.predictions import Prediction, draw_predicted_classes, draw_predicted_masks, lay_over
from train.pictures.samples import draw_classes, draw_labels, draw_masks
from train.pictures.scores import draw_confusion, draw_curves, draw_ious
from train.samples import Sample

__all__ = [
    "Prediction",
    "Sample",
    "class_colors",
    "draw_boxes",
    "draw_classes",
    "draw_confusion",
    "draw_curves",
    "draw_ious",
    "draw_labels",
    "draw_masks",
    "draw_predicted_boxes",
    "draw_predicted_classes",
    "draw_predicted_masks",
    "draw_scatter",
    "draw_values",
    "format_value",
    "lay_boxes",
    "lay_over",
    "name_numbers",
]
