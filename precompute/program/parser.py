"""The parser of both command lines: a mistake gets its error and one line on where to read more."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence
from itertools import takewhile
from typing import Any, NoReturn

from precompute.errors import UsageError

__all__ = ["CommandParser", "read_more"]

_WRONG_CHOICE = re.compile(r"invalid choice: '?(?P<given>.*?)'? \(choose from (?P<choices>.*)\)")


class CommandParser(argparse.ArgumentParser):
    """argparse's parser, without the whole usage above each error, and with the name that was meant."""

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Refuse what is unknown where it is met: the error is the command's, not the program's."""
        if self._subparsers is None:
            self._refuse_unknown_options(args or ())  # before argparse misses the option that was misspelt
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"not understood: {' '.join(unknown)}")
        return found, unknown

    def _refuse_unknown_options(self, args: Sequence[str]) -> None:
        known = [option for option in self._option_string_actions if option.startswith("--")]
        for word in takewhile(lambda word: word != "--", args):
            name = word.partition("=")[0]
            is_option = word.startswith("--") and " " not in name
            if is_option and not any(option.startswith(name) for option in known):
                self.error(f"unknown option {name}{_meant(name, known)}")

    def error(self, message: str) -> NoReturn:
        """Print the error and where to read more; exit with 2."""
        if wrong := _WRONG_CHOICE.search(message):
            message += _meant(wrong["given"], re.findall(r"[\w-]+", wrong["choices"]))
        self.exit(UsageError.exit_code, f"error: {message}\n{read_more(self.prog)}\n")


def read_more(command: str) -> str:
    """Return the line that follows a usage error."""
    return f"More: {command} --help"


def _meant(given: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(given, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""
