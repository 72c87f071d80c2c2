"""Signatures of functions that take the options of a class, so that help() and editors show these."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from precompute.options.option import Options

__all__ = ["shows_options"]

F = TypeVar("F", bound=Callable[..., Any])


def shows_options(options: type[Options]) -> Callable[[F], F]:
    """Let a function's signature name the options that its last argument, such as `**options`, stands for."""
    defaults, keyword = options(), inspect.Parameter.KEYWORD_ONLY
    shown = [inspect.Parameter(name, keyword, default=getattr(defaults, name)) for name in options.names()]

    def showing(function: F) -> F:
        given = inspect.signature(function).parameters.values()
        own = [parameter for parameter in given if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
        function.__signature__ = inspect.Signature([*own, *shown])  # type: ignore[attr-defined]
        return function

    return showing
