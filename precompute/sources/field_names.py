"""Names that users give to masks, further images, numbers and values: parts of keys in records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from precompute.errors import UsageError
from precompute.fields.value import WEIGHT
from precompute.text.names import NAME

__all__ = ["check_extra_name", "check_file_name", "check_names", "check_value_name"]

# What means something else to a pipeline, in examples, or as a name of a field.
TAKEN = {
    *("image", "images", "mask", "masks", "bboxes", "keypoints", "volume", "volumes", "mask3d", "masks3d"),
    *("label", "labels", "objects", "boxes", "instances", "weight", "values", "extra"),
}

NOUN = {"extra_images": "images", "masks": "masks"}
RENAME = "It becomes part of a key in the records: rename the column."


def check_file_name(name: object, what: str = "extra_images") -> None:
    """Refuse a name that further images or masks cannot have.

    Args:
        name: The name.
        what: What has it, as options name it: ``"extra_images"`` or ``"masks"``.

    Raises:
        UsageError: It is no name, or has another meaning.
    """
    _check_form(what, name, "It becomes part of a key in the records, and a target's name in the pipeline.")
    if name in TAKEN and (what, name) != ("masks", "mask"):
        raise UsageError(f"{what}: {name} means something else; give the {NOUN[what]} another name, such as {name}_2.")


def check_extra_name(name: object) -> None:
    """Refuse a name that values which travel along cannot have.

    Raises:
        UsageError: It is no name, or has another meaning.
    """
    _check_form("extra columns", name, RENAME)
    if name == WEIGHT:
        raise UsageError("extra columns: weight is what a source counts in training: give --weight-column, or weights.")


def check_value_name(name: object) -> None:
    """Refuse a name that learnt numbers cannot have.

    Raises:
        UsageError: It is no name, or has another meaning.
    """
    _check_form("value columns", name, RENAME, " and is not weight")


def _check_form(what: str, name: object, remedy: str, not_weight: str = "") -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name) or (not_weight and name == WEIGHT):
        raise UsageError(
            f"{what}: expected a name of letters, digits and _, that begins with no digit{not_weight}, got "
            f"{name!r:.80}. {remedy}"
        )


def check_names(names: Iterable[str]) -> None:
    """Refuse two fields of one name.

    Raises:
        UsageError: There are such fields.
    """
    twice = [name for name, number in Counter(names).items() if number > 1]
    if twice:
        raise UsageError(
            f"{twice[0]}: two things beside the images have this name; expected another name for each of the masks, "
            "further images, numbers and values."
        )
