"""Running a model over a split: counts for its scores, and the best, median and worst examples of each target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from train.files import of_part, write_bytes
from train.samples import Sample, choose_samples
from train.scores import Counts
from train.tasks import Task, part_of

__all__ = ["Measurement", "measure", "report"]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The measurement of a model on a split, for one target.

    Attributes:
        counts: Counts of the task, summed over the split.
        samples: Examples with predictions: equally many of the best, the median and the worst.
    """

    counts: Counts
    samples: list[Sample]


def report(
    model: Any, task: Task, batches: Iterable[Any], *, where: str, predictions: Path, scores: Path
) -> dict[str, Any]:
    """Measure a model, write the pictures of each target, and return all scores, for a JSON file.

    Args:
        model: Model that returns logits.
        task: Task of the dataset.
        batches: A dataset without shuffling.
        where: Name of the split, for messages.
        predictions: Picture of predictions beside the truth; with several targets, each has one: see `of_part`.
        scores: Picture of the scores, likewise.
    """
    found, summaries = measure(model, task, batches, where=where), {}
    for name, part in task.parts.items():
        summaries[name] = part.summarize(found[name].counts)
        write_bytes(of_part(predictions, name), part.draw(found[name].samples))
        write_bytes(of_part(scores, name), part.draw_scores(summaries[name]))
    return task.join(summaries)


def measure(model: Any, task: Task, batches: Iterable[Any], *, where: str) -> dict[str, Measurement]:
    """Predict all batches of (images, targets), in their order; returns the measurement of each part of the task.

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
    counts: dict[str, Counts] = {name: {} for name in task.parts}
    scores: dict[str, list[float]] = {name: [] for name in task.parts}
    for images, targets in batches:
        outputs = model.predict_on_batch(images)
        for name, part in task.parts.items():
            truth, logits = np.asarray(part_of(targets, name)), np.asarray(part_of(outputs, name))
            if part.num_classes:
                part.check_targets(part.class_ids(truth), f"{where}, {name}," if name else where)
            counts[name] = part.add_counts(counts[name], part.count(truth, logits))
            scores[name].extend(part.score_images(truth, logits))
    chosen = {name: choose_samples(scores[name], part.num_samples) for name, part in task.parts.items()}
    samples = _read_samples(model, task, batches, chosen, scores)
    return {name: Measurement(counts=counts[name], samples=samples[name]) for name in task.parts}


def _read_samples(
    model: Any,
    task: Task,
    batches: Iterable[Any],
    chosen: Mapping[str, dict[int, str]],
    scores: Mapping[str, Sequence[float]],
) -> dict[str, list[Sample]]:
    """Return the chosen samples of each part, in their order, from a second pass that ends with the last of them."""
    found: dict[str, dict[int, Sample]] = {name: {} for name in chosen}
    wanted = {place for places in chosen.values() for place in places}
    first = 0
    for images, targets in batches:
        if first > max(wanted, default=-1):
            break
        size = len(keras.tree.flatten(images)[0])
        outputs = model.predict_on_batch(images) if wanted & set(range(first, first + size)) else None
        for name, part in task.parts.items():
            for place in (place for place in chosen[name] if first <= place < first + size):
                truth, logits = (np.asarray(part_of(of, name)[place - first]) for of in (targets, outputs))
                found[name][place] = Sample(
                    image=np.asarray(images[place - first]),
                    truth=truth,
                    predicted=part.decide(logits),
                    confidence=part.confidence(logits),
                    standing=chosen[name][place],
                    score=scores[name][place],
                )
        first += size
    return {name: [found[name][place] for place in places] for name, places in chosen.items()}
