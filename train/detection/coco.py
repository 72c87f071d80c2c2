"""COCO's evaluation of a split, by its own code. Owns pycocotools.

Crowds are matched as in COCO: any number of detections may lie on one, and none counts. Difficult objects are treated
as in VOC: a detection that finds one is neither right nor wrong.

Source: https://github.com/cocodataset/cocoapi, PythonAPI/pycocotools/cocoeval.py.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import numpy.typing as npt

from precompute.errors import PrecomputeError
from train.detection.truth import COUNTED, CROWD, KIND, LABEL

__all__ = ["coco_scores", "require_pycocotools"]


def require_pycocotools() -> None:
    """Raise `PrecomputeError` if pycocotools is missing."""
    try:
        import pycocotools.cocoeval  # noqa: F401
    except ImportError as error:
        raise PrecomputeError(
            f"detectors are judged by pycocotools: pip install 'augment-once[coco]' ({error})."
        ) from error


def coco_scores(
    truth: npt.NDArray[np.float64], found: npt.NDArray[np.float64], *, num_images: int, num_classes: int
) -> dict[str, Any]:
    """Return the scores of a split.

    Args:
        truth: float64 [objects, 8]: index of the image, then a row of `train.detection.truth`.
        found: float64 [detections, 7]: index of the image, box (xyxy), score, label.
        num_images: Number of images in the split.
        num_classes: Number of classes in the dataset.

    Returns:
        `map` (mean over overlaps from 0.5 to 0.95 and classes that occur), `ap50`, `ap75`, and `classes`: for each
        `num_objects`, `ap` and `ap50`, None for those that do not occur.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    counted = truth[truth[:, 1 + KIND] == COUNTED]
    numbers = np.bincount(counted[:, 1 + LABEL].astype(int), minlength=num_classes)
    gold, guessed = COCO(), COCO()
    for side, rows in ((gold, _objects(truth)), (guessed, _detections(found))):
        side.dataset = {
            "images": [{"id": i} for i in range(num_images)],
            "categories": [{"id": c} for c in range(num_classes)],
            "annotations": rows,
        }
    with contextlib.redirect_stdout(io.StringIO()):  # it prints how long everything took
        gold.createIndex()
        guessed.createIndex()
        evaluation = COCOeval(gold, guessed, "bbox")
        _ignore_difficult(evaluation)
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # overlaps, recalls, classes; all areas, 100 detections
    return {
        "map": _mean(precision),
        "ap50": _mean(precision[0]),
        "ap75": _mean(precision[5]),
        "classes": [
            {
                "num_objects": int(numbers[c]),
                "ap": _mean(precision[..., c]) if numbers[c] else None,
                "ap50": _mean(precision[0, :, c]) if numbers[c] else None,
            }
            for c in range(num_classes)
        ],
    }


def _objects(truth: npt.NDArray[np.float64]) -> list[dict[str, Any]]:
    rows = []
    for number, (image, *row) in enumerate(truth.tolist(), start=1):  # an id of 0 would mean: not matched
        rows.append(
            {
                **_annotation(number, image, row[:4], row[LABEL]),
                "iscrowd": int(row[KIND] == CROWD),
                "difficult": int(row[KIND] != COUNTED),
            }
        )
    return rows


def _detections(found: npt.NDArray[np.float64]) -> list[dict[str, Any]]:
    return [
        {**_annotation(number, image, corners, label), "score": score}
        for number, (image, *corners, score, label) in enumerate(found.tolist(), start=1)
    ]


def _annotation(number: int, image: float, corners: list[float], label: float) -> dict[str, Any]:
    x, y, width, height = corners[0], corners[1], corners[2] - corners[0], corners[3] - corners[1]
    return {
        "id": number,
        "image_id": int(image),
        "category_id": int(label),
        "bbox": [x, y, width, height],
        "area": width * height,
        "iscrowd": 0,
    }


def _ignore_difficult(evaluation: Any) -> None:
    """Let the evaluation ignore difficult objects: at its beginning it sets its own `ignore` from `iscrowd` alone."""
    prepare = evaluation._prepare

    def prepare_and_mark() -> None:
        prepare()
        for objects in evaluation._gts.values():
            for row in objects:
                row["ignore"] = row["difficult"]

    evaluation._prepare = prepare_and_mark


def _mean(precision: npt.NDArray[Any]) -> float:
    known = precision[precision > -1]
    return float(known.mean()) if known.size else 0.0
