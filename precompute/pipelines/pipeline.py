"""Pipelines: prepared for use offline, and applied to one record."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cloudpickle
import cv2
import numpy as np
from numpy.typing import NDArray

from precompute.errors import PipelineError
from precompute.pipelines.box_rules import BoxRules, BoxTransform, set_box_params
from precompute.pipelines.description import PROBE, describe, rebuild
from precompute.pipelines.instance_rules import InstanceTransform, set_instance_params
from precompute.pipelines.keypoint_rules import (
    KeypointTransform,
    MirrorProbe,
    cuts_objects,
    has_keypoint_params,
    leave_out_params,
    set_keypoint_params,
    set_mirror_probe,
)
from precompute.pipelines.labels import number_labels, reads_labels
from precompute.pipelines.mask_rules import mask_fills, set_missing_fills
from precompute.pipelines.seeding import Draws
from precompute.pipelines.transforms import (
    albumentations,
    compositions,
    is_custom,
    leaves,
    named_leaves,
    never_running,
    parameters_of,
)

__all__ = ["Pipeline", "Prepared", "check_moves", "describe", "finishing_inside", "prepare", "rebuild", "resize"]

KEPT_NUMBERS = (
    "its transforms are handed the number of each box in its image in place of its class, as when this dataset was "
    "built; in a new one they would see the class. "
)
KEPT_PIECES = (
    "an object with keypoints that it cuts into pieces has the box of the first one, as when this dataset was built; "
    "in a new one it would have the box around all of them. "
)
MOVES = ("image", "mask")  # what a target may move like by the pipeline's own word
FINISHING = ("Normalize", "ToFloat", "ToTensorV2", "ToTensor3D")  # float or tensor output belongs in the model


class Pipeline:
    """A pipeline that gives the same pixels for the same (seed, key, variant, copy), whatever ran before.

    Each task makes a pipeline of its own: threads that share one would mix their draws.

    Args:
        pickled: A prepared `Compose`, pickled by value.
        own_process: Whether the global generators of Python, NumPy and OpenCV are set for each record, too.

    Attributes:
        mask_fills: Class ids that its transforms may fill masks with.
        boxes: Hands boxes over and takes them back.
        points: Hands boxes with keypoints over; None where the pipeline has no rules for these.
        probe: Hands triangles over that tell whether the image was mirrored; None where keypoints do, or nobody asks.
        instances: Hands masks of single objects over.
    """

    def __init__(self, pickled: bytes, *, own_process: bool = False) -> None:
        self._compose = cloudpickle.loads(pickled)
        self._draws = Draws()
        self._own_process = own_process
        self.mask_fills = frozenset(mask_fills(self._compose))
        # A source is used for many variants. Albumentations' own transforms never write into their input; a user's may.
        self._copies = any(is_custom(transform) for transform in [*leaves(self._compose), *compositions(self._compose)])
        self.boxes = BoxTransform(self._compose)
        moves_points, is_probe = has_keypoint_params(self._compose), getattr(self._compose, PROBE, False)
        self.points = KeypointTransform(self._compose) if moves_points and not is_probe else None
        self.probe = MirrorProbe(self._compose) if is_probe else None
        self.instances = InstanceTransform(self._compose, writes=self._copies)
        # Never Compose(seed=…) or set_random_seed: they give every transform the same seed, so all fire together.
        self._compose.set_random_state(self._draws.generator, self._draws.py_random)

    def apply(
        self, image: NDArray[np.uint8], handed: Mapping[str, Any], *, seed: int, key: str, variant: int, copy: int
    ) -> Mapping[str, Any]:
        """Return the result of the pipeline for an image and its other targets, with the draws of this record.

        Args:
            image: uint8 [H, W, C].
            handed: Other targets for Albumentations: target → array, and labels of boxes and points.
            seed: Augmentation seed of the row.
            key: Key of the source.
            variant: Variant of the row.
            copy: Copy of the place.
        """
        digest = self._draws.set(seed, key, variant, copy)
        if self._own_process:
            self._set_global_generators(digest)
        if self._copies:
            image, handed = image.copy(), {name: np.array(value) for name, value in handed.items()}
        made: Mapping[str, Any] = self._compose(image=image, **handed)
        return made

    @property
    def transforms(self) -> list[tuple[str, Any]]:
        """The pipeline's transforms with their names, also those inside compositions; not to be changed."""
        return list(named_leaves(self._compose))

    @staticmethod
    def _set_global_generators(digest: bytes) -> None:
        number = int.from_bytes(digest[:4], "little")
        random.seed(number)
        np.random.seed(number)
        cv2.setRNGSeed(number & 0x7FFFFFFF)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A pipeline that is prepared for use offline.

    Attributes:
        pickled: The `Compose`, pickled by value, without the steps at its end that belong in the model.
        description: All that decides the pipeline's pixels, as JSON.
        normalize: The numbers of a trailing Normalize or ToFloat that was taken off, or None.
        box_rules: Rules for boxes that were added to its own; None without boxes.
        further_targets: Targets that Albumentations does not know by name → targets that they move like.
        filling: Names of the transforms that fill masks with the given class id, because they name no other.
        earlier: The pipeline by the rules of datasets from before boxes carried labels, or lay around all pieces of an
            object; None where that makes no difference.
        kept: What a dataset keeps by using `earlier`, and what a new one would have.
        is_sized: Whether it was made for the given image size.
        notes: Notes for the user.
    """

    pickled: bytes
    description: dict[str, Any]
    normalize: dict[str, Any] | None = None
    box_rules: BoxRules | None = None
    further_targets: Mapping[str, str] = field(default_factory=dict)
    filling: Sequence[str] = ()
    earlier: Prepared | None = None
    kept: str = ""
    is_sized: bool = False
    notes: list[str] = field(default_factory=list)


def prepare(
    pipeline: Any,
    split: str,
    *,
    mask_fill: int | None = None,
    box_rules: BoxRules | None = None,
    class_names: Sequence[str] = (),
    further_targets: Mapping[str, str] | None = None,
    declared_targets: Collection[str] = (),
    tells_mirroring: bool = False,
) -> Prepared:
    """Check a pipeline and take off its end what belongs in the model.

    Args:
        pipeline: A `Compose`, another composition, or a single transform.
        split: The split it is for, for messages.
        mask_fill: Class id that masks are filled with where the pipeline has the default; None: the default, 0.
        box_rules: Rules for which boxes are kept, where images have boxes.
        class_names: Names of the objects' classes, for transforms that name classes.
        further_targets: Name of a target that Albumentations does not know → target that it moves like, so that there
            may be several masks; they show in the description.
        declared_targets: Names of further targets of which the pipeline itself has to say how they move.
        tells_mirroring: Whether the pipeline shall tell of each record if its image was mirrored.

    Raises:
        PipelineError: The pipeline cannot be used offline; the message says why and what to do.
    """
    compose = _as_compose(pipeline, split)
    _check_arguments(compose, split)
    _check_root(pipeline, split)
    notes = []
    if any(getattr(composition, "seed", None) is not None for composition in compositions(compose)):
        notes.append(f"pipeline of {split}: seed= of Compose is not used; a record's draws follow from --seed.")
    num_kept = len(compose.transforms)
    while num_kept and type(compose.transforms[num_kept - 1]).__name__ in FINISHING:
        num_kept -= 1
    finishing = list(compose.transforms[num_kept:])
    notes += [
        f"pipeline of {split}: {type(t).__name__} was taken off its end: it belongs in the model." for t in finishing
    ]
    normalize = _normalize_numbers(finishing, split)
    compose = _copied(compose, split)
    compose.transforms = list(compose.transforms[:num_kept])
    # Each transform has generators of its own, 5 KB, that would go into every copy; `Pipeline` sets one pair for all.
    compose.set_random_state(np.random.default_rng(0), random.Random(0))
    further = {**(further_targets or {}), **_declared(compose, split, declared_targets)}
    if further:
        compose.add_targets(further)
    notes += [*_notes_on_ineffective(compose, split), *leave_out_params(compose, split, box_rules)]
    filling = set_missing_fills(compose, mask_fill) if mask_fill else []  # 0 is what it is
    if filling:
        notes.append(
            f"pipeline of {split}: {', '.join(filling)} fill{'s' * (len(filling) == 1)} masks with the ignore class, "
            f"{mask_fill}, where the default is 0. --mask-fill as-written keeps 0."
        )
    if tells_mirroring and not (box_rules and box_rules.points):
        notes += set_mirror_probe(compose, split)
    prepared = Prepared(
        pickled=b"",
        description={},
        normalize=normalize,
        box_rules=box_rules,
        further_targets=further,
        filling=filling,
        notes=notes,
    )
    if box_rules is None:
        return _with_rules(prepared, compose, split, None)
    rules = replace(box_rules, labels=reads_labels(compose), around=box_rules.points and cuts_objects(compose))
    if rules == box_rules:
        return _with_rules(prepared, compose, split, rules)
    kept = KEPT_NUMBERS * rules.labels + KEPT_PIECES * rules.around
    earlier = replace(_with_rules(prepared, _copied(compose, split), split, box_rules), kept=kept.strip())
    if rules.labels:
        number_labels(compose, split, class_names)
    return replace(_with_rules(prepared, compose, split, rules), earlier=earlier)


def _with_rules(prepared: Prepared, compose: Any, split: str, rules: BoxRules | None) -> Prepared:
    """Return a prepared pipeline with this Compose, in which the rules of boxes and keypoints are set."""
    notes = list(prepared.notes)
    if rules is not None:
        notes += (set_instance_params if rules.masks else set_box_params)(compose, split, rules)
        notes += set_keypoint_params(compose, split, rules) if rules.points else []
    return replace(prepared, pickled=cloudpickle.dumps(compose), description=describe(compose), notes=notes)


def check_moves(prepared: Mapping[str, Prepared]) -> None:
    """Refuse pipelines that do not agree on what a further target moves like.

    Args:
        prepared: Pipeline of each split; there is one for train.

    Raises:
        PipelineError: They do not agree.
    """
    train = prepared["train"].further_targets
    for split, one in prepared.items():
        for name, known in one.further_targets.items():
            if train[name] != known:
                raise PipelineError(
                    f"pipelines differ in how {name} moves: as {train[name]} in train, as {known} in {split} "
                    "(additional_targets); expected the same in all."
                )


def resize(height: int, width: int) -> Any:
    """Return the pipeline of splits that have none of their own: the deterministic resize."""
    # Plain INTER_NEAREST takes each pixel of a mask at its corner, where the image is taken at the pixel's middle:
    # shrinking, it would move the mask by up to half a pixel.
    return albumentations.Compose([albumentations.Resize(height, width, mask_interpolation=cv2.INTER_NEAREST_EXACT)])


def finishing_inside(pickled: bytes) -> list[str]:
    """Return the names of transforms to floats or tensors that a prepared pipeline has elsewhere than at its end."""
    names = (type(transform).__name__ for transform in leaves(cloudpickle.loads(pickled)))
    return [name for name in names if name in FINISHING]


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
            name, known = type(transform).__name__, ", ".join(parameters_of(type(transform)))
            raise PipelineError(
                f"pipeline of {split}: {name} does not know the argument{'s' * (len(unknown) > 1)} "
                f"{', '.join(unknown)}: it would run without. {name} knows: {known}."
            )


def _notes_on_ineffective(compose: Any, split: str) -> list[str]:
    """Return notes on transforms that never run."""
    idle = never_running(compose)
    signature = [name for name, transform in idle if "always_apply" in parameters_of(type(transform))]
    zero = [name for name, _ in idle if name not in signature]
    notes = [f"pipeline of {split}: {', '.join(zero)} can never run: p or n is 0."] if zero else []
    if signature:
        notes.append(
            f"pipeline of {split}: {', '.join(signature)} NEVER RUNS: its p is 0. Albumentations 2 takes p alone: "
            "write super().__init__(p=p) where the transform has super().__init__(always_apply, p)."
        )
    return notes


def _check_root(root: Any, split: str) -> None:
    if isinstance(root, albumentations.Compose | albumentations.Sequential) and root.p < 1:
        raise PipelineError(
            f"pipeline of {split}: its root, a {type(root).__name__}, has p={root.p}: sometimes the whole pipeline, "
            "its resize included, would be left out. Set p=1 on the root, and p on the transforms inside."
        )


def _declared(compose: Any, split: str, names: Collection[str]) -> dict[str, str]:
    """Return name of each of some targets → image or mask, which it moves like by the pipeline's own word."""
    declared = compose.additional_targets
    missing = [name for name in names if declared.get(name) not in MOVES]
    if missing:
        example = ", ".join(f'"{name}": "mask"' for name in missing)
        move = f"{' and '.join(missing)} move{'s' * (len(missing) == 1)}"
        raise PipelineError(
            f"pipeline of {split}: it does not say how {move}; say it in its Compose:\n"
            f"  albumentations.Compose([…], additional_targets={{{example}}})\n"
            '"mask": moved as the image is, and nothing else; "image": changed in noise and colour, too. Presets do '
            "not know these names: write the pipeline in a file."
        )
    return {name: declared[name] for name in names}


