"""Which epoch an iteration of a dataset stands for: counted when it begins, or told by a callback of `fit`."""

from __future__ import annotations

import functools
import itertools
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from precompute.dataset.leases import Lease
from precompute.readers.tf.memory import CachePlan, RowsInMemory
from precompute.readers.tf.row_files import RowFiles

__all__ = ["EpochCounter", "find_epochs"]

ATTRIBUTE = "_augment_once_epoch"  # of the dataset that `load` returns
NUMBERS = itertools.count()
ALIVE: weakref.WeakValueDictionary[int, EpochCounter] = weakref.WeakValueDictionary()  # by these numbers


class EpochCounter:
    """The number of the epoch: each fresh iteration takes it and moves it on, and keeps its own to its end.

    It lives as long as anything that was made from the dataset, so that the lease and rows in memory are kept here.

    Attributes:
        rows: What the epochs read.
        cache_plan: Whether rows are held in memory.
        lengths: How many batches an iteration has, for one replica and for all that share its batches.
        look: Checks that the files of an epoch are there; None where they are looked at when they are needed.
        num_begun: Iterations so far.
    """

    def __init__(
        self,
        rows: RowFiles,
        lease: Lease,
        cache_plan: CachePlan,
        held: RowsInMemory | None,
        *,
        lengths: tuple[int, int],
        look: Callable[[int], None] | None,
    ) -> None:
        self.rows, self.cache_plan, self.lengths, self.look = rows, cache_plan, lengths, look
        self.num_begun = 0
        self._lease, self._held = lease, held
        self._number = 0
        self._step = 1  # 0 while a callback holds the number
        self._guard = threading.Lock()
        self._name = next(NUMBERS)
        ALIVE[self._name] = self

    def hold(self, epoch: int) -> None:
        """Let all iterations that begin from now on stand for this epoch."""
        self.rows.begin(epoch)
        if self.look is not None:
            self.look(epoch)
        with self._guard:
            self._number, self._step = epoch, 0

    def release(self) -> None:
        """Let each iteration stand for an epoch again, from the next one on."""
        with self._guard:
            self._number, self._step = self._number + 1 - self._step, 1

    def count_from(self, epoch: int) -> None:
        """Let the next iteration stand for this epoch, and those after it for the following ones."""
        with self._guard:
            self._number, self._step = epoch, 1

    def stay(self) -> None:
        """Let iterations that begin now stand for the epoch of the last one, until `release`."""
        with self._guard:
            self._number, self._step = max(0, self._number - self._step), 0

    def begin(self) -> int:
        """Return the epoch that an iteration stands for which begins now; its row is held until `end`."""
        with self._guard:
            number = self._number
            self._number += self._step
            self.num_begun += 1
        try:
            self.rows.enter(number)
            if self.look is not None:
                self.look(number)
        except BaseException:
            self._take_back(number)  # who is told of it may try again, as `prefetch` does
            raise
        return number

    def _take_back(self, epoch: int) -> None:
        self.rows.leave(epoch)
        with self._guard:
            if self._number == epoch + self._step:
                self._number = epoch

    def end(self, epoch: int) -> None:
        """Note that an iteration needs its row's files no more: it has read them, or is gone."""
        self.rows.leave(epoch)

    def numbers(self) -> Any:
        """Return a dataset of one int64: the epoch that the iteration stands for."""
        begin, tell, end = _iteration()
        variant = tf.raw_ops.GeneratorDataset(
            init_func_other_args=[tf.constant(self._name, tf.int64)],
            next_func_other_args=[],
            finalize_func_other_args=[],
            init_func=begin,
            next_func=tell,
            finalize_func=end,
            output_types=[tf.int64],
            output_shapes=[[]],
        )
        return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.int64)).take(1)

    def attach(self, dataset: Any) -> Any:
        """Return the dataset, so marked that EpochRow finds this counter, also below a user's own map or prefetch."""
        setattr(dataset, ATTRIBUTE, self)
        return dataset


@functools.cache
def _iteration() -> tuple[Any, Any, Any]:
    """Return what an iterator calls first, for its element, and when it ends or is deleted; the same for all loads.

    TensorFlow keeps each function of Python that a graph calls as long as the program lasts.
    """

    def begin(name: Any) -> Any:
        counter = ALIVE.get(int(name))
        if counter is None:
            raise RuntimeError("the dataset was deleted; keep what precompute.load returned while it is read")
        return np.int64(counter.begin())

    def end(name: Any, number: Any) -> Any:
        counter = ALIVE.get(int(name))
        if counter is not None:
            counter.end(int(number))
        return np.int64(0)

    def begun(name: Any) -> Any:
        return name, tf.ensure_shape(tf.numpy_function(begin, [name], tf.int64), [])

    def ended(name: Any, number: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(end, [name, number], tf.int64), [])

    scalar = tf.TensorSpec([], tf.int64)
    return (
        tf.function(begun, input_signature=[scalar]).get_concrete_function(),
        tf.function(lambda name, number: tf.identity(number), [scalar, scalar]).get_concrete_function(),
        tf.function(ended, input_signature=[scalar, scalar]).get_concrete_function(),
    )


def find_epochs(dataset: Any) -> Iterator[EpochCounter]:
    """Yield the counters of all datasets of `load` that a dataset was made from."""
    found = getattr(dataset, ATTRIBUTE, None)
    if isinstance(found, EpochCounter):
        yield found
    elif isinstance(dataset, tf.data.Dataset):
        for source in dataset._inputs():
            yield from find_epochs(source)
