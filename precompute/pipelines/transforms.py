"""Albumentations, imported without its request to the package index; and walks over its compositions."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pydantic
import scipy

from precompute.errors import PipelineError


class _SciPySpecial:
    """Stands for `scipy.special` in Albumentations, and imports it when it is used."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module("scipy.special"), name)


@contextlib.contextmanager
def _special_comes_late() -> Iterator[None]:
    """Let Albumentations have `scipy.special` when it uses it: one function, in RingingOvershoot alone.

    It takes a quarter of the time of the import, in every worker. Everybody else gets the module itself.
    """
    if "scipy.special" in sys.modules:
        yield
        return
    stand_in = scipy.special = _SciPySpecial()
    try:
        yield
    finally:
        if scipy.special is stand_in:  # else somebody has imported it
            del scipy.special


@contextlib.contextmanager
def _validators_come_late() -> Iterator[None]:
    """Let pydantic make the validators of Albumentations' 120 transforms when they are first used.

    They take a fifth of the time of the import. A pipeline uses a few, and none in workers, which unpickle it. The
    classes are left as they would be otherwise: those that users derive from them are made at once.

    Source: pydantic's `defer_build`. Before 2.14, two threads that make the first transforms of a class could get in
    each other's way (https://github.com/pydantic/pydantic/pull/13438).
    """
    config: Any = pydantic.BaseModel.model_config
    if tuple(map(int, pydantic.VERSION.split(".")[:2])) < (2, 14) or "defer_build" in config:
        yield
        return
    config["defer_build"] = True
    try:
        yield
    finally:
        del config["defer_build"]
        for cls in _derived_from(pydantic.BaseModel):
            if cls.__module__.startswith("albumentations."):
                cls.model_config.pop("defer_build", None)


def _derived_from(cls: type[Any]) -> Iterator[type[Any]]:
    for derived in cls.__subclasses__():
        yield derived
        yield from _derived_from(derived)


# Unless this is set, importing Albumentations asks the package index for updates, two seconds in every worker.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

with _special_comes_late(), _validators_come_late():
    import albumentations

_NOT_GIVEN = albumentations.Lambda().custom_apply_fns
__all__ = [
    "albumentations",
    "check_that_all_move",
    "compositions",
    "custom_functions",
    "default_of",
    "is_composition",
    "is_custom",
    "leaves",
    "make_from_dict",
    "named_leaves",
    "never_running",
    "parameters_of",
    "shown_name",
]


def make_from_dict(node: dict[str, Any]) -> Any:
    """Return the transform or composition of the ``transform`` entry of a dictionary that Albumentations wrote.

    Albumentations writes more than it reads: parameters of a transform's base classes, which it then calls unknown and
    warns about (`PadIfNeeded`, `SafeRotate`, `RGBShift` …).
    """
    with warnings.catch_warnings():
        # Bases of transforms that change only colours, or nothing: their boxes stay where they are.
        warnings.filterwarnings("ignore", message="Got processor for bboxes, but no transform")
        return albumentations.from_dict({"transform": _without_inherited(node)})


def _without_inherited(node: dict[str, Any]) -> dict[str, Any]:
    cls = getattr(albumentations, node["__class_fullname__"].rpartition(".")[2], None)
    if cls is None:
        return node
    inherited = _inherited_parameters(cls)
    kept = {name: value for name, value in node.items() if name not in inherited}
    if "transforms" in node:
        kept["transforms"] = [_without_inherited(inner) for inner in node["transforms"]]
    return kept


@functools.cache
def _inherited_parameters(cls: type) -> frozenset[str]:
    """Return the names of the arguments that a class's bases take and the class does not."""
    return frozenset(name for base in cls.__mro__[1:] for name in parameters_of(base)) - set(parameters_of(cls))


def parameters_of(cls: type) -> list[str]:
    """Return the names of the arguments that a transform's class takes."""
    if cls is object:
        return []
    return [name for name in inspect.signature(cls.__init__).parameters if name not in ("self", "strict")]  # type: ignore[misc]


