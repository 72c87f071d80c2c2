"""Before the job: do a pipeline's pixels follow from the record's draws alone?

Albumentations' generators do not reach a Lambda or a custom transform that draws from `np.random`, or a pipeline hidden
inside one. The same records are made twice, in different orders, with other calls between and the global generators
set differently; a difference, or a global generator that moved, is refused.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import albumentations
import cloudpickle
import cv2
import numpy as np

from precompute.errors import PipelineError
from precompute.record.pipeline import Pipeline, is_custom, leaves
from precompute.record.render import Decoded

__all__ = ["probe"]

VARIANTS = range(4)


def probe(pickled: bytes, sources: Sequence[Decoded], split: str) -> None:
    """Check that a prepared pipeline draws only from the generators it was given.

    Args:
        pickled: From `pipeline.prepare`.
        sources: A few decoded sources.
        split: For messages.

    Raises:
        PipelineError: It does not; the message names the transform.
    """
    with _global_generators_kept():
        suspects = [leaf for leaf in leaves(cloudpickle.loads(pickled)) if is_custom(leaf)]
        for leaf in suspects:
            complaint = _complaint(_alone(leaf), sources)
            if complaint:
                raise PipelineError(_message(split, _name(leaf), complaint))
        complaint = _complaint(pickled, sources)
        if complaint:
            culprits = [_name(leaf) for leaf in leaves(cloudpickle.loads(pickled)) if _complaint(_alone(leaf), sources)]
            raise PipelineError(_message(split, ", ".join(culprits) or "a transform", complaint))


def _message(split: str, name: str, complaint: str) -> str:
    return (
        f"pipeline of {split}: {name} {complaint}, so its records could not be made again. Draw from self.py_random or "
        "self.random_generator of a custom transform (albumentations.ImageOnlyTransform, DualTransform) instead."
    )


def _alone(leaf: Any) -> bytes:
    leaf = cloudpickle.loads(cloudpickle.dumps(leaf))
    leaf.p = 1.0
    return bytes(cloudpickle.dumps(albumentations.Compose([leaf])))


def _name(leaf: Any) -> str:
    name = getattr(leaf, "name", None)
    return f"{type(leaf).__name__}({name})" if isinstance(name, str) else type(leaf).__name__


def _complaint(pickled: bytes, sources: Sequence[Decoded]) -> str | None:
    """Return what is wrong with a pipeline, or None. Transforms that raise are judged elsewhere."""
    work = [(source, variant) for source in sources for variant in VARIANTS]
    first, second = Pipeline(pickled), Pipeline(pickled)
    try:
        _set_global_generators(1)
        before = _global_state()
        forward = [_apply(first, source, variant) for source, variant in work]
        if _global_state() != before:
            return "draws from a global random generator (np.random or random)"
        _set_global_generators(2)
        backward = []
        for source, variant in reversed(work):
            _apply(second, sources[0], len(VARIANTS) + variant)  # a call between
            backward.append(_apply(second, source, variant))
    except Exception:
        return None
    same = all(_equal(a, b) for a, b in zip(forward, reversed(backward), strict=True))
    return None if same else "gives other pixels when the same record is made again"


def _apply(pipeline: Pipeline, source: Decoded, variant: int) -> tuple[Any, Any]:
    image, mask = source.image.copy(), None if source.mask is None else source.mask.copy()
    return pipeline.apply(image, mask, seed=0, key=source.key, variant=variant, copy=0)


def _equal(a: tuple[Any, Any], b: tuple[Any, Any]) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True) if x is not None)


def _set_global_generators(number: int) -> None:
    random.seed(number)
    np.random.seed(number)
    cv2.setRNGSeed(number)


def _global_state() -> tuple[Any, bytes, int]:
    state = np.random.get_state(legacy=False)["state"]
    return random.getstate(), state["key"].tobytes(), state["pos"]


@contextmanager
def _global_generators_kept() -> Iterator[None]:
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
