"""Results in notebooks and where they are printed: short text, and HTML that nothing can break."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

import precompute
from precompute.text.display import Displayed, Html, html_image, html_lines, html_table, html_text

VOID = {"br", "img"}


class Reader(HTMLParser):
    """Reads text and open elements; what is not closed in order fails."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.texts, self.tags = list[str](), list[str](), list[str]()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        self.open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def read_html(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=20)


@given(TEXTS, TEXTS)
def test_texts_come_out_as_they_went_in(first: str, second: str) -> None:
    assert "".join(read_html(html_text(first)).texts) == first
    assert "".join(read_html(html_lines(first, second)).texts) == first + second
    table = read_html(html_table([first], [[second]]))
    assert "".join(text for text in table.texts if text != "\n").replace("\n", "") == (first + second).replace("\n", "")
    assert set(table.tags) <= {"table", "thead", "tbody", "tr", "th", "td"}


def test_html_in_a_table_stays_html() -> None:
    table = html_table([], [[html_image(b"\x89PNG", "png", '"a" > b'), Html("<b>x</b>"), 3]])
    assert read_html(table).tags == ["table", "tbody", "tr", "td", "img", "td", "b", "td"]
    assert "<thead>" not in table and 'src="data:image/png;base64,iVBORw=="' in table


class Two(Displayed):
    def summary(self) -> str:
        return "one <line>\nanother"


def test_a_result_is_its_summary_everywhere() -> None:
    assert repr(Two()) == str(Two()) == Two().summary()
    assert "".join(read_html(Two()._repr_html_()).texts) == Two().summary()


def displayed(of: type = Displayed) -> Iterator[type]:
    for one in of.__subclasses__():
        yield one
        yield from displayed(one)


@pytest.mark.slow
def test_no_result_prints_its_fields() -> None:
    """As a dataclass would that is not declared with `repr=False`."""
    for module in pkgutil.walk_packages(precompute.__path__, "precompute."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    own = [one for one in displayed() if one.__module__.startswith("precompute.")]
    assert len(own) >= 8
    assert [one.__name__ for one in own if one.__repr__ is not Displayed.__repr__] == []
