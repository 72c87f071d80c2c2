"""`load(cache=…)`: which rows are held in memory, and that nothing else changes by it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import precompute
from precompute.dataset.leases import held_rows
from precompute.dataset.manifest import Manifest
from precompute.errors import UsageError
from precompute.readers.tf import memory, order
from precompute.readers.tf.memory import CachePlan, available_bytes, plan_cache
from tests.helpers.schemas import with_target
from tests.helpers.stored_records import NUM_ROWS, Stored, build_rows

EXAMPLE_BYTES = 16 * 16 * 3 + 8 + memory.KEY_BYTES


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_rows(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def stored(out: Path) -> Stored:
    return Stored(out)


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set the room: so many rows of 32 examples."""
    return lambda rows: monkeypatch.setattr(memory, "LIMIT_BYTES", rows * 32 * EXAMPLE_BYTES)


def plan_of(dataset: Any) -> CachePlan:
    return precompute.EpochRow(dataset).cache_plan


def seen_in(dataset: Any, num_epochs: int = NUM_ROWS + 1) -> list[list[list[bytes]]]:
    """Return the pixels of each image, batch by batch, epoch by epoch."""
    return [[[x.tobytes() for x in batch[0]] for batch in dataset.as_numpy_iterator()] for _ in range(num_epochs)]


# The rule


def test_rows_that_fit_are_held(out: Path, limit: Callable[[int], None]) -> None:
    manifest = Manifest.load(out)
    rows = manifest.splits["train"].rows
    limit(NUM_ROWS)
    plan = plan_cache("auto", manifest, [*rows, rows[0]], reads_part=False)
    assert (plan.holds, plan.num_rows, plan.room) == (True, NUM_ROWS, NUM_ROWS)
    assert plan.num_bytes == NUM_ROWS * 32 * EXAMPLE_BYTES
    assert plan.reason == "0.1 MB decoded, limit 0.1 MB"
    assert not plan_cache("auto", manifest, rows, reads_part=True).holds
    limit(NUM_ROWS - 1)
    plan = plan_cache("auto", manifest, rows, reads_part=False)
    assert (plan.holds, plan.room) == (False, NUM_ROWS - 1)
    assert plan_cache(True, manifest, rows, reads_part=True).holds
    assert not plan_cache(False, manifest, rows[:1], reads_part=False).holds


@pytest.mark.slow
def test_what_a_reader_may_come_to_counts(out: Path, limit: Callable[[int], None]) -> None:
    limit(2)
    assert not plan_of(precompute.load(out)).holds
    assert not plan_of(precompute.load(out, rows="follow")).holds
    assert not plan_of(precompute.load(out, rows="all")).holds
    assert plan_of(precompute.load(out, rows=[1, 2, 2, 1])).holds
    assert plan_of(precompute.load(out, split="validation")).holds


def test_parts_of_rows_are_not_held(out: Path) -> None:
    context = tf.distribute.InputContext(2, 0, 2)
    for part in ({"start_batch": 1}, {"input_context": context}):
        plan = plan_of(precompute.load(out, batch_size=8, **part))
        assert (plan.holds, plan.reason) == (False, "only parts of rows are read")


