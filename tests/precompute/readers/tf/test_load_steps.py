"""`load` where epochs of `fit` are not iterations of the dataset: rows, readings and leases follow iterations."""

from __future__ import annotations

import importlib
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf

import precompute
from precompute.dataset.leases import held_rows
from precompute.errors import UsageError
from precompute.readers.tf.order import describe_damage
from tests.helpers.guide import read_page
from tests.helpers.stored_records import Stored, build_rows

NUM_ROWS, NUM_BATCHES = 4, 4  # of 32 records, 8 a batch


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_rows(tmp_path_factory.mktemp("steps"), num_rows=NUM_ROWS)


@pytest.fixture(scope="module")
def stored(built: Path) -> Stored:
    return Stored(built)


@pytest.fixture
def out(built: Path, tmp_path: Path) -> Path:
    without_leases = shutil.ignore_patterns(".leases")  # of readers of `built` that nobody collected yet
    return Path(shutil.copytree(built, tmp_path / "out", ignore=without_leases))


class Witness(keras.Model):
    """Notes which row each batch is of, in order."""

    def __init__(self, stored: Stored) -> None:
        super().__init__()
        self.rows: list[int] = []
        self._stored = stored
        self.compile()

    def call(self, images: Any) -> Any:
        return images

    def _note(self, images: Any) -> None:
        (row,) = {row for row, _ in self._stored.name(images)}
        self.rows.append(row)

    def train_step(self, data: Any) -> dict[str, Any]:
        tf.numpy_function(self._note, [data[0]], [])
        return {"loss": tf.zeros(())}

    def test_step(self, data: Any) -> dict[str, Any]:
        return {"loss": tf.zeros(())}


def fit(stored: Stored, given: Any, *callbacks: Any, **arguments: Any) -> list[int]:
    model = Witness(stored)
    model.fit(given, verbose=0, callbacks=list(callbacks), **arguments)
    return model.rows


def each(rows: list[int], times: int = NUM_BATCHES) -> list[int]:
    return [row for row in rows for _ in range(times)]


CHANGES: dict[str, Any] = {
    "as it is": lambda ds: ds,
    "repeated": lambda ds: ds.repeat(),
    "repeated, read ahead": lambda ds: ds.repeat().prefetch(3),
    "mapped": lambda ds: ds.map(lambda images, labels: (images, labels)),
}


