"""Keypoints of COCO files: the skeleton stands in the categories, x, y and visibility in each annotation.

Source: https://cocodataset.org/#format-data, Keypoint Detection. Coordinates name pixels, 0 the first one: half a pixel
is added, so that they count edges as boxes do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from precompute.errors import SourceError, UsageError, first_few
from precompute.fields.skeleton import Skeleton, indices_of_edges, make_skeleton
from precompute.options.build_options import BuildOptions
from precompute.sources.annotations.coco_files import CocoFile, Json
from precompute.sources.problems import ProblemKind, WrongEntry
from precompute.text.format import format_count

__all__ = ["CocoKeypoints", "find_skeleton", "points_of"]

HALF = 0.5  # from a pixel's number to its middle
POINTLESS = ProblemKind(
    "Annotations whose keypoints are not three numbers for each that their category names",
    "Fix their keypoints: x, y, visibility in turn.",
)


class CocoKeypoints(NamedTuple):
    """COCO files of which keypoints are read.

    Attributes:
        files: The files; categories without keypoints, and their annotations, are left out.
        skeleton: Skeleton of all categories; None where boxes are read.
        notes: Notes for the user.
    """

    files: Sequence[CocoFile]
    skeleton: Skeleton | None = None
    notes: Sequence[str] = ()


def find_skeleton(files: Sequence[CocoFile], options: BuildOptions) -> CocoKeypoints:
    """Decide whether keypoints or boxes are read: keypoints where categories name some, unless boxes are asked for.

    Raises:
        SourceError: Categories have different keypoints, or there are none and keypoints are asked for.
        UsageError: Names or pairs of the options are none of the files.
    """
    named = [(file, category) for file in files for category in file.categories if category.get("keypoints")]
    if options.target in ("boxes", "instances", "mask") or not named:
        if options.target == "keypoints":
            raise SourceError(
                f"{files[0].path}: no category names keypoints. Expected a file such as "
                "person_keypoints_train2017.json, with a list of names under 'keypoints' in its categories."
            )
        return CocoKeypoints(files)
    names, edges = _same(named)
    message = f"keypoints of {', '.join(dict.fromkeys(str(c.get('name')) for _, c in named))}"
    notes = [f"{message}; --target boxes reads their boxes alone."] if options.target == "auto" else []
    if options.keypoint_names is not None and options.keypoint_names != names:
        raise UsageError(
            f"keypoint_names (--keypoint-names): the file has its own, in another order or others:\n"
            f"{first_few(names, 30)}\nLeave the option out."
        )
    if options.skeleton is not None:
        edges = indices_of_edges(options.skeleton, names)
    kept = [_without_others(file) for file in files]
    annotations = [annotation for file in kept for annotation in file.annotations]
    left_out = sum(len(file.annotations) for file in files) - len(annotations)
    if left_out:
        others = sorted({str(c.get("name")) for file in files for c in file.categories if not c.get("keypoints")})
        notes.append(
            f"{format_count(left_out, 'object')} of categories without keypoints left out: {', '.join(others[:5])}."
        )
    has_boxes = any(one.get("bbox") is not None or one.get("segmentation") for one in annotations)
    return CocoKeypoints(kept, make_skeleton(names, edges, flip_pairs=options.flip_pairs, has_boxes=has_boxes), notes)


def _same(named: Sequence[tuple[CocoFile, Json]]) -> tuple[list[str], list[list[int]]]:
    """Return the names and edges that all these categories have."""
    (first_file, first), *others = named
    names = first["keypoints"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SourceError(f"{first_file.path}: category {first.get('name')!r}: keypoints: expected a list of names.")
    for file, category in others:
        if category["keypoints"] != names:
            raise SourceError(
                f"{file.path}: categories with different keypoints: {first.get('name')!r} ({first_file.path.name}) has "
                f"{len(names)} ({', '.join(names[:3])} …), {category.get('name')!r} {len(category['keypoints'])} "
                f"({', '.join(map(str, category['keypoints'][:3]))} …). Expected the same ones, in one order: build a "
                "dataset for each, or take boxes alone with --target boxes."
            )
    edges: Any = next((c["skeleton"] for _, c in named if c.get("skeleton")), [])
    if not isinstance(edges, list) or not all(_is_edge(edge, len(names)) for edge in edges):
        raise SourceError(
            f"{first_file.path}: category {first.get('name')!r}: skeleton: expected pairs of numbers from 1 to "
            f"{len(names)}."
        )
    return list(names), [[a - 1, b - 1] for a, b in edges]


def _is_edge(edge: Any, num_points: int) -> bool:
    return (
        isinstance(edge, list)
        and len(edge) == 2
        and all(isinstance(end, int) and not isinstance(end, bool) and 1 <= end <= num_points for end in edge)
    )


def _without_others(file: CocoFile) -> CocoFile:
    other = {str(c.get("id")) for c in file.categories if not c.get("keypoints")}
    return replace(
        file,
        categories=[c for c in file.categories if c.get("keypoints")],
        annotations=[a for a in file.annotations if str(a.get("category_id")) not in other],
    )


def points_of(annotation: Json, skeleton: Skeleton) -> NDArray[np.float32]:
    """Return x, y, visibility of an annotation's keypoints in turn, by edges.

    An annotation without keypoints has none that are labelled.

    Raises:
        WrongEntry: They are not 3 · K numbers.
    """
    given = annotation.get("keypoints") or [0] * (3 * len(skeleton))
    if not isinstance(given, list) or len(given) != 3 * len(skeleton) or not all(map(_is_number, given)):
        number = format_count(len(given), "value") if isinstance(given, list) else repr(given)
        raise WrongEntry(POINTLESS, f"{number:.60}")
    points = np.array(given, np.float32).reshape(-1, 3)
    points[:, :2] += HALF
    return points.reshape(-1)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
