"""Signatures of functions that take the options of a build, so that help() and editors show these."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from precompute.options.build_options import BuildOptions

__all__ = ["shows_options"]

F = TypeVar("F", bound=Callable[..., Any])


def shows_options(function: F) -> F:
    """Let a function's signature name the options that its `**options` stand for, with their defaults."""
    given = inspect.signature(function).parameters.values()
    own = [parameter for parameter in given if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
    defaults, keyword = BuildOptions(), inspect.Parameter.KEYWORD_ONLY
    options = [
        inspect.Parameter(f.name, keyword, default=getattr(defaults, f.name)) for f in dataclasses.fields(BuildOptions)
    ]
    function.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined]
    return function
