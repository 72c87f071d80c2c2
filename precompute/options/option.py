"""How options are declared, in both programs: one field says default, help, and which values are taken.

The Python call, the command line, its help and the manifest follow from it. A class of options with a `title` is a
group: its options stand under that heading in the help. Larger sets of options inherit groups, and stay flat.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from precompute.errors import UsageError
from precompute.options.plain_values import EXPECTED, check_kind, convert, kind_of
from precompute.options.values import check_choice
from precompute.text.files import read_text
from precompute.text.names import parse_names

__all__ = ["Options", "flag", "option"]

_PARSERS: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "list[str]": parse_names}
_METAVARS = {"int": "N", "float": "X"}
_OWN_NAME = re.compile(r"^[a-z_]+( \(--[a-z-]+\))?: ")  # of the option, with which messages begin


def option(
    default: Any,
    help: str,
    *,
    parse: Callable[[str], Any] | None = None,
    read: Callable[[Any], Any] | None = None,
    check: Callable[[str, Any], object] | None = None,
    choices: tuple[str, ...] = (),
    **more: Any,
) -> Any:
    """Return a field of an options class.

    Args:
        default: Value when the user says nothing.
        help: Text for the command line, which adds the default.
        parse: Makes a value of text; by default the type of the field says how.
        read: Makes the value that the options hold of any other than None, or refuses it.
        check: Refuses values by the name of the option, in place of the check of their type.
        choices: The only values accepted; empty for any.
        **more: What the command line is told of it (`metavar`, `nargs`, `action`), and what a class of options wants to
            know of its own.
    """
    metadata = {"help": help, "parse": parse, "read": read, "check": check, "choices": choices, **more}
    if isinstance(default, dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def flag(name: str) -> str:
    """Return how the command line spells an option."""
    return "--" + name.replace("_", "-")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options that refuse bad values and show them, and that make their own arguments on the command line."""

    title: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            value = convert(f.type, getattr(self, f.name), _default_of(f), _parser_of(f))
            if value is not None and f.metadata["read"] is not None:
                value = f.metadata["read"](value)
            object.__setattr__(self, f.name, value)
            self._check(f, value)

    def _check(self, f: dataclasses.Field[Any], value: Any) -> None:
        name = self.shown(f.name)
        if f.metadata["check"] is not None:
            f.metadata["check"](name, value)
        elif f.metadata["choices"]:
            check_choice(name, value, f.metadata["choices"])
        else:
            check_kind(name, f.type, value)

    @staticmethod
    def shown(name: str) -> str:
        """Return how errors call an option."""
        return name

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of all options."""
        return tuple(f.name for f in dataclasses.fields(cls))

    @classmethod
    def title_of(cls, name: str) -> str:
        """Return the heading that an option stands under; empty where it has none."""
        groups = (group for group in cls.__mro__ if issubclass(group, Options))
        return next(group.title for group in groups if name in vars(group).get("__annotations__", ()))

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser, names: Collection[str] | None = None) -> None:
        """Give a parser one argument an option; what the user does not give is absent from the result.

        Args:
            parser: Takes the arguments.
            names: Which options; all when None.
        """
        groups: dict[str, argparse._ActionsContainer] = {"": parser}
        for f in dataclasses.fields(cls):
            if names is None or f.name in names:
                title = cls.title_of(f.name)
                if title not in groups:
                    groups[title] = parser.add_argument_group(title)
                _add_argument(groups[title], f)

    @classmethod
    def read_toml(cls, path: Path) -> dict[str, Any]:
        """Read a TOML file whose keys are names of options, with - or _.

        Raises:
            UsageError: There is no such file, it is not TOML, or a key or value is not one of an option.
        """
        try:
            content = tomllib.loads(read_text(path, UsageError))
        except UsageError as error:
            raise UsageError(f"--options: {error}") from error
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"--options: {path} cannot be read as TOML: {error}.") from error
        return cls.check_values(content, f"--options: {path}")

    @classmethod
    def check_values(cls, content: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Return values by the names of their options, spelt with - or _ in `content`.

        Raises:
            UsageError: A key or a value is not one of an option.
        """
        names = cls.names()
        values: dict[str, Any] = {}
        for key, value in content.items():
            name = key.replace("-", "_")
            if name not in names:
                if isinstance(value, Mapping):
                    raise UsageError(f"{where}: options stand at the top of the file; take away the line [{key}].")
                close = difflib.get_close_matches(name, names, n=1)
                near = f" Did you mean {flag(close[0])[2:]}?" if close else ""
                raise UsageError(f"{where}: there is no option {key!r}.{near}")
            if name in values:
                raise UsageError(f"{where}: {key!r} is given twice, with - and with _.")
            values[name] = value
        try:
            cls(**values)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from error
        return values

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace, before: Mapping[str, Any] | None = None) -> Self:
        """Make the options from parsed arguments, which win over `before`, which wins over the defaults.

        Raises:
            UsageError: They make no sense; options are called as on the command line.
        """
        given = {name: getattr(arguments, name) for name in cls.names() if hasattr(arguments, name)}
        try:
            return cls(**{**(before or {}), **given})
        except UsageError as error:
            name = _OWN_NAME.match(str(error))
            own = name[0].partition(" ")[0].rstrip(": ") if name else ""
            if own not in cls.names():
                raise
            raise UsageError(f"{flag(own)}: {_OWN_NAME.sub('', str(error))}") from error


def _default_of(f: dataclasses.Field[Any]) -> Any:
    return f.default if f.default_factory is dataclasses.MISSING else f.default_factory()


def _parser_of(f: dataclasses.Field[Any]) -> Callable[[str], Any] | None:
    parse: Callable[[str], Any] | None = f.metadata["parse"] or _PARSERS.get(kind_of(f.type))
    return parse


def _add_argument(container: argparse._ActionsContainer, f: dataclasses.Field[Any]) -> None:
    default, kind, help = _default_of(f), kind_of(f.type), f.metadata["help"]
    arguments: dict[str, Any] = {"dest": f.name, "default": argparse.SUPPRESS}
    if kind == "bool":
        container.add_argument(flag(f.name), action="store_true", help=help.replace("%", "%%"), **arguments)
        container.add_argument(_opposite(f.name), action="store_false", help=argparse.SUPPRESS, **arguments)
        return
    if default not in (None, "", {}):
        help += f" (default: {default})"
    arguments |= {name: f.metadata[name] for name in ("nargs", "action") if name in f.metadata}
    arguments["metavar"] = f.metadata.get("metavar", _METAVARS.get(kind))
    container.add_argument(
        flag(f.name),
        type=_typed(f),
        choices=f.metadata["choices"] or None,
        help=help.replace("%", "%%"),
        **arguments,
    )


def _opposite(name: str) -> str:
    """Return what takes a switch back that a file of options has turned on."""
    return flag(name.removeprefix("no_") if name.startswith("no_") else f"no_{name}")


def _typed(f: dataclasses.Field[Any]) -> Callable[[str], Any]:
    """Return what argparse calls with a text: it names the option itself."""
    parse = None if "nargs" in f.metadata else _parser_of(f)

    def typed(text: str) -> Any:
        try:
            return text if parse is None else parse(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(_OWN_NAME.sub("", str(error))) from error
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"expected {EXPECTED[kind_of(f.type)]}, got {text!r}.") from error

    return typed
