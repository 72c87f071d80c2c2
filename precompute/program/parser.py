"""The parser of both command lines: a mistake gives one line, which ends with where to read more."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence
from itertools import takewhile
from typing import Any, NoReturn

from precompute.errors import UsageError
from precompute.text.names import repeat_flags

__all__ = ["CommandParser", "usage_error"]

_WRONG_NUMBER = re.compile(r"invalid (?P<kind>int|float) value: (?P<given>.*)")
_KINDS = {"int": "an integer", "float": "a number"}
_WRONG_CHOICE = re.compile(r"invalid choice: '?(?P<given>.*?)'? \(choose from (?P<choices>.*)\)")


class CommandParser(argparse.ArgumentParser):
    """argparse's parser, which prints no usage above errors and help, and which suggests the option that was meant."""

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Refuse unknown arguments in the parser of the command, so that the error names the command."""
        if self._subparsers is None and args is not None:
            self._refuse_unknown_options(args)  # before argparse misses the option that was misspelt
            args = list(repeat_flags(args, self._takes_names))
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

    def _takes_names(self, flag: str) -> bool:
        meant = [flag] if flag in self._option_string_actions else self._option_string_actions
        found = [name for name in meant if name.startswith(flag)]
        return len(found) == 1 and hasattr(self._option_string_actions[found[0]], "takes_names")

    def format_help(self) -> str:
        """Return the help: a first line with the required arguments, then the options."""
        if self._subparsers is None:
            needed = [action for action in self._actions if action.required or not action.option_strings]
            words = [self._word(action) for action in needed]
            self.usage = " ".join([self.prog, *words, "[OPTIONS]"]).replace("%", "%%")
        return super().format_help()

    def _word(self, action: argparse.Action) -> str:
        value = self._get_formatter()._format_args(action, action.dest.upper())
        return f"{action.option_strings[0]} {value}" if action.option_strings else value

    def error(self, message: str) -> NoReturn:
        """Print the error with where to read more; exit with 2."""
        if wrong := _WRONG_CHOICE.search(message):
            message += _meant(wrong["given"], re.findall(r"[\w-]+", wrong["choices"]))
        if wrong := _WRONG_NUMBER.search(message):
            message = f"{message[: wrong.start()]}expected {_KINDS[wrong['kind']]}, got {wrong['given']}."
        self.exit(UsageError.exit_code, usage_error(message.removeprefix("argument "), self.prog) + "\n")


def usage_error(message: str, command: str) -> str:
    """Return the text of a usage error: the message, and where to read more, on one line.

    Args:
        message: Message of the error.
        command: Words that call the command, such as ``precompute build``.
    """
    end = "" if message.endswith((".", "?")) else "."
    return f"error: {message}{end} See {command} --help."


def _meant(given: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(given, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""
