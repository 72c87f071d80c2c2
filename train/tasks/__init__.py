"""The kinds of target that can be learnt: model, loss, scores and pictures of each."""

from __future__ import annotations

from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError
from train.tasks.classify import Classify
from train.tasks.detect import Detect
from train.tasks.multilabel import MultiLabel
from train.tasks.segment import Segment
from train.tasks.task import Task, name_classes

__all__ = ["Task", "activation_of", "make_task", "name_classes"]

KINDS: tuple[type[Task], ...] = (Classify, MultiLabel, Segment, Detect)
LEARNT = "classes, labels, masks and boxes"


def make_task(manifest: Manifest, *, ignore_class: int | None = None) -> Task:
    """Return the task that the manifest's target asks for.

    Args:
        manifest: Manifest of the dataset.
        ignore_class: Takes the place of the manifest's, if given.

    Raises:
        DatasetError: There is no task for this target.
    """
    for task in KINDS:
        if task.accepts(manifest.schema):
            return task.of(manifest, ignore_class)
    there = " and ".join(field.form for field in manifest.schema.targets.values()) or "images alone"
    raise DatasetError(
        f"{manifest.name}: train fit learns {LEARNT}; the dataset has {there}: read it with "
        "precompute.load, and train in a loop of your own."
    )


def activation_of(target: str) -> str:
    """Return what makes probabilities of the logits of a kind of target: ``"softmax"`` or ``"sigmoid"``."""
    return next(kind.activation for kind in KINDS if kind.target == target)
