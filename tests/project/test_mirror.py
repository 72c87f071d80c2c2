"""`tests` mirrors the packages that it tests: where a module lies, its tests are looked for."""

from __future__ import annotations

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
