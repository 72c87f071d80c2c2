"""The task of boxes around objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from keras import ops

from precompute.errors import DatasetError, UsageError, first_few
from precompute.text.format import format_count
from train.detection.coco import coco_scores, require_pycocotools
from train.detection.decode import Detections, decode
from train.detection.grid import NUM_SIDES, Grid
from train.detection.loss import BoxLoss
from train.detection.matching import match
from train.detection.network import PREFIX, make_detector
from train.detection.scores import BoxScores
from train.detection.truth import COUNTED, KIND, LABEL, pack
from train.options import FitOptions
from train.pictures.charts import draw_class_scores
from train.pictures.sheets import draw_boxes
from train.samples import Sample
from train.scores import Counts
from train.tasks.backbones import check_backbone_options
from train.tasks.task import OneTarget
from train.weights import balanced_weights, check_loss_weights

__all__ = ["SHOWN", "Detect"]

SHOWN = 0.3  # score from which boxes are drawn and counted for single images; average precision takes all


@dataclass(frozen=True, kw_only=True)
class Detect(OneTarget):
    """Detection: a compact detector without anchors, judged by COCO's mean average precision."""

    score = "map"
    default_model = "detector"
    target: ClassVar[str] = "boxes"
    title: ClassVar[str] = "boxes"
    noun: ClassVar[str] = "boxes"
    num_samples: ClassVar[int] = 6
    weighs_objects: ClassVar[bool] = True
    takes: ClassVar[frozenset[str]] = frozenset({"class_weights"})
    activation: ClassVar[str] = "sigmoid"
    min_classes: ClassVar[int] = 1

    @property
    def grid(self) -> Grid:
        """The cells that the detector predicts for."""
        return Grid(*self.shape[:2])

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the outputs: for each cell one logit per class, and four sides."""
        return (self.grid.num_cells, self.num_classes + NUM_SIDES)

    def check_options(self, options: FitOptions) -> None:
        """Raise `UsageError` for options that do not fit boxes or the detector."""
        self.check_target_options(options)
        self._check_model(options)
        require_pycocotools()

    def check_target_options(self, options: FitOptions) -> None:
        """Raise `UsageError` for options that make no sense for boxes."""
        check_loss_weights(options.loss_weights, [self.title])
        self.refuse(options, "mixup", "cutmix", "label_smoothing")
        if options.ignore_class is not None:
            raise UsageError(
                f"--ignore-class: this is for masks; the dataset has boxes, got {options.ignore_class}. Boxes that are "
                "difficult or a crowd count neither in loss nor in scores."
            )

    def _check_model(self, options: FitOptions) -> None:
        name = self.model_name(options)
        if name.startswith(PREFIX):
            check_backbone_options(name.removeprefix(PREFIX), options, channels=self.shape[2])
        elif name != "detector":
            raise UsageError(
                "--model: the dataset has boxes: detector, or detector- with a backbone such as "
                f"detector-EfficientNetB0; got {options.model!r}. Train a detector of your own in a loop of your own, "
                "on precompute.load."
            )
        elif options.freeze_epochs:
            raise UsageError(f"--freeze-epochs: detector has no backbone to freeze, got {options.freeze_epochs}.")
        elif options.weights == "imagenet":
            raise UsageError("--weights: there are no imagenet weights for detector; none, or a file of a whole model.")

    def make_model(self, options: FitOptions) -> Any:
        """Return a detector, compact or on a backbone."""
        name = self.model_name(options)
        return make_detector(
            self.shape,
            self.num_classes,
            base_channels=options.base_channels,
            normalize=self.normalize,
            backbone=name.removeprefix(PREFIX) if name.startswith(PREFIX) else None,
            weights=options.weights,
        )

    def make_loss(self, options: FitOptions) -> Any:
        """Return focal loss of the classes plus generalized IoU of the sides."""
        return BoxLoss(height=self.shape[0], width=self.shape[1], num_classes=self.num_classes)

    def make_metrics(self) -> list[Any]:
        """Return average precision, from histograms of the scores."""
        return [BoxScores(height=self.shape[0], width=self.shape[1], num_classes=self.num_classes)]

    def pack(self, targets: Any, *weights: Any) -> tuple[Any, ...]:
        """Return boxes, labels, kinds and weights of objects as one tensor [B, N, 7], then weights of images [B].

        Weights of one dimension belong to images; beside weights of objects, they come as an extra value.
        """
        if weights and weights[0].shape.rank == 1:
            return pack(targets), *weights
        of_objects, extras = weights[:1], weights[1:]
        return pack(targets, *of_objects), *(extra["weight"] for extra in extras)

    def class_ids(self, targets: Any) -> Any:
        """Return the labels of the objects; padding is of class 0."""
        return ops.maximum(targets[..., LABEL], 0)

    def check_targets(self, targets: npt.NDArray[Any], where: str) -> None:
        """Raise `DatasetError` if there are class ids that the model has no output for."""
        wrong = [int(value) for value in np.unique(targets) if not 0 <= value < self.num_classes]
        if wrong:
            raise DatasetError(
                f"{where} has boxes with class ids outside its {format_count(self.num_classes, 'class')} (0 to "
                f"{self.num_classes - 1}):\n{first_few([str(value) for value in wrong])}\nBuild the dataset again."
            )

    def balanced_weights(self, batches: Iterable[npt.NDArray[Any]]) -> list[float]:
        """Return one weight per class, with which the objects of all classes count equally in the loss."""
        counts = np.zeros(self.num_classes, np.int64)
        for targets in batches:
            counted = (targets[..., LABEL] >= 0) & (targets[..., KIND] == COUNTED)
            counts += np.bincount(targets[..., LABEL][counted].astype(int), minlength=self.num_classes)
        return balanced_weights(counts)

    def detect(self, outputs: npt.NDArray[np.float32]) -> Detections:
        """Return the boxes of outputs [B, cells, classes + 4] as arrays."""
        return Detections(*(np.asarray(part) for part in decode(ops.convert_to_tensor(outputs), self.grid)))

    def decide(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Return the boxes of one image, float32 [found, 6]: xyxy in pixels, score, label; the likeliest first."""
        boxes, scores, labels = (part[0] for part in self.detect(logits[None]))
        rows = np.concatenate([boxes, scores[:, None], labels[:, None].astype(np.float32)], axis=1)
        return np.asarray(rows[scores > 0])

    def confidence(self, logits: npt.NDArray[np.float32]) -> float:
        """Return the mean score of the boxes that are shown; 0 without any."""
        scores = self.decide(logits)[:, 4]
        return float(scores[scores >= SHOWN].mean()) if (scores >= SHOWN).any() else 0.0

    def count(self, truth: npt.NDArray[Any], logits: npt.NDArray[np.float32]) -> Counts:
        """Return the objects and the detections of a batch as rows that begin with the image's index in it."""
        image, number = np.nonzero(truth[..., LABEL] >= 0)
        found = self.detect(logits)
        of_image, place = np.nonzero(found.scores > 0)
        columns = (of_image[:, None], found.boxes, found.scores[..., None], found.labels[..., None])
        chosen = [columns[0], *(column[of_image, place] for column in columns[1:])]
        return {
            "truth": np.concatenate([image[:, None], truth[image, number]], axis=1).astype(np.float64),
            "found": np.concatenate(chosen, axis=1).astype(np.float64),
            "images": np.array(len(truth)),
        }

    def add_counts(self, counts: Counts, found: Counts) -> Counts:
        """Return the rows of both, with the indices of later images after those of earlier ones."""
        if not counts:
            return found
        first = int(counts["images"])
        joined = {}
        for name in ("truth", "found"):
            later = found[name].copy()
            later[:, 0] += first
            joined[name] = np.concatenate([counts[name], later])
        return {**joined, "images": counts["images"] + found["images"]}

    def summarize(self, counts: Counts) -> dict[str, Any]:
        """Return mean average precision, and the scores of each class."""
        scores = coco_scores(
            counts["truth"], counts["found"], num_images=int(counts["images"]), num_classes=self.num_classes
        )
        classes = [
            {"class": c, "name": name, **row}
            for c, (name, row) in enumerate(zip(self.class_names, scores["classes"], strict=True))
        ]
        return {**scores, "num_images": int(counts["images"]), "classes": classes}

    def describe(self, summary: dict[str, Any]) -> list[str]:
        """Return one line per class, and the means."""
        width = max(5, *(len(name) for name in self.class_names))
        lines = [f"{'class':<{width}}  objects  mAP@[.5:.95]  AP@.5"]
        for row in summary["classes"]:
            precise, loose = ("    –" if row[k] is None else f"{row[k]:.3f}" for k in ("ap", "ap50"))
            lines.append(f"{row['name']:<{width}}  {row['num_objects']:7d}  {precise:>12}  {loose}")
        return [
            *lines,
            f"mAP@[.5:.95] {summary['map']:.3f}, mAP@.5 {summary['ap50']:.3f}, mAP@.75 {summary['ap75']:.3f}",
        ]

    def score_images(self, truth: npt.NDArray[Any], logits: npt.NDArray[np.float32]) -> list[float]:
        """Return 2 · right / (objects + boxes shown) of each image, at an overlap of 0.5; 1 where there is neither."""
        found = self.detect(logits)
        right, counts = (np.asarray(part)[..., 0] for part in match(ops.convert_to_tensor(truth), found))
        shown = found.scores >= SHOWN
        objects = ((truth[..., LABEL] >= 0) & (truth[..., KIND] == COUNTED)).sum(axis=1)
        hits, given = (right & shown).sum(axis=1), (counts & shown).sum(axis=1)
        both = objects + given
        return [float(2 * h / b) if b else 1.0 for h, b in zip(hits, both, strict=True)]

    def draw(self, samples: Sequence[Sample]) -> bytes:
        """Return boxes beside the truth."""
        return draw_boxes(samples, self.class_names, least=SHOWN)

    def draw_scores(self, summary: dict[str, Any]) -> bytes:
        """Return one bar of AP@.5 per class."""
        return draw_class_scores(
            summary["classes"], "ap50", "num_objects", mean=summary["ap50"], title="AP@.5", share="of objects"
        )
