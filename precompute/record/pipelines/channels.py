"""Before the job: do a pipeline's transforms take images of one channel, or of four?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cloudpickle
import cv2
import numpy as np

from precompute.errors import PipelineError
from precompute.record.decode import Decoded
from precompute.record.pipelines.pipeline import Pipeline
from precompute.record.pipelines.transforms import albumentations, leaves, shown_name
from precompute.text import format_count

__all__ = ["check_channels"]

NAMES = {1: "grayscale", 4: "RGBA"}
TRIED = 2  # draws of each transform


def check_channels(pickled: bytes, sources: Sequence[Decoded], split: str) -> None:
    """Refuse transforms that fail on images of these channels, or change their number, where RGB would do.

    A transform that runs now and then alone would otherwise make bad sources of good ones.

    Args:
        pickled: From `pipeline.prepare`.
        sources: One is enough.
        split: For messages.

    Raises:
        PipelineError: There are some; all are named.
    """
    channels = sources[0].image.shape[2]
    if channels == 3:
        return
    wrong = {
        shown_name(leaf): why
        for leaf in leaves(cloudpickle.loads(pickled))
        if (why := _complaint(leaf, sources[0])) is not None
    }
    if wrong:
        listed = "\n".join(f"  {name}: {why}" for name, why in wrong.items())
        raise PipelineError(
            f"pipeline of {split}: these transforms do not take {NAMES[channels]} images:\n{listed}\n"
            "Leave them out, or build with --color-mode rgb."
        )


def _complaint(leaf: Any, source: Decoded) -> str | None:
    """Return why a transform alone is of no use, None where it is or where RGB would not do either."""
    found = _outcome(leaf, source, source.image)
    if isinstance(found, int) and found == source.image.shape[2]:
        return None
    if not isinstance(_outcome(leaf, source, _as_rgb(source.image)), int):
        return None  # something else is wrong, and said elsewhere
    return f"it gives {format_count(found, 'channel')}" if isinstance(found, int) else found


def _outcome(leaf: Any, source: Decoded, image: Any) -> int | str:
    """Return the number of channels that come out, or what was raised."""
    leaf = cloudpickle.loads(cloudpickle.dumps(leaf))
    leaf.p = 1.0
    pipeline, channels = Pipeline(cloudpickle.dumps(albumentations.Compose([leaf]))), 0
    try:
        for variant in range(TRIED):
            made, _ = pipeline.apply(image, None, seed=0, key=source.key, variant=variant, copy=0)
            channels = made.shape[2] if made.ndim == 3 else 1
    except Exception as error:  # a transform may raise anything
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return channels


def _as_rgb(image: Any) -> Any:
    return np.ascontiguousarray(image[..., :3]) if image.shape[2] == 4 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
