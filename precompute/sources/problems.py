"""All that is wrong with sources, told at once: what, where, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from precompute.errors import SourceError, UsageError, first_few
from precompute.options.build_options import BuildOptions
from precompute.text.format import format_count
from precompute.text.notes import SummarizedNote

__all__ = ["ProblemKind", "Problems", "WrongEntry", "refuse_options"]


class ProblemKind(NamedTuple):
    """What may be wrong in many places, and what to do; files without a partner may be accepted."""

    what: str
    remedy: str
    is_unmatched: bool = False


class WrongEntry(Exception):  # noqa: N818 (a verdict on one entry, collected rather than shown)
    """One entry of a file cannot be used.

    Args:
        kind: What is wrong with it.
        text: The line that is told of it.
    """

    def __init__(self, kind: ProblemKind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Problems:
    """What is found wrong on the way, until it is told.

    Args:
        heading: First line of the message: what cannot be used.
    """

    def __init__(self, heading: str) -> None:
        self._heading = heading
        self._texts: list[str] = []
        self._lines: dict[ProblemKind, list[str]] = {}

    def add(self, what: str, places: Sequence[Any], remedy: str, tell: Callable[[Any], str] = str) -> Problems:
        """Add a problem with a line for each place where it is, as `first_few` tells it; none without any place."""
        if places:
            self._texts.append(f"{what} ({len(places):,}):\n{first_few(places, tell=tell)}\n{remedy}")
        return self

    def add_text(self, text: str) -> None:
        """Add a sentence that stands for itself."""
        self._texts.append(text)

    def add_entry(self, wrong: WrongEntry, where: str) -> None:
        """Add one entry to those of its kind, with the place where it stands."""
        self._lines.setdefault(wrong.kind, []).append(f"{where}: {wrong}")

    def add_unmatched(self, what: str, lines: Sequence[str], remedy: str) -> None:
        """Add files without a partner, an image without its mask say, with a line for each; see `leave_out`."""
        if lines:
            self._lines[ProblemKind(what, remedy, True)] = list(lines)

    def leave_out(self, options: BuildOptions, num_images: int, hint: str = "") -> list[str]:
        """Return notes on files without a partner; where they are more than are accepted, they are problems.

        Args:
            options: Options of the build, which accept some or none.
            num_images: Number of images, of which the accepted number may be a share.
            hint: What may be wrong with all of them.
        """
        unmatched = {kind: self._lines.pop(kind) for kind in list(self._lines) if kind.is_unmatched}
        number = sum(map(len, unmatched.values()))
        if number <= options.allowed_unmatched(num_images):
            return [_note_left_out(kind.what, lines) for kind, lines in unmatched.items()]
        for kind, lines in unmatched.items():
            self.add(kind.what, lines, kind.remedy)
        self._texts += [hint] if hint else []
        self.add_text(
            f"To leave {'it' if number == 1 else 'them'} out: --skip-unmatched {number} "
            f"({format_count(number, 'file')} without a partner)."
        )
        return []

    def check(self) -> None:
        """Raise a SourceError that tells all of them, if there are any."""
        for kind, lines in self._lines.items():
            self.add(kind.what, lines, kind.remedy)
        if self._texts:
            raise SourceError("\n".join([self._heading, *self._texts]))


def _note_left_out(what: str, lines: Sequence[str]) -> str:
    told = {f"{what[:1].lower()}{what[1:]} (--skip-unmatched)": len(lines)}
    text = f"{what}, left out ({len(lines):,}):\n{first_few(lines)}"
    return SummarizedNote(text, left_out=told, is_whole=False)


def refuse_options(options: BuildOptions, names: Sequence[str], why: str) -> None:
    """Refuse the first of some options that is given, with words that follow its name.

    Raises:
        UsageError: One has another value than its default.
    """
    given = next((name for name in names if getattr(options, name) != getattr(BuildOptions, name)), None)
    if given:
        raise UsageError(f"{given} (--{given.replace('_', '-')}): {why}")
