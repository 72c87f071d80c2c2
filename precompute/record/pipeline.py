"""Pipelines: made ready for work offline, described for the fingerprint, applied to one record. Owns Albumentations."""

from __future__ import annotations

import hashlib
import inspect
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

# Importing Albumentations asks the package index for updates, two seconds in every worker, unless this is set before.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations
import cloudpickle
import cv2
import numpy as np
from numpy.typing import NDArray

from precompute.errors import PipelineError
from precompute.record.seeding import Draws

__all__ = ["Pipeline", "Prepared", "describe", "is_custom", "leaves", "prepare", "rebuild"]

FINISHING = ("Normalize", "ToFloat", "ToTensorV2", "ToTensor3D")  # float or tensor output belongs in the model


class Pipeline:
    """A pipeline that gives the same pixels for the same (seed, key, variant, copy), whatever ran before.

    Each task makes one of its own: threads that share one mix their draws.

    Args:
        pickled: A prepared `Compose`, pickled by value.
        own_process: Also set the global generators of Python, NumPy and OpenCV for each record.
    """

    def __init__(self, pickled: bytes, *, own_process: bool = False) -> None:
        self._compose = cloudpickle.loads(pickled)
        self._draws = Draws()
        self._own_process = own_process
        # Never Compose(seed=…) or set_random_seed: they give every transform the same seed, so all fire together.
        self._compose.set_random_state(self._draws.generator, self._draws.py_random)

    def apply(
        self, image: NDArray[np.uint8], mask: NDArray[Any] | None, *, seed: int, key: str, variant: int, copy: int
    ) -> tuple[Any, Any]:
        """Return what the pipeline makes of image and mask under the draws of this record."""
        digest = self._draws.set(seed, key, variant, copy)
        if self._own_process:
            self._set_global_generators(digest)
        if mask is None:
            return self._compose(image=image)["image"], None
        result = self._compose(image=image, mask=mask)
        return result["image"], result["mask"]

    @staticmethod
    def _set_global_generators(digest: bytes) -> None:
        number = int.from_bytes(digest[:4], "little")
        random.seed(number)
        np.random.seed(number)
        cv2.setRNGSeed(number & 0x7FFFFFFF)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A pipeline made ready for work offline.

    Attributes:
        pickled: The `Compose` without what belongs in the model, pickled by value.
        description: All that decides its pixels, as JSON.
        normalize: The numbers of a trailing Normalize that was taken off, or None.
        notes: What the user should hear.
    """

    pickled: bytes
    description: dict[str, Any]
    normalize: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)


def prepare(pipeline: Any, split: str) -> Prepared:
    """Check a pipeline and take off its end what belongs in the model.

    Args:
        pipeline: A `Compose`, another composition, or a single transform.
        split: The split it is for, for messages.

    Raises:
        PipelineError: It cannot be used offline; the message says why and what to do.
    """
    compose = _as_compose(pipeline, split)
    _check_arguments(compose, split)
    if compose.p < 1:
        raise PipelineError(
            f"pipeline of {split}: its root has p={compose.p}: sometimes the whole pipeline, its resize included, "
            "would be left out. Set p=1 on the root, and p on the transforms inside."
        )
    notes = []
    if _seeds(compose):
        notes.append(f"pipeline of {split}: seed= of Compose is not used; a record's draws follow from --seed.")
    transforms, normalize = list(compose.transforms), None
    while transforms and type(transforms[-1]).__name__ in FINISHING:
        last = transforms.pop()
        notes.append(f"pipeline of {split}: {type(last).__name__} was taken off its end: it belongs in the model.")
        normalize = _normalize_numbers(last, split) or normalize
    # Rebuilt rather than edited: the user's own object stays as it is.
    compose = cloudpickle.loads(cloudpickle.dumps(compose))
    compose.transforms = compose.transforms[: len(transforms)]
    return Prepared(pickled=cloudpickle.dumps(compose), description=describe(compose), normalize=normalize, notes=notes)


def resize(height: int, width: int) -> Any:
    """Return the pipeline of splits that have none of their own: the deterministic resize alone."""
    return albumentations.Compose([albumentations.Resize(height, width)])


def leaves(composition: Any) -> Iterator[Any]:
    """Yield the transforms of a pipeline, those inside nested compositions included."""
    for transform in getattr(composition, "transforms", ()):
        if isinstance(transform, albumentations.BaseCompose):
            yield from leaves(transform)
        else:
            yield transform


def is_custom(transform: Any) -> bool:
    """Return whether a transform runs a user's own code."""
    foreign = not type(transform).__module__.startswith("albumentations.")
    return foreign or isinstance(transform, albumentations.Lambda)