def default_of(cls: type, parameter: str) -> Any:
    """Return the default of an argument that a transform's class takes; None where it takes no such argument."""
    found = inspect.signature(cls.__init__).parameters.get(parameter)  # type: ignore[misc]
    return None if found is None else found.default


def is_composition(transform: Any) -> bool:
    """Return whether an object is a composition of transforms: Compose, OneOf, SomeOf, Sequential …"""
    return isinstance(transform, albumentations.BaseCompose)


def leaves(composition: Any) -> Iterator[Any]:
    """Yield the transforms of a pipeline, including those inside nested compositions."""
    for transform in getattr(composition, "transforms", ()):
        if is_composition(transform):
            yield from leaves(transform)
        else:
            yield transform


def named_leaves(composition: Any) -> Iterator[tuple[str, Any]]:
    """Yield (name, transform) for the transforms of a pipeline; a name begins with those of compositions around it."""
    for transform in getattr(composition, "transforms", ()):
        if is_composition(transform):
            around = type(transform).__name__
            yield from ((f"{around} › {name}", leaf) for name, leaf in named_leaves(transform))
        else:
            yield shown_name(transform), transform


def never_running(composition: Any) -> list[tuple[str, Any]]:
    """Return (name, transform) for transforms that never run, by their own p or that of compositions around them."""
    found = []
    for transform in getattr(composition, "transforms", ()):
        name = shown_name(transform)
        if not transform.p or getattr(transform, "n", 1) == 0:
            found.append((name, transform))
        elif is_composition(transform):
            found += [(f"{name} › {inner}", idle) for inner, idle in never_running(transform)]
    return found


def compositions(composition: Any) -> Iterator[Any]:
    """Yield a composition and all those inside it."""
    yield composition
    for transform in composition.transforms:
        if is_composition(transform):
            yield from compositions(transform)


def is_custom(transform: Any) -> bool:
    """Return whether a transform or a composition runs a user's own code."""
    foreign = not type(transform).__module__.startswith("albumentations.")
    return foreign or isinstance(transform, albumentations.Lambda)


def custom_functions(transform: Any) -> dict[str, Any]:
    """Return target → function for the functions that a user gave to a Lambda; empty for other transforms."""
    if not isinstance(transform, albumentations.Lambda):
        return {}
    functions = sorted(transform.custom_apply_fns.items())
    return {target: function for target, function in functions if function is not _NOT_GIVEN[target]}


def shown_name(transform: Any) -> str:
    """Return the name of a transform for messages; for a Lambda, also which one it is."""
    name = type(transform).__name__
    named = getattr(transform, "name", None)
    if isinstance(named, str):
        return f"{name}({named!r})"
    functions = [f"{target}={getattr(f, '__name__', '?')}" for target, f in custom_functions(transform).items()]
    return f"{name}({', '.join(functions)})" if functions else name


def check_that_all_move(compose: Any, split: str, target: str, what: str) -> None:
    """Refuse a pipeline with transforms that move pixels but leave boxes or keypoints where they were.

    Args:
        compose: The pipeline.
        split: The split it is for, for messages.
        target: Albumentations' name of the target: ``"bboxes"`` or ``"keypoints"``.
        what: Name of the target in messages.

    Raises:
        PipelineError: It has such transforms.
    """
    unable = [shown_name(transform) for transform in leaves(compose) if not _moves(transform, target)]
    if unable:
        raise PipelineError(
            f"pipeline of {split}: {', '.join(dict.fromkeys(unable))} cannot move {what}; leave it out, or give a "
            f"custom transform an apply_to_{target}."
        )


def _moves(transform: Any, target: str) -> bool:
    if isinstance(transform, albumentations.ImageOnlyTransform | albumentations.NoOp):
        return True
    method = getattr(type(transform), f"apply_to_{target}", None)
    implemented = method is not None and method is not getattr(albumentations.DualTransform, f"apply_to_{target}")
    return implemented and (is_custom(transform) or target in transform.available_keys)
