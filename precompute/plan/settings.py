"""The settings of a generation as JSON: compared one by one, and hashed into the fingerprint."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import PurePath
from typing import Any

from precompute.dataset.json_files import canonical_json
from precompute.options.of_fields import each_value
from precompute.plan.versions import NOT_INSTALLED

__all__ = ["differences", "fingerprint", "place_below"]

VERSION = "version of "
NAMED_LATER = ("pixels.png_deflate",)  # a dataset that does not name it goes on without
PLACES = ("dataset.annotations", "dataset.images", "dataset.masks")  # one place is one, however it is spelled
NOT_COMPARED = ("dataset.root", "dataset.class_names")  # a moved folder is the same data; classes are in the listing


def fingerprint(settings: dict[str, Any]) -> str:
    """Return the hash of everything that decides the pixels of a record, except for seeds and rows."""
    return hashlib.sha256(canonical_json(settings["pixels"])).hexdigest()


def differences(
    stored: dict[str, Any], wanted: dict[str, Any], *, where: str = "in the dataset", now: str = "now"
) -> list[str]:
    """Return the differences between two settings, one line each.

    Args:
        where: Words by which a line names the stored settings.
        now: Words by which it names the others.
    """
    old, new = _flat(stored), _flat(wanted)
    lines: list[str] = []
    for name in [*old, *(name for name in new if name not in old)]:
        unknown = name.startswith(VERSION) and old.get(name, NOT_INSTALLED) == NOT_INSTALLED
        kept = name in NOT_COMPARED or (name in NAMED_LATER and name not in old)
        if not kept and not unknown and old.get(name) != new.get(name):
            lines += _difference(name, old.get(name), new.get(name), where, now)
    return lines


def _difference(name: str, old: Any, new: Any, where: str, now: str) -> Iterator[str]:
    """Yield the differences of two values; for two pipelines of the same transforms, those of the arguments."""
    if _names(old) != _names(new) or not isinstance(old, dict) or not isinstance(new, dict):
        yield f"{name}: {_shown(old)} {where}, {_shown(new)} {now}"
        return
    for key in [*old, *(key for key in new if key not in old)]:
        if key == "transforms":
            for old_inner, new_inner in zip(old[key], new[key], strict=True):
                yield from _difference(f"{name} › {_class_of(old_inner)}", old_inner, new_inner, where, now)
        elif old.get(key) != new.get(key):
            inner = name if key in ("transform", "attributes") else f"{name} › {key}"
            yield from _difference(inner, old.get(key), new.get(key), where, now)


def _names(node: Any) -> Any:
    """Return the classes of a pipeline's transforms, nested like these; None for what is no transform."""
    if not isinstance(node, dict):
        return None
    inner = [node["transform"]] if "transform" in node else node.get("transforms", ())
    return [_class_of(node), *map(_names, inner)]


def _class_of(node: dict[str, Any]) -> str:
    return str(node.get("__class_fullname__", "")).rpartition(".")[2]


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings by name, in the form in which they are compared."""
    flat = dict(_each(settings))
    root = flat.get("dataset.root")
    placed = partial(place_below, root)
    return flat | {name: each_value(flat[name], placed) for name in PLACES if flat.get(name) is not None}


def place_below(root: str | None, path: str) -> str:
    """Return a path as settings hold it: relative to the folder of the sources if it lies below it, else unchanged."""
    if root is None or "://" in path:
        return path
    place = PurePath(os.path.normpath(PurePath(root, path)))
    return (place.relative_to(root) if place.is_relative_to(root) else place).as_posix()


def _each(settings: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for part, values in settings.items():
        for name, value in values.items():
            if name == "pipelines":
                yield from ((f"pipeline of {split}", description) for split, description in value.items())
            elif name == "versions":
                yield from ((f"{VERSION}{package}", version) for package, version in value.items())
            else:
                yield f"{part}.{name}", value


def _shown(value: Any) -> str:
    if isinstance(value, dict) and "transform" in value:
        return _pipeline_shown(value["transform"])
    return "none" if value is None else repr(value)


def _pipeline_shown(node: dict[str, Any]) -> str:
    inner = [_pipeline_shown(transform) for transform in node.get("transforms", ())]
    return f"{_class_of(node)}[{', '.join(inner)}]" if "transforms" in node else _class_of(node)
