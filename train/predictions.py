"""Writers of predictions: a table for every kind of target, files for masks and images, a COCO file for boxes."""

from __future__ import annotations

import abc
import csv
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from precompute.errors import UsageError
from precompute.preparing import PreparedImage
from train.files import encode_text, write_file
from train.learnt_targets import SEVERAL
from train.pictures.sheets import (
    Prediction,
    class_colors,
    lay_boxes,
    lay_over,
    name_numbers,
    show_boxes,
    show_image,
    show_mask,
    show_together,
    show_words,
)
from train.scores import to_probabilities
from train.tasks import OneTarget, Task
from train.tasks.classify import Classify
from train.tasks.detect import SHOWN, Detect
from train.tasks.multilabel import MultiLabel
from train.tasks.reconstruct import Reconstruct
from train.tasks.regress import Regress
from train.tasks.segment import Segment

__all__ = ["PredictionWriter", "make_writer"]

NUM_TOP = 3
PALETTE_SIZE = 256
COCO_FILE = "boxes.coco.json"
MIN_SCORE = 0.05  # score from which boxes are written; average precision of what is written hardly misses the others


class PredictionWriter(abc.ABC):
    """Takes predictions one by one.

    Args:
        task: Task of the model.
        folder: Folder of the results.
        draw: Whether to lay predictions over images.

    Attributes:
        rows: Lines of the table so far, which begin with the image file.
        at_source_size: Whether masks and boxes are written at the size of the image file.
        folders: Folders for files of single images.
    """

    draws: ClassVar[bool] = False  # whether it can lay predictions over images
    has_size: ClassVar[bool] = False  # whether predictions have the size of images

    def __init__(self, task: OneTarget, folder: Path, *, draw: bool = False) -> None:
        self._task = task
        self._folder = folder
        self.rows: list[list[Any]] = []
        self.at_source_size = False
        self.folders: list[Path] = []

    def paths_of(self, key: str) -> list[Path]:
        """Return the files that `write` makes for an image."""
        return [folder / f"{key}.png" for folder in self.folders]

    def table(self) -> bytes:
        """Return the content of a CSV file, one line per image."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.header(), *self.lines()])
        return encode_text(text.getvalue())

    def lines(self) -> list[list[Any]]:
        """Return the table's lines below its header."""
        return self.rows

    def files(self) -> dict[str, bytes]:
        """Return further files about all images: name → content."""
        return {}

    def facts(self) -> dict[str, Any]:
        """Return facts that a user of the files needs, fit for JSON."""
        return {"target": self._task.target, "classes": list(self._task.class_names)}

    @property
    def _size(self) -> str:
        """The size of masks and boxes, in words."""
        height, width, _ = self._task.shape
        return "of each image" if self.at_source_size else f"{height}×{width}, of the model"

    @abc.abstractmethod
    def write(self, item: PreparedImage, logits: Any) -> Prediction:
        """Write the prediction for an image, and return what is needed to draw it."""

    @abc.abstractmethod
    def header(self) -> list[str]:
        """Return the names of the table's columns."""


class _ClassWriter(PredictionWriter):
    """Writes one class per image: the likeliest one, and those after it."""

    def write(self, item: PreparedImage, logits: npt.NDArray[np.float32]) -> Prediction:
        probabilities = to_probabilities(logits, self._task.activation)
        names, row = self._task.class_names, [str(item.path)]
        top = np.argsort(-probabilities, kind="stable")[:NUM_TOP]
        for c in top:
            row += [names[c], f"{probabilities[c]:.6f}"]
        self.rows.append(row)
        text = f"{names[top[0]]}  {probabilities[top[0]]:.0%}"
        return show_words(item.key, _pixels_of(item.image), text)

    def header(self) -> list[str]:
        places = range(2, min(NUM_TOP, self._task.num_classes) + 1)
        return ["file", "class", "probability", *(f"{name}_{n}" for n in places for name in ("class", "probability"))]


class _LabelsWriter(PredictionWriter):
    """Writes any number of classes per image: those with a probability of at least 0.5."""

    def write(self, item: PreparedImage, logits: npt.NDArray[np.float32]) -> Prediction:
        probabilities = to_probabilities(logits, self._task.activation)
        held = [name for name, p in zip(self._task.class_names, probabilities, strict=True) if p >= 0.5]
        self.rows.append([str(item.path), "; ".join(held), *(f"{p:.6f}" for p in probabilities)])
        return show_words(item.key, _pixels_of(item.image), ", ".join(held) or "none")

    def header(self) -> list[str]:
        return ["file", "classes", *self._task.class_names]


class _ValueWriter(PredictionWriter):
    """Writes one number per value."""

    def __init__(self, task: Regress, folder: Path, *, draw: bool = False) -> None:
        super().__init__(task, folder)
        self._values, self._spreads = list(task.values), task.stds

    def write(self, item: PreparedImage, logits: npt.NDArray[np.float32]) -> Prediction:
        self.rows.append([str(item.path), *map(str, logits)])  # as few digits as tell it from other float32
        text = "\n".join(name_numbers(logits, self._values, self._spreads))
        return show_words(item.key, _pixels_of(item.image), text)

    def facts(self) -> dict[str, Any]:
        return {"target": self._task.target, "values": self._values}

    def header(self) -> list[str]:
        return ["file", *self._values]


