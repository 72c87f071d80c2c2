"""A pipeline as the manifest describes it, in lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["describe_pipeline", "describe_value"]

NO_ARGUMENTS = ("__class_fullname__", "transforms", "attributes", "p")  # or, as p, said last


def describe_pipeline(description: dict[str, Any]) -> list[str]:
    """Return a pipeline as the manifest describes it, one line a transform, nested ones indented."""
    inner = description["transform"].get("transforms", [])
    lines = [line for transform in inner for line in _transform(transform, "")]
    return lines or ["nothing: images as they are"]


def _transform(transform: dict[str, Any], indent: str) -> Iterator[str]:
    name = str(transform.get("__class_fullname__", "?")).rpartition(".")[2]
    inner = transform.get("transforms")
    known = {key: value for key, value in transform.items() if key not in NO_ARGUMENTS and value is not None}
    arguments = [f"{key}={describe_value(value)}" for key, value in known.items()]
    if "p" in transform:
        arguments.append(f"p={describe_value(transform['p'])}")
    yield f"{indent}{name}({', '.join(arguments)})" + (":" if inner else "")
    for below in inner or ():
        yield from _transform(below, indent + "  ")


def describe_value(value: Any) -> str:
    """Return an argument of a transform, with few digits."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return f"({', '.join(describe_value(item) for item in value)})"
    return repr(value)
