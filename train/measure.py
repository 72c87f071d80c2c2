"""Run a model over a split: what its scores are counted from, and the best, median and worst examples to look at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from train.samples import Sample, choose_samples
from train.scores import Counts
from train.tasks import Task

__all__ = ["Measurement", "measure"]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What a model made of a split.

    Attributes:
        counts: What the task has counted, summed over the split.
        samples: Samples: as many of the best as of the median and the worst.
    """

    counts: Counts
    samples: list[Sample]


def measure(model: Any, task: Task, batches: Iterable[Any], *, where: str) -> Measurement:
    """Predict all batches of (images, targets), in their order.

    Which images are samples is known at the end: they are read a second time, so that no others are held in memory.

    Args:
        model: Model that gives logits.
        task: Task of the dataset.
        batches: A dataset without shuffling.
        where: Name of the split, for messages.

    Raises:
        DatasetError: A target is outside the task's classes.
    """
    counts: Counts = {}
    scores: list[float] = []
    for images, targets in batches:
        truth, logits = np.asarray(targets), np.asarray(model.predict_on_batch(images))
        if task.num_classes:
            task.check_targets(task.class_ids(truth), where)
        counts = task.add_counts(counts, task.count(truth, logits))
        scores.extend(task.score_images(truth, logits))
    samples = _read_samples(model, task, batches, choose_samples(scores, task.num_samples), scores)
    return Measurement(counts=counts, samples=samples)


def _read_samples(
    model: Any, task: Task, batches: Iterable[Any], chosen: dict[int, str], scores: Sequence[float]
) -> list[Sample]:
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
            found[p] = Sample(
                image=image,
                truth=truth,
                predicted=task.decide(logits[p - first]),
                confidence=task.confidence(logits[p - first]),
                standing=chosen[p],
                score=scores[p],
            )
        first += len(images)
    return [found[p] for p in chosen]
