"""Tasks, one for each kind of target that can be learnt, with model, loss, scores and pictures."""

from __future__ import annotations

from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError
from train.tasks.classify import Classify
from train.tasks.detect import Detect
from train.tasks.multilabel import MultiLabel
from train.tasks.regress import Regress
from train.tasks.segment import Segment
from train.tasks.task import Task, name_classes

__all__ = ["Task", "activation_of", "make_task", "name_classes"]

KINDS: tuple[type[Task], ...] = (Classify, MultiLabel, Segment, Detect, Regress)
LEARNT = "classes, labels, masks, boxes and numbers"


def make_task(manifest: Manifest, *, ignore_class: int | None = None) -> Task:
    """Return the task for the targets of a dataset.

    Args:
        manifest: Manifest of the dataset.
        ignore_class: Ignore class, if another one than the manifest's.

    Raises:
        DatasetError: There is no task for these targets.
    """
    for task in KINDS:
        if task.accepts(manifest.schema):
            return task.of(manifest, ignore_class)
    raise DatasetError(
        f"{manifest.name}: train fit learns {LEARNT}; the dataset has {_describe_fields(manifest)}: read it with "
        "precompute.load, and train in a loop of your own."
    )


def _describe_fields(manifest: Manifest) -> str:
    targets = manifest.schema.targets
    if not targets:
        return "images alone"
    if len(targets) == 1:
        return next(iter(targets.values())).form
    named = ", ".join(f"{name} ({field.form})" for name, field in targets.items())
    return f"several targets, {named}, and a model of several learns numbers only"


def activation_of(target: str) -> str:
    """Return the activation for the logits of a kind of target: ``"softmax"`` or ``"sigmoid"``."""
    return next(kind.activation for kind in KINDS if kind.target == target)
