"""All that is wrong with sources, told at once: what, where, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from precompute.errors import SourceError, UsageError, first_few
from precompute.options.build_options import BuildOptions
from precompute.text.format import format_count
from precompute.text.notes import SummarizedNote

__all__ = ["ProblemKind", "Problems", "Unmatched", "WrongEntry", "refuse_options"]


class ProblemKind(NamedTuple):
    """What may be wrong in many places, and what to do."""

    what: str
    remedy: str


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

    def leave_out(self, kind: ProblemKind, options: BuildOptions, num_images: int) -> list[str]:
        """Return notes on entries of a kind that stand for files without a partner, where so many are accepted."""
        unmatched = Unmatched(options, num_images)
        unmatched.add(kind.what, self._lines.pop(kind, []), kind.remedy)
        return unmatched.settle(self)

    def check(self) -> None:
        """Raise a SourceError that tells all of them, if there are any."""
        for kind, lines in self._lines.items():
            self.add(kind.what, lines, kind.remedy)
        if self._texts:
            raise SourceError("\n".join([self._heading, *self._texts]))


class Unmatched:
    """Files without a partner, an image without its mask say: refused, or left out up to a number that is accepted.

    Args:
        options: Options of the build, which accept some or none.
        num_images: Number of images, of which the accepted number may be a share.
    """

    def __init__(self, options: BuildOptions, num_images: int) -> None:
        self._allowed = options.allowed_unmatched(num_images)
        self._found: list[tuple[str, Sequence[str], str]] = []

    def add(self, what: str, lines: Sequence[str], remedy: str) -> None:
        """Add files with a line for each."""
        if lines:
            self._found.append((what, lines, remedy))

    def settle(self, problems: Problems, hint: str = "") -> list[str]:
        """Return notes on what is left out; where it is more than is accepted, add it to the problems.

        Args:
            problems: Takes what is refused.
            hint: What may be wrong with all of them.
        """
        number = sum(len(lines) for _, lines, _ in self._found)
        if number <= self._allowed:
            return [self._note(what, lines) for what, lines, _ in self._found]
        for what, lines, remedy in self._found:
            problems.add(what, lines, remedy)
        if hint:
            problems.add_text(hint)
        problems.add_text(
            f"To leave {'it' if number == 1 else 'them'} out: --skip-unmatched {number} "
            f"({format_count(number, 'file')} without a partner)."
        )
        return []

    @staticmethod
    def _note(what: str, lines: Sequence[str]) -> str:
        text = f"{what}, left out ({len(lines):,}):\n{first_few(lines)}"
        return SummarizedNote(
            text, left_out={f"{what[:1].lower()}{what[1:]} (--skip-unmatched)": len(lines)}, is_whole=False
        )


def refuse_options(options: BuildOptions, names: Sequence[str], why: str) -> None:
    """Refuse the first of some options that is given, with words that follow its name.

    Raises:
        UsageError: One has another value than its default.
    """
    given = next((name for name in names if getattr(options, name) != getattr(BuildOptions, name)), None)
    if given:
        raise UsageError(f"{given} (--{given.replace('_', '-')}): {why}")
