"""What a page is made of, as plain data: findings, and sections of tables, charts, pictures and commands."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from precompute.pages.embed import Embedded

__all__ = [
    "Block",
    "Cell",
    "Chart",
    "Charts",
    "Code",
    "Facts",
    "Finding",
    "Folded",
    "Gallery",
    "GallerySource",
    "Heat",
    "Note",
    "Page",
    "PictureGroup",
    "Pictures",
    "Section",
    "Severity",
    "Share",
    "Shown",
    "Table",
]


Severity: TypeAlias = Literal["error", "warning", "note"]
NUMBER = re.compile(r"[-+−]?\d[\d,.]*( ?%| [A-Za-z]+)?")


@dataclass(frozen=True)
class Share:
    """A cell of a table with a bar behind its text.

    Attributes:
        text: Text of the cell.
        share: Length of the bar, 0 to 1.
        is_bad: Whether the bar has the colour of what is to be mended.
    """

    kind: ClassVar[str] = "share"
    text: str
    share: float
    is_bad: bool = False


class Heat(Share):
    """A cell of a table on a ground that is as strong as its share."""

    kind: ClassVar[str] = "heat"


Cell: TypeAlias = str | int | float | Share | Embedded | None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that its owner should know, and how to mend it. What stands between backticks is shown as code.

    Attributes:
        name: Stable name of the kind of finding, such as ``"splits-share-content"``.
        severity: ``"error"``: results will be wrong or flatter; ``"warning"``: probably not what was meant;
            ``"note"``: worth a look.
        title: What was found, in one sentence with its numbers.
        why: Why it matters, in one sentence; empty for none.
        mend: The command, option or step that mends it; empty for none.
        examples: Keys, pairs of keys or names that show it, a few.
        section: `id` of the section that has the figures; empty for none.
    """

    name: str
    severity: Severity
    title: str
    why: str = ""
    mend: str = ""
    examples: Sequence[str] = ()
    section: str = ""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Names and values, one below the other; a value of several lines keeps them."""

    kind: ClassVar[str] = "facts"
    items: Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table, scrolled sideways where it is too wide.

    Attributes:
        title: Heading; empty for none.
        head: Heading of each column.
        rows: Cells; numbers stand at the right.
        note: One sentence below it.
    """

    kind: ClassVar[str] = "table"
    title: str = ""
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""

    def is_number(self, column: int) -> bool:
        """Return whether a column holds numbers, with or without their units."""
        cells = [row[column] for row in self.rows if row[column] not in (None, "")]
        return bool(cells) and all(not isinstance(cell, str) or NUMBER.fullmatch(cell) for cell in cells)


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart.

    Attributes:
        title: Heading.
        svg: The drawing, as `precompute.pages.charts` makes it.
        note: One short line below the heading; empty for none.
    """

    title: str
    svg: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Charts:
    """Charts of one make.

    Attributes:
        title: Heading over all; empty for none.
        charts: The charts.
        are_small: Whether several stand side by side.
        keys: Name of each series, and the variable of the style that has its colour.
        note: One sentence of what they mean.
    """

    kind: ClassVar[str] = "charts"
    title: str = ""
    charts: Sequence[Chart]
    are_small: bool = False
    keys: Sequence[tuple[str, str]] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Code:
    """Commands or a file, with a button that copies them."""

    kind: ClassVar[str] = "code"
    title: str = ""
    text: str


@dataclass(frozen=True, kw_only=True)
class Note:
    """A paragraph."""

    kind: ClassVar[str] = "note"
    text: str


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One picture of a gallery.

    Attributes:
        title: What it is: the source, or a row.
        picture: The picture; None where there is none.
        beside: Name → further picture, below that one.
        lines: Lines below it, such as its label; the reason, where there is no picture.
        fired: Transforms that were applied, each with its parameters as text.
    """

    title: str
    picture: Embedded | None
    beside: Mapping[str, Embedded] = field(default_factory=dict)
    lines: Sequence[str] = ()
    fired: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, kw_only=True)
class GallerySource:
    """One source of a gallery, beside what was made of it.

    Attributes:
        key: Key of the source.
        split: Its split.
        classes: Names of its classes, for the filter.
        pictures: The source first, then its variants.
    """

    key: str
    split: str
    classes: Sequence[str] = ()
    pictures: Sequence[Shown]


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Sources and their variants, filtered by split, class and key, enlarged by a click.

    Attributes:
        sources: The sources.
        legend: Pictures of colours with the names of what they mean.
        num_first: Number of sources that are seen before a button is pressed, or a filter set.
        note: One sentence on the choice.
    """

    kind: ClassVar[str] = "gallery"
    sources: Sequence[GallerySource]
    legend: Sequence[tuple[Embedded | None, str]] = ()
    num_first: int = 12
    note: str = ""

    @property
    def splits(self) -> list[str]:
        """The splits that it shows."""
        return list(dict.fromkeys(source.split for source in self.sources))

    @property
    def classes(self) -> list[str]:
        """The classes that it shows."""
        return sorted({name for source in self.sources for name in source.classes})

    @property
    def has_overlays(self) -> bool:
        """Whether anything is drawn over its pictures."""
        return any(shown.picture and shown.picture.overlay for source in self.sources for shown in source.pictures)


@dataclass(frozen=True, kw_only=True)
class PictureGroup:
    """Pictures side by side.

    Attributes:
        pictures: The pictures.
        captions: Text below each.
        title: What they have in common, or differ by.
    """

    pictures: Sequence[Embedded]
    captions: Sequence[str]
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Groups of pictures, such as pairs that look alike.

    Attributes:
        title: Heading; empty for none.
        groups: The groups.
        note: One sentence of what they mean.
    """

    kind: ClassVar[str] = "pictures"
    title: str = ""
    groups: Sequence[PictureGroup]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Folded:
    """Blocks that are seen when their heading is pressed."""

    kind: ClassVar[str] = "folded"
    title: str
    blocks: Sequence[Block]


Block: TypeAlias = "Facts | Table | Charts | Code | Note | Gallery | Pictures | Folded"


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a page that answers one question.

    Attributes:
        id: Name for links.
        name: Short name, in the list of sections.
        title: The question.
        meaning: One sentence of what it means.
        blocks: Its content.
    """

    id: str
    name: str
    title: str
    meaning: str
    blocks: Sequence[Block] = ()


@dataclass(frozen=True, kw_only=True)
class Page:
    """A whole page.

    Attributes:
        kind: What sort of page it is, above the title.
        title: The title.
        subtitle: A sentence below it.
        figures: Large numbers with their nouns.
        findings: Findings, the worst first; None on a page that looks for none.
        notes: What could not be looked at, and why; below the findings, else above the sections.
        sections: The sections.
        footer: Sentences at the end.
    """

    kind: str
    title: str
    subtitle: str = ""
    figures: Sequence[tuple[str, str]] = ()
    findings: Sequence[Finding] | None = None
    notes: Sequence[str] = ()
    sections: Sequence[Section]
    footer: Sequence[str] = field(default_factory=list)
