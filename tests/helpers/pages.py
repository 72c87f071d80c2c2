"""A page with a block of each kind, whose names are hostile."""

from __future__ import annotations

import numpy as np

from precompute.pages.blocks import (
    Block,
    Chart,
    Charts,
    Code,
    Facts,
    Finding,
    Folded,
    Gallery,
    GallerySource,
    Heat,
    Note,
    Page,
    PictureGroup,
    Pictures,
    Section,
    Share,
    Shown,
    Table,
)
from precompute.pages.charts import Rate, draw_bars, draw_histogram, draw_rates
from precompute.pages.embed import Embedded, embed, embed_shares

__all__ = ["HOSTILE", "full_page", "picture"]

HOSTILE = "<script>document.title = 'taken'</script>\"'>&{{ 7 * 7 }}<img src=https://example.org/x onerror=alert(1)>"
NUM_SOURCES, NUM_VARIANTS = 5, 3


def picture(number: int, *, has_overlay: bool = True) -> Embedded:
    """Return a picture of one grey level with a square drawn over it."""
    overlay = np.zeros((64, 48, 4), np.uint8)
    overlay[8:24, 8:24] = (0, 235, 100, 255)
    return embed(np.full((64, 48, 3), 40 * number, np.uint8), overlay if has_overlay else None, size=64)


def full_page() -> Page:
    """Return a page with a block of each kind."""
    pair = [picture(1), picture(2)]
    blocks: list[Block] = [
        Facts(items=[("folder", HOSTILE), ("lines", "one\ntwo")]),
        Table(title=HOSTILE, head=["class", "number", "share"], rows=[[HOSTILE, 1200, Share("6 %", 0.06)]], note="n"),
        Table(head=["a", "b", "c"], rows=[["x", 0.123456, None], ["y", 2.0, picture(1)]]),
        Code(title="Command", text=f"precompute build '{HOSTILE}'"),
        Note(text=HOSTILE),
        Charts(title="Charts", charts=list(_charts()), are_small=True, keys=[("before", "other"), ("after", "main")]),
        Pictures(title="Pairs", groups=[PictureGroup(pictures=pair, captions=("a", HOSTILE), title="1 of 64")]),
        Folded(title=HOSTILE, blocks=[Table(head=["a", "b"], rows=[["x", Heat("0.4", 0.4, is_bad=True)]])]),
    ]
    coded = f"Run `precompute verify '{HOSTILE}'`."
    return Page(
        kind="Report",
        title=HOSTILE,
        subtitle="a page",
        figures=[("1,200", "records")],
        findings=[
            Finding(name="a", severity="error", title=HOSTILE, section="all"),
            Finding(name="b", severity="warning", title="b ` c", why=HOSTILE, mend=coded, examples=[HOSTILE, "d"]),
            Finding(name="c", severity="note", title="plain"),
        ],
        notes=[HOSTILE],
        sections=[
            Section(id="all", name="All", title="All blocks", meaning="What they mean.", blocks=blocks),
            Section(id="look", name="Look", title="Gallery", meaning="Sources beside variants.", blocks=[_gallery()]),
        ],
        footer=["made for a test"],
    )


def _charts() -> list[Chart]:
    edges, label = [0.0, 1.0, 2.0, 3.0], HOSTILE
    rates = [Rate(HOSTILE, 0.3, 0.5, 0.4, 0.6, is_odd=True), Rate("unknown", 1.0)]
    return [
        Chart(title=HOSTILE, svg=draw_histogram(edges, {"before": [1, 2, 3], "after": [3, 2, 1]}, label=label)),
        Chart(title="one", svg=draw_histogram(edges, {"drawn": [1, 2, 3]}, label=label), note=HOSTILE),
        Chart(title="rates", svg=draw_rates(rates, label=label)),
        Chart(title="bars", svg=draw_bars([HOSTILE, "$x$"], {"before": [1, 2], "after": [2, 1]}, label=label)),
    ]


def _gallery() -> Gallery:
    sources = []
    for number in range(NUM_SOURCES):
        first = Shown(title="source", picture=None if number == 4 else picture(number), lines=[HOSTILE])
        fired = [("OneOf › GaussNoise", "std 0.1"), ("HorizontalFlip", "")]
        variants = [
            Shown(title=f"row {row}", picture=picture(number, has_overlay=row > 0), fired=fired)
            for row in range(NUM_VARIANTS)
        ]
        source = GallerySource(
            key=f"folder/{number}",
            split="validation" if number > 2 else "train",
            classes=[HOSTILE] if number % 2 else ["cat"],
            pictures=[first, *variants],
        )
        sources.append(source)
    legend = [(embed_shares(np.ones((1, 1)), (0, 235, 100), size=12), HOSTILE)]
    return Gallery(sources=sources, legend=legend, num_first=NUM_SOURCES - 1, note="5 of 5 sources.")
