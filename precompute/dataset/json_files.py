"""JSON files ↔ dataclasses, with errors that name file and field."""

from __future__ import annotations

import dataclasses
import functools
import json
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from precompute.errors import DatasetError

__all__ = ["canonical_json", "decode_json", "dump", "parse_json", "read_json"]

T = TypeVar("T")


def canonical_json(value: Any) -> bytes:
    """Return the serialization of JSON that hashes are computed from."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def dump(value: Any) -> bytes:
    """Return JSON in a form that people can read."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def read_json(path: Path, *, missing: str) -> dict[str, Any]:
    """Return the JSON object that a file holds; `missing` completes the message when there is none."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: there is no such file; {missing}.") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}.") from error
    return decode_json(path, content)


def decode_json(path: Path, content: bytes) -> dict[str, Any]:
    """Return the JSON object that a file's content spells."""
    try:
        text = content.decode()
        value = json.loads(text)
        if "\\u" in text:
            canonical_json(value)  # half of a pair of surrogates is no text: it would fail where it is used
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not valid JSON ({error}).") from error
    if not isinstance(value, dict):
        raise DatasetError(f"{path}: expected a JSON object, got {type(value).__name__}.")
    return value


def parse_json(cls: type[T], value: Any, where: str) -> T:
    """Make a dataclass from decoded JSON; fields that the class does not know are passed over."""
    if not isinstance(value, dict):
        raise DatasetError(f"{where}: expected an object, got {value!r}.")
    hints = _type_hints(cls)  # type: ignore[arg-type]  # a class is hashable
    arguments = {}
    for f in dataclasses.fields(cls):  # type: ignore[arg-type]
        if f.name in value:
            arguments[f.name] = _convert(hints[f.name], value[f.name], f"{where}: {f.name}")
        elif f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise DatasetError(f"{where}: the field {f.name!r} is missing.")
    return cls(**arguments)


@functools.cache
def _type_hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)  # compiles the text of each annotation: once is enough


def _convert(hint: Any, value: Any, where: str) -> Any:
    if hint is Any or hint is type(value):
        return value
    origin, parameters = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        fitting = (one for one in parameters if one is not Any and isinstance(value, typing.get_origin(one) or one))
        return _convert(next(fitting, parameters[0]), value, where)
    if origin in (list, dict) and isinstance(value, origin) and parameters[-1] in (str, int):
        items: Any = value.values() if origin is dict else value
        if set(map(type, items)) <= {parameters[-1]}:
            return value  # most are, and a block has ten thousand: a look at all at once takes a tenth of the time
    if origin is list and isinstance(value, list):
        return [_convert(parameters[0], item, f"{where}[{i}]") for i, item in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {k: _convert(parameters[1], item, f"{where}[{k!r}]") for k, item in value.items()}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return parse_json(hint, value, where)
    if origin is None and isinstance(value, hint) and (hint is not int or not isinstance(value, bool)):
        return value
    raise DatasetError(f"{where}: expected {getattr(origin or hint, '__name__', hint)}, got {value!r}.")
