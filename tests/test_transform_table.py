"""What the table of TRANSFORMS.md says of each transform that Albumentations exports is what becomes of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"
sys.path.append(str(SCRIPTS))

import transform_table as table  # noqa: E402

sys.path.remove(str(SCRIPTS))


def test_each_exported_transform_has_its_line() -> None:
    page = table.read_page()
    assert list(page) == list(table.exported())
    cells = [cell for row in page.values() for cell in row.values()]
    assert {cell for cell in cells if cell != "works" and not cell.startswith("refused: ")} == set()


@pytest.mark.slow
def test_table_holds_of_every_second_transform_for_a_kind_and_a_probability(tmp_path: Path) -> None:
    page, sources = table.read_page(), table.write_sources(tmp_path)
    for number, (name, cls) in enumerate(list(table.exported().items())[::2]):
        kind, p = table.SHOWN[number % len(table.SHOWN)], table.PROBABILITIES[number // 2 % 2]
        assert table.outcome(cls, kind, p, sources[kind], tmp_path / name) == page[name][kind], (name, kind, p)
