"""Before the job: checks that each transform of a pipeline gets what it needs, and works when it runs.

A transform that runs only now and then would otherwise make good sources look bad.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cloudpickle
import cv2
import numpy as np

from precompute.errors import PipelineError
from precompute.pipelines.pipeline import Pipeline
from precompute.pipelines.transforms import albumentations, is_composition, is_custom, leaves, shown_name
from precompute.rendering.decode import Decoded
from precompute.rendering.spec import RecordSpec
from precompute.text.format import format_count

__all__ = ["check_channels", "check_needs", "force_each_transform"]

# Inputs that transforms of Albumentations 2.0.8 read without declaring them; one of these is enough.
UNDECLARED: dict[type, tuple[str, ...]] = {
    albumentations.CropNonEmptyMaskIfExists: ("mask", "masks"),
    albumentations.BBoxSafeRandomCrop: ("bboxes",),  # and RandomSizedBBoxSafeCrop, which is one
    albumentations.Transform3D: ("volume",),
}
CHOOSING = (albumentations.OneOf, albumentations.SomeOf, albumentations.OneOrOther)
NAMES = {1: "grayscale", 4: "RGBA"}
TRIED = 2  # draws of each transform


def check_needs(pickled: bytes, spec: RecordSpec, split: str) -> None:
    """Refuse transforms that need inputs that are not there: other images, masks, boxes, volumes, texts.

    Raises:
        PipelineError: There are such transforms; the message names all.
    """
    pipeline = Pipeline(pickled)
    handed = ("image", *(target for one in spec.fields for target in one.targets(pipeline)))
    transforms = leaves(cloudpickle.loads(pickled))
    missing = {shown_name(leaf): lacking for leaf in transforms if leaf.p and (lacking := list(_lacking(leaf, handed)))}
    if missing:
        listed = "\n".join(f"  {name}: {', '.join(lacking)}" for name, lacking in missing.items())
        raise PipelineError(
            f"pipeline of {split}: these transforms need what they are not handed (there is {', '.join(handed)}):\n"
            f"{listed}\nLeave them out, or let a transform of your own hold what they need."
        )


def _lacking(leaf: Any, handed: tuple[str, ...]) -> Iterator[str]:
    declared = [key for key in leaf.targets_as_params if key not in handed]
    yield from declared
    read = [keys for cls, keys in UNDECLARED.items() if isinstance(leaf, cls)]
    if isinstance(leaf, albumentations.ConstrainedCoarseDropout):
        by = {"mask": leaf.mask_indices, "bboxes": leaf.bbox_labels}
        read.append(tuple(key for key, value in by.items() if value is not None))
    for keys in read:
        if keys and not set(keys) & {*handed, *declared}:
            yield " or ".join(keys)


def force_each_transform(pickled: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield each transform that runs only now and then: its name, and a pipeline in which it always runs."""
    for path in _paths(cloudpickle.loads(pickled)):
        compose = cloudpickle.loads(pickled)
        leaf = _force(compose, path)
        yield shown_name(leaf), bytes(cloudpickle.dumps(compose))


def _paths(composition: Any, *, is_chance: bool = False) -> Iterator[tuple[int, ...]]:
    """Yield the places of transforms that run only now and then.

    Args:
        is_chance: Whether it runs only now and then itself.
    """
    for place, inner in enumerate(composition.transforms):
        if not inner.p:
            continue
        by_chance = is_chance or isinstance(composition, CHOOSING) or inner.p < 1
        if not is_composition(inner):
            yield from [(place,)] * by_chance
        elif not is_custom(inner):
            yield from ((place, *path) for path in _paths(inner, is_chance=by_chance))


def _force(composition: Any, path: tuple[int, ...]) -> Any:
    """Make the transform at a place run always, in place; returns it."""
    inner = composition.transforms[path[0]]
    inner.p = 1.0
    if isinstance(composition, CHOOSING):
        composition.transforms = [inner]
        composition.transforms_ps, composition.n = [1.0], 1
    return _force(inner, path[1:]) if len(path) > 1 else inner


# Whether a pipeline's transforms take images of one channel, or of four


def check_channels(pickled: bytes, sources: Sequence[Decoded], split: str) -> None:
    """Refuse transforms that fail on images of these channels, or change their number, but work on RGB.

    A transform that runs only now and then would otherwise make good sources look bad.

    Args:
        sources: Decoded sources; one is enough.

    Raises:
        PipelineError: There are such transforms; the message names all.
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
    """Return why a transform alone fails; None where it works, or would not work on RGB either."""
    found = _outcome(leaf, source, source.image)
    if isinstance(found, int) and found == source.image.shape[2]:
        return None
    if not isinstance(_outcome(leaf, source, _as_rgb(source.image)), int):
        return None  # something else is wrong, and said elsewhere
    return f"it gives {format_count(found, 'channel')}" if isinstance(found, int) else found


def _outcome(leaf: Any, source: Decoded, image: Any) -> int | str:
    """Return the number of channels of the output, or the error that was raised."""
    leaf = cloudpickle.loads(cloudpickle.dumps(leaf))
    leaf.p = 1.0
    pipeline, channels = Pipeline(cloudpickle.dumps(albumentations.Compose([leaf]))), 0
    try:
        for variant in range(TRIED):
            made = pipeline.apply(image, {}, seed=0, key=source.key, variant=variant, copy=0)["image"]
            channels = made.shape[2] if made.ndim == 3 else 1
    except Exception as error:  # a transform may raise anything
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return channels


def _as_rgb(image: Any) -> Any:
    return np.ascontiguousarray(image[..., :3]) if image.shape[2] == 4 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
