"""Descriptions of the things that are counted while sources are decoded; each field words its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from precompute.fields.field import Field
from precompute.text.format import format_count

__all__ = [
    "EMPTY_OBJECTS",
    "describe_counters",
    "instance_id_warning",
    "instance_id_warnings",
    "instance_ids_of",
    "masks_of",
]

MASK = "mask"  # the field whose counter has no name behind it
INSTANCE_IDS = "numbered"  # of `number` masks that were looked at `num_sources` look so; `largest` is their largest id

EMPTY_OBJECTS = {
    "empty": (
        "object whose mask holds no pixel was left out, of",
        "objects whose masks hold no pixel were left out, of",
    )
}


def describe_counters(fields: Iterable[Field], counters: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each counter that a field describes.

    Args:
        fields: Fields of the dataset.
        counters: Counters of its manifest.
    """
    wording = {what: words for field in fields for what, words in field.counters.items()}
    for what, counts in counters.items():
        if what in wording:
            examples = ", ".join(counts["examples"])
            number = format_count(counts["num_sources"], "source")
            yield f"{format_count(counts['number'], *wording[what])} {number}, e.g. {examples}"


def masks_of(field_name: str) -> tuple[str, str]:
    """Return what messages call the masks of a field, and what stands before an option's value for them."""
    return ("masks", "") if field_name == MASK else (f"masks of {field_name}", f"{field_name}=")


def instance_ids_of(field_name: str) -> str:
    """Return the counter of ids that seem to be numbers of objects, in the masks of a field."""
    return INSTANCE_IDS if field_name == MASK else f"{INSTANCE_IDS} {field_name}"


def instance_id_warnings(counters: Mapping[str, Any]) -> Iterator[str]:
    """Yield a warning for each field of masks whose ids seem to be numbers of objects and not classes.

    Args:
        counters: Counters of a plan.
    """
    for what in counters:
        if what.partition(" ")[0] == INSTANCE_IDS:
            yield instance_id_warning(counters, what.partition(" ")[2] or MASK)


def instance_id_warning(counters: Mapping[str, Any], field_name: str, num_classes: int | None = None) -> str:
    """Return the warning of one field, which has such a counter.

    Args:
        counters: Counters of a manifest or of a plan.
        field_name: Name of the field.
        num_classes: Number of classes that follows from these ids; None before all ids are known.
    """
    found = counters[instance_ids_of(field_name)]
    masks, of = masks_of(field_name)
    num_classes = num_classes or found.get("largest", 0) + 1
    room = min(10 ** len(str(2 * num_classes)) - 1, 65_535)  # other masks may hold more objects
    examples = ", ".join(found["examples"][:3])
    return (
        f"{masks}: {format_count(num_classes, 'class')}, but in {found['num_sources']} of "
        f"{format_count(found['number'], 'mask')} looked at each id is one connected patch, and how many there are "
        f"changes from mask to mask (e.g. {examples}): these look like numbers of objects, not classes. "
        "For objects write a mask file for each (images/a.jpg, masks/a/1.png, masks/a/2.png …); for one class of all "
        f"objects build with --mask-map {of}1-{room}:1 --num-classes {of}2; if they are classes, say so with "
        "--class-names or --num-classes"
    )
