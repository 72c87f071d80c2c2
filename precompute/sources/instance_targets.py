"""What becomes of masks of single objects: `--target`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from precompute.errors import UsageError
from precompute.options import BuildOptions
from precompute.sources.instance_column import InstanceColumn, merged_names
from precompute.sources.source import Sources
from precompute.targets.boxes import CROWD
from precompute.text import format_count

__all__ = ["choose_target"]

OF_OBJECTS = ("instances", "boxes", "mask")  # what can be made of masks of single objects


def choose_target(sources: Sources, options: BuildOptions) -> Sources:
    """Return sources whose objects become what was asked for.

    Raises:
        UsageError: That cannot be made of them.
    """
    column, target = sources.boxes, options.target
    if not isinstance(column, InstanceColumn):
        if target in OF_OBJECTS and target != sources.kind and sources.skeleton is None:
            had = {"boxes": "boxes without masks", "mask": "one mask an image"}.get(sources.kind, "no masks of objects")
            raise UsageError(f"target: {target} needs masks of single objects, and these sources have {had}.")
        return sources
    if options.mask_colors:
        raise UsageError("mask_colors: masks of single objects hold no colours; give their classes otherwise.")
    if target != "mask":
        return replace(sources, boxes=replace(column, target="boxes" if target == "boxes" else "instances"))
    notes = ["masks of objects are merged: background is class 0, smaller objects lie on top of larger ones."]
    crowds = int(((column.flags & CROWD) > 0).sum())
    if crowds:
        what = (
            "taken for class ids below all others; --ignore-class 255 makes them pixels that do not count"
            if options.ignore_class is None
            else f"taken for the ignore class, {options.ignore_class}"
        )
        notes.append(f"{format_count(crowds, 'crowd is', 'crowds are')} {what}.")
    labels = (column.labels + 1).astype(np.int32)
    names = merged_names(sources.class_names)
    if options.ignore_class is not None and options.ignore_class < len(names):
        raise UsageError(
            f"ignore_class: {options.ignore_class} is the class {names[options.ignore_class]!r}; expected "
            f"{len(names)} or more, such as 255."
        )
    merged = replace(column, labels=labels, target="mask")
    return replace(sources, boxes=merged, class_names=names, notes=[*sources.notes, *notes])
