"""How predicted boxes are written: a table with a line a box, and a COCO file that `precompute build` reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from precompute.preparing import PreparedImage
from train.files import encode_text
from train.pictures import Prediction, draw_predicted_boxes, lay_boxes
from train.predictions import PredictionWriter, pixels_of, save_png
from train.tasks import Task
from train.tasks.detect import SHOWN

__all__ = ["BoxWriter"]

COCO_FILE = "boxes.coco.json"
LEAST = 0.05  # score from which boxes are written; average precision of what is written hardly misses the others


class BoxWriter(PredictionWriter):
    """Boxes with class and score: in the table, as COCO JSON, and drawn over the images.

    They are in pixels of the upright image where the pipeline does no more than resize, else of the image as the model
    got it.
    """

    def __init__(self, task: Task, folder: Path, *, draw: bool) -> None:
        super().__init__(task, folder)
        self.folders = [folder / "drawn"] if draw else []
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def write(self, item: PreparedImage, logits: npt.NDArray[np.float32]) -> Prediction:
        """Keep the boxes of an image, and draw them over it if asked to."""
        image, source = pixels_of(item.image), pixels_of(item.source)
        found = self._task.decide(logits)
        found = found[found[:, 4] >= LEAST]
        under, written = (source, _scaled(found, image, source)) if self.at_source_size else (image, found)
        self._write_rows(item, written, under.shape[:2])
        shown = written[written[:, 4] >= SHOWN]
        for path in self.paths_of(item.key):
            save_png(path, lay_boxes(under, shown, self._task.num_classes))
        return Prediction(
            name=item.key, image=image, boxes=found[found[:, 4] >= SHOWN], text=f"{len(shown)} found, score {SHOWN} up"
        )

    def draw(self, predictions: Sequence[Prediction]) -> bytes:
        """Return a PNG of some predictions."""
        return draw_predicted_boxes(predictions, self._task.class_names)

    def files(self) -> dict[str, bytes]:
        """Return the COCO file."""
        categories = [{"id": c, "name": name} for c, name in enumerate(self._task.class_names)]
        found = {"images": self._images, "annotations": self._annotations, "categories": categories}
        return {COCO_FILE: encode_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")}

    def facts(self) -> dict[str, Any]:
        """Return what a user of the files should know."""
        height, width, _ = self._task.shape
        size = "of each image" if self.at_source_size else f"{height}×{width}, of the model"
        return {**super().facts(), "box_format": "xyxy in pixels", "box_size": size, "least_score": LEAST}

    def _write_rows(self, item: PreparedImage, boxes: npt.NDArray[Any], size: tuple[int, ...]) -> None:
        image_id = len(self._images) + 1
        self._images.append(
            {"id": image_id, "file_name": str(item.path), "height": int(size[0]), "width": int(size[1])}
        )
        for *corners, score, label in boxes.tolist():
            x0, y0, x1, y1 = (round(value, 3) for value in corners)
            name = self._task.class_names[int(label)]
            self._rows.append([str(item.path), name, f"{score:.6f}", *(f"{v:g}" for v in (x0, y0, x1, y1))])
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": image_id,
                    "category_id": int(label),
                    "bbox": [x0, y0, round(x1 - x0, 3), round(y1 - y0, 3)],
                    "area": round((x1 - x0) * (y1 - y0), 3),
                    "iscrowd": 0,
                    "score": round(score, 6),
                }
            )

    def _header(self) -> list[str]:
        return ["file", "class", "score", "x_min", "y_min", "x_max", "y_max"]


def _scaled(boxes: npt.NDArray[Any], image: npt.NDArray[np.uint8], source: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """Return boxes [found, 6] in pixels of the source in place of those of the image."""
    height, width = (new / old for new, old in zip(source.shape[:2], image.shape[:2], strict=True))
    return np.asarray(boxes * np.array([width, height, width, height, 1, 1]))
