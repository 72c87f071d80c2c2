"""Labels for transforms that look at them: which transforms do, and the label fields that they get.

Albumentations puts labels into columns beside boxes and keypoints. A pipeline that looks at them finds the class index
in the first column, as in a `Compose` of one's own. The next column has our numbers, by which objects are joined again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.errors import PipelineError, first_few
from precompute.pipelines.transforms import (
    albumentations,
    compositions,
    custom_functions,
    is_custom,
    leaves,
    shown_name,
)

__all__ = ["field_values", "label_fields", "number_labels", "own_fields", "reads_labels"]

# Names to which Albumentations gives a meaning of its own.
RESERVED = ("image", "images", "mask", "masks", "bboxes", "keypoints", "volume", "volumes", "mask3d", "masks3d")
BASE = albumentations.BasicTransform


def reads_labels(compose: Any) -> bool:
    """Return whether a pipeline may look at labels: a user's code might, and dropouts that name classes do."""
    every = [*leaves(compose), *compositions(compose)]
    return any(_reads(transform) for transform in every)


def _reads(transform: Any) -> bool:
    if getattr(transform, "bbox_labels", None) is not None:
        return True
    if not is_custom(transform):
        return False
    if isinstance(transform, albumentations.Lambda):
        return bool({"bboxes", "keypoints"} & set(custom_functions(transform)))
    if not isinstance(transform, albumentations.ImageOnlyTransform):
        return True
    cls = type(transform)
    return any(getattr(cls, name) is not getattr(BASE, name) for name in ("get_params_dependent_on_data", "__call__"))


def label_fields(params: Any, default: str, number_field: str) -> list[str]:
    """Return the label fields of boxes or keypoints: the label, under the Compose's name for it, then our number."""
    named = [name for name in (getattr(params, "label_fields", None) or ()) if isinstance(name, str)]
    first = named[0] if named and named[0] not in (*RESERVED, number_field) else default
    return [first, number_field]


def own_fields(processor: Any, number_field: str) -> list[str]:
    """Return the label fields that a pipeline was prepared with, our number the last of them; empty for others."""
    fields = [] if processor is None else list(processor.params.label_fields or ())
    return fields if len(fields) in (1, 2) and fields[-1] == number_field else []


def field_values(fields: Sequence[str], labels: NDArray[Any], numbers: NDArray[np.int64]) -> Mapping[str, NDArray[Any]]:
    """Return the values of a Compose's label fields: labels, if it looks at them, and our numbers."""
    return dict(zip(fields, (labels, numbers) if len(fields) == 2 else (numbers,), strict=True))


def number_labels(compose: Any, split: str, class_names: Sequence[str]) -> None:
    """Replace the names of classes in transforms (`bbox_labels`) by class indices, in place.

    Raises:
        PipelineError: There is no such class, or a number may mean two classes.
    """
    for transform in leaves(compose):
        named = getattr(transform, "bbox_labels", None)
        if named is not None:
            where = f"pipeline of {split}: {shown_name(transform)} has bbox_labels={list(named)!r:.80}"
            transform.bbox_labels = [_index(label, class_names, where) for label in named]


def _index(label: Any, class_names: Sequence[str], where: str) -> int:
    if isinstance(label, str):
        if label in class_names:
            return list(class_names).index(label)
        raise PipelineError(f"{where}, but there is no class {label!r}; the classes are:\n{_listed(class_names)}")
    index = int(label)
    if index != label or not 0 <= index < len(class_names):
        raise PipelineError(
            f"{where}, but {label!r} is no class index; give names or indices of:\n{_listed(class_names)}"
        )
    if str(index) in class_names and class_names[index] != str(index):
        raise PipelineError(
            f"{where}: {index} is the index of {class_names[index]!r}, and there is a class named {str(index)!r}. Give "
            f"the name as text: {str(index)!r} or {class_names[index]!r}."
        )
    return index


def _listed(class_names: Sequence[str]) -> str:
    return first_few([f"{index}: {name}" for index, name in enumerate(class_names)], 30)
