"""Running a model over a split: counts for its scores, and the best, median and worst examples."""

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
    """The measurement of a model on a split.

    Attributes:
        counts: Counts of the task, summed over the split.
        samples: Examples with predictions: equally many of the best, the median and the worst.
    """

    counts: Counts
    samples: list[Sample]


def measure(model: Any, task: Task, batches: Iterable[Any], *, where: str) -> Measurement:
    """Predict all batches of (images, targets), in their order.

    Only at the end is it known which images are samples. These are read a second time, so that no others are kept in
    memory.

    Args:
        model: Model that returns logits.
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