@pytest.mark.parametrize("kind", ["class", "multilabel", "mask"])
@pytest.mark.parametrize("num_classes", [2, 300])
def test_an_example_takes_its_tensors(out: Path, kind: str, num_classes: int) -> None:
    masks = {"encoding": "png", "dtype": "uint8"} if kind == "mask" else {}
    manifest = with_target(Manifest.load(out), kind=kind, num_classes=num_classes, class_names=[], **masks)
    [row, *_] = manifest.splits["train"].rows
    of_target = {"class": 8, "multilabel": num_classes, "mask": 256 * (1 if num_classes == 2 else 4)}[kind]
    plan = plan_cache("auto", manifest, [row], reads_part=False)
    assert plan.num_bytes == 32 * (16 * 16 * 3 + of_target + memory.KEY_BYTES)


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files in which Linux would say what memory is free; none at first."""
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    return tmp_path


def test_free_memory_limits_what_is_held(out: Path, system: Path) -> None:
    manifest = Manifest.load(out)
    rows = manifest.splits["train"].rows
    assert available_bytes() is None
    assert plan_cache("auto", manifest, rows, reads_part=False).holds
    (system / "meminfo").write_text("MemTotal:       1000 kB\nMemAvailable:    300 kB\n")
    assert available_bytes() == 300 * 1024
    plan = plan_cache("auto", manifest, rows, reads_part=False)
    assert not plan.holds
    assert plan.reason == "0.1 MB decoded, limit 0.1 MB, a quarter of the memory that is free (0.3 MB)"


@pytest.mark.parametrize(("most", "expected"), [("max", 300 * 1024), ("100000", 40_000), ("50000", 0)])
def test_a_container_may_leave_less(system: Path, most: str, expected: int) -> None:
    (system / "meminfo").write_text("MemAvailable:    300 kB\n")
    (system / "memory.max").write_text(f"{most}\n")
    (system / "memory.current").write_text("60000\n")
    assert available_bytes() == expected


@pytest.mark.parametrize("cache", ["yes", 3])  # None stands for the default
def test_other_words_are_refused(out: Path, cache: Any) -> None:
    with pytest.raises(UsageError, match=rf"cache: expected 'auto', True or False, got {cache!r}\."):
        precompute.load(out, cache=cache)


# Nothing else changes


@pytest.mark.parametrize("groups", ["one", "several"])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("rows", ["cycle", "follow", "all", [2, 2, 1]], ids=str)
@pytest.mark.slow
def test_the_order_is_that_of_the_files(
    out: Path, rows: Any, shuffle: bool, groups: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if groups == "several":
        monkeypatch.setattr(order, "GROUP_SHARDS", 2)
        monkeypatch.setattr(order, "WINDOW_BYTES", 5_000)
    given = {"batch_size": 5, "rows": rows, "shuffle": shuffle, "shuffle_seed": 3, "fresh": "auto"}
    streamed = seen_in(precompute.load(out, cache=False, **given))
    assert seen_in(precompute.load(out, **given)) == streamed
    if rows != "follow":
        assert seen_in(precompute.load(out, cache=True, **given)) == streamed


@pytest.mark.slow
def test_all_that_is_handed_out_is_the_same(out: Path) -> None:
    given = {"batch_size": 5, "with_keys": True, "drop_remainder": True, "class_weights": [1.0, 2.0]}
    held, streamed = (precompute.load(out, cache=cache, **given) for cache in ("auto", False))
    assert held.element_spec == streamed.element_spec
    assert held.cardinality() == streamed.cardinality()
    for one, other in zip(held, streamed, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_the_original_row_of_the_last_epochs(tmp_path: Path) -> None:
    out = build_rows(tmp_path, num_rows=2, include_original=True)
    given = {"batch_size": 5, "clean_from": 2, "rows": [1, 2]}
    held, streamed = precompute.load(out, **given), precompute.load(out, cache=False, **given)
    assert plan_of(held).holds and plan_of(held).num_rows == 3
    assert seen_in(held) == seen_in(streamed)


# What is read, and when


def remove_rows(out: Path, *numbers: int) -> None:
    for number in numbers:
        for shard in (out / "data").rglob(f"*train_r{number:04d}.tfrecord-*"):
            shard.unlink()


@pytest.mark.slow
def test_a_row_is_read_when_an_epoch_wants_it_and_never_again(tmp_path: Path) -> None:
    out = build_rows(tmp_path)
    stored, dataset = Stored(out), precompute.load(out, batch_size=5)
    next(iter(dataset))  # row 0 is whole in memory from the first batch on
    remove_rows(out, 0)
    precompute.EpochRow(dataset).on_epoch_begin(0)
    for _ in range(2):
        assert sorted(stored.epoch(dataset)) == stored.whole_row(0)
    precompute.EpochRow(dataset).on_train_end()
    remove_rows(out, 2)
    assert sorted(stored.epoch(dataset)) == stored.whole_row(1)
    with pytest.raises(tf.errors.UnknownError, match=r"row 2 of train are missing:(.|\n)*train_r0002"):
        list(dataset)


@pytest.mark.slow
def test_the_lease_is_held_as_long_as_files_are_needed(tmp_path: Path) -> None:
    out = build_rows(tmp_path, num_rows=2)
    dataset = precompute.load(out)
    for expected in ({0, 1}, set()):
        list(dataset)
        assert {row for _, _, row in held_rows(out, now=0)} == expected
    remove_rows(out, 0, 1)
    assert sorted(Stored(out).keys) == ["validation"]
    assert [len(list(dataset)) for _ in range(3)] == [1, 1, 1]


@pytest.mark.slow
def test_rows_that_come_take_the_place_of_those_read_first(tmp_path: Path, limit: Callable[[int], None]) -> None:
    out = build_rows(tmp_path, num_rows=2)
    stored = Stored(out)
    limit(2)
    dataset = precompute.load(out, rows="follow", batch_size=32)
    assert plan_of(dataset).holds
    precompute.build(tmp_path / "sources", out, **_again(out, variants=3))
    stored_all = Stored(out)
    assert [{row for row, _ in stored_all.epoch(dataset)} for _ in range(3)] == [{0}, {1}, {2}]
    assert {row for _, _, row in held_rows(out, now=0)} == {2}  # it names its rows itself
    remove_rows(out, 2)
    epoch_row = precompute.EpochRow(dataset)
    epoch_row.on_epoch_begin(2)
    assert {row for row, _ in stored_all.epoch(dataset)} == {2}  # from memory
    assert sorted(stored.rows["train"]) == [0, 1]


def _again(out: Path, **changes: Any) -> dict[str, Any]:
    import albumentations as A

    from tests.helpers.small_datasets import options

    brightness = A.RandomBrightnessContrast(brightness_limit=0.4, contrast_limit=0.4, p=1)
    pipeline = {"train": A.Compose([A.Resize(16, 16), brightness])}
    return options(**{"pipeline": pipeline, "validation_split": 0.2, **changes})


@pytest.mark.slow
def test_memory_is_let_go_with_the_dataset(out: Path) -> None:
    dataset = precompute.load(out, batch_size=5).prefetch(1)
    list(dataset)
    [counter] = precompute.EpochRow(dataset)._epochs
    held = weakref.ref(counter._held)
    del counter
    gc.collect()
    assert held() is not None
    assert len(held()._held) == 1
    del dataset
    gc.collect()
    assert held() is None


@pytest.mark.slow
def test_a_damaged_shard_is_said(tmp_path: Path) -> None:
    out = build_rows(tmp_path, num_rows=1)
    shard = next((out / "data").rglob("*train_r0000.tfrecord-*"))
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    with pytest.raises(
        tf.errors.UnknownError, match=r"tfrecord-0000\d-of-0000\d: record \d+ is damaged(.|\n)*--check full"
    ):
        list(precompute.load(out))


ONE_THREAD = """
import sys, tensorflow as tf
tf.config.threading.set_inter_op_parallelism_threads(1)
tf.config.threading.set_intra_op_parallelism_threads(1)
import precompute
dataset = precompute.load(sys.argv[1], batch_size=5)
overlapping = [iter(dataset) for _ in range(6)]
print(sum(len(list(iterator)) for iterator in overlapping))
"""


@pytest.mark.slow
def test_one_thread_is_enough(out: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ONE_THREAD, str(out)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=dict(os.environ),
    )
    assert done.stdout.split()[-1] == "42"


LOADS = 3  # three times; of the sixth on, TensorFlow would say that something is traced again


@pytest.mark.slow
def test_many_loads_in_one_process_leave_little_behind_and_say_nothing(
    out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As cross-validation does, and who runs a notebook's cell again."""

    def num_objects() -> int:
        for _ in range(LOADS):
            for _ in precompute.load(out, batch_size=20):
                pass
        gc.collect()
        return len(gc.get_objects())

    num_objects()
    before = num_objects()
    assert num_objects() - before < 12 * LOADS  # a graph alone has hundreds
    assert "retracing" not in caplog.text
