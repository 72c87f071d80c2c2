"""Charts: what stands in their SVG, and what does not."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from precompute.pages.charts import Rate, draw_bars, draw_histogram, draw_rates
from tests.helpers.pages import HOSTILE

SVG = "{http://www.w3.org/2000/svg}"
EDGES = [0.0, 0.5, 1.0, 1.5]
CHARTS = {
    "one": draw_histogram(EDGES, {"drawn": [1, 2, 3]}, label="a"),
    "two": draw_histogram(EDGES, {"before": [0.1, 0.2, 0.7], "after": [0.3, 0.3, 0.4]}, label="a"),
    "rates": draw_rates([Rate("a", 0.3, 0.5, 0.4, 0.6, is_odd=True), Rate("b", 1)], label="a"),
    "bars": draw_bars(["a", "b"], {"before": [1, 2], "after": [2, 3]}, label="a", is_share=True),
}


@pytest.mark.parametrize("text", CHARTS.values(), ids=CHARTS)
def test_it_has_no_style_or_size_or_font_of_its_own_and_is_small(text: str) -> None:
    root = ElementTree.fromstring(text)
    assert root.attrib.keys() == {"viewBox", "role", "aria-label"}
    assert not root.findall(f".//{SVG}style") and not root.findall(f".//{SVG}clipPath")
    assert "font-family" not in text and "clip-path" not in text and "#0a0b0" not in text
    assert set(re.findall(r"var\(--([a-z]+)\)", text)) <= {"ink", "faint", "line", "main", "other", "bad"}
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    used = re.findall(r'href="#([^"]*)"', text)
    assert set(used) == set(ids)
    assert len(text) < 6_000


def colors(text: str) -> set[str]:
    """Return the colours of areas and lines that show data."""
    return set(re.findall(r"var\(--(main|other|bad)\)", text))


def test_series_have_colours_of_their_own() -> None:
    assert {name: colors(text) for name, text in CHARTS.items()} == {
        "one": {"main"},
        "two": {"main", "other"},
        "rates": {"main", "bad"},
        "bars": {"main", "other"},
    }


def test_bars_are_as_long_as_their_values() -> None:
    root = ElementTree.fromstring(draw_bars(["a", "b"], {"n": [1, 3]}, label="a"))
    bars = [path.get("d", "") for path in root.iter(f"{SVG}path") if path.get("style") == "fill: var(--main)"]
    lengths = []
    for bar in bars:
        xs = [float(x) for x in re.findall(r"[ML] ([\d.]+)", bar)]
        lengths.append(max(xs) - min(xs))
    assert lengths[1] / lengths[0] == pytest.approx(3, rel=0.01)


def texts(chart: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(chart).iter(f"{SVG}text")]


def test_names_are_text_whatever_they_hold() -> None:
    long = "a" * 60
    chart = draw_bars([HOSTILE, "$x$", "a\x00\udc80\n_{b}", long], {"n": [1, 2, 3, 4]}, label=HOSTILE)
    shown = texts(chart)
    assert "$x$" in shown and "a   _{b}" in shown
    assert any(name.startswith("<script>") and "…" in name for name in shown)
    assert long not in shown and any(name.startswith("aaa") for name in shown)
    assert ElementTree.fromstring(chart).get("aria-label") == HOSTILE
    assert "<script" not in chart


def test_the_first_name_stands_at_the_top() -> None:
    root = ElementTree.fromstring(draw_rates([Rate("first", 0.2), Rate("second", 0.3)], label="a"))
    places = {element.text: float(element.get("y", "")) for element in root.iter(f"{SVG}text")}
    assert places["first"] < places["second"]


def test_equal_charts_are_equal_bytes() -> None:
    assert CHARTS["one"] == draw_histogram(EDGES, {"drawn": [1, 2, 3]}, label="a")
