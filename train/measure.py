"""Run a model over a split: one confusion matrix, and a few samples to look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from train.pictures import Sample
from train.scores import count_confusion
from train.tasks import Task

__all__ = ["Measurement", "measure"]

NUM_SAMPLES = {"mask": 6, "class": 24}


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What a model made of a split.

    Attributes:
        confusion: int64 [C, C]: truth in rows, prediction in columns.
        samples: Evenly spread over the split.
    """

    confusion: npt.NDArray[np.int64]
    samples: list[Sample]


def measure(model: Any, task: Task, batches: Iterable[Any], *, num_images: int, where: str) -> Measurement:
    """Predict all batches of (images, targets), in their order.

    Args:
        model: Gives logits.
        task: Of the dataset.
        batches: A dataset without shuffling.
        num_images: Images in it, to spread the samples.
        where: Name of the split, for messages.

    Raises:
        DatasetError: A target is outside the task's classes.
    """
    confusion = np.zeros((task.num_classes, task.num_classes), np.int64)
    num_samples = min(num_images, NUM_SAMPLES[task.target])
    wanted = set(np.linspace(0, num_images - 1, num_samples).round().astype(int).tolist())
    samples: list[Sample] = []
    first = 0
    for images, targets in batches:
        truth, logits = np.asarray(targets), np.asarray(model.predict_on_batch(images))
        task.check_targets(truth, where)
        predicted = logits.argmax(axis=-1)
        confusion += count_confusion(truth, predicted, num_classes=task.num_classes, ignore_class=task.ignore_class)
        for i in range(len(truth)):
            if first + i in wanted:
                samples.append(_make_sample(np.asarray(images[i]), truth[i], predicted[i], logits[i]))
        first += len(truth)
    return Measurement(confusion=confusion, samples=samples)


def _make_sample(image: Any, truth: Any, predicted: Any, logits: npt.NDArray[np.float32]) -> Sample:
    """Make a sample; the confidence is the softmax of the largest logit."""
    above = np.exp(logits - logits.max(axis=-1, keepdims=True)).sum(axis=-1)
    return Sample(image=image, truth=truth, predicted=predicted, confidence=float((1 / above).mean()))
