"""How both programs declare options: one field of a class holds default, help, and the values that are taken.

The Python call, the command line, its help and the manifest follow from it. A class of options with a `title` is a
group: its options stand under that heading in the help. Larger sets of options inherit groups, and stay flat.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from precompute.errors import UsageError
from precompute.options.of_fields import StoreByField, each_value
from precompute.options.plain_values import EXPECTED, check_kind, convert, kind_of
from precompute.options.values import check_choice
from precompute.text.names import flag, parse_names, split_named
from precompute.text.toml import read_toml

__all__ = ["Ineffective", "Options", "heading", "option", "shows_options"]

F = TypeVar("F", bound=Callable[..., Any])
Situation = TypeVar("Situation")

FROM_FILE = (
    "TOML with options by their names below, such as seed = 3; the command line wins over it, where --no-NAME takes "
    "back what is true there"
)

_PARSERS: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "list[str]": parse_names}
_METAVARS = {"int": "N", "float": "X"}
_OWN_NAME = re.compile(r"^(?P<name>[a-z_]+)( \(--[a-z-]+\))?: ")  # of the option, with which messages begin


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
        parse: Text → value; by default the type of the field says how.
        read: Given value, unless None → the value that the options hold; refuses bad ones.
        check: Refuses bad values, and takes the option's name for the message; replaces the check of their type.
        choices: The only values accepted; empty for any.
        **more: Arguments for argparse (`metavar`, `nargs`, `action`); ``by_field=True`` where the value may differ from
            field to field, ``named=True`` where each value has a name; and what else a class of options needs to know
            about its options.
    """
    metadata = {"help": help, "parse": parse, "read": read, "check": check, "choices": choices, **more}
    if isinstance(default, dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def heading(title: str) -> str:
    """Return how a TOML file spells a heading."""
    return title.replace(" ", "-")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options that refuse bad values and show them, and that declare their own arguments on the command line."""

    title: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            given, read = getattr(self, f.name), partial(self._read, f)
            value = each_value(split_named(given), read) if _takes_by_field(f, given) else read(given)
            object.__setattr__(self, f.name, value)

    def _read(self, f: dataclasses.Field[Any], given: Any) -> Any:
        """Return a value in the form in which the options hold it, once it is checked."""
        value = convert(_type_of(f), given, _default_of(f), _parser_of(f))
        if value is not None and f.metadata["read"] is not None:
            value = f.metadata["read"](value)
        self._check(f, value)
        return value

    def _check(self, f: dataclasses.Field[Any], value: Any) -> None:
        name = self.shown(f.name)
        if f.metadata["check"] is not None:
            f.metadata["check"](name, value)
        elif f.metadata["choices"]:
            check_choice(name, value, f.metadata["choices"])
        else:
            check_kind(name, _type_of(f), value)

    @staticmethod
    def shown(name: str) -> str:
        """Return how errors call an option."""
        return name

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of all options."""
        return tuple(f.name for f in dataclasses.fields(cls))

    @classmethod
    def make(cls, **given: Any) -> Self:
        """Return options from keyword arguments.

        Raises:
            UsageError: One of them is not known, or they make no sense.
        """
        if unknown := sorted(set(given) - set(cls.names())):
            raise UsageError(f"unknown option {', '.join(unknown)}; expected: {', '.join(cls.names())}.")
        return cls(**given)

    @classmethod
    def title_of(cls, name: str) -> str:
        """Return the heading that an option stands under; empty where it has none."""
        groups = (group for group in cls.__mro__ if issubclass(group, Options))
        return next(group.title for group in groups if name in vars(group).get("__annotations__", ()))

    @classmethod
    def titles(cls) -> list[str]:
        """Return the headings in the order of the help."""
        return [title for title in dict.fromkeys(map(cls.title_of, cls.names())) if title]

    @classmethod
    def add_arguments(
        cls, parser: argparse.ArgumentParser, names: Collection[str] | None = None, *, from_file: bool = False
    ) -> None:
        """Add one argument per option to a parser; options that the user does not give are absent from its result.

        Args:
            parser: Parser that gets the arguments.
            names: Names of the options to add; all when None.
            from_file: Add ``--options`` too, which names a TOML file of options.
        """
        if from_file:
            parser.add_argument("--options", metavar="FILE", help=FROM_FILE)
        groups: dict[str, argparse._ActionsContainer] = {"": parser}
        for f in dataclasses.fields(cls):
            if names is None or f.name in names:
                title = cls.title_of(f.name)
                if title not in groups:
                    groups[title] = parser.add_argument_group(title)
                _add_argument(groups[title], f)

    @classmethod
    def read_toml(cls, path: Path, names: Collection[str] | None = None) -> dict[str, Any]:
        """Read a TOML file whose keys are names of options, at its top or below the headings of the help.

        Args:
            names: Names of options that the file may hold; all when None.

        Raises:
            UsageError: There is no such file, it is not TOML, or a key or value is not one of an option.
        """
        try:
            content = read_toml(path)
        except UsageError as error:
            raise UsageError(f"--options: {error}") from error
        return cls.check_values(content, f"--options: {path}", names)

    @classmethod
    def check_values(
        cls, content: Mapping[str, Any], where: str, names: Collection[str] | None = None
    ) -> dict[str, Any]:
        """Return values by the names of their options, spelt with - or _ in `content`.

        Raises:
            UsageError: A key or a value is not one of an option.
        """
        known = cls.names() if names is None else names
        objects = [f.name for f in dataclasses.fields(cls) if _kind_of(f) == "Any" and f.metadata["read"] is None]
        values: dict[str, Any] = {}
        for key, value in cls._without_headings(content, where):
            name = key.replace("-", "_")
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                near = f" Did you mean {flag(close[0])[2:]}?" if close else ""
                raise UsageError(f"{where}: there is no option {key!r}{' here' * (name in cls.names())}.{near}")
            if name in values:
                raise UsageError(f"{where}: {key!r} is given twice.")
            if name in objects and not isinstance(value, str | Mapping):  # Python alone has others for these
                raise UsageError(f"{where}: {name}: expected text, as on the command line, got {value!r}.")
            values[name] = value
        try:
            cls(**values)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from error
        return values

    @classmethod
    def _without_headings(cls, content: Mapping[str, Any], where: str) -> Iterator[tuple[str, Any]]:
        """Yield the options of a file, also those below headings."""
        headings = [heading(title) for title in cls.titles()]
        for key, value in content.items():
            if isinstance(value, Mapping) and key in headings:
                yield from value.items()
            elif not isinstance(value, Mapping) or key.replace("-", "_") in cls.names():
                yield key, value
            else:
                raise UsageError(
                    f"{where}: there is no heading [{key}]; options stand at the top of the file, or below "
                    f"{', '.join(f'[{one}]' for one in headings)}."
                )

    @classmethod
    def from_arguments(
        cls,
        arguments: argparse.Namespace,
        before: Mapping[str, Any] | None = None,
        names: Collection[str] | None = None,
    ) -> Self:
        """Make the options from parsed arguments; these win over the file that they name, and the file over `before`.

        Args:
            arguments: Result of a parser with these options.
            before: Values that take the place of the defaults.
            names: Names of the options that the command takes; all when None.

        Raises:
            UsageError: The options make no sense; the message names them as the command line does.
        """
        given = {name: getattr(arguments, name) for name in names or cls.names() if hasattr(arguments, name)}
        if getattr(arguments, "options", None) is not None:
            given = cls.read_toml(Path(arguments.options), names) | given
        try:
            return cls(**{**(before or {}), **given})
        except UsageError as error:
            own = _OWN_NAME.match(str(error))
            if own is None or own["name"] not in cls.names():
                raise
            raise UsageError(f"{flag(own['name'])}: {str(error)[own.end() :]}") from error


def shows_options(options: type[Options]) -> Callable[[F], F]:
    """Show the options in a function's signature, in the place of its last argument, such as `**options`."""
    defaults, keyword = options(), inspect.Parameter.KEYWORD_ONLY
    shown = [inspect.Parameter(name, keyword, default=getattr(defaults, name)) for name in options.names()]

    def showing(function: F) -> F:
        given = inspect.signature(function).parameters.values()
        own = [parameter for parameter in given if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
        function.__signature__ = inspect.Signature([*own, *shown])  # type: ignore[attr-defined]
        return function

    return showing


def _default_of(f: dataclasses.Field[Any]) -> Any:
    return f.default if f.default_factory is dataclasses.MISSING else f.default_factory()


def _parser_of(f: dataclasses.Field[Any]) -> Callable[[str], Any] | None:
    parse: Callable[[str], Any] | None = f.metadata["parse"] or _PARSERS.get(_kind_of(f))
    return parse


def _is_by_field(f: dataclasses.Field[Any]) -> bool:
    """Return whether an option takes a value for each field, too."""
    return "by_field" in f.metadata


def _takes_names(f: dataclasses.Field[Any]) -> bool:
    """Return whether several ``NAME=…`` may follow an option on the command line."""
    return _is_by_field(f) or "named" in f.metadata


def _takes_by_field(f: dataclasses.Field[Any], given: Any) -> bool:
    """Return whether a value can be one for each field: where one is a dictionary itself, those of fields are, too."""
    is_simple = isinstance(given, Mapping) and not all(isinstance(one, Mapping | str) for one in given.values())
    return _is_by_field(f) and not (is_simple and _kind_of(f).startswith("dict"))


def _type_of(f: dataclasses.Field[Any]) -> Any:
    """Return the type of one value of an option, which stands first."""
    return str(f.type).partition(" | ")[0] if _is_by_field(f) else f.type


def _kind_of(f: dataclasses.Field[Any]) -> str:
    return kind_of(_type_of(f))


def _add_argument(container: argparse._ActionsContainer, f: dataclasses.Field[Any]) -> None:
    default, kind, help = _default_of(f), _kind_of(f), f.metadata["help"]
    arguments: dict[str, Any] = {"dest": f.name, "default": argparse.SUPPRESS}
    if kind == "bool":
        container.add_argument(flag(f.name), action="store_true", help=help.replace("%", "%%"), **arguments)
        container.add_argument(_opposite(f.name), action="store_false", help=argparse.SUPPRESS, **arguments)
        return
    if _is_by_field(f):
        help += "; where there are several such targets: TARGET=… for each"
    if _takes_names(f):
        arguments["action"] = StoreByField
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
    """Return the argument that turns a switch off again that a file of options has turned on."""
    return flag(name.removeprefix("no_") if name.startswith("no_") else f"no_{name}")


def _typed(f: dataclasses.Field[Any]) -> Callable[[str], Any]:
    """Return a function that argparse calls with a text; its errors name the option."""
    parse = None if "nargs" in f.metadata else _parser_of(f)

    def typed(text: str) -> Any:
        try:
            if parse is None:
                return split_named(text) if _takes_names(f) else text
            return each_value(split_named(text), parse) if _is_by_field(f) else parse(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(_OWN_NAME.sub("", str(error))) from error
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"expected {EXPECTED[_kind_of(f)]}, got {text!r}.") from error

    return typed


# Options without effect


@dataclass(frozen=True)
class Ineffective(Generic[Situation]):
    """A case in which an option has no effect.

    Attributes:
        when: Returns whether this is the case; asked for options that are not at their defaults.
        why: Words that follow the option's name in the note.
        refused: Whether the option is an error in this case, since the user expects something else from it.
    """

    when: Callable[[Situation], bool]
    why: str
    refused: bool = False

    def note(self, option: str) -> str:
        """Return the note about an option; `name` is the one that the user knows."""
        return f"{option} has no effect: it {self.why}."
