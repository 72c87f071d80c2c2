"""A page in a real browser: what it asks for, says, shows and hides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from precompute.pages.html import render_page
from tests.helpers.browser import Browser, open_browser
from tests.helpers.pages import HOSTILE, full_page

pytestmark = pytest.mark.slow

ALL, PHONE = 5, 390
COLORS = {  # of the paper, and of bars in charts
    "light": ("rgb(251, 251, 250)", "rgb(37, 99, 168)"),
    "dark": ("rgb(20, 22, 26)", "rgb(125, 180, 240)"),
}


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, Path]]:
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_bytes(render_page(full_page()))
    with open_browser() as browser:
        yield browser, path


@pytest.fixture
def browser(started: tuple[Browser, Path]) -> Browser:
    """A browser that has just opened the page, in a wide window."""
    browser, path = started
    browser.set_size(1280, 900)
    browser.set_scheme("light")
    browser.open(path)
    browser.run("try { localStorage.clear(); } catch {}")
    browser.open(path)
    return browser


def keys(browser: Browser) -> list[str]:
    return [source.get_attribute("data-key") for source in browser.shown(".source")]


def choose(browser: Browser, name: str, value: str) -> None:
    [option] = [one for one in browser.all(f"[name={name}] option") if one.get_attribute("value") == value]
    option.click()


def test_it_asks_for_nothing_and_the_console_stays_empty(started: tuple[Browser, Path]) -> None:
    browser, path = started
    browser.requests()
    browser.open(path)
    assert set(browser.requests()) == {path.as_uri()}
    assert browser.console() == []
    assert browser.run("return document.title").startswith(HOSTILE)  # and not what a script in it would set
    assert len(browser.run("return document.scripts")) == 1


@pytest.mark.parametrize(
    "script",
    [
        "document.body.append(Object.assign(new Image(), {src: 'https://example.org/x.png'}))",
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = true'}))",
        "fetch('https://example.org/').catch(() => {})",
    ],
    ids=["image", "script", "fetch"],
)
def test_a_request_or_another_script_would_be_refused(browser: Browser, script: str) -> None:
    browser.run(script)
    assert any("Content Security Policy" in message for message in browser.console())
    assert not browser.run("return window.ran")


def test_the_gallery_is_filtered_by_split_class_and_source(browser: Browser) -> None:
    assert len(keys(browser)) == ALL - 1
    assert browser.one(".filters output").text == "4 of 5 sources"
    choose(browser, "split", "validation")
    assert keys(browser) == ["folder/3", "folder/4"]
    choose(browser, "class", HOSTILE)
    assert keys(browser) == ["folder/3"]
    assert browser.one(".filters output").text == "1 of 5 sources"
    choose(browser, "split", "")
    assert keys(browser) == ["folder/1", "folder/3"]
    choose(browser, "class", "")
    browser.one("[name=source]").send_keys("ER/2")
    assert keys(browser) == ["folder/2"]
    assert browser.shown(".gallery .none") == []
    browser.one("[name=source]").send_keys("no such key")
    assert keys(browser) == []
    assert len(browser.shown(".gallery .none")) == 1


def test_a_button_shows_all_sources(browser: Browser) -> None:
    button = browser.one(".gallery .more")
    choose(browser, "split", "train")
    assert not button.is_displayed()
    choose(browser, "split", "")
    assert button.text == "Show all 5 sources"
    button.click()
    assert len(keys(browser)) == ALL and not button.is_displayed()


def test_overlays_are_switched(browser: Browser) -> None:
    def visible() -> set[str]:
        found = browser.all(".strip .overlay")
        assert len(found) == 4 + 2 * ALL
        return {element.value_of_css_property("visibility") for element in found}

    assert visible() == {"visible"}
    browser.one("[name=overlays]").click()
    assert visible() == {"hidden"}
    browser.all("button.stack")[0].click()
    assert browser.one("#viewer .overlay").value_of_css_property("visibility") == "hidden"
    browser.press("ESCAPE")
    browser.one("[name=overlays]").click()
    assert visible() == {"visible"}


def test_a_picture_is_enlarged_and_the_keyboard_leads_on(browser: Browser) -> None:
    def where() -> tuple[str, str]:
        return browser.one("#viewer .where").text, browser.one("#viewer .what").text

    choose(browser, "split", "validation")
    first = browser.all("[data-key='folder/3'] button.stack")[0]
    first.click()
    assert browser.one("#viewer").is_displayed()
    assert where() == ("folder/3", "validation · picture 1 of 7")  # 4 and 3: one source has no picture
    photo = browser.one("#viewer .photo")
    assert photo.get_attribute("src") == first.find_element("css selector", ".photo").get_attribute("src")
    assert photo.size["height"] > 300
    browser.press("ARROW_RIGHT")
    assert where()[1].endswith("picture 2 of 7")
    assert browser.shown("#viewer .overlay") == []
    assert "HorizontalFlip" in browser.one("#viewer .more").text
    browser.press("ARROW_LEFT")
    browser.press("ARROW_LEFT")
    assert where() == ("folder/4", "validation · picture 7 of 7")
    browser.one("#viewer [data-step='1']").click()
    assert where()[1].endswith("picture 1 of 7")
    browser.press("ESCAPE")
    assert not browser.one("#viewer").is_displayed()
    assert browser.run("return document.activeElement === arguments[0]", first)
    browser.press("ENTER")  # without a mouse
    browser.one("#viewer [data-close]").click()
    assert not browser.one("#viewer").is_displayed()


def test_it_is_light_or_dark_as_the_system_is_until_the_switch_is_pressed(browser: Browser) -> None:
    def becomes(name: str) -> bool:
        ground, bar = COLORS[name]
        script = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
        browser.wait_until(lambda: browser.run(script, "body", "backgroundColor") == ground)
        return bool(browser.run(script, ".charts path[style*=main]", "fill") == bar)

    assert becomes("light")
    browser.set_scheme("dark")
    assert becomes("dark")
    browser.one("#theme").click()
    assert becomes("light")
    browser.set_scheme("light")
    browser.one("#theme").click()
    assert becomes("dark")
    assert browser.one("#theme").get_attribute("aria-pressed") == "true"


@pytest.mark.parametrize("width", [PHONE, 1280])
def test_nothing_but_tables_code_and_strips_is_wider_than_the_window(browser: Browser, width: int) -> None:
    browser.set_size(width, 844, is_phone=width == PHONE)
    assert browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    too_wide = "return [...document.querySelectorAll('main *')].filter((one) => one.getBoundingClientRect().right > "
    too_wide += f"{width} && !one.closest('.scroll, pre, .strip')).map((one) => one.outerHTML.slice(0, 80))"
    assert browser.run(too_wide) == []


def test_commands_are_copied(browser: Browser) -> None:
    grant = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    browser.driver.execute_cdp_cmd("Browser.grantPermissions", grant)
    button = browser.all("[data-copy]")[0]
    button.click()
    copied = browser.driver.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    assert copied == f"precompute build '{HOSTILE}'"
    assert button.text == "Copied"
    assert browser.console() == []
