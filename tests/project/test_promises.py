"""PROMISES.md: each promise names its tests, and all of them exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import precompute
from tests.helpers.project import ROOT

PAGE = (Path(precompute.__file__).parent / "PROMISES.md").read_text(encoding="utf-8")
LINE = re.compile(r"- (?P<promise>\S.*\S) → (?P<tests>`[^`]+`(?:, `[^`]+`)*)")


def faults(page: str) -> list[str]:
    """Return what is wrong with a page of promises."""
    found = []
    for line in page.splitlines()[1:]:
        match = LINE.fullmatch(line)
        if match:
            names = re.findall(r"`([^`]+)`", match["tests"])
            found += [f"no such test: {name}" for name in names if not exists(name)]
            found += [f"named twice: {line}"] * (len(set(names)) < len(names))
        elif "→" in line or line.lstrip().startswith(("-", "*")):
            found.append(f"no promise with its tests: {line}")
    return found


def exists(name: str) -> bool:
    path, _, test = name.partition("::")
    return (ROOT / path).is_file() and test.startswith("test_") and test in names_in(ROOT / path)


@cache
def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_promise_has_tests_that_exist() -> None:
    assert faults(PAGE) == []
    assert len(LINE.findall(PAGE)) > 50
    for section in PAGE.split("\n## ")[1:]:
        assert LINE.search(section), section.splitlines()[0]


def test_what_is_missing_is_seen() -> None:
    here = "`tests/project/test_promises.py::test_what_is_missing_is_seen`"
    assert faults(f"# Title\n- kept → {here}\n") == []
    assert len(faults(f"# Title\n- kept →\n- kept\n- → {here}\n- kept → {here}, {here}\n* kept → {here}\n")) == 5
    for gone in (
        "tests/project/test_promises.py::test_gone",
        "tests/gone.py::test_x",
        "tests/project/test_promises.py::faults",
    ):
        assert faults(f"# Title\n- kept → {here}, `{gone}`\n") == [f"no such test: {gone}"]
