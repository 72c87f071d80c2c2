"""The tool that moves modules, on a small house that is made up: every form of reference goes along, or is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.project import ROOT

SCRIPT = ROOT / "scripts/move_modules.py"

TABLES = """
[modules]
"house.look" = "house.report"
"house.look.palette" = "house.colors.palette"
"house.options" = "house.options.build"
"house.old" = "house.new"
"house.new" = "house.old"
"house.attic.box" = "house.boxes"
"house.attic.trunk" = "house.report.trunk"
[packages]
"house.colors" = "Colours."
"house.options" = "Options."
[tests]
"tests/test_shades.py" = "tests/house/colors/test_shades.py"
"tests/painted.py" = "tests/helpers/pictures.py"
"tests/program.py" = "tests/helpers/program.py"
[names]
"Cellar" = "Basement"
"steps_down" = "number_of_steps"
"""

HOUSE = {
    "house/__init__.py": '"""See `house/look/palette.py`."""\n_HOMES = {"paint": "house.look.palette"}\n',
    "house/look/__init__.py": '"""Looking."""\n',
    "house/look/palette.py": '''"""Colours, see `Cellar`."""


class Cellar:
    """Where."""


def steps_down() -> int:
    """Return how many."""
    return 1


def told(where: object) -> str:
    """Say `steps_down()`; steps_down in prose is left alone."""
    return f"steps_down: {steps_down()} {where!r:>{steps_down()}} {{steps_down}}"
''',
    "house/look/sheet.py": '''"""Sheets."""

from typing import TYPE_CHECKING

from house.look import palette
from house.look.palette import (
    steps_down,  # of all
    told,
)

if TYPE_CHECKING:
    from house.options import Size


def draw(size: "Size") -> str:
    """Draw, as `house.look.palette.told` says."""
    import house.look.palette as again

    return told(palette.Cellar) + str(steps_down()) + str(again)
''',
    "house/options.py": '"""Options."""\n\nimport house.old\n\nSize = house.old.NUMBER\n',
    "house/old.py": '"""Old."""\nNUMBER = 1\n',
    "house/new.py": '"""New."""\nNUMBER = 2\n',
    "house/attic/__init__.py": '"""What is kept."""\n',
    "house/attic/box.py": '"""Boxes."""\n\nimport house.attic.trunk\n\nIN = house.attic.trunk.__name__\n',
    "house/attic/trunk.py": '"""A trunk, no house.attic.chest."""\n',
    "tests/conftest.py": "from painted import draw\n\nDRAW = draw\n",
    "tests/painted.py": """from pathlib import Path

from house import look

ROOT = Path(__file__).resolve().parent.parent
HOUSE = look


def draw():
    return ROOT
""",
    "tests/program.py": "import painted\n\nprint(painted.draw())\n",
    "tests/test_shades.py": """from pathlib import Path

import painted
import pytest
from house import new, old
from house.look import palette, sheet

PROGRAM = Path(__file__).with_name("program.py")
HERE = Path(__file__).parent / "golden"
CODE = "from painted import draw\\nfrom house.look import palette, sheet\\nimport house.old"
ALLOWED = {"look": "options", "new": "house options"}


def test_it(monkeypatch) -> None:
    import house.look.sheet

    monkeypatch.setattr("house.look.palette.steps_down", lambda: 2)
    monkeypatch.setattr(palette, "steps_down", lambda: 2)
    assert house.look.sheet.draw(1) and painted.draw() and (old.NUMBER, new.NUMBER) == (1, 2)
    assert sheet.told and pytest and PROGRAM.exists()
