"""How options are declared: one field holds default, help, choices and whether a run may be continued with another."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from precompute.errors import UsageError
from precompute.options.plain_values import convert
from precompute.text.files import read_text

__all__ = ["Options", "check_at_least", "check_between", "flag", "option"]


def option(
    default: Any, text: str, *, choices: tuple[str, ...] = (), decides: bool = True, metavar: str | None = None
) -> Any:
    """Return a field of an options class.

    Args:
        default: Value when the user says nothing.
        text: Help for the command line; it adds the default.
        choices: The only values accepted; empty for any.
        decides: Whether it decides the weights that come out: a run is continued only with the same value.
        metavar: What the help shows for the value; by default it follows from the type.
    """
    return field(default=default, metadata={"help": text, "choices": choices, "decides": decides, "metavar": metavar})


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options that refuse bad values, and that make their own command-line arguments."""

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for f in dataclasses.fields(self):
            object.__setattr__(self, f.name, _taken(getattr(self, f.name), hints[f.name], f.default))
            _check_type(f.name, getattr(self, f.name), hints[f.name])
            choices = f.metadata["choices"]
            if choices and getattr(self, f.name) not in choices:
                raise UsageError(f"{flag(f.name)}: expected {' or '.join(choices)}, got {getattr(self, f.name)!r}.")

    @classmethod
    def add_arguments(
        cls, parser: argparse.ArgumentParser, groups: Mapping[str, Sequence[str]] = types.MappingProxyType({})
    ) -> None:
        """Give the parser one argument a field; what the user does not give is absent from the result.

        Args:
            parser: Takes the arguments.
            groups: Title in the help → fields below it; those without a group stand with the parser's own.
        """
        hints = typing.get_type_hints(cls)
        place: dict[str, argparse._ActionsContainer] = {}
        for title, names in groups.items():
            place |= dict.fromkeys(names, parser.add_argument_group(title))
        for f in dataclasses.fields(cls):
            text = f.metadata["help"].replace("%", "%%")
            arguments: dict[str, Any] = {"default": argparse.SUPPRESS, "help": text}
            container = place.get(f.name, parser)
            if hints[f.name] is bool:
                container.add_argument(flag(f.name), action=argparse.BooleanOptionalAction, **arguments)
                continue
            if f.default is not None:
                arguments["help"] += f" (default: {f.default})"
            kind = _plain_type(hints[f.name])
            choices = f.metadata["choices"] or None
            metavar = None if choices else f.metadata["metavar"] or {int: "N", float: "X", str: "NAME"}[kind]
            container.add_argument(flag(f.name), type=kind, choices=choices, metavar=metavar, **arguments)

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace, before: Mapping[str, Any] | None = None) -> Self:
        """Make the options from parsed arguments, which win over `before`, which wins over the defaults."""
        given = {f.name: getattr(arguments, f.name) for f in dataclasses.fields(cls) if hasattr(arguments, f.name)}
        return cls(**{**(before or {}), **given})

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
        names = [f.name for f in dataclasses.fields(cls)]
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
    def deciding(cls) -> list[str]:
        """Return the names of the options that decide what comes out of a run."""
        return [f.name for f in dataclasses.fields(cls) if f.metadata["decides"]]

    def to_dict(self) -> dict[str, Any]:
        """Return the options as JSON takes them."""
        return dataclasses.asdict(self)


def flag(name: str) -> str:
    """Return how the command line spells a field."""
    return "--" + name.replace("_", "-")


def check_at_least(smallest: int, **values: int) -> None:
    """Raise `UsageError` for an option below `smallest`."""
    for name, value in values.items():
        if value < smallest:
            raise UsageError(f"{flag(name)}: expected {smallest} or more, got {value!r}.")


def check_between(low: float, high: float, **values: float) -> None:
    """Raise `UsageError` for an option outside [low, high)."""
    for name, value in values.items():
        if not low <= value < high:  # also NaN
            raise UsageError(f"{flag(name)}: expected {low:g} or more and less than {high:g}, got {value!r}.")


def _plain_type(hint: Any) -> type:
    """Return `int` for `int | None`."""
    kinds: list[type] = [part for part in typing.get_args(hint) or (hint,) if part is not types.NoneType]
    return kinds[0]


def _taken(value: Any, hint: Any, default: Any) -> Any:
    """Return a value as `precompute` takes those of its options: NumPy's numbers, text, None for the default."""
    default = None if default is dataclasses.MISSING else default
    return convert(_plain_type(hint), value, default)


def _check_type(name: str, value: Any, hint: Any) -> None:
    accepted: Iterable[type] = typing.get_args(hint) or (hint,)
    if float in accepted and isinstance(value, int) and not isinstance(value, bool):
        return
    if not any(type(value) is kind for kind in accepted):
        names = " or ".join("None" if kind is types.NoneType else kind.__name__ for kind in accepted)
        raise UsageError(f"{flag(name)}: expected {names}, got {value!r}.")
