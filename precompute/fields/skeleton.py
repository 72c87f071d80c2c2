"""Skeletons: the names of keypoints in their order, which are joined by edges, and which are left and right."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from precompute.errors import UsageError, first_few
from precompute.text.names import parse_names, with_flag

__all__ = [
    "HIDDEN",
    "MAX_KEYPOINTS",
    "NOT_LABELLED",
    "VISIBLE",
    "Skeleton",
    "checked_pairs",
    "describe_pairs",
    "indices_of_edges",
    "is_skeleton",
    "left_right_pairs",
    "make_skeleton",
    "parse_flip_pairs",
    "parse_pairs",
    "skeleton_settings",
]

NOT_LABELLED, HIDDEN, VISIBLE = 0, 1, 2  # COCO's visibility
MAX_KEYPOINTS = 10_000
AUTO, NONE = "auto", "none"
# Sides as words of a name: left_eye, LeftEye, eye-left, l_eye, LEye, eye.L.
WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^A-Za-z\d]+")
OPPOSITE = {"left": "right", "right": "left", "l": "r", "r": "l"}


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """Description of the keypoints, common to all objects.

    Attributes:
        names: Names of the K keypoints, in their order.
        edges: Pairs of keypoints to join by a line, as indices from 0.
        flip_pairs: Pairs of left and right keypoints, as indices, that change places when an image is mirrored.
        has_boxes: Whether objects have boxes, too.
    """

    names: list[str]
    edges: list[list[int]] = field(default_factory=list)
    flip_pairs: list[list[int]] = field(default_factory=list)
    has_boxes: bool = True

    def __len__(self) -> int:
        return len(self.names)


def make_skeleton(
    names: Sequence[str],
    edges: Iterable[Sequence[int]] = (),
    *,
    flip_pairs: str | Sequence[Sequence[str]] | None = None,
    has_boxes: bool = True,
) -> Skeleton:
    """Check names and pairs, and return the skeleton.

    Args:
        names: Names of the keypoints.
        edges: Pairs of indices, from 0.
        flip_pairs: Pairs of names; ``"auto"``: those that `left_right_pairs` finds; ``"none"`` or None: none.
        has_boxes: Whether objects have boxes, too.

    Raises:
        UsageError: A name comes twice, or a pair names no keypoint, or one that another pair has.
    """
    listed = [str(name) for name in names]
    duplicates = sorted(name for name, number in Counter(listed).items() if number > 1)
    if not listed or len(listed) > MAX_KEYPOINTS or not all(listed) or duplicates:
        raise UsageError(
            f"keypoint_names (--keypoint-names): expected 1 to {MAX_KEYPOINTS:,} different names"
            + (f", but these appear again:\n{first_few(duplicates)}" if duplicates else f", got {names!r:.80}.")
        )
    pairs = flip_pairs if flip_pairs is not None else NONE
    if isinstance(pairs, str):
        found = left_right_pairs(listed) if pairs == AUTO else []
        if pairs == AUTO and not found:
            raise UsageError(
                "flip_pairs (--flip-pairs): auto finds no names with left and right, or l and r, among:\n"
                f"{first_few(listed)}\nName the pairs: --flip-pairs a:b,c:d; or none."
            )
    else:
        found = _indices(pairs, listed)
    return Skeleton(names=listed, edges=[[int(a), int(b)] for a, b in edges], flip_pairs=found, has_boxes=has_boxes)


def is_skeleton(skeleton: Skeleton) -> bool:
    """Return whether `make_skeleton` could have made a skeleton; a manifest may hold any."""
    names, pairs = skeleton.names, [*skeleton.edges, *skeleton.flip_pairs]
    flipped = [index for pair in skeleton.flip_pairs for index in pair]
    return (
        0 < len(names) == len(set(names)) <= MAX_KEYPOINTS
        and all(names)
        and all(len(pair) == 2 and all(0 <= index < len(names) for index in pair) for pair in pairs)
        and len(flipped) == len(set(flipped))
    )


def indices_of_edges(pairs: Iterable[Sequence[str]], names: Sequence[str]) -> list[list[int]]:
    """Return pairs of names as indices.

    Raises:
        UsageError: A name is of no keypoint.
    """
    return [[_index(name, names, "skeleton") for name in pair] for pair in pairs]


def _indices(pairs: Iterable[Sequence[str]], names: Sequence[str]) -> list[list[int]]:
    found = [[_index(name, names, "flip_pairs") for name in pair] for pair in pairs]
    counts = Counter(index for pair in found for index in pair)
    duplicates = [names[index] for index, number in counts.items() if number > 1]
    if duplicates:
        raise UsageError(
            f"flip_pairs (--flip-pairs): each keypoint once, but these appear again: {', '.join(duplicates)}. "
            "Those that lie on the middle line (nose) need no pair."
        )
    return found


def _index(name: str, names: Sequence[str], option: str) -> int:
    if name not in names:
        raise UsageError(
            f"{with_flag(option)}: there is no keypoint {name!r}; the names are:\n{first_few(list(names), 30)}"
        )
    return names.index(name)


def left_right_pairs(names: Sequence[str]) -> list[list[int]]:
    """Return the pairs of keypoints whose names differ in nothing but left and right.

    Sides are words of their own (left_eye, LeftEye, l_eye, eye.R), else stand inside a word (leftear), else are a first
    or last letter that two pairs or more have (lhip and rhip, lknee and rknee): one such pair may be chance (lip, rip).
    """
    words = {index: _lower(name) for index, name in enumerate(names)}
    pairs = describe_pairs(names)
    for at_least, mirror in ((1, _mirrored_inside), (2, _mirrored_first), (2, _mirrored_last)):
        paired = {index for pair in pairs for index in pair}
        rest = {index: "".join(name) for index, name in words.items() if index not in paired}
        found = _mirror_images(rest, mirror)
        pairs += found if len(found) >= at_least else []
    return sorted(pairs)


def describe_pairs(names: Sequence[str]) -> list[list[int]]:
    """Return the pairs whose sides are words of their own; in early datasets ``auto`` found only these."""
    words = {index: _lower(name) for index, name in enumerate(names)}
    return _mirror_images(words, lambda name: tuple(OPPOSITE.get(word, word) for word in name))


def _mirror_images(names: dict[int, Any], mirror: Callable[[Any], Any]) -> list[list[int]]:
    index_of = {name: index for index, name in names.items()}
    others = ((index, index_of.get(mirror(name), index)) for name, index in index_of.items())
    return [[index, other] for index, other in others if other > index]


def _lower(name: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in WORDS.findall(name))


def _mirrored_inside(name: str) -> str:
    return re.sub("left|right", lambda side: OPPOSITE[side[0]], name)


def _mirrored_first(name: str) -> str:
    return OPPOSITE.get(name[:1], name[:1]) + name[1:]


def _mirrored_last(name: str) -> str:
    return name[:-1] + OPPOSITE.get(name[-1:], name[-1:])


def skeleton_settings(skeleton: Skeleton) -> dict[str, Any]:
    """Return a skeleton as settings of a generation, in which each change shows by name."""

    def named(pairs: Iterable[Sequence[int]]) -> list[str]:
        return [f"{skeleton.names[a]}:{skeleton.names[b]}" for a, b in pairs]

    return {
        "keypoint_names": skeleton.names,
        "flip_pairs": named(skeleton.flip_pairs),
        "skeleton": named(skeleton.edges),
    }


def parse_pairs(text: str, option: str) -> list[list[str]]:
    """Return [["left_eye", "right_eye"], …] of ``"left_eye:right_eye,…"``.

    Raises:
        UsageError: The text has another form.
    """
    pairs = [[name.strip() for name in part.split(":")] for part in parse_names(text)]
    if not all(len(pair) == 2 and all(pair) for pair in pairs):
        raise UsageError(
            f"{option}: expected pairs of names, such as left_eye:right_eye,left_ear:right_ear; got {text!r}."
        )
    return pairs


def checked_pairs(value: Any, option: str) -> Any:
    """Return pairs of names that were given in Python, as a text or as pairs.

    Raises:
        UsageError: They are neither.
    """
    if isinstance(value, str):
        return parse_flip_pairs(value) if option == "flip_pairs" else parse_pairs(value, option)
    try:
        pairs = [[*pair] for pair in value]
    except TypeError:
        pairs = [[]]
    if not all(len(pair) == 2 and all(isinstance(name, str) for name in pair) for pair in pairs):
        raise UsageError(f"{option}: expected pairs of names of keypoints, got {value!r:.80}.")
    return pairs


def parse_flip_pairs(text: str) -> Any:
    """Return ``"auto"`` or ``"none"`` as it is, and another text as pairs of names."""
    return text if text in (AUTO, NONE) else parse_pairs(text, "flip_pairs")
