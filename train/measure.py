"""Run a model over a split: one confusion matrix, and the best, median and worst examples to look at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from train.samples import Sample, choose_samples
from train.scores import count_confusion
from train.tasks import Task

__all__ = ["Measurement", "measure"]

NUM_SAMPLES = {"mask": 6, "class": 24}


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What a model made of a split.

    Attributes:
        confusion: int64 [C, C]: truth in rows, prediction in columns.
        samples: As many of the best as of the median and the worst.
    """

    confusion: npt.NDArray[np.int64]
    samples: list[Sample]


def measure(model: Any, task: Task, batches: Iterable[Any], *, where: str) -> Measurement:
    """Predict all batches of (images, targets), in their order.

    Which images are samples is known at the end: they are read a second time, so that no others are held in memory.

    Args:
        model: Gives logits.
        task: Of the dataset.
        batches: A dataset without shuffling.
        where: Name of the split, for messages.

    Raises:
        DatasetError: A target is outside the task's classes.
    """
    confusion = np.zeros((task.num_classes, task.num_classes), np.int64)
    scores: list[float] = []
    for images, targets in batches:
        truth, logits = np.asarray(targets), np.asarray(model.predict_on_batch(images))
        task.check_targets(truth, where)
        predicted = logits.argmax(axis=-1)
        confusion += count_confusion(truth, predicted, num_classes=task.num_classes, ignore_class=task.ignore_class)
        scores.extend(task.score_images(truth, logits))
    samples = _read_samples(model, batches, choose_samples(scores, NUM_SAMPLES[task.target]), scores)
    return Measurement(confusion=confusion, samples=samples)


def _read_samples(model: Any, batches: Iterable[Any], chosen: dict[int, str], scores: Sequence[float]) -> list[Sample]:
    """Return the chosen samples, in their order, from a second pass that ends with the last of them."""
    found: dict[int, Sample] = {}
    first = 0
    for images, targets in batches:
        if len(found) == len(chosen):
            break
        positions = [p for p in chosen if first <= p < first + len(images)]
        logits = np.asarray(model.predict_on_batch(images)) if positions else np.zeros(0)
        for p in positions:
            image, truth = np.asarray(images[p - first]), np.asarray(targets[p - first])
            found[p] = _make_sample(image, truth, logits[p - first], chosen[p], scores[p])
        first += len(images)
    return [found[p] for p in chosen]


def _make_sample(image: Any, truth: Any, logits: npt.NDArray[np.float32], standing: str, score: float) -> Sample:
    """Make a sample; the confidence is the softmax of the largest logit."""
    above = np.exp(logits - logits.max(axis=-1, keepdims=True)).sum(axis=-1)
    return Sample(
        image=image,
        truth=truth,
        predicted=logits.argmax(axis=-1),
        confidence=float((1 / above).mean()),
        standing=standing,
        score=score,
    )
