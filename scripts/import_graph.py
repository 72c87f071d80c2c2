"""Which module of the project imports which, and where that goes round in a circle.

Imports inside functions and for type checkers count; the reading is ruff's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["PACKAGES", "circles", "imported_by", "read_graph"]

PACKAGES = ("precompute", "train")
Graph = Mapping[str, set[str]]


def read_graph(root: Path) -> dict[str, set[str]]:
    """Return module → modules that it imports, each as a path below `root`: ``"train/data.py"``."""
    packages = [package for package in PACKAGES if (root / package).is_dir()]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "analyze", "graph", "--quiet", *packages],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    return {module: set(imported) for module, imported in json.loads(done.stdout).items()}


def circles(graph: Graph) -> list[list[str]]:
    """Return the groups of modules that all reach one another by imports, sorted; none where imports go one way."""
    reached = {module: set(_reached_from(module, graph)) for module in graph}
    groups = {tuple(sorted(other for other in reached[module] if module in reached[other])) for module in graph}
    return [list(group) for group in sorted(groups) if group]


def imported_by(graph: Graph) -> dict[str, list[str]]:
    """Return module → modules that import it, sorted."""
    users: dict[str, list[str]] = {module: [] for module in graph}
    for user in sorted(graph):
        for module in graph[user]:
            users.setdefault(module, []).append(user)
    return users


def _reached_from(module: str, graph: Graph) -> Iterator[str]:
    seen, ahead = set[str](), list(graph[module])
    while ahead:
        other = ahead.pop()
        if other not in seen:
            seen.add(other)
            ahead += graph.get(other, ())
            yield other
