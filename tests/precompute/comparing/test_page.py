"""The page of a comparison."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

import precompute
from precompute.cli import main
from precompute.comparing.diff import diff
from precompute.comparing.page import page_of
from precompute.errors import UsageError
from precompute.pages.blocks import Note, Pictures, Table
from tests.helpers.browser import open_browser
from tests.helpers.small_datasets import draw_classes, options


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with two seeds, and names that are no HTML."""
    folder = tmp_path_factory.mktemp("two_seeds")
    source = draw_classes(folder / "sources", names=("<i>a", "b&b"))
    for seed in (0, 1):
        precompute.build(source, folder / "out", **options(variants=2, seed=seed, class_copies={"<i>a": 2}))
    return folder / "out"


def blocks_of(out: Path, section: str, **given: Any) -> list[Any]:
    page = page_of(diff(out, **given))
    return [block for one in page.sections if one.id == section for block in one.blocks]


def test_pairs_stand_side_by_side_with_what_moved(out: Path) -> None:
    light, values, pictures = blocks_of(out, "pixels", seed=0, seed_b=1)
    assert isinstance(light, Table) and isinstance(values, Table) and isinstance(pictures, Pictures)
    assert [row[0] for row in light.rows] == ["brightness", "contrast"]
    assert [row[0] for row in values.rows] == ["image"]
    assert len(pictures.groups) == 24
    for group in pictures.groups:
        assert list(group.captions) in (["A, row 0", "B, row 2", "difference"], ["A, row 1", "B, row 3", "difference"])
        assert len(group.pictures) == 3
    assert any(", copy 1: " in group.title for group in pictures.groups)


def test_equal_rows_have_no_pictures(out: Path) -> None:
    found = diff(out, out)
    page = page_of(found)
    assert page.title == "Equal" and page.figures[1] == (str(sum(row.num_equal for row in found.rows)), "equal")
    assert [type(block) for block in blocks_of(out, "pixels", b=out)] == [Note]


def test_the_command_writes_the_page(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new/diff.html"
    assert main(["diff", str(out), "--seed", "0", "--seed-b", "1", "--output", str(path)]) == 5
    content = path.read_text()
    assert "&lt;i&gt;a" in content and "<i>a" not in content and "b&amp;b" in content
    assert main(["diff", str(out), str(out), "--output", str(tmp_path / "diff.png")]) == 2
    assert "output: expected a file that ends with .html or .htm, got" in capsys.readouterr().err


def test_a_page_that_cannot_be_made_or_written_is_refused(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file: cannot be written: "):
        diff(out, out, output=tmp_path / "file/diff.html")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "jinja2" else find(name))
    with pytest.raises(UsageError, match=r"a page needs Jinja2: pip install 'augment-once\[report\]'"):
        diff(out, out, output=tmp_path / "diff.html")


def test_a_notebook_shows_the_text_and_the_pairs(out: Path) -> None:
    shown = diff(out, seed=0, seed_b=1)._repr_html_()
    assert shown.count("<img") == 5 * 2 and "DIFFERENT" in shown and "<i>" not in shown
    assert "<img" not in diff(out, out)._repr_html_()


@pytest.mark.slow
def test_a_browser_shows_it_and_asks_for_nothing(out: Path, tmp_path: Path) -> None:
    path = tmp_path / "diff.html"
    diff(out, seed=0, seed_b=1, output=path)
    with open_browser() as browser:
        browser.open(path)
        assert set(browser.requests()) == {path.as_uri()} and browser.console() == []
        assert len(browser.shown("img")) == 24 * 3