class _MaskWriter(PredictionWriter):
    """Writes one class per pixel: PNGs of class ids, with a palette so that people can look at them."""

    draws = has_size = True

    def __init__(self, task: OneTarget, folder: Path, *, draw: bool = False) -> None:
        super().__init__(task, folder)
        self.folders = [folder / (task.head or "masks"), *([folder / task.layer("drawn")] if draw else [])]
        self._palette = (class_colors(task.num_classes) * 255).round().astype(np.uint8).tobytes()

    def write(self, item: PreparedImage, logits: npt.NDArray[np.float32]) -> Prediction:
        image, source = _pixels_of(item.image), _pixels_of(item.source)
        mask = logits.argmax(axis=-1).astype(np.uint8 if self._task.num_classes <= PALETTE_SIZE else np.uint16)
        under, written = image, mask
        if self.at_source_size:
            under, written = source, resize_nearest(mask, source.shape[0], source.shape[1])
        mask_path, *drawn_path = self.paths_of(item.key)
        _save_png(mask_path, written, self._palette if mask.dtype == np.uint8 else None)
        if drawn_path:
            _save_png(drawn_path[0], lay_over(under, written))
        shares = np.bincount(mask.ravel(), minlength=self._task.num_classes) / mask.size
        below = mask_path.relative_to(self._folder).as_posix()
        self.rows.append([str(item.path), below, *(f"{share:.6f}" for share in shares)])
        return show_mask(item.key, image, mask, self._task.class_names, target=self._task.head)

    def facts(self) -> dict[str, Any]:
        return {**super().facts(), "mask_size": self._size}

    def header(self) -> list[str]:
        return ["file", "mask", *(f"share of {name}" for name in self._task.class_names)]


class _ImageWriter(PredictionWriter):
    """Writes one image per image: whole numbers as PNG, fractions as `.npy`."""

    has_size = True

    def __init__(self, task: Reconstruct, folder: Path, *, draw: bool = False) -> None:
        super().__init__(task, folder)
        self._of = task
        self.folders = [folder / task.name]

    def paths_of(self, key: str) -> list[Path]:
        return [self.folders[0] / f"{key}{'.npy' if self._of.dtype == 'float32' else '.png'}"]

    def write(self, item: PreparedImage, logits: npt.NDArray[np.float32]) -> Prediction:
        image, source, (path,) = _pixels_of(item.image), _pixels_of(item.source), self.paths_of(item.key)
        sized = resize_smoothly(logits, *source.shape[:2]) if self.at_source_size else logits
        values = self._of.decide(sized)
        if self._of.dtype == "float32":
            write_file(path, lambda temporary: np.save(temporary, values))
        else:
            _save_png(path, values[..., 0] if values.shape[2] == 1 else values)
        self.rows.append([str(item.path), path.relative_to(self._folder).as_posix()])
        return show_image(
            item.key, image, self._of.decide(logits), low=self._of.low, high=self._of.high, target=self._task.head
        )

    def facts(self) -> dict[str, Any]:
        return {"target": self._task.target, "values": [self._of.name], "image_size": self._size}

    def header(self) -> list[str]:
        return ["file", self._of.name]


