"""Any Python value as JSON: equal for equal values and equal code, in any process and under any name.

A user's code is identified by its bytecode, and by what that refers to: constants and functions of its module,
closures, defaults, base classes, attributes of the user's other modules. Comments and layout do not matter. Installed
packages are identified by name and version. Files and environment that the code reads, and names that it looks up by
text, are not seen.
"""

from __future__ import annotations

import dis
import enum
import functools
import hashlib
import inspect
import math
import random
import sys
import sysconfig
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from precompute.dataset.json_files import canonical_json

__all__ = ["CodeHasher"]

_INSTALLED = tuple(
    f"{Path(sysconfig.get_path(name)).resolve().as_posix()}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")
)
_GENERATORS = (random.Random, np.random.Generator, np.random.BitGenerator, np.random.RandomState)
_BUILTINS = (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType, np.ufunc)
_CLASS_BOOKKEEPING = ("_abc_impl",)  # beside all that is in double underscores and no function


class CodeHasher:
    """Makes JSON of values. Use one object per description: it remembers the objects that it has visited."""

    def __init__(self) -> None:
        self._walked: dict[int, tuple[Any, Any]] = {}  # holds the values too, so that no id is used twice

    def __call__(self, value: Any) -> Any:
        """Return the value as JSON."""
        if value is None or isinstance(value, bool | int) or type(value) is str:
            return value if not isinstance(value, enum.Enum) else self(value.value)
        if isinstance(value, float):
            return _number(float(value))
        if isinstance(value, dict):
            return {str(key): self(item) for key, item in value.items()}
        if type(value) in (list, tuple):
            return [self(item) for item in value]
        if isinstance(value, set | frozenset):
            return sorted((self(item) for item in value), key=repr)
        return self.other(value)

    def sha256(self, value: Any) -> str:
        """Return a hash of the value as JSON."""
        return _hash(self(value))

    def other(self, value: Any) -> Any:
        """Return a value that has no counterpart in JSON; subclasses know more kinds."""
        if isinstance(value, bytes | bytearray):
            return {"bytes": hashlib.sha256(value).hexdigest()}
        if isinstance(value, np.generic):
            return self(value.item())
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, enum.Enum):
            return self(value.value)
        if isinstance(value, types.ModuleType):
            return _installed(value.__name__)
        if isinstance(value, _GENERATORS):
            return {"generator": type(value).__name__}
        if id(value) not in self._walked:
            self._walked[id(value)] = value, {"again": _name(value)}  # what refers to itself meets this
            self._walked[id(value)] = value, self._code(value) if callable(value) else self._object(value)
        return self._walked[id(value)][1]

    def _array(self, value: np.ndarray[Any, Any]) -> Any:
        if value.dtype.hasobject:
            return self(value.tolist())
        content = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return {"array": content, "shape": list(value.shape), "dtype": value.dtype.str}

    def _code(self, value: Any) -> Any:
        if isinstance(value, functools.partial):
            return {"partial": self(value.func), "args": self(value.args), "keywords": self(value.keywords)}
        if isinstance(value, types.MethodType):
            return {"method": self(value.__func__), "of": self(value.__self__)}
        if isinstance(value, types.FunctionType):
            return {"function": _name(value), "sha256": _hash(self._function(value))}
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, _BUILTINS):
            return {"function": _name(value)}
        if hasattr(value, "__wrapped__"):  # functools.lru_cache and its like
            return {"wrapper": type(value).__name__, "of": self(value.__wrapped__)}
        return self._object(value)

    def _function(self, function: types.FunctionType) -> dict[str, Any]:
        module = function.__globals__.get("__name__", "")
        cells = [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)]
        if not _is_users(module):
            # A decorator from a package may hold the user's function.
            return {"installed": _installed(module), "inside": [self(c) for c in cells if _is_function(c)]}
        return {
            "code": [self._bytecode(code) for code in _codes(function.__code__)],
            "defaults": self([function.__defaults__, function.__kwdefaults__]),
            "closure": [self(cell) for cell in cells],
            "globals": self._globals(function),
        }

    def _bytecode(self, code: types.CodeType) -> list[Any]:
        constants = [c for c in code.co_consts if not isinstance(c, types.CodeType)]
        num_parameters = code.co_argcount + code.co_kwonlyargcount
        return [
            code.co_code.hex(),
            code.co_exceptiontable.hex(),
            code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS | inspect.CO_GENERATOR),
            [[type(c).__name__, self(c)] for c in constants],
            list(code.co_names),
            list(code.co_varnames[:num_parameters]),
        ]

    def _globals(self, function: types.FunctionType) -> dict[str, Any]:
        """Return the globals that a function uses, from its module and from other modules of the user."""
        names = {name for code in _codes(function.__code__) for name in _global_names(code)}
        values = {name: function.__globals__[name] for name in sorted(names) if name in function.__globals__}
        mentioned = {name for code in _codes(function.__code__) for name in code.co_names}
        for module in [m for m in values.values() if isinstance(m, types.ModuleType) and _is_users(m.__name__)]:
            for name in sorted(mentioned & set(vars(module))):
                values[f"{module.__name__}.{name}"] = getattr(module, name)
        return {name: self(value) for name, value in values.items()}

    def _class(self, cls: type) -> Any:
        if not _is_users(cls.__module__):
            return _installed(cls.__module__, cls.__qualname__)
        if issubclass(cls, BaseModel):
            return {"class": cls.__qualname__}  # checks arguments; what it makes of them is in the attributes
        members = {
            name: self(getattr(member, "__func__", member) if not isinstance(member, property) else _accessors(member))
            for name, member in sorted(vars(cls).items())
            if name not in _CLASS_BOOKKEEPING and (not name.startswith("__") or _is_function(member))
        }
        bases = [self(base) for base in cls.__mro__[1:] if base is not object]
        return {"class": cls.__qualname__, "sha256": _hash([members, bases])}

    def _object(self, value: Any) -> Any:
        """Return an object as the parts into which pickle takes it apart."""
        try:
            parts = value.__reduce_ex__(4)
        except Exception:  # it cannot be taken apart: its class has to do
            return {"object": self(type(value))}
        if isinstance(parts, str):
            return {"object": self(type(value)), "name": parts}
        function, arguments, *state = parts
        return {
            "object": self(type(value)),
            "made by": getattr(function, "__name__", ""),
            "arguments": self(arguments),
            "state": [self(list(part) if isinstance(part, Iterator) else part) for part in state],
        }