@pytest.mark.parametrize(
    ("change", "rows", "steps"),
    [
        ("as it is", "cycle", 2),
        pytest.param("as it is", "follow", 2, marks=pytest.mark.slow),
        ("repeated", "follow", 3),
        pytest.param("repeated, read ahead", "cycle", 3, marks=pytest.mark.slow),
        pytest.param("mapped", "cycle", 2, marks=pytest.mark.slow),
    ],
)
def test_with_steps_per_epoch_every_row_is_read_to_its_end_in_turn(
    built: Path, stored: Stored, rows: str, steps: int, change: str
) -> None:
    loaded = precompute.load(built, batch_size=8, rows=rows, shuffle_seed=3)
    callback = precompute.EpochRow(loaded)
    seen = fit(stored, CHANGES[change](loaded), callback, epochs=3 * NUM_BATCHES // steps, steps_per_epoch=steps)
    assert seen == each([0, 1, 2])
    assert [reading.row for reading in callback.readings[:3]] == [0, 1, 2]
    assert len(callback.readings) <= len(seen) / NUM_BATCHES + 1  # one may be read ahead


def test_epochs_longer_than_a_row(built: Path, stored: Stored) -> None:
    given = precompute.load(built, batch_size=8, cache=False).repeat()
    assert fit(stored, given, precompute.EpochRow(given), epochs=2, steps_per_epoch=6) == each([0, 1, 2])


def test_a_repeated_dataset_whose_steps_are_a_row(built: Path, stored: Stored) -> None:
    given = precompute.load(built, batch_size=8, cache=False).repeat().prefetch(2)
    assert fit(stored, given, precompute.EpochRow(given), epochs=3, steps_per_epoch=NUM_BATCHES) == each([0, 1, 2])


def test_a_part_of_each_row_is_of_the_epochs_own_row(built: Path, stored: Stored) -> None:
    loaded = precompute.load(built, batch_size=8, cache=False)
    assert fit(stored, loaded.take(2), precompute.EpochRow(loaded), epochs=3) == each([0, 1, 2], 2)
    given = loaded.take(2)
    assert fit(stored, given, precompute.EpochRow(given), epochs=3, initial_epoch=1) == each([1, 2], 2)


def test_a_resumed_fit_goes_on_with_the_row_that_so_many_steps_have_come_to(built: Path, stored: Stored) -> None:
    given = precompute.load(built, batch_size=8, cache=False)
    seen = fit(stored, given, precompute.EpochRow(given), epochs=8, initial_epoch=4, steps_per_epoch=2)
    assert seen == each([2, 3])


@pytest.mark.slow
def test_validation_on_the_same_dataset_moves_no_row(built: Path, stored: Stored) -> None:
    given = precompute.load(built, batch_size=8, cache=False)
    seen = fit(stored, given, precompute.EpochRow(given), epochs=4, steps_per_epoch=2, validation_data=given)
    assert seen == each([0, 1])
    assert fit(stored, given, precompute.EpochRow(given), epochs=2, validation_data=given) == each([0, 1])


@pytest.mark.parametrize("arguments", [{}, {"steps_per_epoch": 1}], ids=["whole", "one step"])
def test_a_callback_of_another_dataset_is_refused(built: Path, stored: Stored, arguments: dict[str, int]) -> None:
    other = precompute.load(built, batch_size=8, cache=False)
    next(iter(other))
    with pytest.raises(UsageError, match="EpochRow: `fit` reads another dataset than the one that this callback"):
        fit(
            stored, precompute.load(built, batch_size=8, cache=False), precompute.EpochRow(other), epochs=2, **arguments
        )


# Leases


def held(out: Path) -> set[int]:
    return {row for _, _, row in held_rows(out, now=0)}


@pytest.mark.parametrize("cache", [False, pytest.param("auto", marks=pytest.mark.slow)])
def test_a_row_is_held_as_long_as_an_iteration_reads_it(out: Path, cache: Any) -> None:
    dataset = precompute.load(out, batch_size=1, rows="follow", cache=cache)
    slow = iter(dataset)
    next(slow)
    for _ in range(NUM_ROWS):
        for _ in dataset:
            pass
    assert 0 in held(out)
    precompute.drop(out, rows=[0])
    for _ in dataset:
        pass
    assert 0 in held(out)
    assert list(out.rglob("*train_r0000.tfrecord*"))
    assert sum(1 for _ in slow) == 31
    for _ in dataset:
        pass
    assert 0 not in held(out)


def test_an_iterator_that_is_deleted_lets_go_of_its_row(out: Path) -> None:
    dataset = precompute.load(out, batch_size=1, rows="follow", cache=False)
    peek = iter(dataset)
    next(peek)
    for _ in range(NUM_ROWS):
        for _ in dataset:
            pass
    assert 0 in held(out)
    del peek
    for _ in range(2):
        for _ in dataset:
            pass
    assert 0 not in held(out)


# Keras, which the callback alone needs


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_backend_that_is_not_there_is_named(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setitem(sys.modules, "keras", None)
    monkeypatch.delitem(sys.modules, "precompute.readers.tf.epoch_row", raising=False)
    with pytest.raises(ImportError, match=rf"EpochRow needs Keras.*with the backend '{backend}'.*or set KERAS_BACKEND"):
        importlib.import_module("precompute.readers.tf.epoch_row")


def test_where_class_weights_of_keras_do_not_serve_the_guide_says_so() -> None:
    for text in (read_page("precompute/docs/readers.md"), precompute.load.__doc__):
        assert "`fit(class_weight=…)`" in text
        assert "class_weights" in text


# Damage


def damage(shard: Path, how: str) -> None:
    content = shard.read_bytes()
    if how == "flipped":
        content = content[:100] + bytes([content[100] ^ 1]) + content[101:]
    shard.write_bytes(content[: -len(content) // 3] if how == "cut short" else content)


@pytest.mark.parametrize("how", ["flipped", "cut short", "missing"])
def test_damage_is_described_by_file_record_and_way_on(out: Path, how: str) -> None:
    shards = sorted(out.rglob("*train_r0002.tfrecord-*"))
    assert describe_damage(map(str, shards)) is None
    if how == "missing":
        shards[1].unlink()
    else:
        damage(shards[1], how)
    said = describe_damage([str(path).encode() for path in shards])
    assert said is not None
    assert re.search(rf"1 shard cannot be read:\n  {shards[1]}: (record \d+ is damaged|missing)", said)
    assert "`precompute build` again with --check full" in said
    assert "{{" not in said
    assert "[Op:" not in said
