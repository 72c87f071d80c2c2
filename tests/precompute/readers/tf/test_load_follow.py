"""`load(rows="follow")`: rows that come and go while they are read."""

from __future__ import annotations

import gc
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import precompute
from precompute.dataset.leases import held_rows
from precompute.dataset.manifest import Row
from precompute.dataset.rows import Reading, choose_row, position_of_epoch
from precompute.errors import DatasetError, UsageError
from tests.helpers.stored_records import Stored, build_rows


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_rows(tmp_path_factory.mktemp("follow"), num_rows=4, include_original=True)


@pytest.fixture
def out(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "out"))


def unlist(out: Path, *numbers: int) -> None:
    """Take rows from the manifest, and leave their files."""
    path = out / "manifest.json"
    content = json.loads(path.read_text())
    rows = content["splits"]["train"]["rows"]
    content["splits"]["train"]["rows"] = [row for row in rows if row["row"] not in numbers]
    path.write_text(json.dumps(content))


def list_again(out: Path, built: Path) -> None:
    shutil.copy(built / "manifest.json", out / "manifest.json")


def row_read(stored: Stored, dataset: Any) -> int:
    (row,) = {row for row, _ in stored.epoch(dataset)}
    return row


# The one function that decides


def make_row(number: int) -> Row:
    return Row(row=number, seed=0, variant=number, original=False, num_records=1, num_bytes=1, sha256="")


def read(numbers: list[int]) -> dict[int, Reading]:
    return {e: Reading(epoch=e, row=n, seed=0, variant=n) for e, n in enumerate(numbers)}


@given(st.lists(st.integers(0, 99), min_size=1, max_size=9, unique=True), st.integers(0, 40))
def test_rows_that_stay_are_read_in_turn(numbers: list[int], num_epochs: int) -> None:
    listed, readings = [make_row(number) for number in numbers], {}
    for epoch in range(num_epochs):
        row = choose_row(epoch, listed, readings)
        assert row is listed[position_of_epoch(epoch, len(listed))]
        readings |= {epoch: Reading(epoch=epoch, row=row.row, seed=0, variant=row.variant)}


@given(st.lists(st.integers(0, 9), max_size=20), st.sets(st.integers(0, 9), min_size=1))
def test_rows_not_yet_read_come_first_then_those_read_longest_ago(past: list[int], listed: set[int]) -> None:
    chosen = choose_row(len(past), [make_row(number) for number in sorted(listed)], read(past)).row
    unread = listed - set(past)
    if unread:
        assert chosen == min(unread)
    else:
        assert all(number in past[past[::-1].index(chosen) * -1 :] for number in listed - {chosen})


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20), st.sets(st.integers(0, 9), min_size=1))
def test_an_epoch_that_was_begun_goes_on_with_its_row(past: list[int], listed: set[int]) -> None:
    epoch = len(past) - 1
    chosen = choose_row(epoch, [make_row(number) for number in sorted(listed)], read(past)).row
    assert chosen == past[epoch] or past[epoch] not in listed


# The manifest, epoch by epoch


@pytest.mark.slow
def test_rows_that_stay_are_read_as_by_cycle(out: Path) -> None:
    stored = Stored(out)
    follow, cycle = precompute.load(out, rows="follow"), precompute.load(out)
    for _ in range(6):
        assert stored.epoch(follow) == stored.epoch(cycle)


@pytest.mark.slow
def test_a_row_that_comes_is_read_next_and_one_that_goes_is_not(out: Path, built: Path) -> None:
    unlist(out, 2, 3)
    stored, dataset = Stored(out), precompute.load(out, rows="follow")
    seen = [row_read(stored, dataset), row_read(stored, dataset)]
    list_again(out, built)
    seen += [row_read(stored, dataset), row_read(stored, dataset)]
    unlist(out, 0, 1)
    seen += [row_read(stored, dataset) for _ in range(4)]
    assert seen == [0, 1, 2, 3, 4, 2, 3, 4]


def test_the_lease_holds_the_row_of_the_epoch_and_those_not_read_yet(out: Path) -> None:
    dataset = precompute.load(out, rows="follow")
    epoch_row = precompute.EpochRow(dataset)

    def held() -> set[int]:
        return {row for _, _, row in held_rows(out, now=0)}

    assert held() == {0, 1, 2, 3, 4}
    for epoch, expected in enumerate([{0, 1, 2, 3, 4}, {1, 2, 3, 4}, {2, 3, 4}, {3, 4}, {4}, {0}, {1}]):
        epoch_row.on_epoch_begin(epoch)
        assert held() == expected


@pytest.mark.slow
def test_the_lease_ends_with_the_dataset(out: Path) -> None:
    dataset = precompute.load(out, rows="follow").prefetch(1)
    batches = iter(dataset)
    next(batches)
    gc.collect()
    assert held_rows(out, now=0)
    del dataset, batches
    gc.collect()
    assert not held_rows(out, now=0)


