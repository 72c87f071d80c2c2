"""Pipelines a little changed, so that what a change would save can be measured before anybody makes it."""

from __future__ import annotations

from typing import Any

import cloudpickle

from precompute.record.pipelines.transforms import leaves, shown_name

__all__ = ["sizing_first", "with_arguments"]

# Transforms that decide the size of what comes after them, and can as well come first.
SIZING = (
    "Resize",
    "RandomResizedCrop",
    "RandomSizedCrop",
    "SmallestMaxSize",
    "LongestMaxSize",
    "RandomCrop",
    "CenterCrop",
)


def sizing_first(pickled: bytes) -> tuple[str, list[str], bytes] | None:
    """Return a prepared pipeline with its first resize or crop moved to the front.

    Returns:
        The name of that transform, those of the transforms that stood before it, and the pipeline; None where there is
        no such transform that always runs, or nothing before it.
    """
    compose = cloudpickle.loads(pickled)
    for number, transform in enumerate(compose.transforms):
        if type(transform).__name__ in SIZING and transform.p == 1:
            if number == 0:
                return None
            before = [shown_name(t) for t in compose.transforms[:number]]
            compose.transforms = [transform, *compose.transforms[:number], *compose.transforms[number + 1 :]]
            return shown_name(transform), before, cloudpickle.dumps(compose)
    return None


def with_arguments(pickled: bytes, name: str, **arguments: Any) -> bytes:
    """Return a prepared pipeline in which all transforms of a class have other arguments."""
    compose = cloudpickle.loads(pickled)
    for transform in leaves(compose):
        if type(transform).__name__ == name:
            for argument, value in arguments.items():
                setattr(transform, argument, value)
    return bytes(cloudpickle.dumps(compose))
