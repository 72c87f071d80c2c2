"""`tests` mirrors the packages that it tests: where a module lies, its tests are looked for."""

from __future__ import annotations

import re

import pytest

from tests.helpers.project import ROOT

OTHER_FOLDERS = {"end_to_end", "golden", "helpers", "project"}


@pytest.mark.parametrize("package", ["precompute", "train"])
def test_each_folder_of_tests_is_a_package(package: str) -> None:
    folders = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests" / package).rglob("test_*.py")}
    assert {str(folder) for folder in folders if not (ROOT / folder / "__init__.py").exists()} == set()


def test_nothing_lies_beside_the_mirror() -> None:
    found = {path.name for path in (ROOT / "tests").iterdir() if path.name != "__pycache__"}
    assert found == {"__init__.py", "conftest.py", "precompute", "train", *OTHER_FOLDERS}
    named = {path.name for path in (ROOT / "tests" / "helpers").glob("test_*.py")}
    assert named == set()


def test_the_page_for_contributors_names_what_is_there() -> None:
    text = (ROOT / ".github/CONTRIBUTING.md").read_text(encoding="utf-8")
    files = re.findall(r"`((?:project|end_to_end|precompute|train|tests|scripts)/[\w/.]+\.\w+)`", text)
    assert len(files) > 20
    assert [name for name in files if not any((ROOT / top / name).exists() for top in ("", "tests"))] == []
    rooms = {path.name for path in (ROOT / "precompute").iterdir() if path.is_dir()}
    modules = [name for name in re.findall(r"`([a-z]+(?:\.[a-z_]+)+)`", text) if name.split(".")[0] in rooms]
    assert len(modules) > 10
    missing = []
    for name in modules:
        path = ROOT.joinpath("precompute", *name.split("."))
        if not (path.is_dir() or path.with_suffix(".py").exists()):
            missing.append(name)
    assert missing == []
