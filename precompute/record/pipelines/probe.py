"""Before the job: do a pipeline's pixels follow from the record's draws alone?

Albumentations' generators do not reach a Lambda or a custom transform that draws from `np.random`, or a pipeline hidden
inside one. The same records are made twice, in different orders, with other calls between and the global generators
set differently; a difference, or a global generator that moved, is refused.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import cloudpickle
import cv2
import numpy as np

from precompute.errors import PipelineError
from precompute.record.decode import Decoded
from precompute.record.pipelines.pipeline import Pipeline
from precompute.record.pipelines.transforms import albumentations, is_custom, leaves, shown_name
from precompute.targets.boxes import Boxes

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
    # OpenCV has one generator a thread and does not show its state: the caller's is safe in another thread.
    with _global_generators_kept(), ThreadPoolExecutor(1) as other_thread:
        other_thread.submit(_probe, pickled, sources, split).result()


def _probe(pickled: bytes, sources: Sequence[Decoded], split: str) -> None:
    transforms = list(leaves(cloudpickle.loads(pickled)))
    for transform in filter(is_custom, transforms):
        _refuse(split, shown_name(transform), _complaint(_alone(transform), sources))
    complaint = _complaint(pickled, sources)
    if complaint:
        culprits = [shown_name(transform) for transform in transforms if _complaint(_alone(transform), sources)]
        _refuse(split, ", ".join(culprits) or "a composition", complaint)


def _refuse(split: str, name: str, complaint: str | None) -> None:
    if complaint:
        raise PipelineError(_message(split, name, complaint))


def _message(split: str, name: str, complaint: str) -> str:
    return (
        f"pipeline of {split}: {name} {complaint}, so its records could not be made again. Draw from self.py_random or "
        "self.random_generator of a custom transform (albumentations.ImageOnlyTransform, DualTransform) instead."
    )


def _alone(leaf: Any) -> bytes:
    leaf = cloudpickle.loads(cloudpickle.dumps(leaf))
    leaf.p = 1.0
    return bytes(cloudpickle.dumps(albumentations.Compose([leaf])))


def _complaint(pickled: bytes, sources: Sequence[Decoded]) -> str | None:
    """Return what is wrong with a pipeline, or None."""
    work = [(source, variant) for source in sources for variant in VARIANTS]
    first, second = Pipeline(pickled), Pipeline(pickled)
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
    same = all(_equal(a, b) for a, b in zip(forward, reversed(backward), strict=True))
    return None if same else "gives other pixels when the same record is made again"


def _apply(pipeline: Pipeline, source: Decoded, variant: int) -> tuple[Any, Any]:
    """Return what a pipeline makes of a source; where it raises, nothing: that is judged elsewhere."""
    try:
        return pipeline.apply(source.image, source.target, seed=0, key=source.key, variant=variant, copy=0)
    except Exception:  # a transform may raise anything
        return None, None


def _equal(a: tuple[Any, Any], b: tuple[Any, Any]) -> bool:
    return all(x == y if isinstance(x, Boxes) else np.array_equal(x, y) for x, y in zip(a, b, strict=True))


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
