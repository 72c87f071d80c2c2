"""All problems of sources in one error: what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from precompute.errors import SourceError, UsageError, first_few
from precompute.options.build_options import BuildOptions
from precompute.options.of_fields import check_fields
from precompute.text.format import format_count
from precompute.text.names import with_flag
from precompute.text.notes import SummarizedNote

__all__ = ["ProblemKind", "Problems", "WrongEntry", "refuse_options"]


class ProblemKind(NamedTuple):
    """A kind of problem that may occur in many places, with advice; files without a partner may be accepted."""

    what: str
    remedy: str
    is_unmatched: bool = False


class WrongEntry(Exception):  # noqa: N818 (a verdict on one entry, collected rather than shown)
    """One entry of a file cannot be used.

    Args:
        kind: Kind of the problem.
        text: Line about the entry.
    """

    def __init__(self, kind: ProblemKind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Problems:
    """Collects problems until they are raised together.

    Args:
        heading: First line of the message: what cannot be used.
        tell: Place of an entry → its name in messages; called for listed entries only.
    """

    def __init__(self, heading: str, tell: Callable[[Any], str] = str) -> None:
        self._heading, self._tell = heading, tell
        self._texts: list[str] = []
        self._entries: dict[ProblemKind, list[tuple[Any, str]]] = {}

    def add(self, what: str, places: Sequence[Any], remedy: str, tell: Callable[[Any], str] = str) -> Problems:
        """Add a problem with a line for each place, listed by `first_few`; without places, add nothing."""
        if places:
            self._texts.append(f"{what} ({len(places):,}):\n{first_few(places, tell=tell)}\n{remedy}")
        return self

    def add_text(self, text: str) -> None:
        """Add a problem as a sentence."""
        self._texts.append(text)

    def add_entry(self, wrong: WrongEntry, place: Any) -> None:
        """Add one wrong entry to those of its kind, with its place."""
        self._entries.setdefault(wrong.kind, []).append((place, str(wrong)))

    def add_unmatched(self, what: str, lines: Sequence[str], remedy: str) -> None:
        """Add files without a partner, such as images without masks, with a line for each; see `leave_out`."""
        if lines:
            self._entries[ProblemKind(what, remedy, True)] = [(None, line) for line in lines]

    def _line(self, entry: tuple[Any, str]) -> str:
        place, text = entry
        return text if place is None else f"{self._tell(place)}: {text}"

    def leave_out(self, options: BuildOptions, num_images: int, hint: str = "") -> list[str]:
        """Return notes on files without a partner; if there are more than accepted, they become problems.

        Args:
            options: Options of the build, which may accept some.
            num_images: Number of images; the accepted number may be a share of it.
            hint: Hint at what may be wrong with all of them.
        """
        unmatched = {kind: self._entries.pop(kind) for kind in list(self._entries) if kind.is_unmatched}
        number = sum(map(len, unmatched.values()))
        if number <= options.allowed_unmatched(num_images):
            return [self._note_left_out(kind.what, entries) for kind, entries in unmatched.items()]
        for kind, entries in unmatched.items():
            self.add(kind.what, entries, kind.remedy, self._line)
        self._texts += [hint] if hint else []
        self.add_text(
            f"To leave {'it' if number == 1 else 'them'} out: --skip-unmatched {number} "
            f"({format_count(number, 'file')} without a partner)."
        )
        return []

    def _note_left_out(self, what: str, entries: Sequence[tuple[Any, str]]) -> str:
        told = {f"{what[:1].lower()}{what[1:]} (--skip-unmatched)": len(entries)}
        text = f"{what}, left out ({len(entries):,}):\n{first_few(entries, tell=self._line)}"
        return SummarizedNote(text, left_out=told, is_whole=False)

    def check(self) -> None:
        """Raise a SourceError with all problems, if there are any."""
        for kind, entries in self._entries.items():
            self.add(kind.what, entries, kind.remedy, self._line)
        if self._texts:
            raise SourceError("\n".join([self._heading, *self._texts]))


def check_options_of_fields(
    options: BuildOptions, names: Sequence[str], fields: Sequence[str], what: str, also: Sequence[str] = ()
) -> None:
    """Refuse options whose values are for other fields than those that can have them; see `check_fields`."""
    for name in names:
        value = getattr(options, name)
        if value not in (getattr(BuildOptions, name, {}), {}, None):
            check_fields(name, value, fields, what, also)


def refuse_options(options: BuildOptions, names: Sequence[str], why: str) -> None:
    """Refuse options: the message names the first that is given, followed by some words.

    Raises:
        UsageError: An option is not at its default.
    """
    given = next((name for name in names if getattr(options, name) != getattr(BuildOptions, name)), None)
    if given:
        raise UsageError(f"{with_flag(given)}: {why}")
