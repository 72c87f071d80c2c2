"""Reasons why files cannot be used, grouped for people: each kind of reason with its number and its first files."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from precompute.errors import first_few
from precompute.text.format import format_count

__all__ = ["ReasonKind", "describe_reasons", "group_reasons", "num_of_one_kind"]

SHOWN = 5  # so many reasons are told one by one
MAX_KINDS = 20
MAX_ALIKE = 3  # so many kinds may differ by nothing but a number: 16 bits a channel, and 32
# Parts that may differ between two reasons of one kind: something quoted, a path or the name of a file, a number.
VARIABLE = re.compile(r"('[^']*'|\"[^\"]*\"|[^\s,;:()]*[/\\][^\s,;()]*|[\w.-]+\.[A-Za-z]\w{1,4}\b|\d[\d,.]*)")


@dataclass(frozen=True)
class ReasonKind:
    """Reasons of one kind.

    Attributes:
        what: The reason without the file, and ``…`` for what differs from file to file.
        reasons: All reasons of the kind, in the order of the files.
    """

    what: str
    reasons: list[str]

    @property
    def _files(self) -> list[str]:
        """The files of the reasons, where the reasons differ in nothing else; else the whole reasons."""
        split = [_parted(reason) for reason in self.reasons]
        return [file for file, what in split if what == self.what and file] if "…" not in self.what else []

    def lines(self) -> Iterator[str]:
        """Yield the kind with its number, and the first five of its files."""
        yield f"  {len(self.reasons):,} × {self.what}"
        files = self._files
        for line in first_few(files if len(files) == len(self.reasons) else self.reasons, SHOWN).splitlines():
            yield f"  {line}"


def group_reasons(reasons: Iterable[str]) -> list[ReasonKind]:
    """Return the kinds of reasons, the most frequent first.

    Args:
        reasons: Each as ``"path: what is wrong"``.
    """
    forms: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for reason in reasons:
        what = _parted(reason)[1]
        forms[VARIABLE.sub("…", what)][what].append(reason)
    kinds = []
    for whats in forms.values():
        if len(whats) <= MAX_ALIKE:
            kinds += [ReasonKind(what, alike) for what, alike in whats.items()]
        else:
            kinds.append(ReasonKind(_common(list(whats)), [reason for alike in whats.values() for reason in alike]))
    return sorted(kinds, key=lambda kind: -len(kind.reasons))


def num_of_one_kind(reasons: Iterable[str]) -> int:
    """Return the number of reasons of the most frequent kind; numbers and names in them make no difference."""
    forms = Counter(VARIABLE.sub("…", _parted(reason)[1]) for reason in reasons)
    return max(forms.values(), default=0)


def describe_reasons(reasons: Sequence[str]) -> str:
    """Return indented lines: few reasons as they are, many grouped by kind with their number and first files."""
    if len(reasons) <= SHOWN:
        return first_few(reasons)
    kinds = group_reasons(reasons)
    lines = [line for kind in kinds[:MAX_KINDS] for line in kind.lines()]
    rest = sum(len(kind.reasons) for kind in kinds[MAX_KINDS:])
    return "\n".join(
        [*lines, f"  … and {rest:,} of {format_count(len(kinds) - MAX_KINDS, 'more kind')}"] if rest else lines
    )


def _parted(reason: str) -> tuple[str, str]:
    """Return the file of a reason, and what is wrong with it."""
    file, colon, what = reason.partition(": ")
    return (file, what) if colon else ("", reason)


def _common(whats: Sequence[str]) -> str:
    """Return what texts of one form have in common, with an ellipsis for each part that differs."""
    parts = zip(*(VARIABLE.split(what) for what in whats), strict=True)  # texts and variable parts in turns
    return "".join(of_all[0] if len(set(of_all)) == 1 else "…" for of_all in parts)
