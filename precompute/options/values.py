"""Values of options: made from the text of the command line, and checked with errors that say what was expected."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from precompute.errors import UsageError, on_one_line
from precompute.text.format import is_unicode
from precompute.text.names import NAME, parse_names, with_flag

__all__ = [
    "MAX_COPIES",
    "check_alpha",
    "check_choice",
    "check_class_copies",
    "check_counts",
    "check_mask_map",
    "check_no_ids",
    "check_range",
    "check_seed",
    "check_share",
    "check_unicode",
    "checked_target",
    "number_of",
    "parse_bytes",
    "parse_class_copies",
    "parse_image_size",
    "parse_mask_map",
    "read_named",
    "within",
]

MAX_COPIES = 10_000
TARGETS = ("auto", "none", "boxes", "keypoints", "instances", "mask", "label")


def parse_mask_map(text: str) -> dict[int, int]:
    """Return {255: 1, 128: 2} of ``"255:1,128:2"``, and {3: 1, 4: 1, 5: 1} of ``"3-5:1"``."""
    ids: dict[int, int] = {}
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?\s*:\s*(\d{1,5})", part.strip())
        first, last, new = (int(number or match[1]) for number in match.groups()) if match else (1, 0, 0)
        if last < first:
            raise UsageError(f"mask_map: expected ids as from:to, such as 255:1,128:2 or 1-999:1, got {text!r}.")
        ids |= dict.fromkeys(range(first, last + 1), new)
    return ids


def check_mask_map(ids: Mapping[int, int]) -> None:
    """Refuse ids that masks of 16 bits cannot hold.

    Raises:
        UsageError: There is one.
    """
    for old, new in ids.items():
        if not (0 <= old <= 65_535 and 0 <= new <= 65_535):
            raise UsageError(f"mask_map: expected ids from 0 to 65535, got {old}:{new}.")


def parse_class_copies(text: str) -> dict[str, int]:
    """Return {"shoes": 3, "hats": 2} of ``"shoes=3,hats=2"``."""
    pairs = [part.rpartition("=") for part in parse_names(text)]
    if not all(name and number.isdecimal() for name, _, number in pairs):
        raise UsageError(f"class_copies: expected names and numbers, such as shoes=3,hats=2, got {text!r}.")
    return {name: int(number) for name, _, number in pairs}


def checked_target(given: Any) -> str:
    """Return ``"label,mask"`` of the same text or of a list of names.

    Raises:
        UsageError: It names no target, or several words of which one stands for all.
    """
    words = parse_names(given) if isinstance(given, str) else given
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise UsageError(f"target: expected names of targets, such as label,mask, got {given!r}.")
    if len(words) == 1:
        check_choice("target", words[0], TARGETS)
    alone = [word for word in words if word in ("auto", "none") and len(words) > 1]
    wrong = alone + [word for word in words if not NAME.fullmatch(word)]
    wrong += [word for i, word in enumerate(words) if word in words[:i]]
    if wrong or not words:
        raise UsageError(f"target: expected different names of targets, such as label,mask, got {given!r}.")
    return ",".join(words)


def check_class_copies(class_copies: Mapping[str, Any], *, balance: bool) -> None:
    """Refuse numbers of copies that are out of range, or given together with `balance`.

    Raises:
        UsageError: A number is out of range, or both options are given.
    """
    for name, number in class_copies.items():
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MAX_COPIES:
            raise UsageError(f"class_copies: expected 1 to {MAX_COPIES:,} copies, got {name}={number!r}.")
    if class_copies and balance:
        raise UsageError("class_copies, balance: give one of them; --balance chooses the copies itself.")


def number_of(name: str, given: Any, total: int) -> int:
    """Return the number that ``"5"`` says, or the share of a total that ``"5%"`` says.

    Raises:
        UsageError: The text is neither a number nor a percentage.
    """
    match = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?)%", str(given))
    if not match:
        raise UsageError(f"{name}: expected a number or a percentage such as 5%, got {given!r}.")
    return int(match[1]) if match[1] else int(total * float(match[2]) / 100)


def check_share(name: str, given: Any) -> None:
    """Refuse what is neither a number nor a percentage."""
    number_of(name, given, 100)


def parse_bytes(text: str) -> int:
    """Return 67108864 of ``"64MiB"``; kB, MB, GB are powers of 1000."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKMG]?)(i?)B?", text.strip())
    if not match:
        raise UsageError(f"shard_size: expected bytes such as 64MiB or 200MB, got {text!r}.")
    power = " KMG".index(match[2].upper() or " ")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)


