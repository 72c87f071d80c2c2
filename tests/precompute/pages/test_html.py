"""Pages as text: what is escaped, what the browser is told, and that colours can be read."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import re
from html.parser import HTMLParser

import pytest

from precompute.errors import UsageError
from precompute.pages import html
from precompute.pages.blocks import Page, Section, Share, Table
from precompute.pages.html import check_extra, render_page
from precompute.pictures.palette import FIRST
from tests.helpers.pages import HOSTILE, full_page
from tests.helpers.project import ROOT

STYLE = (ROOT / "precompute/pages/templates/page.css").read_text(encoding="utf-8")
VOID = {"meta", "link", "img", "input", "wbr", "br"}


class Reader(HTMLParser):
    """Counts tags, and keeps texts and attributes; tags must be closed in their order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self._open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


@pytest.fixture(scope="module")
def text() -> str:
    return render_page(full_page()).decode()


def test_hostile_names_are_text_wherever_they_stand(text: str) -> None:
    read = Reader(text)
    assert read.tags.count("script") == 1
    assert [value for tag, name, value in read.attributes if name.startswith("on")] == []
    assert HOSTILE in read.texts
    assert ("article", "data-classes") in {(tag, name) for tag, name, _ in read.attributes}
    sources = {value for _, name, value in read.attributes if name in ("src", "href", "xlink:href")}
    assert sources and all(value.startswith(("data:", "#")) for value in sources)


def test_a_browser_is_told_to_ask_for_nothing_and_to_run_the_page_s_own_script_alone(text: str) -> None:
    [policy] = [value for _, name, value in Reader(text).attributes if name == "content" and "default-src" in value]
    [script] = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy and f"script-src 'sha256-{digest}';" in policy
    assert text.index("Content-Security-Policy") < text.index("<style>") < text.index("<script>")


def test_pictures_have_alternative_texts_and_links_lead_somewhere(text: str) -> None:
    read = Reader(text)
    assert len([None for tag, name, _ in read.attributes if (tag, name) == ("img", "alt")]) == read.tags.count("img")
    ids = [value for _, name, value in read.attributes if name == "id"]
    assert {value for tag, name, value in read.attributes if name == "href" and value[0] == "#"} <= {
        f"#{name}" for name in ids
    }
    labelled = [value for tag, name, value in read.attributes if tag == "svg" and name == "aria-label"]
    assert len(labelled) == read.tags.count("svg") == 4


def test_names_that_are_no_unicode_do_not_stop_a_page() -> None:
    page = render_page(Page(kind="Report", title="a\udc80b", sections=[])).decode()
    assert "<h1>a?b</h1>" in page


def test_without_findings_it_says_so_and_a_page_that_looks_for_none_has_no_place_for_them() -> None:
    assert "Nothing to mend" in render_page(Page(kind="Report", title="a", findings=[], sections=[])).decode()
    assert 'id="findings"' not in render_page(Page(kind="Report", title="a", sections=[])).decode()


def test_notes_are_shown_on_a_page_that_looks_for_no_findings_too() -> None:
    for findings in ([], None):
        page = Page(kind="Difference", title="a", findings=findings, notes=["Another processor."], sections=[])
        assert "Another processor." in Reader(render_page(page).decode()).texts


def test_what_stands_between_backticks_is_code_but_for_a_single_one(text: str) -> None:
    read = Reader(text)
    assert f"precompute verify '{HOSTILE}'" in read.texts and "Run" in read.texts
    assert "b ` c" in " ".join(read.texts)


def test_cells_of_tables_are_formatted_by_what_they_are() -> None:
    rows = [["a", 1234567, 0.12345, None, Share("5 %", 0.0512)], ["b", None, 2.0, "", Share("0 %", 0, is_bad=True)]]
    table = Table(head=["name", "count", "mean", "none", "share"], rows=rows)
    assert [table.is_number(i) for i in range(5)] == [False, True, True, False, True]
    section = Section(id="a", name="A", title="A", meaning="b", blocks=[table])
    read = Reader(render_page(Page(kind="Report", title="a", sections=[section])).decode())
    for text in ("1,234,567", "0.123", "–", "5 %", "2"):
        assert text in read.texts
    assert ("td", "style", "--share: 5.1%") in read.attributes
    assert ("td", "class", "share bad") in read.attributes


def test_a_missing_package_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    check_extra()
    monkeypatch.setitem(html.PACKAGES, "no_such_module", "NoSuchPackage")
    with pytest.raises(UsageError, match=r"needs NoSuchPackage: pip install 'augment-once\[report\]'"):
        check_extra()
    assert all(importlib.util.find_spec(name) for name in list(html.PACKAGES)[:2])


# Colours


def variables(selector: str) -> dict[str, tuple[float, ...]]:
    """Return name → colour, RGB of 0 to 1, of the variables that the style sets for a selector."""
    [block] = re.findall(re.escape(selector) + r" \{(.*?)\}", STYLE, re.DOTALL)
    found = re.findall(r"--([a-z-]+): #([0-9a-f]{6});", block)
    return {name: tuple(int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)) for name, digits in found}


def contrast(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    """Return the contrast of two colours, 1 to 21.

    Source: WCAG 2.2, contrast ratio and relative luminance.
    """
    lights = []
    for color in (first, second):
        linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in color]
        lights.append(sum(weight * share for weight, share in zip((0.2126, 0.7152, 0.0722), linear, strict=True)))
    return (max(lights) + 0.05) / (min(lights) + 0.05)


@pytest.mark.parametrize("selector", [":root", ':root[data-theme="dark"]'])
def test_letters_and_signs_stand_out_from_the_paper(selector: str) -> None:
    colors = variables(selector)
    for ground in ("paper", "card", "wash"):
        for name in ("ink", "faint", "main", "bad", "warn", "note"):
            assert contrast(colors[name], colors[ground]) >= 4.5, (name, ground)
        assert contrast(colors["other"], colors[ground]) >= 3, ground
    assert contrast(FIRST, (0, 0, 0)) > 1


def test_both_schemes_have_the_same_variables() -> None:
    assert variables(":root").keys() == variables(':root[data-theme="dark"]').keys()
    used = set(re.findall(r"var\(--([a-z-]+)\)", STYLE))
    set_ones = set(re.findall(r"--([a-z-]+):", STYLE)) | {"share", "strength"}
    assert used <= set_ones and set_ones - used <= {"other", "bad", "share", "strength"}  # charts use these
