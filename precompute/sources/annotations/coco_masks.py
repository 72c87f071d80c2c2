"""Segmentations of COCO → run-length codes: polygons, runs, compressed runs.

Source: https://cocodataset.org/#format-data
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from precompute.errors import first_few
from precompute.sources.annotations.images import listed, raise_problems
from precompute.sources.instance_column import InstanceColumn, objects_note
from precompute.sources.source import Sources
from precompute.targets.boxes import UNKNOWN_SIZE
from precompute.targets.instances import Instances
from precompute.targets.rle import area_of, code_of_counts, code_of_polygons, pycocotools_mask
from precompute.text import format_count

__all__ = ["Segmented", "with_masks"]

FEWEST_NUMBERS = 6  # three points; pycocotools takes four numbers for a box
FAR = 10  # times height and width


class Segmented(NamedTuple):
    """What a COCO file says of one image: key, width and height, and for each object label, flags, segmentation, id."""

    key: str
    size: tuple[int, int]
    rows: Sequence[tuple[int, int, Any, Any]]


def with_masks(sources: Sources, images: Iterable[Segmented]) -> Sources:
    """Return sources of boxes with the masks of their objects in their place.

    Args:
        sources: With boxes.
        images: In the order of the sources.

    Raises:
        SourceError: Segmentations that are none, or that do not fit their image.
        UsageError: pycocotools is missing.
    """
    pycocotools_mask()  # said once if it is missing
    problems, empty, found = list[str](), list[str](), list[Instances]()
    for key, (width, height), rows in images:
        shapes = []
        if rows and (width, height) == UNKNOWN_SIZE:
            problems.append(f"{key}: the size of its image is not known")
            continue
        for label, flags, segmentation, number in rows:
            try:
                code = _code(segmentation, height, width)
            except ValueError as error:
                problems.append(f"{key}: annotation {number}: {error}")
                continue
            if area_of(code, height, width):
                shapes.append((code, label, flags))
            else:
                empty.append(f"{key}: annotation {number}")
        found.append(Instances.of_shapes(shapes, (width, height)))
    raise_problems(
        f"{sources.root}: masks of objects that cannot be read (COCO).",
        [listed("Segmentations", problems, "Mend them, or take their annotations out.")],
    )
    column = InstanceColumn.of_instances(found)
    notes = [note for note in sources.notes if "box" not in note]  # of annotated boxes nothing is used
    if empty:
        objects = format_count(len(empty), "object whose mask holds no pixel", "objects whose masks hold no pixel")
        notes.append(f"{objects} left out:\n{first_few(empty)}")
    return replace(sources, boxes=column, notes=[objects_note(column), *notes])


def _code(segmentation: Any, height: int, width: int) -> str:
    """Return the compressed run-length code of a segmentation.

    Raises:
        ValueError: It is none, or does not fit the image.
    """
    if isinstance(segmentation, Mapping):
        return _code_of_runs(segmentation, height, width)
    if not isinstance(segmentation, list) or not segmentation:
        raise ValueError("it has no segmentation")
    for polygon in segmentation:
        if not isinstance(polygon, list) or not _are_numbers(polygon):
            raise ValueError(f"expected polygons, lists of x and y in turn, got {polygon!r:.60}")
        if len(polygon) % 2:
            raise ValueError(f"a polygon has {format_count(len(polygon), 'number')}; x and y come in pairs")
        if len(polygon) < FEWEST_NUMBERS:
            raise ValueError(f"a polygon has {format_count(len(polygon) // 2, 'point')}; three are the fewest")
        if max(map(abs, polygon)) > FAR * (height + width):  # pycocotools would walk all the way
            raise ValueError(f"a polygon reaches {max(map(abs, polygon)):g}, far outside of its image")
    return code_of_polygons(segmentation, height, width)


def _are_numbers(polygon: Sequence[Any]) -> bool:
    return set(map(type, polygon)) <= {int, float} and math.isfinite(sum(polygon))


def _code_of_runs(segmentation: Mapping[str, Any], height: int, width: int) -> str:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != [height, width]:
        raise ValueError(f"its run-length code is made for {size!r:.40} (height, width), its image is {height}×{width}")
    if not isinstance(counts, list | str) or not counts:
        raise ValueError(f"expected runs or a compressed code under counts, got {counts!r:.40}")
    return code_of_counts(counts, height, width)
