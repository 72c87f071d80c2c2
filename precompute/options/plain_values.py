"""Values from Python as options take them: NumPy's numbers and arrays, paths, text as on the command line, None.

One place says what a kind of option takes, for `BuildOptions` and for every function that a user calls.
"""

from __future__ import annotations

import functools
import inspect
import math
import os
from collections.abc import Callable, Collection, Mapping, Set
from typing import Any, ParamSpec, TypeVar

from precompute.errors import UsageError
from precompute.storage.paths import RemotePath

__all__ = ["check_kind", "convert", "converts_arguments", "plain"]

P = ParamSpec("P")
R = TypeVar("R")

EXPECTED = {
    "int": "an integer",
    "float": "a number",
    "bool": "True or False",
    "str": "a text",
    "path": "a path",
    "list[str]": "a list of names",
    "dict[int, int]": "numbers by numbers, such as {255: 1}",
    "dict[str, int]": "numbers by names, such as {'shoes': 3}",
}
PATHS = ("str | Path", "Path | str", "Path")


def plain(value: Any) -> Any:
    """Return NumPy's numbers, texts and arrays, in containers too, as Python's own; all else as it is."""
    if type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    if type(value) in (list, tuple):
        return type(value)(plain(one) for one in value)
    if type(value) is dict:
        return {plain(key): plain(one) for key, one in value.items()}
    return value


def kind_of(annotation: Any) -> str:
    """Return the kind of option that an annotation stands for: ``"int"`` for ``"int | None"``; others unchanged."""
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    text = text.removesuffix(" | None")
    return "path" if text in PATHS else text


def convert(annotation: Any, value: Any, default: Any, parse: Callable[[str], Any] | None = None) -> Any:
    """Return a value in the form that an option of this kind takes, or unchanged where it is of no such kind.

    Args:
        annotation: Type of the option as text, such as ``"int | None"``.
        value: What was given.
        default: Default of the option, which None stands for.
        parse: Reads text as the command line does.
    """
    value, kind = plain(value), kind_of(annotation)
    if value is None:
        return default
    if isinstance(value, str) and kind in ("int", "float", "list[str]", "dict[int, int]", "dict[str, int]"):
        return _read(value, kind, parse)
    converter = CONVERTERS.get(kind)
    return value if converter is None else converter(value)


def _read(text: str, kind: str, parse: Callable[[str], Any] | None) -> Any:
    reader = parse or {"int": int, "float": float}.get(kind)
    try:
        return text if reader is None else reader(text)
    except UsageError:
        raise
    except ValueError:
        return text


def _to_int(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _to_text(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _to_names(value: Any) -> Any:
    if isinstance(value, Mapping) or not isinstance(value, Collection):
        return value
    names = [str(name) if isinstance(name, int) and not isinstance(name, bool) else plain(name) for name in value]
    return sorted(names, key=str) if isinstance(value, Set) else names


def _to_numbers(value: Any) -> Any:
    return {plain(key): _to_int(plain(one)) for key, one in value.items()} if isinstance(value, Mapping) else value


def _to_ids(value: Any) -> Any:
    numbers = _to_numbers(value)
    return {_to_id(key): one for key, one in numbers.items()} if isinstance(numbers, dict) else numbers


def _to_id(key: Any) -> Any:
    return int(key) if isinstance(key, str) and key.isdecimal() else _to_int(key)  # keys of TOML and JSON are texts


CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "int": _to_int,
    "str": _to_text,
    "list[str]": _to_names,
    "dict[str, int]": _to_numbers,
    "dict[int, int]": _to_ids,
}


def check_kind(name: str, annotation: Any, value: Any) -> None:
    """Refuse a value that is none of its option's kind.

    Raises:
        UsageError: Names the option, what was expected and what was given.
    """
    kind = kind_of(annotation)
    check = CHECKS.get(kind)
    if value is not None and check is not None and not check(value):
        raise UsageError(f"{name}: expected {EXPECTED[kind]}, got {value!r:.80}.")


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_int(value) or (isinstance(value, float) and not math.isnan(value))


CHECKS: dict[str, Callable[[Any], bool]] = {
    "int": _is_int,
    "float": _is_number,
    "bool": lambda value: isinstance(value, bool),
    "str": lambda value: isinstance(value, str),
    "path": lambda value: isinstance(value, str | os.PathLike | RemotePath),
    "list[str]": lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value),
    "dict[int, int]": lambda value: isinstance(value, dict) and all(map(_is_int, [*value, *value.values()])),
    "dict[str, int]": lambda value: isinstance(value, dict) and all(isinstance(key, str) for key in value),
}


def converts_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function so that its arguments are converted to the types that its annotations name."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def taking(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            parameter = signature.parameters[name]
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            default = None if parameter.default is parameter.empty else parameter.default
            bound.arguments[name] = convert(parameter.annotation, value, default)
            check_kind(name, parameter.annotation, bound.arguments[name])
        return function(*bound.args, **bound.kwargs)

    return taking
