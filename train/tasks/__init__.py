"""Tasks, one for each kind of target that can be learnt, with model, loss, scores and pictures."""

from __future__ import annotations

from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError
from train.learnt_targets import IMAGE, choose_targets, head_names, is_joint
from train.tasks.classify import Classify
from train.tasks.detect import Detect
from train.tasks.joint import Joint
from train.tasks.multilabel import MultiLabel
from train.tasks.reconstruct import Reconstruct
from train.tasks.regress import Regress
from train.tasks.segment import Segment
from train.tasks.task import OneTarget, Task, name_classes, output_shapes, part_of, whole_of

__all__ = [
    "OneTarget",
    "Task",
    "activation_of",
    "make_task",
    "name_classes",
    "output_shapes",
    "part_of",
    "whole_of",
]

KINDS: tuple[type[OneTarget], ...] = (Classify, MultiLabel, Segment, Detect, Regress, Reconstruct)
LEARNT = "classes, labels, masks, boxes, numbers and further images"


def make_task(manifest: Manifest, *, ignore_class: int | None = None) -> Task:
    """Return the task for all targets of a dataset; for some of them, see `choose_targets`.

    Args:
        manifest: Manifest of the dataset.
        ignore_class: Ignore class of masks, if another one than the manifest's.

    Raises:
        DatasetError: There is no task for these targets.
    """
    if not is_joint(manifest.schema):
        return _kind_of(manifest).of(manifest, ignore_class)
    fields = head_names(manifest.schema)
    alone = {name: choose_targets(manifest, [field]) for name, field in fields.items()}
    apart = [name for name, of_part in alone.items() if _kind_of(of_part) is Detect]
    if apart:
        others = ",".join(name for name in alone if name not in apart)
        raise DatasetError(
            f"{manifest.name}: boxes are learnt by a detector, which shares its network with no other target; labels, "
            f"masks, numbers and further images are learnt together. Pass --target {apart[0]} or --target {others}."
        )
    heads = {}
    for name, of_part in alone.items():
        kind = _kind_of(of_part)
        heads[name] = kind.of(of_part, ignore_class if "ignore_class" in kind.takes else None, name)
    first = next(iter(heads.values()))
    return Joint(shape=first.shape, normalize=first.normalize, heads=heads, fields=fields)


def _kind_of(manifest: Manifest) -> type[OneTarget]:
    """Return the kind of task for the only target of a dataset, or for all its numbers."""
    for kind in KINDS:
        if kind.accepts(manifest.schema):
            return kind
    has = next((field.form for field in manifest.schema.targets.values()), "images alone")
    further = [field.own_name for field in manifest.schema.values() if field.form == IMAGE]
    others = f" Or pass --target {further[0]}, which is a further image of it." if further else ""
    raise DatasetError(
        f"{manifest.name}: train fit learns {LEARNT}; the dataset has {has}: read it with precompute.load, and train "
        f"in a loop of your own; or pass --target with other targets, where it has some.{others}"
    )


def activation_of(target: str) -> str:
    """Return the activation for the logits of a kind of target: ``"softmax"`` or ``"sigmoid"``."""
    return next(kind.activation for kind in KINDS if kind.target == target)