def describe(composition: Any) -> dict[str, Any]:
    """Return all that decides a pipeline's pixels as JSON: what Albumentations serializes, and what it leaves out."""
    described: dict[str, Any] = {
        "transform": _plain(_serialize(composition)),
        "mask_interpolation": [getattr(c, "mask_interpolation", None) for c in _compositions(composition)],
    }
    processor = composition.processors.get("bboxes")
    if processor is not None:
        described["filter_invalid_bboxes"] = bool(getattr(processor.params, "filter_invalid_bboxes", False))
    custom = {f"{i} {type(t).__name__}": _code(t) for i, t in enumerate(leaves(composition)) if is_custom(t)}
    if custom:
        described["custom"] = custom
    return described


def rebuild(description: dict[str, Any]) -> Any | None:
    """Return the pipeline of a description, or None when it holds what cannot be made from JSON."""
    if "custom" in description:
        return None
    try:
        compose = albumentations.from_dict({"__version__": "", "transform": description["transform"]})
        for composition, interpolation in zip(_compositions(compose), description["mask_interpolation"], strict=True):
            if interpolation is not None:
                composition.set_mask_interpolation(interpolation)
        same = describe(compose) == description
    except Exception:  # whatever is missing or has changed: it cannot be rebuilt, and the caller says so
        return None
    return compose if same else None


def _as_compose(pipeline: Any, split: str) -> Any:
    if isinstance(pipeline, albumentations.Compose):
        return pipeline
    if isinstance(pipeline, albumentations.BaseCompose | albumentations.BasicTransform):
        return albumentations.Compose([pipeline])
    raise PipelineError(
        f"pipeline of {split}: expected an albumentations.Compose, got {type(pipeline).__name__} ({pipeline!r:.60})."
    )


def _check_arguments(compose: Any, split: str) -> None:
    # Albumentations only warns about these, and runs the transform with its defaults.
    for transform in leaves(compose):
        unknown = getattr(transform, "invalid_args", None)
        if unknown:
            name = type(transform).__name__
            schema = getattr(transform, "InitSchema", None)
            known = sorted(set(schema.model_fields) - {"strict"}) if schema else ["p"]
            raise PipelineError(
                f"pipeline of {split}: {name} does not know the argument{'s' * (len(unknown) > 1)} "
                f"{', '.join(unknown)}: it would run without. {name} knows: {', '.join(known)}."
            )


def _seeds(compose: Any) -> bool:
    return any(getattr(composition, "seed", None) is not None for composition in _compositions(compose))


def _compositions(composition: Any) -> Iterator[Any]:
    yield composition
    for transform in composition.transforms:
        if isinstance(transform, albumentations.BaseCompose):
            yield from _compositions(transform)


def _normalize_numbers(transform: Any, split: str) -> dict[str, Any] | None:
    if type(transform).__name__ != "Normalize":
        return None
    if getattr(transform, "normalization", "standard") != "standard":
        raise PipelineError(
            f"pipeline of {split}: Normalize with normalization={transform.normalization!r} depends on each image and "
            "cannot be taken off. Remove it, and normalize inside the model."
        )
    return {
        "mean": [float(value) for value in np.ravel(transform.mean)],
        "std": [float(value) for value in np.ravel(transform.std)],
        "max_pixel_value": float(transform.max_pixel_value),
    }


def _serialize(transform: Any) -> dict[str, Any]:
    """Return Albumentations' own serialization, extended to transforms that refuse it (a Lambda without a name)."""
    if isinstance(transform, albumentations.BaseCompose):
        try:
            whole = transform.to_dict_private()
        except Exception:
            whole = {"__class_fullname__": type(transform).__name__, "p": transform.p}
        return {**whole, "transforms": [_serialize(inner) for inner in transform.transforms]}
    try:
        return dict(transform.to_dict_private())
    except Exception:
        return {"__class_fullname__": type(transform).__qualname__, "p": transform.p}


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it, so that a description compares equal with itself read back."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = [_plain(item) for item in value]
        return sorted(items, key=repr) if isinstance(value, set | frozenset) else items
    if isinstance(value, np.ndarray):
        return {"array": hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest(), "shape": list(value.shape)}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return _code(value) if callable(value) else repr(value)


def _code(value: Any) -> str:
    """Return a hash of the source text of a user's code: a transform's class, or a Lambda's functions."""
    parts: list[Any] = [type(value)] if isinstance(value, albumentations.BasicTransform) else [value]
    if isinstance(value, albumentations.Lambda):
        parts = [function for _, function in sorted(value.custom_apply_fns.items()) if function is not None]
    text = "\n".join(_source_text(part) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()


def _source_text(code: Any) -> str:
    try:
        text = inspect.getsource(code)
    except (OSError, TypeError):  # typed in at a prompt, or built in
        compiled = getattr(code, "__code__", None)
        text = f"{compiled.co_code.hex()} {compiled.co_consts!r}" if compiled else getattr(code, "__qualname__", "")
    cells = [cell.cell_contents for cell in getattr(code, "__closure__", None) or ()]
    simple = [repr(cell) for cell in cells if isinstance(cell, str | int | float | tuple | bool)]
    return text + "".join(simple)
