"""Keypoints of COCO files: the skeleton stands in the categories, x, y and visibility in each annotation.

Source: https://cocodataset.org/#format-data, Keypoint Detection. Coordinates name pixels, 0 the first one: half a pixel
is added, so that they count edges as boxes do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.errors import SourceError, UsageError, first_few
from precompute.fields.skeleton import Skeleton, indices_of_edges, make_skeleton
from precompute.options.build_options import BuildOptions
from precompute.text.format import format_count

__all__ = ["CocoKeypoints", "find_skeleton", "points_of"]

HALF = 0.5  # from a pixel's number to its middle

Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class CocoKeypoints:
    """COCO files of which keypoints are read.

    Attributes:
        contents: Contents of the files; categories without keypoints, and their annotations, are left out.
        skeleton: Skeleton of all categories; None where boxes are read.
        notes: Notes for the user.
    """

    contents: dict[Path, Json]
    skeleton: Skeleton | None = None
    notes: list[str] = field(default_factory=list)


def find_skeleton(contents: Mapping[Path, Json], options: BuildOptions) -> CocoKeypoints:
    """Decide whether keypoints or boxes are read: keypoints where categories name some, unless boxes are asked for.

    Raises:
        SourceError: Categories have different keypoints, or there are none and keypoints are asked for.
        UsageError: Names or pairs of the options are none of the files.
    """
    categories = [(path, category) for path, content in contents.items() for category in content["categories"]]
    named = [(path, category) for path, category in categories if category.get("keypoints")]
    if options.target in ("boxes", "instances", "mask") or not named:
        if options.target == "keypoints":
            first = next(iter(contents))
            raise SourceError(
                f"{first}: no category names keypoints. Expected a file such as person_keypoints_train2017.json, with "
                "a list of names under 'keypoints' in its categories."
            )
        return CocoKeypoints(contents=dict(contents))
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
    kept = {path: _without_others(content) for path, content in contents.items()}
    left_out = sum(len(contents[path]["annotations"]) - len(kept[path]["annotations"]) for path in contents)
    if left_out:
        others = sorted({str(c.get("name")) for _, c in categories if not c.get("keypoints")})
        notes.append(
            f"{format_count(left_out, 'object')} of categories without keypoints left out: {', '.join(others[:5])}."
        )
    has_boxes = any(
        annotation.get("bbox") is not None or annotation.get("segmentation")
        for content in kept.values()
        for annotation in content["annotations"]
    )
    skeleton = make_skeleton(names, edges, flip_pairs=options.flip_pairs, has_boxes=has_boxes)
    return CocoKeypoints(contents=kept, skeleton=skeleton, notes=notes)


def _same(named: list[tuple[Path, Json]]) -> tuple[list[str], list[list[int]]]:
    """Return the names and edges that all these categories have."""
    (first_path, first), *others = named
    names = first["keypoints"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SourceError(f"{first_path}: category {first.get('name')!r}: keypoints: expected a list of names.")
    for path, category in others:
        if category["keypoints"] != names:
            raise SourceError(
                f"{path}: categories with different keypoints: {first.get('name')!r} ({first_path.name}) has "
                f"{len(names)} ({', '.join(names[:3])} …), {category.get('name')!r} {len(category['keypoints'])} "
                f"({', '.join(map(str, category['keypoints'][:3]))} …). Expected the same ones, in one order: build a "
                "dataset for each, or take boxes alone with --target boxes."
            )
    edges: Any = next((c["skeleton"] for _, c in named if c.get("skeleton")), [])
    if not isinstance(edges, list) or not all(_is_edge(edge, len(names)) for edge in edges):
        raise SourceError(
            f"{first_path}: category {first.get('name')!r}: skeleton: expected pairs of numbers from 1 to {len(names)}."
        )
    return list(names), [[a - 1, b - 1] for a, b in edges]


def _is_edge(edge: Any, num_points: int) -> bool:
    return (
        isinstance(edge, list)
        and len(edge) == 2
        and all(isinstance(end, int) and not isinstance(end, bool) and 1 <= end <= num_points for end in edge)
    )


def _without_others(content: Json) -> Json:
    other = {str(c.get("id")) for c in content["categories"] if not c.get("keypoints")}
    return {
        **content,
        "categories": [c for c in content["categories"] if c.get("keypoints")],
        "annotations": [a for a in content["annotations"] if str(a.get("category_id")) not in other],
    }


def points_of(annotation: Json, skeleton: Skeleton) -> NDArray[np.float32] | None:
    """Return x, y, visibility of an annotation's keypoints in turn, by edges; None where they are not 3 · K numbers.

    An annotation without keypoints has none that are labelled.
    """
    given = annotation.get("keypoints") or [0] * (3 * len(skeleton))
    if not isinstance(given, list) or len(given) != 3 * len(skeleton):
        return None
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in given):
        return None
    points = np.array(given, np.float32).reshape(-1, 3)
    points[:, :2] += HALF
    return points.reshape(-1)