def _number(value: float) -> Any:
    if not math.isfinite(value):
        return repr(value)
    return int(value) if value.is_integer() else value  # they compare equal, and so must their hashes be


def _hash(plain: Any) -> str:
    return hashlib.sha256(canonical_json(plain)).hexdigest()


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _global_names(code: types.CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval


def _filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 (raises when there is nothing)
    except ValueError:
        return False
    return True


def _is_function(value: Any) -> bool:
    return isinstance(value, types.FunctionType | staticmethod | classmethod | property | functools.partial)


def _accessors(member: property) -> list[Any]:
    return [member.fget, member.fset]


def _is_users(module: str) -> bool:
    """Return whether a module is a user's own and not an installed package's."""
    if module.partition(".")[0] in ("albumentations", "precompute", "builtins"):
        return False
    path = getattr(sys.modules.get(module), "__file__", None)
    if path is None:  # a prompt, a notebook, a module that is no longer there; but not what is compiled into Python
        return module not in sys.builtin_module_names
    return not Path(path).resolve().as_posix().startswith(_INSTALLED)


def _installed(module: str, name: str = "") -> dict[str, Any]:
    version = getattr(sys.modules.get(module.partition(".")[0]), "__version__", None)
    return {"from": f"{module}.{name}".strip("."), "version": version if isinstance(version, str) else None}


def _name(value: Any) -> str:
    return str(getattr(value, "__name__", type(value).__name__))
