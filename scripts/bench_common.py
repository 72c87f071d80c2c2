"""What the benchmarks share: arms that are measured side by side, the machine, tables, results as JSON.

Machines are noisy and drift, so nothing is compared across runs: arms take turns within one run, and what is compared
is the ratio of two arms in the same round.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import wraps
from pathlib import Path
from typing import Any

__all__ = ["add_output", "alternate", "describe_machine", "print_table", "ratio", "save", "spread", "timed"]

PACKAGES = (
    "augment-once",
    "albumentations",
    "opencv-python-headless",
    "numpy",
    "pillow",
    "isal",
    "joblib",
    "tensorflow",
    "keras",
    "tensorflow-datasets",
)


def alternate(arms: Mapping[str, Callable[[], float]], rounds: int = 5) -> dict[str, list[float]]:
    """Measure arms in turns, A B C A B C …, after one round that is not counted; returns each arm's figures."""
    figures: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(rounds + 1):
        for name, measure in arms.items():
            figure = measure()
            if number:
                figures[name].append(figure)
    return figures


def ratio(a: Sequence[float], b: Sequence[float]) -> dict[str, float]:
    """Return median, least and largest of a / b, round by round."""
    return spread([x / y for x, y in zip(a, b, strict=True)])


def spread(figures: Sequence[float]) -> dict[str, float]:
    """Return median, least and largest of some figures."""
    return {"median": statistics.median(figures), "min": min(figures), "max": max(figures)}


def timed(step: str, function: Callable[..., Any], taken: dict[str, float]) -> Callable[..., Any]:
    """Return the function, with its CPU seconds added up under a name, and its wall seconds under another."""

    @wraps(function)
    def measured(*args: Any, **kwargs: Any) -> Any:
        start, cpu = time.perf_counter(), time.process_time()
        try:
            return function(*args, **kwargs)
        finally:
            taken[step] = taken.get(step, 0.0) + time.process_time() - cpu
            taken[f"{step} s"] = taken.get(f"{step} s", 0.0) + time.perf_counter() - start

    return measured


def print_table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table in Markdown, ready for a page."""
    cells = [[_text(value) for value in row] for row in [head, *rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for number, row in enumerate(cells):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
        if not number:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


def _text(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def describe_machine() -> dict[str, Any]:
    """Return what the figures depend on, apart from the code: cores, system, interpreter, packages."""
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add `--output`, the file that `save` writes."""
    parser.add_argument("--output", type=Path, metavar="JSON", help="also write all figures here")


def save(path: Path | None, results: Mapping[str, Any]) -> None:
    """Write results with command, date, machine and versions, if a file was asked for."""
    if path is None:
        return
    about = {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "date": date.today().isoformat(),
        "machine": describe_machine(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**about, **results}, indent=1, ensure_ascii=False) + "\n")
