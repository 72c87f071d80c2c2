"""Before the job: checks that a pipeline's pixels depend only on the record's draws.

Albumentations' generators do not reach a Lambda or a custom transform that draws from `np.random`, or a pipeline inside
one. So each record is watched for changes of global generators, and the same records are made twice, in different
orders and with other calls between. A pipeline that moves a global generator, or whose records differ, is refused.

Other threads of the program may draw from the global generators meanwhile. So these are read here and never set, and a
record during which one moved is tried again. If it always moves, a new interpreter without other threads tells whether
the pipeline drew.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import cloudpickle
import cv2
import numpy as np

from precompute.errors import PipelineError, RejectedSource
from precompute.fields.feature import are_same
from precompute.pipelines.pipeline import Pipeline
from precompute.pipelines.transforms import albumentations, is_custom, leaves, shown_name
from precompute.rendering.decode import Decoded
from precompute.rendering.render import PipelineFault, augment, move
from precompute.rendering.spec import RecordSpec

__all__ = ["first_fault", "global_generators_kept", "has_other_threads", "probe"]

VARIANTS = range(4)
TRIES = 5  # of a record during which a global generator moved, where other threads may have drawn
MARK = "complaint: "  # stands before it: pipelines may print
DRAWS = "draws from a global random generator (np.random or random)"
SUBPROCESS_CODE = (
    "import sys; from precompute.preflight.probe import answer_parent; answer_parent(sys.stdin.buffer.read())"
)


def probe(pickled: bytes, sources: Sequence[Decoded], spec: RecordSpec, split: str) -> None:
    """Check that a prepared pipeline draws only from its own generators.

    Raises:
        PipelineError: It draws from others; the message names the transform.
    """
    shared = has_other_threads()
    # OpenCV has one generator per thread and does not show its state; in another thread, the caller's stays untouched.
    with nullcontext() if shared else global_generators_kept(), ThreadPoolExecutor(1) as other_thread:
        other_thread.submit(_probe, pickled, sources, spec, split, shared=shared).result()


def has_other_threads() -> bool:
    """Return whether this program has other threads than this one, which may draw from global generators."""
    return any(thread is not threading.current_thread() for thread in threading.enumerate())


def _probe(pickled: bytes, sources: Sequence[Decoded], spec: RecordSpec, split: str, *, shared: bool) -> None:
    transforms = list(leaves(cloudpickle.loads(pickled)))
    for transform in filter(is_custom, transforms):
        _refuse(split, shown_name(transform), _complaint(_pickle_single(transform), sources, spec, shared=shared))
    complaint = _complaint(pickled, sources, spec, shared=shared)
    if complaint:
        found = (t for t in transforms if _complaint(_pickle_single(t), sources, spec, shared=shared))
        _refuse(split, ", ".join(map(shown_name, found)) or "a composition", complaint)


def _refuse(split: str, name: str, complaint: str | None) -> None:
    if complaint:
        raise PipelineError(
            f"pipeline of {split}: {name} {complaint}, so its records could not be made again. Draw from "
            "self.py_random or self.random_generator of a custom transform (albumentations.ImageOnlyTransform, "
            "DualTransform) instead."
        )


def _pickle_single(leaf: Any) -> bytes:
    leaf = cloudpickle.loads(cloudpickle.dumps(leaf))
    leaf.p = 1.0
    return bytes(cloudpickle.dumps(albumentations.Compose([leaf])))


def _complaint(pickled: bytes, sources: Sequence[Decoded], spec: RecordSpec, *, shared: bool) -> str | None:
    """Return what is wrong with a pipeline, or None.

    Args:
        shared: Whether other threads may draw from the global generators, too.
    """
    pairs = [(source, variant) for source in sources for variant in VARIANTS]
    first, second = Pipeline(pickled), Pipeline(pickled)
    cv2.setRNGSeed(1)  # of this thread
    forward = [_apply_watched(first, source, spec, variant, tries=TRIES if shared else 1) for source, variant in pairs]
    if any(moved for _, moved in forward):
        return _ask_subprocess(pickled, sources, spec) if shared else DRAWS
    cv2.setRNGSeed(2)
    backward = []
    for source, variant in reversed(pairs):
        _apply(second, sources[0], spec, len(VARIANTS) + variant)  # a call between
        backward.append(_apply(second, source, spec, variant))
    same = all(_equal(a, b) for (a, _), b in zip(forward, reversed(backward), strict=True))
    return None if same else "gives other pixels when the same record is made again"


def _ask_subprocess(pickled: bytes, sources: Sequence[Decoded], spec: RecordSpec) -> str | None:
    """Return what is wrong with a pipeline, found by a new interpreter in which nothing else draws."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", SUBPROCESS_CODE],
        input=cloudpickle.dumps((pickled, list(sources), spec)),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        check=False,
    )
    return done.stdout.decode().partition(MARK)[2] or None if done.returncode == 0 else DRAWS


