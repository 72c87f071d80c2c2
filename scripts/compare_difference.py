"""How two lists of observations differ: which first, and where in it."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from compare_observed import SAID, Seen

MESSAGES = (f"*{SAID}",)  # names of what commands say
AROUND = 40  # characters of a text that are shown before and after the first that differs


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One observation that differs.

    Attributes:
        name: Of the observation.
        where: What differs first in it, on one line.
        accepted: It may differ.
    """

    name: str
    where: str
    accepted: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.where}"


def compare(old: Seen, new: Seen, labels: tuple[str, str], accepted: Sequence[str] = ()) -> list[Difference]:
    """Return all observations that differ, in the order in which they were made.

    Args:
        old: Of one tree.
        new: Of the other.
        labels: What the trees are called.
        accepted: Patterns of names that may differ, as in a shell.
    """
    order = {name: place for seen in (new, old) for place, name in enumerate(seen.digests)}
    found = []
    for name in sorted(order, key=order.__getitem__):
        if old.digests.get(name) == new.digests.get(name):
            continue
        if name in old.digests and name in new.digests:
            where = first_difference(name, old.content(name), new.content(name))
        else:
            where = f"only {labels[name in new.digests]} has it"
        found.append(
            Difference(name=name, where=where, accepted=any(fnmatchcase(name, pattern) for pattern in accepted))
        )
    return found


def first_difference(name: str, old: bytes, new: bytes) -> str:
    """Return on one line where two contents begin to differ, and what each has there."""
    if ".tfrecord-" in name:
        return _shards(old, new)
    try:
        texts = old.decode("utf-8"), new.decode("utf-8")
    except UnicodeDecodeError:
        return _bytes(old, new)
    if name.endswith(".json"):
        try:
            return _json(json.loads(texts[0]), json.loads(texts[1])) or "equal but for its spelling"
        except ValueError:
            pass
    return _texts(*texts)


def _first(old: Sequence[Any], new: Sequence[Any]) -> int:
    """Return the first place where two sequences differ."""
    return next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))


def _bytes(old: bytes, new: bytes) -> str:
    size = f"{len(old):,}" if len(old) == len(new) else f"{len(old):,} and {len(new):,}"
    return f"byte {_first(old, new):,} of {size}"


def _shards(old: bytes, new: bytes) -> str:
    """Say which record differs, too."""
    place, start, number = _first(old, new), 0, 0
    while start + 12 <= min(len(old), len(new)):
        end = start + 16 + int(struct.unpack_from("<Q", old, start)[0])
        if end > place:
            break
        start, number = end, number + 1
    return f"{_bytes(old, new)}, in record {number}"


def _texts(old: str, new: str) -> str:
    lines = old.splitlines(), new.splitlines()
    number = _first(*lines)
    if number >= max(map(len, lines)):
        return "another end of a line"
    parts = [of_one[number] if number < len(of_one) else "" for of_one in lines]
    start = max(0, _first(*parts) - AROUND)
    shown = [f"{'…' * (start > 0)}{part[start : start + 3 * AROUND]}" for part in parts]
    line = f"line {number + 1}: " if max(map(len, lines)) > 1 else ""
    return f"{line}{shown[0]!r} became {shown[1]!r}"


def _json(old: Any, new: Any, path: str = "") -> str:
    """Return the first entry that differs, with the names that lead to it."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            if key not in old or key not in new:
                return f"{path}.{key} is {'new' if key in new else 'gone'}".lstrip(".")
            if found := _json(old[key], new[key], f"{path}.{key}"):
                return found
        return "" if list(old) == list(new) else f"{path or 'the keys'}: another order"
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return next(
            (found for i, pair in enumerate(zip(old, new, strict=True)) if (found := _json(*pair, f"{path}[{i}]"))), ""
        )
    shown = [json.dumps(value, ensure_ascii=False)[: 3 * AROUND] for value in (old, new)]
    return "" if old == new and type(old) is type(new) else f"{path.lstrip('.')}: {shown[0]} became {shown[1]}"


def summary(found: Sequence[Difference], num_observations: int) -> str:
    """Return what is said of a comparison: the first difference on a line, then how many there are."""
    real = [difference for difference in found if not difference.accepted]
    num_accepted = len(found) - len(real)
    if not real:
        return f"{num_observations:,} observations are equal" + (
            f" but for {num_accepted:,} that may differ" if num_accepted else ""
        )
    apart = f", {num_accepted:,} that may differ apart" if num_accepted else ""
    return f"differs first: {real[0]}\n{len(real):,} of {num_observations:,} observations differ{apart}"
