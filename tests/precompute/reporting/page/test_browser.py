"""Pages of reports in a real browser: on datasets of several fields, whose names are hostile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from precompute.reporting.page.render import write_page
from tests.helpers.browser import Browser, open_browser
from tests.helpers.reports import empty_report, full_report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_section_can_be_drawn_without_a_word_in_the_console(
    browser: Browser, tmp_path: Path, width: int, scheme: str
) -> None:
    for report in (full_report(), empty_report()):
        path = write_page(report, tmp_path / "report.html")
        browser.set_size(width, 844, is_phone=width == 390)
        browser.set_scheme(scheme)
        browser.requests()
        browser.open(path)
        browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert set(browser.requests()) == {path.as_uri()}
        assert browser.console() == []
        wider = browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider == 0
        sections = browser.shown("main section")
        assert len(sections) == 7
        assert all(section.size["height"] > 60 for section in sections)
        assert browser.run("return [...document.images].filter((one) => one.src && !one.naturalWidth).length") == 0


def test_colours_are_told_and_a_finding_leads_to_its_section(browser: Browser, tmp_path: Path) -> None:
    browser.set_size(1280, 900)
    browser.open(write_page(full_report(), tmp_path / "report.html"))
    assert [one.text for one in browser.all(".legend li")] == ["cell"]
    browser.all(".findings a")[0].click()
    assert browser.run("return location.hash") == "#trust"
    assert 0 <= browser.run("return document.getElementById('trust').getBoundingClientRect().top") < 200
