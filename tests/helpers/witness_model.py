"""A model that learns nothing and notes what it is trained on."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tests.helpers.stored_records import Seen, Stored


class Witness(keras.Model):
    """Learns nothing; notes each image that it is trained or tested on, epoch by epoch."""

    def __init__(self, stored: Stored) -> None:
        super().__init__()
        self.trained: list[list[Seen]] = []
        self.tested: list[list[Seen]] = []
        self._stored = stored
        self.compile()

    def call(self, images: Any) -> Any:
        return images

    def train_step(self, data: Any) -> dict[str, Any]:
        tf.numpy_function(lambda images: self.trained[-1].extend(self._stored.name(images)), [data[0]], [])
        return {"loss": tf.zeros(())}

    def test_step(self, data: Any) -> dict[str, Any]:
        tf.numpy_function(lambda images: self.tested[-1].extend(self._stored.name(images)), [data[0]], [])
        return {"loss": tf.zeros(())}

    def watch(self, dataset: Any, *, callbacks: tuple[Any, ...] = (), **arguments: Any) -> list[list[Seen]]:
        """Fit, and return what each epoch was trained on, sorted."""
        first = len(self.trained)
        begin = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: self.trained.append([]), on_test_begin=lambda logs: None
        )
        begin.on_test_begin = lambda logs=None: self.tested.append([])
        self.fit(dataset, verbose=0, callbacks=[*callbacks, begin], **arguments)
        return [sorted(epoch) for epoch in self.trained[first:]]
