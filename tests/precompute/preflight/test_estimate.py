"""The arithmetic of a dry run, on costs that are made up."""

from __future__ import annotations

import math
from typing import Any

import pytest

from precompute.building.result import describe
from precompute.preflight.estimate import Estimate, Range, SplitCost, estimate, online
from precompute.preflight.sample import SourceCost
from precompute.text.format import format_duration


def cost(factor: float = 1.0, **changes: Any) -> SourceCost:
    figures = {
        "height": 10,
        "width": 20,
        "decode_s": 0.008 * factor,
        "augment_s": [0.001 * factor, 0.003 * factor],
        "encode_s": [0.001 * factor, 0.001 * factor],
        "read_s": [0.0005, 0.0015],
        "record_bytes": [900, 1100],
    }
    return SourceCost(**{**figures, **changes})


def part(costs: list[SourceCost], **changes: Any) -> SplitCost:
    return SplitCost(
        **{"num_places": 1000, "num_rows": 8, "num_blocks": 16, "rows_a_task": 4, "costs": costs, **changes}
    )


def estimated(parts: dict[str, SplitCost], **changes: Any) -> Estimate:
    given = {"jobs": 2, "num_tasks": 32, "free_bytes": 10**9, "trained": None, **changes}
    return estimate(parts, **given)


def test_counts_bytes_and_hours_are_sums_over_splits() -> None:
    got = estimated({"train": part([cost()] * 4), "validation": part([cost()] * 4, num_rows=1, rows_a_task=1)})
    assert (got.num_records, got.num_shards) == (9000, 144)
    assert got.num_bytes.mean == pytest.approx(9_000_000) and got.num_bytes.error == 0
    # A record: 2 ms for the pipeline, 1 ms to encode; 8 ms of decoding serve 4 records of train, 1 of validation.
    assert got.cpu_s.mean == pytest.approx(8000 * 0.005 + 1000 * 0.011)
    assert got.decode_s == pytest.approx(8000 * 0.002 + 1000 * 0.008)
    assert got.wall_s.mean == pytest.approx(got.cpu_s.mean / 2) and got.wall_s.low == got.wall_s.high


def test_the_spread_is_that_of_sources() -> None:
    got = estimated({"train": part([cost(0.5), cost(1.5)], num_places=10**9)})
    # Figures a record of 2.5 and 7.5 ms: standard deviation 3.54 ms, standard error 2.5 ms.
    assert got.cpu_s.error == pytest.approx(8e9 * 0.0025)
    assert got.cpu_s.low == pytest.approx(0, abs=1) and got.cpu_s.high == pytest.approx(8e9 * 0.010)


def test_nothing_is_unknown_when_all_were_measured() -> None:
    got = estimated({"train": part([cost(0.5), cost(1.5)], num_places=2)})
    assert got.cpu_s.error == 0


def test_one_source_has_no_spread() -> None:
    got = estimated({"train": part([cost()])})
    assert math.isnan(got.cpu_s.error) and not got.cpu_s.is_known
    assert got.cpu_s.low == got.cpu_s.mean == got.cpu_s.high and got.fits


def test_no_more_workers_than_tasks() -> None:
    assert estimated({"train": part([cost()] * 2)}, jobs=64, num_tasks=16).num_workers == 16
    assert estimated({"train": part([cost()] * 2)}, jobs=4, num_tasks=16).num_workers == 4


def test_room_is_judged_by_the_larger_guess() -> None:
    parts = {"train": part([cost(record_bytes=[900]), cost(record_bytes=[1100])], num_places=10**6)}
    got = estimated(parts, free_bytes=8 * 10**9)
    assert got.num_bytes.mean == pytest.approx(8e9) and got.num_bytes.high == pytest.approx(9.6e9, rel=1e-3)
    assert not got.fits and estimated(parts, free_bytes=97 * 10**8).fits


def test_an_object_store_has_room() -> None:
    got = estimated({"train": part([cost()] * 2)}, free_bytes=None)
    assert got.fits and "disk: an object store, which shows no limit" in "\n".join(describe(got))


def test_online_decodes_and_augments_in_each_epoch_of_each_run() -> None:
    got = online(part([cost()] * 2), runs=5, epochs=100)
    assert got.num_images == 500_000
    assert got.online_s == pytest.approx(500_000 * 0.010) and got.read_s == pytest.approx(500_000 * 0.001)
    assert got.build_s == pytest.approx(8000 * 0.005)
    # 40 s to write; 9 ms spared an image, 9 s an epoch.
    assert got.pays_from == 5
    after, before = (got.num_sources * n * (got.online_image_s - got.read_image_s) for n in (5, 4))
    assert before < got.build_s <= after


def test_records_that_are_as_dear_to_read_never_pay() -> None:
    assert online(part([cost(read_s=[0.010, 0.012])] * 2), runs=1, epochs=10).pays_from is None


def test_ranges_do_not_go_below_nothing() -> None:
    assert Range(mean=1.0, error=2.0).low == 0.0 and Range(mean=1.0, error=2.0).high == 5.0
    assert Range(mean=2.0, error=0.25).times(10).high == 25.0


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (4.25, "4.2 s"),
        (61, "61 s"),
        (89.4, "89 s"),
        (120, "2.0 min"),
        (3000, "50 min"),
        (9000, "2.5 hours"),
        (3.6e6, "1,000 hours"),
    ],
)
def test_times_as_people_read_them(seconds: float, shown: str) -> None:
    assert format_duration(seconds) == shown
