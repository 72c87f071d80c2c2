"""Splits of several segments, as a list of sources on disk says it: the first one's blocks stay as they were."""

from __future__ import annotations

from array import array
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import precompute
from precompute.building import build as building
from precompute.building import make_plan as planning
from precompute.dataset.manifest import Manifest, Segment
from precompute.errors import DatasetError
from precompute.plan.generation import SplitPlan
from precompute.plan.places import shard_places
from precompute.sources.find import find
from precompute.table.listing_file import read_listing
from precompute.table.sources import Sources
from tests.helpers.small_datasets import draw_classes, options

NUM_OLD = 20


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A dataset of some sources, and one that has more of them as its second segment."""
    data = draw_classes(tmp_path / "data", per_class=16)

    def only_old(*given: Any) -> Sources:
        return find(*given).take(range(NUM_OLD))

    def in_segments(*given: Any) -> Sources:
        found = find(*given)
        return replace(found, segments=array("H", (int(i >= NUM_OLD) for i in range(len(found)))))

    def plan_segments(sources: Sources, split: str, measured: Any, shard_size: int | None) -> SplitPlan:
        sizes = [NUM_OLD, len(sources) - NUM_OLD]
        segments = [Segment(num_places=size, num_blocks=planning.choose_num_blocks(size, 1)) for size in sizes]
        return SplitPlan(segments=segments, record_bytes=measured.record_bytes, record_s=measured.record_s)

    with monkeypatch.context() as patched:
        patched.setattr(building, "find", only_old)
        precompute.build(data, tmp_path / "old", **options(validation_split=0.0))
    with monkeypatch.context() as patched:
        patched.setattr(building, "find", in_segments)
        patched.setattr(planning, "_plan_split", plan_segments)
        precompute.build(data, tmp_path / "both", **options(validation_split=0.0))
    return tmp_path / "old", tmp_path / "both"


def test_the_first_segment_keeps_its_blocks(two: tuple[Path, Path]) -> None:
    old, both = two
    before, after = (Manifest.load(out) for out in two)
    assert after.splits["train"].segments[0].num_places == NUM_OLD
    num_blocks = before.splits["train"].num_blocks
    for row in range(2):
        for block in range(num_blocks):
            a, b = (m.shard_path(out, "train", row, block) for m, out in ((before, old), (after, both)))
            assert a.read_bytes() == b.read_bytes()
    assert precompute.verify(both).problems == []


def test_it_is_read_and_goes_on_growing(two: tuple[Path, Path]) -> None:
    _, both = two
    keys = sorted(example["key"] for example in precompute.read(both))
    manifest = Manifest.load(both)
    assert len(keys) == len(set(keys)) == manifest.splits["train"].num_places
    assert sum(len(labels) for _, labels in precompute.load(both, batch_size=8)) == len(keys)
    precompute.regenerate(both, seed=9, jobs=1, backend="sequential", quiet=True)
    assert precompute.verify(both).problems == []


def test_segments_that_do_not_fit_are_refused(two: tuple[Path, Path]) -> None:
    _, both = two
    manifest = Manifest.load(both)
    listing = read_listing(both / "data" / manifest.generation / "sources-train.jsonl")
    listing.segments[0] = 5
    with pytest.raises(DatasetError, match="the segments of the list of sources have .* those of the manifest"):
        shard_places(manifest, "train", listing)
