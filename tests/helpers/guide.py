"""The guide: the README and the pages that it sends its readers to, in the order in which their commands are run."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tests.helpers.project import ROOT

README = "README.md"
PAGES = (
    "precompute/docs/layouts.md",
    "precompute/docs/targets.md",
    "precompute/docs/further-images.md",
    "precompute/docs/pipelines.md",
    "precompute/docs/pixels.md",
    "precompute/docs/costs.md",
    "precompute/docs/report.md",
    "precompute/docs/options.md",
    "precompute/docs/rows.md",
    "precompute/docs/diff.md",
    "precompute/docs/notebooks.md",
    "precompute/docs/machines.md",
    "precompute/docs/readers.md",
    "precompute/docs/trouble.md",
    "precompute/docs/speed.md",
    "train/docs/training.md",
    "train/docs/detection.md",
    "train/docs/runs.md",
    "train/docs/variants.md",
)


def read_page(path: str) -> str:
    """Return the text of a page, named by its path in the project."""
    return (ROOT / path).read_text(encoding="utf-8")


def blocks(kinds: Iterable[str]) -> list[tuple[str, str]]:
    """Return (kind, text) of the guide's blocks of code of some kinds, page after page."""
    pattern = re.compile(rf"^```({'|'.join(kinds)})\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [block for path in (README, *PAGES) for block in pattern.findall(read_page(path))]


def guide() -> str:
    """Return the whole text."""
    return "\n".join(read_page(path) for path in (README, *PAGES))
