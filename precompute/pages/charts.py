"""Charts as SVG to stand inside of a page: in its fonts, and in its colours by day and by night. Owns matplotlib.

Figures are made without pyplot, which keeps global state. matplotlib knows no variables of CSS: colours are stand-ins,
for which the page's variables are put in.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from xml.etree import ElementTree

import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

__all__ = ["Rate", "draw_bars", "draw_histogram", "draw_rates"]

INK, FAINT, LINE, MAIN, OTHER, BAD = (f"#0a0b0{number}" for number in range(1, 7))
VARIABLES = {INK: "ink", FAINT: "faint", LINE: "line", MAIN: "main", OTHER: "other", BAD: "bad"}
NARROW, WIDE = 2.2, 5.0  # inches
ROW = 0.24  # inches of a row
MAX_NAME = 26  # letters
SETTINGS = {
    "svg.fonttype": "none",  # letters stay letters
    "svg.hashsalt": "page",  # the same bytes each time
    "text.parse_math": False,  # a class may be called $x$
    "font.size": 9,
    "axes.edgecolor": LINE,
    "axes.labelcolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "xtick.color": LINE,
    "xtick.labelcolor": FAINT,
    "ytick.labelcolor": INK,
    "ytick.color": LINE,
}
NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
SVG, LINK = "{http://www.w3.org/2000/svg}", "http://www.w3.org/1999/xlink"
DIGITS = re.compile(r"-?\d+\.\d+")


class Rate(NamedTuple):
    """How often something happened, beside what is expected.

    Attributes:
        name: What happened.
        seen: Share of the draws in which it did, 0 to 1.
        expected: Expected share; None where it is not known.
        low: Least share that chance explains.
        high: Largest share that chance explains.
        is_odd: Whether chance does not explain it.
    """

    name: str
    seen: float
    expected: float | None = None
    low: float = 0.0
    high: float = 1.0
    is_odd: bool = False


def draw_histogram(edges: Sequence[float], counts: Mapping[str, Sequence[float]], *, label: str) -> str:
    """Draw how values are spread: one series as an area; before it a second one as a line, if there are two.

    Args:
        edges: Edges of the bins, one more than counts.
        counts: Name of each series → count or share in each bin; at most two.
        label: What is read out for it.
    """
    with _figure(NARROW, 0.95) as (figure, axes):
        for number, values in enumerate(counts.values(), 3 - len(counts)):
            is_line = number == 1
            color, width = (OTHER, 1.6) if is_line else (MAIN, 0)
            axes.stairs(values, edges, fill=not is_line, color=color, linewidth=width, zorder=2 if is_line else 1)
        axes.set_yticks([])
        axes.set_xlim(edges[0], edges[-1])
        axes.xaxis.set_major_locator(MaxNLocator(4))
        return _svg(figure, label)


def draw_rates(rates: Sequence[Rate], *, label: str) -> str:
    """Draw shares as points, with what is expected and the range that chance explains; odd ones in another colour."""
    with _figure(WIDE, 0.35 + ROW * len(rates)) as (figure, axes):
        for y, rate in enumerate(reversed(rates)):
            if rate.expected is not None:
                axes.plot([rate.low, rate.high], [y, y], color=LINE, linewidth=9, solid_capstyle="butt")
                axes.plot([rate.expected] * 2, [y - 0.3, y + 0.3], color=FAINT, linewidth=1)
            axes.plot([rate.seen], [y], "o", color=BAD if rate.is_odd else MAIN, markersize=5)
        _name_rows(axes, [rate.name for rate in rates])
        axes.set_xlim(-0.02, 1.02)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        return _svg(figure, label)


def draw_bars(
    names: Sequence[str],
    values: Mapping[str, Sequence[float]],
    *,
    label: str,
    is_share: bool = False,
    is_small: bool = False,
) -> str:
    """Draw a bar a name and series, from top to bottom; the last series in the main colour.

    Args:
        names: Name of each row.
        values: Name of a series → value of each row; at most three.
        label: What is read out for it.
        is_share: Whether values are shares of 0 to 1.
        is_small: Whether it stands beside others of its size.
    """
    width, row = (NARROW, 0.75 * ROW) if is_small else (WIDE, ROW)
    with _figure(width, 0.35 + row * len(names) * max(1.0, 0.6 * len(values))) as (figure, axes):
        rows, thickness = np.arange(len(names))[::-1], 0.72 / len(values)
        for number, (color, series) in enumerate(
            zip([FAINT, OTHER, MAIN][-len(values) :], values.values(), strict=True)
        ):
            offset = (0.5 * (len(values) - 1) - number) * thickness
            axes.barh(rows + offset, series, thickness * 0.92, color=color)
        _name_rows(axes, names)
        axes.xaxis.set_major_locator(MaxNLocator(3 if is_small else 5))
        if is_share:
            axes.xaxis.set_major_formatter(PercentFormatter(1))
        return _svg(figure, label)


def _name_rows(axes: Any, names: Sequence[str]) -> None:
    """Write the names of rows, the first at the top, onto the left axis."""
    axes.set_yticks(range(len(names)), [_short(name) for name in reversed(names)])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.grid(axis="x", color=LINE, linewidth=0.5)
    axes.set_axisbelow(True)


def _short(name: str) -> str:
    shown = _printable(name)
    half = MAX_NAME // 2
    return shown if len(shown) <= MAX_NAME else f"{shown[:half]}…{shown[1 - half :]}"


def _printable(text: str) -> str:
    """Return a text without what XML cannot hold."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


@contextmanager
def _figure(width: float, height: float) -> Iterator[tuple[Figure, Any]]:
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure, figure.subplots()


# From matplotlib's SVG to a page's


def _svg(figure: Figure, label: str) -> str:
    """Return a figure as an SVG element: without what a page has already, and with what is read out for it."""
    content = io.StringIO()
    figure.savefig(content, format="svg", transparent=True, metadata=NO_METADATA)
    root = ElementTree.fromstring(content.getvalue())
    box = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib.update({"viewBox": box, "role": "img", "aria-label": _printable(label)})
    _tidy(root)
    ElementTree.register_namespace("", SVG[1:-1])
    ElementTree.register_namespace("xlink", LINK)
    text = ElementTree.tostring(root, encoding="unicode")
    for stand_in, name in VARIABLES.items():
        text = text.replace(stand_in, f"var(--{name})")
    return text


def _tidy(element: ElementTree.Element) -> None:
    """Take away, below an element, styles for the whole page, names, fonts, blanks, and digits that nobody sees."""
    element.text = element.text if element.tag == f"{SVG}text" else None
    for child in list(element):
        child.tail = None
        style = re.sub(r"font-family: [^;]*(; )?", "", child.attrib.get("style", ""))
        kind = child.tag.removeprefix(SVG)
        _tidy(child)
        is_empty = kind in ("g", "defs") and not len(child)
        if is_empty or kind in ("style", "clipPath", "metadata") or style == "fill: none":
            element.remove(child)
            continue
        for name in ("clip-path", *["id"] * (kind == "g")):
            child.attrib.pop(name, None)
        for name in child.attrib.keys() & {"d", "x", "y", "transform"}:
            child.set(name, DIGITS.sub(_rounded, " ".join(child.attrib[name].split())))
        if style:
            child.set("style", style)


def _rounded(found: re.Match[str]) -> str:
    return f"{float(found[0]):.1f}".removesuffix(".0")
