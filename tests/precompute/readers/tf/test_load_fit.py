"""`load` under Keras's `fit`: which rows its epochs are trained on, to the last image."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf

import precompute
from precompute.errors import UsageError
from tests.helpers.stored_records import NUM_ROWS, Seen, Stored, build_rows
from tests.helpers.witness_model import Witness


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_rows(tmp_path_factory.mktemp("fit"))


@pytest.fixture(scope="module")
def stored(out: Path) -> Stored:
    return Stored(out)


@pytest.fixture
def model(stored: Stored) -> Witness:
    return Witness(stored)


def rows_in_turn(stored: Stored, first: int, num: int) -> list[list[Seen]]:
    return [stored.whole_row(epoch % NUM_ROWS) for epoch in range(first, first + num)]


@pytest.mark.slow
def test_plain_fit_reads_row_e_mod_r_in_epoch_e(out: Path, stored: Stored, model: Witness) -> None:
    dataset = precompute.load(out, batch_size=5)
    assert model.watch(dataset, epochs=NUM_ROWS + 2) == rows_in_turn(stored, 0, NUM_ROWS + 2)
    assert model.watch(dataset, epochs=2) == rows_in_turn(stored, NUM_ROWS + 2, 2)  # a second fit goes on


@pytest.mark.slow
def test_a_users_own_map_sees_each_key_once_an_epoch(out: Path, stored: Stored, model: Witness) -> None:
    epochs: list[list[str]] = []

    def spy(images: Any, labels: Any, keys: Any) -> Any:
        tf.numpy_function(lambda some: epochs[-1].extend(key.decode() for key in some), [keys], [])
        return images, labels

    dataset = precompute.load(out, batch_size=5, with_keys=True).map(spy).prefetch(2)
    start = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: epochs.append([]))
    model.watch(dataset, epochs=3, callbacks=(start,))
    assert [sorted(keys) for keys in epochs] == [stored.keys["train"]] * 3


@pytest.mark.slow
def test_validation_between_epochs_changes_nothing(out: Path, stored: Stored, model: Witness) -> None:
    train, validation = precompute.load(out, batch_size=5), precompute.load(out, split="validation", batch_size=3)
    assert model.watch(train, validation_data=validation, epochs=3) == rows_in_turn(stored, 0, 3)
    assert [sorted(epoch) for epoch in model.tested] == [stored.whole_row(0, "validation")] * 3
    assert model.tested[0] == model.tested[1] == model.tested[2]


@pytest.mark.slow
def test_after_a_peek_every_epoch_is_still_one_whole_row(out: Path, stored: Stored, model: Witness) -> None:
    dataset = precompute.load(out, batch_size=5)
    next(iter(dataset))
    assert model.watch(dataset, epochs=3) == rows_in_turn(stored, 1, 3)


@pytest.mark.slow
def test_the_callback_makes_up_for_a_peek(out: Path, stored: Stored, model: Witness) -> None:
    dataset = precompute.load(out, batch_size=5)
    next(iter(dataset))
    callbacks = (precompute.EpochRow(dataset),)
    assert model.watch(dataset, epochs=3, callbacks=callbacks) == rows_in_turn(stored, 0, 3)


@pytest.mark.slow
def test_a_peek_during_an_epoch_does_no_harm_with_the_callback(out: Path, stored: Stored, model: Witness) -> None:
    dataset = precompute.load(out, batch_size=5)
    peek = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: next(iter(dataset)))
    callbacks = (precompute.EpochRow(dataset), peek)
    assert model.watch(dataset, epochs=3, callbacks=callbacks) == rows_in_turn(stored, 0, 3)


@pytest.mark.slow
def test_initial_epoch_with_the_callback(out: Path, stored: Stored, model: Witness) -> None:
    dataset = precompute.load(out, batch_size=5)
    callbacks = (precompute.EpochRow(dataset),)
    seen = model.watch(dataset, initial_epoch=2, epochs=7, callbacks=callbacks)
    assert seen == rows_in_turn(stored, 2, 5)


@pytest.mark.slow
def test_initial_epoch_without_the_callback_is_shifted_and_whole(out: Path, stored: Stored, model: Witness) -> None:
    assert model.watch(precompute.load(out), initial_epoch=2, epochs=4) == rows_in_turn(stored, 0, 2)


@pytest.mark.slow
def test_a_resumed_fit_has_the_order_of_one_that_never_stopped(out: Path, stored: Stored) -> None:
    whole, resumed = Witness(stored), Witness(stored)
    for model, initial_epoch in ((whole, 0), (resumed, 2)):
        dataset = precompute.load(out, batch_size=5, shuffle_seed=7)
        model.watch(dataset, initial_epoch=initial_epoch, epochs=4, callbacks=(precompute.EpochRow(dataset),))
    assert resumed.trained == whole.trained[2:]


@pytest.mark.slow
def test_after_a_fit_with_the_callback_iterations_count_on(out: Path, stored: Stored, model: Witness) -> None:
    dataset = precompute.load(out, batch_size=5)
    model.watch(dataset, epochs=2, callbacks=(precompute.EpochRow(dataset),))
    for epoch in (2, 3, 4):
        assert sorted(stored.epoch(dataset)) == stored.whole_row(epoch % NUM_ROWS)


def test_the_callback_finds_the_dataset_below_others(out: Path, stored: Stored, model: Witness) -> None:
    dataset = precompute.load(out, batch_size=5)
    derived = dataset.map(lambda x, y: (x, tf.cast(y, tf.float32))).with_options(tf.data.Options()).prefetch(2)
    callbacks = (precompute.EpochRow(derived),)
    seen = model.watch(derived, initial_epoch=3, epochs=5, callbacks=callbacks)
    assert seen == rows_in_turn(stored, 3, 2)


@pytest.mark.slow
def test_the_callback_ties_all_datasets_that_were_joined(out: Path, stored: Stored) -> None:
    parts = [precompute.load(out, rows=[0, 1]), precompute.load(out, rows=[2, 3])]
    joined = tf.data.Dataset.zip(*parts).map(lambda a, b: (tf.concat([a[0], b[0]], 0), a[1]))
    callback = precompute.EpochRow(joined)
    for epoch in (1, 1, 0):
        callback.on_epoch_begin(epoch)
        assert {row for row, _ in stored.epoch(joined)} == {epoch, 2 + epoch}


@pytest.mark.parametrize("other", [tf.data.Dataset.range(3).batch(2), [1, 2], None], ids=["dataset", "list", "none"])
def test_the_callback_refuses_anything_else(other: Any) -> None:
    with pytest.raises(UsageError, match=r"EpochRow: expected a dataset made by precompute\.load, or one made from it"):
        precompute.EpochRow(other)


@pytest.mark.parametrize("cache", [False, True, "auto"], ids=["streamed", "cache", "auto"])
@pytest.mark.slow
def test_two_fits_at_once_in_threads(out: Path, stored: Stored, cache: bool) -> None:
    models, seen = [Witness(stored), Witness(stored)], {}

    def fit(number: int) -> None:
        dataset = precompute.load(out, batch_size=5, shuffle_seed=number, cache=cache)
        seen[number] = models[number].watch(dataset, epochs=5)

    threads = [threading.Thread(target=fit, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {0: rows_in_turn(stored, 0, 5), 1: rows_in_turn(stored, 0, 5)}
    assert models[0].trained[0] != models[1].trained[0]


@pytest.mark.slow
def test_two_loads_do_not_move_each_other(out: Path, stored: Stored) -> None:
    one, other = precompute.load(out), precompute.load(out)
    assert sorted(stored.epoch(one)) == stored.whole_row(0)
    assert sorted(stored.epoch(one)) == stored.whole_row(1)
    assert sorted(stored.epoch(other)) == stored.whole_row(0)


def test_iterators_that_overlap_read_rows_of_their_own(out: Path, stored: Stored) -> None:
    dataset = precompute.load(out, batch_size=5)
    first, second = iter(dataset), iter(dataset)
    batches: dict[int, list[Any]] = {0: [], 1: []}
    for a, b in zip(first, second, strict=True):
        batches[0].append(a)
        batches[1].append(b)
    assert [sorted(stored.epoch(batches[number])) for number in (0, 1)] == rows_in_turn(stored, 0, 2)