def answer_parent(handed: bytes) -> None:
    """Print the complaint about a pipeline for the parent process that sent it."""
    pickled, sources, spec = cloudpickle.loads(handed)
    sys.stdout.buffer.write((MARK + (_complaint(pickled, sources, spec, shared=False) or "")).encode())


def _apply_watched(
    pipeline: Pipeline, source: Decoded, spec: RecordSpec, variant: int, *, tries: int
) -> tuple[tuple[Any, Any], bool]:
    """Return a pipeline's result for a source, and whether a global generator moved in each of the tries."""
    for _ in range(tries):
        before = _global_state()
        made = _apply(pipeline, source, spec, variant)
        if _global_state() == before:
            return made, False
    return made, True


def _apply(pipeline: Pipeline, source: Decoded, spec: RecordSpec, variant: int) -> tuple[Any, Any]:
    """Return a pipeline's result for a source; (None, {}) where it raises, which is judged elsewhere."""
    try:
        return move(source, pipeline, spec, seed=0, variant=variant)
    except Exception:  # a transform may raise anything
        return None, {}


def _equal(a: tuple[Any, Any], b: tuple[Any, Any]) -> bool:
    (image, values), (other_image, others) = a, b
    return np.array_equal(image, other_image) and all(_same(value, others.get(name)) for name, value in values.items())


def _same(value: Any, other: Any) -> bool:
    return np.array_equal(value, other) if isinstance(value, np.ndarray) else are_same(value, other)


def _global_state() -> Any:
    whole = np.random.get_state(legacy=False)
    state = whole["state"]
    return random.getstate(), state["key"].tobytes(), state["pos"], whole["has_gauss"], whole["gauss"]


@contextmanager
def global_generators_kept() -> Iterator[None]:
    """Restore the global random generators of the caller's program afterwards: making a record may set them."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


# Which transform a pipeline's fault begins with


def first_fault(pickled: bytes, source: Decoded, spec: RecordSpec, *, variant: int) -> str:
    """Return a sentence that names the transform at which a pipeline's fault begins, and the one that raises.

    An output in the middle of a pipeline may be unfit for records and yet intended, such as floats that a later
    transform turns into uint8 again. So only faults that last to the end count.

    Args:
        pickled: A prepared pipeline that fails on this source.
        spec: Specification of records, without height and width.
        variant: Variant, under seed 0, at which it fails.

    Returns:
        The sentence; empty where no transform can be named.
    """
    begins, gave, raises = None, "", None
    for number, transform in enumerate(cloudpickle.loads(pickled).transforms):
        fault = _fault_of_first(pickled, number + 1, source, spec, variant)
        if fault is None:
            begins = None
            continue
        if begins is None:
            begins, gave = shown_name(transform), f", which {fault}" if fault.startswith("gave ") else ""
        if fault.startswith("failed"):
            raises = shown_name(transform)
            break
    if begins is None:
        return ""
    shows = f"; it shows at {raises}" if raises not in (None, begins) else ""
    return f"What goes wrong begins with {begins}{gave}{shows}."


def _fault_of_first(pickled: bytes, number: int, source: Decoded, spec: RecordSpec, variant: int) -> str | None:
    """Return what is wrong with the output of the first transforms alone, with the same draws; None if nothing is."""
    compose = cloudpickle.loads(pickled)
    compose.transforms = compose.transforms[:number]
    try:
        augment(source, Pipeline(cloudpickle.dumps(compose)), spec, seed=0, variant=variant)
    except PipelineFault as error:
        return error.fault
    except RejectedSource as error:
        return str(error)
    return None