def _copied(compose: Any, split: str) -> Any:
    """Return a copy, so that the user's object stays unchanged; by pickling, as for workers."""
    try:
        return cloudpickle.loads(cloudpickle.dumps(compose))
    except Exception as error:  # pickling runs the code of whatever is inside
        raise PipelineError(
            f"pipeline of {split}: it cannot be handed to worker processes: {type(error).__name__}: {error}. Let its "
            "own code open what it needs (a file, a lock, a model) when it is called rather than hold it."
        ) from error


def _normalize_numbers(finishing: Sequence[Any], split: str) -> dict[str, Any] | None:
    """Return mean, std and max_pixel_value of a transform that was taken off: x → (x − mean · max) / (std · max)."""
    scaling = [t for t in finishing if type(t).__name__ in ("Normalize", "ToFloat")]
    names = [type(t).__name__ for t in scaling]
    if names not in ([], ["ToFloat"], ["Normalize"], ["ToFloat", "Normalize"]):
        raise PipelineError(f"pipeline of {split}: it ends with {', '.join(names)}; keep one of them.")
    mean, std, top = [0.0], [1.0], 1.0
    for transform in scaling:
        if transform.p < 1:
            raise PipelineError(
                f"pipeline of {split}: {type(transform).__name__} has p={transform.p}, so some records would be "
                "without it and others not; a model treats all alike. Set p=1."
            )
        if type(transform).__name__ == "ToFloat":
            top *= float(transform.max_value or 255)  # by default the largest number that uint8 holds
        else:
            _check_standard(transform, split)
            mean, std = ([float(number) for number in np.ravel(numbers)] for numbers in (transform.mean, transform.std))
            top *= float(transform.max_pixel_value)
    return {"mean": mean, "std": std, "max_pixel_value": top} if scaling else None


def _check_standard(transform: Any, split: str) -> None:
    kind = getattr(transform, "normalization", "standard")
    if kind != "standard":
        raise PipelineError(
            f"pipeline of {split}: Normalize with normalization={kind!r} depends on each image and cannot be taken "
            "off. Remove it, and normalize inside the model."
        )
