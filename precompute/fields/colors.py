"""Which colour of a mask means which class: read from a file, from Python or from a manifest, and written for people.

A file is JSON or CSV. JSON: an object of colours, ``{"#3c1098": "building", "132,41,246": "land"}``, or a list of
objects with a colour and a class, which may stand under a key beside others, as labelling tools export it.
CSV: a header, then one line per colour; the colour in one column or in three, ``r``, ``g``, ``b``. A class is a name or
a whole number; several colours may mean one class.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from precompute.errors import UsageError, first_few
from precompute.text.files import read_text

__all__ = ["FoundColor", "MaskColors", "read_mask_colors", "shown_color", "write_mask_colors"]

OPTION = "mask_colors (--mask-colors)"
COLOR_NAMES = ("color", "colour", "rgb", "hex")
CLASS_NAMES = ("class", "name", "title", "label", "id", "index")
MAX_ID = 65_535
FORMS = """Expected JSON such as {"#3c1098": "building", "#8429f6": "land"}, or CSV such as
  color,class
  #3c1098,building
with a class name or a class id for each colour. `precompute mask-colors SOURCE --output FILE` writes one from the
colours that the masks hold."""

Pair = tuple[Any, Any]


@dataclass(frozen=True, kw_only=True)
class MaskColors:
    """Classes of colours.

    Attributes:
        ids: Colour as ``"#rrggbb"`` → class id.
        names: Name of each class id, where the file has names; else None.
    """

    ids: dict[str, int]
    names: list[str] | None


@dataclass(frozen=True, kw_only=True)
class FoundColor:
    """A colour that masks hold.

    Attributes:
        color: Colour as ``"#rrggbb"``.
        name: Name of its class, or its id.
        num_pixels: Number of its pixels in all masks.
        num_masks: Number of masks that hold it.
    """

    color: str
    name: str | int
    num_pixels: int
    num_masks: int


def read_mask_colors(given: Any, *, class_names: Sequence[str] | None, ignore_class: int | None) -> MaskColors:
    """Return the class of each colour.

    Args:
        given: Path of a JSON or CSV file, or a mapping of colours, ``"#rrggbb"``, ``"r,g,b"`` or (r, g, b), to class
            names or ids.
        class_names: The order of the classes, if it was given; else names are numbered as they come.
        ignore_class: The only class id that may be used where the other classes have names.

    Raises:
        UsageError: The file is missing or not of this form, or a colour or class is not valid.
    """
    if not isinstance(given, Mapping | str | Path):
        raise UsageError(f"{OPTION}: expected a file, or colours with their classes; got {given!r:.80}.")
    pairs = list(given.items()) if isinstance(given, Mapping) else _read(Path(given))
    if not pairs:
        raise UsageError(f"{OPTION}: {_source(given)} holds no colours. {FORMS}")
    classes: dict[str, Any] = {}
    for color, name in pairs:
        key = shown_color(*_color(color, given))
        if classes.setdefault(key, name) != name:
            raise UsageError(f"{OPTION}: {_source(given)} gives {key} twice, as {classes[key]!r} and as {name!r}.")
    return _number(classes, given, class_names, ignore_class)


def write_mask_colors(path: Path, found: Iterable[FoundColor]) -> None:
    """Write a file that `read_mask_colors` reads, for people to put names into."""
    lines = [
        json.dumps({"color": f.color, "class": f.name, "pixels": f.num_pixels, "masks": f.num_masks}) for f in found
    ]
    try:
        path.write_text("[\n " + ",\n ".join(lines) + "\n]\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"output: {path}: cannot be written: {error.strerror}.") from error


def shown_color(red: int, green: int, blue: int) -> str:
    """Return a colour as ``"#rrggbb"``."""
    return f"#{red:02x}{green:02x}{blue:02x}"


# Files.


def _read(path: Path) -> list[Pair]:
    try:
        text = read_text(path, UsageError)
    except UsageError as error:
        raise UsageError(f"{OPTION}: {error} {FORMS}") from error
    if path.suffix.lower() == ".csv":
        return _csv_pairs(text, path)
    try:
        return _json_pairs(json.loads(text, object_pairs_hook=_Pairs), path)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{OPTION}: {path} is not valid JSON ({error}). {FORMS}") from error


class _Pairs(list[Pair]):
    """A JSON object with all its pairs, so that a colour that stands in it twice is noticed."""


def _json_pairs(content: Any, path: Path) -> list[Pair]:
    if isinstance(content, _Pairs):
        inside = [value for _, value in content if _is_table(value)]
        if not inside:
            return list(content)
        content = inside[0]
    if not _is_table(content):
        raise UsageError(f"{OPTION}: {path} holds neither an object of colours nor a list of objects. {FORMS}")
    return [_entry({str(k).lower(): v for k, v in entry}, path) for entry in content]


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, _Pairs) for entry in value)


def _csv_pairs(text: str, path: Path) -> list[Pair]:
    rows = list(csv.reader(io.StringIO(text), skipinitialspace=True))
    header = [name.strip().lower() for name in rows[0]] if rows else []
    lines = [[value.strip() for value in row] for row in rows[1:] if any(value.strip() for value in row)]
    ragged = [str(row) for row in lines if len(row) != len(header)]
    if ragged:
        raise UsageError(
            f"{OPTION}: {path}: lines with another number of columns than the header has ({len(header)}):\n"
            f"{first_few(ragged)}\nA colour of three numbers in one column stands in quotation marks."
        )
    return [_entry(dict(zip(header, row, strict=True)), path) for row in lines]


def _entry(entry: Mapping[str, Any], path: Path) -> Pair:
    """Return colour and class of one object or line."""
    color: Any = next((entry[name] for name in COLOR_NAMES if name in entry), None)
    if color is None and all(name in entry for name in "rgb"):
        color = [entry[name] for name in "rgb"]
    name = next((entry[name] for name in CLASS_NAMES if name in entry), None)
    if color is None or name is None:
        lacking = "colour" if color is None else "class"
        raise UsageError(f"{OPTION}: {path}: no {lacking} in {dict(entry)!r:.100}. {FORMS}")
    return color, name


# Values.


def _color(color: Any, given: Any) -> tuple[int, int, int]:
    """Return red, green and blue, 0 to 255."""
    if isinstance(color, str):
        written = re.fullmatch(r"#?([0-9a-fA-F]{6})", color.strip())
        if written:
            return tuple(bytes.fromhex(written[1]))  # type: ignore[return-value]  # three of them
        numbers: Any = re.split(r"[\s,;]+", color.strip().strip("()[]").strip())
    else:
        numbers = list(color) if isinstance(color, list | tuple) else []
    values = [_whole(number) for number in numbers]
    if len(values) != 3 or not all(value is not None and value <= 255 for value in values):
        raise UsageError(
            f"{OPTION}: {_source(given)}: expected a colour such as #3c1098 or 60,16,152 (red, green and blue, 0 to "
            f"255 each), got {color!r:.60}."
        )
    return tuple(values)  # type: ignore[return-value]


def _whole(value: Any) -> int | None:
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"[0-9]{1,5}", value.strip()) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _number(
    classes: Mapping[str, Any], given: Any, class_names: Sequence[str] | None, ignore_class: int | None
) -> MaskColors:
    ids = {color: _whole(name) for color, name in classes.items()}
    named = {color: name for color, name in classes.items() if ids[color] is None}
    wrong = [repr(name)[:60] for name in named.values() if not isinstance(name, str) or not name.strip()]
    wrong += [str(i) for i in ids.values() if i is not None and i > MAX_ID]
    if wrong:
        raise UsageError(
            f"{OPTION}: {_source(given)}: expected class names, or class ids from 0 to {MAX_ID}, got "
            f"{', '.join(wrong[:5])}."
        )
    if not named:
        return MaskColors(ids={color: i for color, i in ids.items() if i is not None}, names=None)
    beside = [f"{color}: {i}" for color, i in ids.items() if i not in (None, ignore_class)]
    if beside:
        raise UsageError(
            f"{OPTION}: {_source(given)} gives names to some colours and numbers to others ({', '.join(beside[:5])}): "
            "expected names alone or numbers alone; beside names only the id of --ignore-class."
        )
    names = list(dict.fromkeys(name.strip() for name in named.values())) if class_names is None else list(class_names)
    unknown = sorted({name.strip() for name in named.values()} - set(names))
    if unknown:
        raise UsageError(
            f"{OPTION}: {_source(given)} names classes that class_names (--class-names) does not:\n{first_few(unknown)}"
        )
    numbered = {color: names.index(named[color].strip()) if color in named else i for color, i in ids.items()}
    return MaskColors(ids={color: i for color, i in numbered.items() if i is not None}, names=names)


def _source(given: Any) -> str:
    return "the mapping" if isinstance(given, Mapping) else str(given)