""",
    "page.md": "house.look.palette, house/look/ house/look/sheet.py, "
    "`tests/test_shades.py::test_it`, `Cellar`, painted.py\n",
    "pyproject.toml": '[project]\nname = "house"\nversion = "1"\nscripts.house = "house.look.sheet:draw"\n',
}


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=e@x", *arguments], cwd=folder, check=True)


def move(folder: Path, tables: str = TABLES) -> subprocess.CompletedProcess[str]:
    """Draw the house, and run the tool on it."""
    for name, content in {**HOUSE, "moves.toml": tables}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "all")
    return subprocess.run(
        [sys.executable, str(SCRIPT), "moves.toml"], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("moved")
    done = move(folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "11 files moved, 2 names changed",
        'look at house/report/trunk.py:1: """A trunk, no house.attic.chest."""',
        "look at page.md:1: house.colors.palette, house/report/ house/report/sheet.py, "
        "`tests/house/colors/test_shades.py::test_it`, `Basement`, painted.py",
    ]
    return folder


def test_files_lie_where_the_tables_say(moved: Path) -> None:
    found = {str(path.relative_to(moved)) for path in moved.rglob("*.py")}
    assert found == {
        *("house/__init__.py", "house/colors/__init__.py", "house/colors/palette.py", "house/new.py", "house/old.py"),
        *("house/boxes.py", "house/report/trunk.py"),
        *("house/options/__init__.py", "house/options/build.py", "house/report/__init__.py", "house/report/sheet.py"),
        *("tests/__init__.py", "tests/conftest.py", "tests/helpers/__init__.py", "tests/helpers/program.py"),
        *("tests/helpers/pictures.py", "tests/house/__init__.py", "tests/house/colors/__init__.py"),
        "tests/house/colors/test_shades.py",
    }
    assert (moved / "house/colors/__init__.py").read_text() == '"""Colours."""\n'


def test_imports_and_strings_go_along(moved: Path) -> None:
    sheet = (moved / "house/report/sheet.py").read_text()
    for line in (
        "from house.colors import palette",
        "from house.colors.palette import (",
        "    number_of_steps,  # of all",
        "    from house.options.build import Size",
        "    import house.colors.palette as again",
        "as `house.colors.palette.told` says",
        "told(palette.Basement) + str(number_of_steps())",
    ):
        assert line in sheet
    test = (moved / "tests/house/colors/test_shades.py").read_text()
    for line in (
        "from house.report import sheet",
        "from tests.helpers import pictures",
        'Path(__file__).parents[2] / "helpers/program.py"',
        'Path(__file__).parents[2] / "golden"',
        r'CODE = "from tests.helpers.pictures import draw\nfrom house.colors import palette; from house.report import',
        r"\nimport house.new",
        'ALLOWED = {"look": "options", "old": "house options"}',
        '"house.colors.palette.number_of_steps"',
        '(palette, "number_of_steps",',
        "house.report.sheet.draw(1)",
        "and pictures.draw()",
        "from house import new as old",
    ):
        assert line in test
    palette = (moved / "house/colors/palette.py").read_text()
    assert "Say `number_of_steps()`; steps_down in prose" in palette
    assert '"steps_down: {number_of_steps()} {where!r:>{number_of_steps()}} {{steps_down}}"' in palette
    assert '"paint": "house.colors.palette"' in (moved / "house/__init__.py").read_text()
    assert "house.report.sheet:draw" in (moved / "pyproject.toml").read_text()


def test_everything_still_works(moved: Path) -> None:
    for program in (["-m", "pytest", "-q", "tests"], ["-m", "tests.helpers.program"]):
        done = subprocess.run([sys.executable, *program], cwd=moved, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == f"{moved}\n"


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ('[modules]\n"house.gone" = "house.x"', "not there (moved already?): house.gone"),
        ('[modules]\n"house.old" = "house.new"', "more than one file for house/new.py"),
        ('[modules]\n"house.old" = "house.rooms.old"', "new packages without a docstring in [packages]: house.rooms"),
        ('[names]\ngone = "told"', "names that are nowhere: gone; taken already: told"),
        ("[module]", "expected the sections modules, packages, tests, names, got module"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path: Path, tables: str, message: str) -> None:
    done = move(tmp_path, tables)
    assert done.returncode == 1 and message in done.stderr
    assert (tmp_path / "house/old.py").exists()


def test_a_tree_with_changes_is_refused(tmp_path: Path) -> None:
    assert move(tmp_path).returncode == 0
    again = subprocess.run([sys.executable, str(SCRIPT), "moves.toml"], cwd=tmp_path, capture_output=True, check=False)
    assert b"the tree has changes that are not committed" in again.stderr
