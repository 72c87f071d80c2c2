"""Sources from Python: an iterable of them, or the parallel lists that notebooks have."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precompute.errors import SourceError, UsageError, first_few
from precompute.fields.path_column import PathColumn
from precompute.fields.string_column import StringColumn
from precompute.fields.value_column import ValueColumn
from precompute.options.build_options import BuildOptions
from precompute.sources.checks import check_class_names, check_keys
from precompute.sources.classes import has_several, label_sets_column, labels_column, read_label
from precompute.sources.found import Found, FoundColumn
from precompute.sources.python.boxes import boxes_of_python
from precompute.sources.python.columns import check_indexes, list_of
from precompute.sources.python.files import below, check_files, common_parent, file_path
from precompute.sources.python.instances import number_objects, read_rows, sizes_of_sources
from precompute.sources.python.keypoints import check_same_fields, keypoints_of_python
from precompute.sources.values import (
    check_extra_name,
    check_value_name,
    column_of_values,
    each_once,
    numbers_of,
    weights_of,
)
from precompute.table.sources import IMAGE_ONLY, SPLITS, Source
from precompute.text.format import format_count

if TYPE_CHECKING:
    from precompute.table.sources import Source

__all__ = ["LISTS", "from_iterable", "from_lists"]

TARGETS = ("mask", "label", "boxes", "instances")
LISTS = (
    *("images", "labels", "masks", "boxes", "keypoints", "instances", "values"),
    *("splits", "groups", "keys", "weights", "extra"),
)


def from_iterable(
    sources: Iterable[Source],
    *,
    class_names: Sequence[str] | None = None,
    options: BuildOptions | None = None,
) -> Found:
    """Check sources and put them into columns, sorted by key.

    Args:
        sources: All with a label, all with a list of labels, all with a mask, all with a list of boxes, all with a list
            of objects that have masks, all with keypoints, then all with boxes or none, or all alone.
        class_names: Order of the classes, what labels that are numbers index. For masks, the name of each class id.
        options: Options of the build: names and pairs of keypoints.

    Raises:
        UsageError: A field is not what it should be.
        SourceError: Files are missing, keys are invalid or appear twice, labels are unknown.
    """
    names = check_class_names(class_names)
    items = list(sources)
    _check_items(items)
    check_keys((item.key for item in items), where="sources", remedy="Give other keys.")
    items.sort(key=lambda item: item.key)
    _check_unique(items)
    target = _check_target(items)
    masked = target == "mask"
    images = [file_path(item.image, "image", item.key) for item in items]
    masks = [file_path(item.mask, "mask", item.key) for item in items] if masked else None
    keys = [str(item.key) for item in items]
    rows = read_rows([item.instances for item in items], keys, file_path) if target == "instances" else []
    more = [row.path for of_image in rows for row in of_image]
    num_bytes = check_files(images + (masks or []) + more)
    root = common_parent(images + (masks or []) + more)
    boxes = boxes_of_python([item.boxes for item in items], keys, images, names) if target == "boxes" else None
    points = None
    if target == "keypoints":
        of_boxes = [item.boxes for item in items] if items[0].boxes is not None else None
        given = [item.keypoints for item in items]
        points = keypoints_of_python(given, of_boxes, keys, images, names, options or BuildOptions())
        boxes = points
    fields = [] if boxes is None else [boxes]
    if target == "label":
        fields.append(_labels([item.label for item in items], keys, names))
    if target == "instances":
        fields.append(number_objects(rows, keys, below(root, more), names))
    if masks is not None:
        fields.append(FoundColumn(PathColumn(paths=StringColumn(below(root, masks)))))
    fields += map(FoundColumn, each_once(_values_of_sources(items, options or BuildOptions())))
    if rows:
        num_bytes = sizes_of_sources(rows, num_bytes)
    return Found(
        where="sources",
        root=root,
        keys=StringColumn(keys),
        images=StringColumn(below(root, images)),
        fields=fields,
        splits=[_split(item) for item in items],
        groups=[_group(item) for item in items],
        num_bytes=array("q", (num_bytes[i] + (num_bytes[len(items) + i] if masked else 0) for i in range(len(items)))),
        class_names=names or [],
    )


def from_lists(
    *,
    images: Iterable[str | Path],
    labels: Iterable[str | int | Collection[str | int]] | None = None,
    masks: Iterable[str | Path] | None = None,
    boxes: Iterable[Sequence[Sequence[Any]]] | None = None,
    keypoints: Iterable[Sequence[Any]] | None = None,
    instances: Iterable[Sequence[Sequence[Any]]] | None = None,
    splits: Iterable[str | None] | None = None,
    groups: Iterable[str | int | None] | None = None,
    keys: Iterable[str] | None = None,
    weights: Iterable[float] | None = None,
    values: Mapping[str, Iterable[float | None]] | None = None,
    extra: Mapping[str, Iterable[Any]] | None = None,
    class_names: Sequence[str] | None = None,
    options: BuildOptions | None = None,
) -> Found:
    """Make sources of lists of equal length: the i-th entry of each belongs to the i-th image.

    Args:
        images: Paths of the image files.
        labels: Class names or class indices, or for each image a list, tuple or set of them; this, or another target,
            or none for images alone.
        masks: Paths of the mask files.
        boxes: For each image a list of boxes as `Source` has them.
        instances: For each image a list of objects with masks as `Source` has them.
        keypoints: For each image the keypoints of its objects as `Source` has them; alone or with boxes.
        splits: ``"train"``, ``"validation"``, ``"test"``, or None to let fractions decide.
        groups: Sources of one group always share a split; None when a source stands alone.
        keys: Stable names; when left out, each image's path below the folder that all share, without its extension.
        weights: What each counts in training, 0 or more.
        values: Name → numbers that a model shall learn; None where one is missing.
        extra: Name → values that travel along unchanged: whole numbers, numbers or texts.
        class_names: Order of the classes, as for `from_iterable`.
        options: Options of the build, as for `from_iterable`.

    Raises:
        UsageError: Lengths differ, or a list holds what it should not.
        SourceError: Files are missing, keys are invalid or appear twice, labels are unknown.
    """
    given = (("labels", labels), ("masks", masks), ("boxes", boxes), ("instances", instances), ("values", values))
    targets = [name for name, column in given if column is not None]
    if len(targets) > 1:
        raise UsageError(
            f"Expected labels, masks, boxes, instances or values beside images, got both {' and '.join(targets)}: "
            "labels for classification, masks for segmentation, boxes for detection, instances for objects with a mask "
            "each, values for numbers, none of them for images alone."
        )
    if keypoints is not None and targets not in ([], ["boxes"]):
        raise UsageError(f"keypoints: expected them alone or with boxes, got {targets[0]} too.")
    columns = {
        "images": images,
        "labels": labels,
        "masks": masks,
        "boxes": boxes,
        "keypoints": keypoints,
        "instances": instances,
        "splits": splits,
        "groups": groups,
        "keys": keys,
        "weights": weights,
        "values": _rows_by_name("values", values, check_value_name),
        "extra": _rows_by_name("extra", extra, check_extra_name),
    }
    named = (("values", values or {}), ("extra", extra or {}))
    check_indexes(columns | {f"{what}[{name!r}]": column for what, of in named for name, column in of.items()})
    lists = {name: list_of(name, column) for name, column in columns.items() if column is not None}
    _check_lengths(lists)
    if "keys" not in lists:
        lists["keys"] = _make_keys(lists["images"])
    fields = {
        "images": "image",
        "labels": "label",
        "masks": "mask",
        "boxes": "boxes",
        "keypoints": "keypoints",
        "instances": "instances",
        "splits": "split",
        "groups": "group",
        "keys": "key",
        "weights": "weight",
        "values": "values",
        "extra": "extra",
    }
    rows = zip(*lists.values(), strict=True)
    names = [fields[name] for name in lists]
    return from_iterable(
        (Source(**dict(zip(names, row, strict=True))) for row in rows), class_names=class_names, options=options
    )


# Lists.


def _check_lengths(lists: dict[str, list[Any]]) -> None:
    count = len(lists["images"])
    for name, values in lists.items():
        if len(values) != count:
            raise UsageError(
                f"{name}: expected an entry for each of {format_count(count, 'image')}, got {len(values):,}. "
                "Entries belong together by position; check where the lists come from."
            )


def _make_keys(images: list[Any]) -> list[str]:
    paths = [file_path(image, "image", i) for i, image in enumerate(images)]
    root = common_parent(paths)
    if root is None and paths:
        raise UsageError("keys: the images lie on different drives and share no folder; give a key for each.")
    return [os.path.splitext(path)[0] for path in below(root, paths)]  # noqa: PTH122 (a Path a file is slow)


# Single sources.


def _check_items(items: list[Source]) -> None:
    if not items:
        raise SourceError("There are no sources: the list of images is empty.")
    for i, item in enumerate(items):
        if not isinstance(item, Source):
            raise UsageError(f"sources[{i}]: expected a precompute.Source, got {type(item).__name__}.")


def _check_unique(items: list[Source]) -> None:
    listed = [f"{a.key!r}: {os.fspath(a.image)}, {os.fspath(b.image)}" for a, b in pairwise(items) if a.key == b.key]
    if listed:
        raise SourceError(
            f"Keys that appear again ({len(listed):,}):\n{first_few(listed)}\nExpected each image once, under a key of "
            "its own. Keys made from paths leave out the extension; give keys yourself where that is not enough."
        )


def _check_target(items: list[Source]) -> str:
    """Return what all sources have: a kind of target, or `IMAGE_ONLY`; keypoints come alone or with boxes."""
    if any(item.keypoints is not None for item in items):
        check_same_fields(items)
        return "keypoints"
    targets = [[name for name in TARGETS if getattr(item, name) is not None] for item in items]
    if not any(targets):
        return IMAGE_ONLY
    wrong = [repr(item.key) for item, found in zip(items, targets, strict=True) if len(found) != 1]
    if wrong:
        raise UsageError(
            "Expected a mask, a label, or a list of boxes or of instances, not both, and not neither unless all images "
            f"are alone, for:\n{first_few(wrong)}"
        )
    of_kind: dict[str, list[str]] = {}
    for item, (name,) in zip(items, targets, strict=True):
        of_kind.setdefault(name, []).append(repr(item.key))
    if len(of_kind) > 1:
        (first, those), (second, others) = list(of_kind.items())[:2]
        raise UsageError(
            f"Expected the same kind of target for all sources, got {len(those):,} times {first} and {len(others):,} "
            f"times {second}. With {first}:\n{first_few(those)}\nWith {second}:\n{first_few(others)}"
        )
    return next(iter(of_kind))


def _labels(labels: list[Any], keys: list[str], names: list[str] | None) -> FoundColumn:
    if has_several(labels, keys):
        return label_sets_column(labels, keys, names)
    return labels_column([read_label(label, key) for label, key in zip(labels, keys, strict=True)], keys, names)


def _split(item: Source) -> str | None:
    if item.split is not None and item.split not in SPLITS:
        raise UsageError(f"split of {item.key!r}: expected {', '.join(map(repr, SPLITS))} or None, got {item.split!r}.")
    return None if item.split is None else str(item.split)


def _group(item: Source) -> str | None:
    group: Any = item.group
    if group is None or isinstance(group, str):
        return group if group is None else str(group)
    label = None if isinstance(group, bool) or not hasattr(group, "__index__") else group.__index__()
    if label is None:
        raise UsageError(f"group of {item.key!r}: expected a text, a whole number or None, got {group!r}.")
    return str(label)


# Weights, numbers and extra values from Python


def _rows_by_name(what: str, given: Any, check_name: Callable[[object], str]) -> list[dict[str, Any]] | None:
    """Return lists by name as a dictionary for each source.

    Raises:
        UsageError: They are no lists of equal length.
    """
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise UsageError(f"{what}: expected a dictionary of lists by name, got {type(given).__name__}.")
    if not given:
        return None
    lists = {check_name(name): list_of(f"{what}: {name}", values) for name, values in given.items()}
    lengths = {name: len(values) for name, values in lists.items()}
    if len(set(lengths.values())) > 1:
        raise UsageError(f"{what}: expected lists of equal length, an entry for each image, got {lengths}.")
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def _values_of_sources(items: Sequence[Source], options: BuildOptions) -> Iterator[ValueColumn]:
    """Yield numbers that are learnt, weights and extra values of sources as columns.

    Raises:
        SourceError: Some sources have none.
        UsageError: They do not all have the same names, or values are not what records hold.
    """

    def where(i: int) -> str:
        return repr(items[i].key)

    numbers = [item.values or {} for item in items]
    for name in map(check_value_name, _same_names("values", numbers, where)):
        yield numbers_of(name, [of_item[name] for of_item in numbers], where, options)
    if any(item.weight is not None for item in items):
        yield weights_of([item.weight for item in items], where)
    extra = [item.extra or {} for item in items]
    for name in map(check_extra_name, _same_names("extra", extra, where)):
        yield column_of_values(name, [of_item[name] for of_item in extra], where)


def _same_names(what: str, given: Sequence[Mapping[str, Any]], where: Callable[[int], str]) -> list[str]:
    names = list(given[0])
    other = next((i for i, of_item in enumerate(given) if set(of_item) != set(names)), None)
    if other is not None:
        raise UsageError(
            f"{what}: expected the same names for all sources, got {', '.join(names) or 'none'} for {where(0)}, "
            f"{', '.join(map(str, given[other])) or 'none'} for {where(other)}."
        )
    return names