class _BoxWriter(PredictionWriter):
    """Writes boxes with class and score: in the table, as COCO JSON, and drawn over the images.

    They are in pixels of the upright image if the pipeline does no more than resize, else of the model's image.
    """

    draws = has_size = True

    def __init__(self, task: OneTarget, folder: Path, *, draw: bool = False) -> None:
        super().__init__(task, folder)
        self.folders = [folder / "drawn"] if draw else []
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def write(self, item: PreparedImage, logits: npt.NDArray[np.float32]) -> Prediction:
        """Collect the boxes of an image, and draw them over it if asked to."""
        image, source = _pixels_of(item.image), _pixels_of(item.source)
        found = self._task.decide(logits)
        found = found[found[:, 4] >= MIN_SCORE]
        under, written = (source, _scaled(found, image, source)) if self.at_source_size else (image, found)
        self._write_rows(item, written, under.shape[:2])
        shown = written[written[:, 4] >= SHOWN]
        for path in self.paths_of(item.key):
            _save_png(path, lay_boxes(under, shown))
        text = f"{len(shown)} found, score {SHOWN} up"
        return show_boxes(item.key, image, found[found[:, 4] >= SHOWN], self._task.class_names, text)

    def files(self) -> dict[str, bytes]:
        """Return the COCO file."""
        categories = [{"id": c, "name": name} for c, name in enumerate(self._task.class_names)]
        found = {"images": self._images, "annotations": self._annotations, "categories": categories}
        return {COCO_FILE: encode_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")}

    def facts(self) -> dict[str, Any]:
        return {**super().facts(), "box_format": "xyxy in pixels", "box_size": self._size, "least_score": MIN_SCORE}

    def _write_rows(self, item: PreparedImage, boxes: npt.NDArray[Any], size: tuple[int, ...]) -> None:
        image_id = len(self._images) + 1
        self._images.append(
            {"id": image_id, "file_name": str(item.path), "height": int(size[0]), "width": int(size[1])}
        )
        for *corners, score, label in boxes.tolist():
            x0, y0, x1, y1 = (round(value, 3) for value in corners)
            name = self._task.class_names[int(label)]
            self.rows.append([str(item.path), name, f"{score:.6f}", *(f"{v:g}" for v in (x0, y0, x1, y1))])
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

    def header(self) -> list[str]:
        return ["file", "class", "score", "x_min", "y_min", "x_max", "y_max"]


class _JointWriter(PredictionWriter):
    """Writes the predictions of several targets: one table with columns of each, and the files of each.

    Args:
        writers: The writer of each target, by its name.
        folder: Folder of the results.
    """

    def __init__(self, writers: Mapping[str, PredictionWriter], folder: Path) -> None:
        super().__init__(next(iter(writers.values()))._task, folder)
        self._writers = writers
        self.folders = [path for writer in writers.values() for path in writer.folders]

    def paths_of(self, key: str) -> list[Path]:
        return [path for writer in self._writers.values() for path in writer.paths_of(key)]

    def write(self, item: PreparedImage, logits: Any) -> Prediction:
        shown = []
        for name, writer in self._writers.items():
            writer.at_source_size = self.at_source_size
            shown.append(writer.write(item, logits[name]))
        return show_together(shown)

    def lines(self) -> list[list[Any]]:
        of_images = zip(*(writer.lines() for writer in self._writers.values()), strict=True)
        return [[lines[0][0], *(value for line in lines for value in line[1:])] for lines in of_images]

    def facts(self) -> dict[str, Any]:
        return {"target": SEVERAL, "targets": {name: writer.facts() for name, writer in self._writers.items()}}

    def header(self) -> list[str]:
        columns = [(name, column) for name, writer in self._writers.items() for column in writer.header()[1:]]
        return ["file", *(column if column == name else f"{name}_{column}" for name, column in columns)]


WRITERS: dict[type[OneTarget], Callable[..., PredictionWriter]] = {
    Classify: _ClassWriter,
    MultiLabel: _LabelsWriter,
    Segment: _MaskWriter,
    Detect: _BoxWriter,
    Regress: _ValueWriter,
    Reconstruct: _ImageWriter,
}


def make_writer(task: Task, folder: Path, *, draw: bool, model_size: bool = False) -> PredictionWriter:
    """Return the writer for a task.

    Raises:
        UsageError: `draw` is for masks and boxes, `model_size` for images, too.
    """
    writers = {name: WRITERS[type(part)](part, folder, draw=draw) for name, part in task.parts.items()}
    has = " and ".join(dict.fromkeys(part.noun for part in task.parts.values()))
    if draw and not any(writer.draws for writer in writers.values()):
        raise UsageError(
            f"--draw: there are no masks or boxes to draw, the dataset has {has}; predictions.png shows them."
        )
    if model_size and not any(writer.has_size for writer in writers.values()):
        raise UsageError(f"--model-size: it is for masks, boxes and images, and the dataset has {has}; leave it out.")
    return writers[""] if "" in writers else _JointWriter(writers, folder)


def _scaled(boxes: npt.NDArray[Any], image: npt.NDArray[np.uint8], source: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """Return boxes [found, 6] in pixels of the source and not of the image."""
    height, width = (new / old for new, old in zip(source.shape[:2], image.shape[:2], strict=True))
    return np.asarray(boxes * np.array([width, height, width, height, 1, 1]))


def resize_nearest(mask: npt.NDArray[Any], height: int, width: int) -> npt.NDArray[Any]:
    """Return a mask [H, W] at another size; each pixel takes the id under its middle, by exact arithmetic."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new) for old, new in zip(mask.shape, (height, width), strict=True)
    )
    return mask[np.ix_(rows, columns)]


def resize_smoothly(values: npt.NDArray[np.float32], height: int, width: int) -> npt.NDArray[np.float32]:
    """Return an image, float32 [H, W, C], at another size."""
    if values.shape[:2] == (height, width):
        return values
    channels = (Image.fromarray(values[..., c]) for c in range(values.shape[2]))
    return np.stack([np.asarray(c.resize((width, height), Image.Resampling.BICUBIC)) for c in channels], axis=-1)


def _save_png(path: Path, pixels: npt.NDArray[Any], palette: bytes | None = None) -> None:
    """Write pixels, uint8 or uint16 [H, W] or uint8 [H, W, 3 or 4], as a PNG."""
    picture = Image.fromarray(pixels)
    if palette is not None:
        picture.putpalette(palette)
    write_file(path, lambda temporary: picture.save(temporary, format="PNG"))


def _pixels_of(image: npt.NDArray[np.uint8] | None) -> npt.NDArray[np.uint8]:
    """Return the pixels of an image that could be used."""
    if image is None:
        raise ValueError("an image that could not be used has no prediction")
    return image
