"""Pipelines ↔ descriptions: JSON of all that decides a pipeline's pixels."""

from __future__ import annotations

import copy
import platform
from typing import Any

import cloudpickle

from precompute.pipelines.code_hash import CodeHasher
from precompute.pipelines.transforms import (
    albumentations,
    compositions,
    custom_functions,
    is_composition,
    is_custom,
    leaves,
    make_from_dict,
    parameters_of,
)

__all__ = ["AROUND", "PROBE", "describe", "mirrorings", "rebuild"]

AROUND = "box_around_pieces"  # of a Compose: see `BoxRules.around`
PROBE = "mirror_probe"  # of a Compose: keypoints are moved only to tell whether the image was mirrored

# Attributes that do not affect pixels, or that change from call to call.
_PASSING = {
    *("py_random", "random_generator", "seed", "params", "processors", "transforms", "invalid_args", "_strict"),
    *("_key2func", "_available_keys", "_additional_targets", "replay_mode", "deterministic", "applied_in_replay"),
    *("is_check_args", "check_each_transform", "main_compose", "_images_was_list", "_masks_was_list"),
    *("save_applied_params", "save_key", "custom_apply_fns"),
}
_BESIDE = ("attributes", "code")  # what a transform's dictionary has beyond what Albumentations serializes
HORIZONTAL, VERTICAL = "horizontal", "vertical"
# Exact classes: a subclass (TimeReverse turns spectrograms) or a user's own transform may mean something else.
# Transpose and RandomRotate90 mirror along neither axis.
MIRRORS = {
    albumentations.HorizontalFlip: {HORIZONTAL},
    albumentations.VerticalFlip: {VERTICAL},
    albumentations.D4: {HORIZONTAL, VERTICAL},
    albumentations.SquareSymmetry: {HORIZONTAL, VERTICAL},
}


def describe(composition: Any) -> dict[str, Any]:
    """Return all that decides a pipeline's pixels as JSON: what Albumentations serializes, and what it omits.

    ``transform`` is Albumentations' own dictionary, where each transform may have two things more: ``attributes``,
    those that Albumentations does not serialize, and ``code``, a hash of a user's own code (see `plain`).
    """
    described: dict[str, Any] = {"transform": _Describing().node(composition)}
    if _has_code(described["transform"]):
        described["python"] = ".".join(platform.python_version_tuple()[:2])  # another one, another bytecode
    return described


def rebuild(description: dict[str, Any]) -> Any | None:
    """Return the pipeline of a description; None if it holds something that cannot be made from JSON."""
    try:
        if _has_code(description["transform"]):
            return None
        compose = make_from_dict(_arguments(description["transform"]))
        _set_interpolation(compose, description["transform"])
        for flag in {AROUND, PROBE} & description["transform"].get("attributes", {}).keys():
            setattr(compose, flag, True)
        same = describe(compose) == description and all(map(_has_chance, [*compositions(compose), *leaves(compose)]))
    except Exception:  # whatever is missing or has changed: it cannot be rebuilt, and the caller says so
        return None
    return compose if same else None


def _has_chance(transform: Any) -> bool:
    """Return whether the p of a transform is a number: Albumentations takes anything."""
    return isinstance(transform.p, int | float)


class _Describing(CodeHasher):
    """Makes JSON of values that may be transforms or compositions."""

    def other(self, value: Any) -> Any:
        known = isinstance(value, albumentations.BasicTransform | albumentations.BaseCompose)
        return self.node(value) if known else super().other(value)

    def node(self, transform: Any) -> dict[str, Any]:
        """Return a transform or a composition, with all inside it, as JSON."""
        node: dict[str, Any] = self(_serialized(transform))
        beside = {name: value for name, value in vars(transform).items() if name not in node and name not in _PASSING}
        attributes = {name: self(value) for name, value in beside.items() if value is not None}
        if attributes:
            node["attributes"] = attributes
        if is_custom(transform):
            node["__class_fullname__"] = type(transform).__qualname__  # the same code in another file is the same
            node["code"] = self.sha256([type(transform), custom_functions(transform)])
        if is_composition(transform):
            node["transforms"] = [self.node(inner) for inner in transform.transforms]
        return node


def _serialized(transform: Any) -> dict[str, Any]:
    """Return Albumentations' own serialization; a minimal one for transforms that refuse it (a Lambda without name)."""
    least = {"__class_fullname__": transform.get_class_fullname(), "p": transform.p}
    if is_composition(transform):
        emptied = copy.copy(transform)
        emptied.transforms = []  # one of them may refuse
        return {**least, **emptied.to_dict_private(), **_bbox_params(transform)}
    try:
        return {**least, **transform.to_dict_private()}
    except Exception:  # each transform words its refusal as it likes
        return least


def _bbox_params(composition: Any) -> dict[str, Any]:
    """Return the parameters of boxes with the one that Albumentations does not serialize."""
    processor = composition.processors.get("bboxes")
    if processor is None or not isinstance(composition, albumentations.Compose):
        return {}
    params = processor.params
    return {"bbox_params": {**params.to_dict_private(), "filter_invalid_bboxes": params.filter_invalid_bboxes}}


def _has_code(node: dict[str, Any]) -> bool:
    return "code" in node or any(_has_code(inner) for inner in node.get("transforms", ()))


def _arguments(node: dict[str, Any], *, interpolation_given: bool = False) -> dict[str, Any]:
    """Return a node in the form that Albumentations reads, with those attributes that are arguments."""
    known = parameters_of(getattr(albumentations, node["__class_fullname__"]))
    beside = node.get("attributes", {})
    arguments = {name: value for name, value in beside.items() if name in known}
    arguments |= {name: value for name, value in node.items() if name not in _BESIDE}
    if "transforms" in node:
        given = interpolation_given or "mask_interpolation" in beside
        arguments["transforms"] = [_arguments(inner, interpolation_given=given) for inner in node["transforms"]]
    elif interpolation_given:
        arguments.pop("mask_interpolation", None)  # the composition sets it, also to what the transform would refuse
    return arguments


def _set_interpolation(composition: Any, node: dict[str, Any]) -> None:
    interpolation = node.get("attributes", {}).get("mask_interpolation")
    if interpolation is not None:
        composition.set_mask_interpolation(interpolation)
    for inner, inner_node in zip(composition.transforms, node["transforms"], strict=True):
        if is_composition(inner):
            _set_interpolation(inner, inner_node)


# Mirrorings that a pipeline makes: a reader may add the same ones at each reading


def mirrorings(pickled: bytes) -> list[str]:
    """Return which mirrorings, ``"horizontal"`` and ``"vertical"``, a single transform of a prepared pipeline can make.

    Mirrorings that several transforms make only together do not count: needless mirroring may spoil text or hands.
    """
    return sorted(_of(cloudpickle.loads(pickled)))


def _of(transform: Any) -> set[str]:
    if not transform.p:
        return set()
    if not is_composition(transform):
        return MIRRORS.get(type(transform), set())
    if is_custom(transform) or isinstance(transform, albumentations.SelectiveChannelTransform):
        return set()  # the latter mirrors single channels
    return {found for inner in transform.transforms for found in _of(inner)}