def parse_image_size(given: Any) -> tuple[int, int]:
    """Return (height, width) from one number or two, or from a text such as ``"16x24"``."""
    words = [str(one) for one in given] if isinstance(given, list | tuple) else str(given).replace("x", " ").split()
    if len(words) not in (1, 2) or not all(word.isdecimal() and int(word) > 0 for word in words):
        raise UsageError(f"image_size: expected one number or height and width, got {given!r}.")
    return int(words[0]), int(words[-1])


def check_seed(seed: int) -> int:
    """Return the seed if a record can hold it.

    Raises:
        UsageError: It is not an integer from 0 to 2**63 − 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise UsageError(f"seed: expected an integer from 0 to 2**63 - 1, got {seed!r}.")
    return seed


def check_range(name: str, value: Any, low: float, high: float = math.inf, *, whole: bool = True) -> None:
    """Refuse a value that is neither None nor a number of the range, an integer unless `whole` is false.

    Raises:
        UsageError: The value is neither.
    """
    kinds, noun = (int, "an integer") if whole else (int | float, "a number")
    if value is not None and (isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high):
        expected = f"{noun} of {low} or more" if high == math.inf else f"{noun} from {low} to {high}"
        raise UsageError(f"{name}: expected {expected}, got {value!r}.")


def within(low: float, high: float = math.inf, *, whole: bool = True) -> Callable[[str, Any], None]:
    """Return a check for `option` that refuses all values but None and numbers of the range; see `check_range`."""
    return partial(check_range, low=low, high=high, whole=whole)


def read_named(given: Any, *, option: str, example: str) -> dict[str, str] | None:
    """Return name → text, from a dictionary or from texts such as ``"depth=depth/"``; None without any.

    Args:
        given: Dictionary, text, or list of texts.
        option: Name of the option.
        example: What such a text looks like.

    Raises:
        UsageError: It is none of these, or a name is given twice.
    """
    texts = given.split() if isinstance(given, str) else given
    if isinstance(given, Mapping):
        pairs = list(given.items())
    elif isinstance(texts, list | tuple | None) and all(isinstance(text, str) for text in texts or ()):
        pairs = [(name, value) for name, _, value in (text.partition("=") for text in texts or ())]
    else:
        pairs = [("", given)]
    found = {name: os.fspath(text) for name, text in pairs if isinstance(text, str | os.PathLike) and text}
    if len(found) < len(pairs) or not all(isinstance(name, str) and name for name in found):
        raise UsageError(f"{option}: expected names with what each stands for, such as {example}, got {given!r:.200}.")
    return found or None


def check_alpha(color_mode: str, alpha: str, image_format: str) -> None:
    """Refuse options that keep an alpha channel where it cannot be kept.

    Raises:
        UsageError: The options contradict each other; the message names them.
    """
    if color_mode == "rgba" and alpha in ("white", "black"):
        raise UsageError(
            f"alpha (--alpha): got {alpha}, which takes alpha off, and color_mode (--color-mode) rgba, which "
            "keeps it; leave one of them out."
        )
    if color_mode == "rgba" and image_format == "jpeg":
        raise UsageError(
            "color_mode (--color-mode): JPEG holds no alpha channel; give --image-format png, or raw, with rgba."
        )


def check_no_ids(mask_map: Mapping[int, int], mask_offset: int) -> None:
    """Refuse options that are for masks of ids, where masks hold colours.

    Raises:
        UsageError: There is such an option; the message names the first.
    """
    given = "mask_map" if mask_map else "mask_offset" if mask_offset else None
    if given:
        raise UsageError(f"{given}: is for masks of ids; with mask_colors the file says which class a colour is.")


def check_counts(**numbers: int) -> None:
    """Refuse numbers below 1, by their names.

    Raises:
        UsageError: One of them is.
    """
    for name, number in numbers.items():
        if number < 1:
            raise UsageError(f"{name}: expected 1 or more, got {number!r}.")


def check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    """Refuse a value that is none of the choices.

    Raises:
        UsageError: The value is none of them.
    """
    if value not in choices:
        raise UsageError(f"{name}: expected one of {', '.join(choices)}, got {value!r}.")


def check_unicode(name: str, value: Any) -> None:
    """Refuse texts and paths, alone or in a list or dictionary, that a manifest cannot hold.

    Raises:
        UsageError: A text is not UTF-8.
    """
    texts = map(str, value if isinstance(value, list | tuple | dict) else [value])
    foreign = next((text for text in texts if not is_unicode(text)), None)
    if foreign is not None:
        raise UsageError(
            f"{with_flag(name)}: {on_one_line(foreign)} is no UTF-8, and the manifest holds text; if "
            "it names a file or folder, rename that."
        )