@pytest.mark.slow
def test_an_iteration_may_outlive_the_name_of_its_dataset(out: Path) -> None:
    stored, batches = Stored(out), iter(precompute.load(out, rows="follow", batch_size=5))
    gc.collect()
    assert sorted(stored.epoch(batches)) == stored.whole_row(0)


def test_readings_name_row_seed_and_variant(out: Path) -> None:
    for rows in ("follow", "cycle"):
        epoch_row = precompute.EpochRow(precompute.load(out, rows=rows))
        for epoch in (0, 1, 2, 3, 4, 5):
            epoch_row.on_epoch_begin(epoch)
        readings = epoch_row.readings
        assert [reading.epoch for reading in readings] == [0, 1, 2, 3, 4, 5]
        assert [reading.row for reading in readings] == [0, 1, 2, 3, 4, 0]
        assert {reading.variant for reading in readings} == {None, 0, 1, 2, 3}  # the original row has none


@pytest.mark.slow
def test_a_later_program_goes_on_from_the_record(out: Path) -> None:
    past = [Reading(epoch=e, row=r, seed=0, variant=r) for e, r in enumerate([4, 1, 0])]
    dataset = precompute.load(out, rows="follow", readings=past)
    epoch_row, stored = precompute.EpochRow(dataset), Stored(out)
    seen = []
    for epoch in (2, 3, 4, 5):  # epoch 2 had been begun
        epoch_row.on_epoch_begin(epoch)
        seen.append(row_read(stored, dataset))
    assert seen == [0, 2, 3, 4]
    assert [reading.row for reading in epoch_row.readings] == [4, 1, *seen]


def test_a_row_that_is_gone_is_named(out: Path) -> None:
    past = [Reading(epoch=0, row=2, seed=0, variant=1)]
    unlist(out, 2)
    epoch_row = precompute.EpochRow(precompute.load(out, rows="follow", readings=past))
    with pytest.warns(UserWarning, match=r"epoch 0 was reading row 2 \(seed 0, variant 1\).*goes on with row 0\."):
        epoch_row.on_epoch_begin(0)
    assert epoch_row.readings[0].row == 0


def test_a_new_row_is_looked_at_before_it_is_read(out: Path, built: Path) -> None:
    unlist(out, 3)
    dataset = precompute.load(out, rows="follow")
    list_again(out, built)
    next((out / "data").rglob("*train_r0003*")).write_bytes(b"short")
    epoch_row = precompute.EpochRow(dataset)
    for epoch in (0, 1, 2):
        epoch_row.on_epoch_begin(epoch)
    with pytest.raises(DatasetError, match=r"train_r0003.*5 bytes, expected"):
        epoch_row.on_epoch_begin(3)


def test_another_generation_is_not_taken_for_this_one(out: Path) -> None:
    epoch_row = precompute.EpochRow(precompute.load(out, rows="follow"))
    path = out / "manifest.json"
    path.write_text(path.read_text().replace('"g0001"', '"g0002"'))
    with pytest.raises(DatasetError, match=r"was built anew while it was read \(generation g0002, before g0001\)"):
        epoch_row.on_epoch_begin(0)


# Clean epochs


@pytest.mark.parametrize("rows", ["cycle", "follow", [1, 2]])
@pytest.mark.slow
def test_the_last_epochs_read_the_original_row(out: Path, rows: Any) -> None:
    dataset = precompute.load(out, rows=rows, clean_from=2)
    stored = Stored(out)
    (original,) = [row["row"] for row in _rows(out) if row["original"]]
    seen = [row_read(stored, dataset) for _ in range(4)]
    assert seen[2:] == [original] * 2
    assert seen[:2] == ([1, 2] if rows == [1, 2] else [0, 1])


def _rows(out: Path) -> Any:
    return json.loads((out / "manifest.json").read_text())["splits"]["train"]["rows"]


def test_without_an_original_row_clean_epochs_are_refused(tmp_path: Path) -> None:
    out = build_rows(tmp_path, num_rows=1)
    for rows in ("cycle", "follow"):
        with pytest.raises(UsageError, match=r"clean_from: train has no original row; add one .*--include-original"):
            precompute.load(out, rows=rows, clean_from=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"rows": "follow", "cache": True},
            r"cache: rows that come and go are not all held in memory; cache='auto' holds",
        ),
        ({"clean_from": 1, "cache": True}, r"clean_from: expected rows that take turns and are read from files"),
        ({"clean_from": 1, "rows": "all"}, r"clean_from: expected rows that take turns and are read from files"),
        ({"readings": [Reading(epoch=0, row=0, seed=0, variant=0)]}, r"readings: .*rows='follow' alone"),
    ],
)
def test_what_does_not_go_together_is_refused(built: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        precompute.load(built, **arguments)
