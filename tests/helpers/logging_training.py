"""The command `train`, that tells what it reads. A program, not a test: `logging_training.py LOG ARGUMENTS…`.

Appends to a log, a line of JSON each: `begins`, an epoch; `listed` and `row`, what a row was chosen from and which it
was; `batch`, the sha256 of each image when the training takes it, not when it was read ahead. Each batch takes a
while, so that the tiny epochs of a test have a middle.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from precompute.dataset import leases
from train.cli import main
from train.start import quiet_stderr, require_tensorflow

RENEW_S = 0.2
BATCH_S = 0.03


def tell(log: Path, **facts: Any) -> None:
    with log.open("a") as file:
        file.write(json.dumps(facts) + "\n")


def listen(log: Path) -> None:
    """Let the reader and the trainer tell."""
    import tensorflow as tf

    import train.fit
    from precompute.readers.tf import epochs
    from precompute.readers.tf.epochs import EpochCounter

    choose_row, hold, load_train = epochs.choose_row, EpochCounter.hold, train.fit.load_train

    def choose(epoch: int, listed: Sequence[Any], readings: Any) -> Any:
        chosen = choose_row(epoch, listed, readings)
        tell(log, epoch=epoch, listed=[row.row for row in listed], row=chosen.row)
        return chosen

    def begin(counter: EpochCounter, epoch: int) -> None:
        tell(log, begins=epoch)
        hold(counter, epoch)

    def take(images: Any) -> int:
        time.sleep(BATCH_S)
        tell(log, batch=[hashlib.sha256(image.tobytes()).hexdigest() for image in images])
        return 0

    def pass_on(*batch: Any) -> Any:
        with tf.control_dependencies([tf.numpy_function(take, batch[:1], tf.int64)]):
            return tf.nest.map_structure(tf.identity, batch)

    def load(*arguments: Any, **named: Any) -> Any:
        dataset, epoch_row = load_train(*arguments, **named)
        return dataset.map(pass_on), epoch_row

    vars(epochs)["choose_row"] = choose
    vars(train.fit)["load_train"] = load
    EpochCounter.hold = begin  # type: ignore[method-assign]


if __name__ == "__main__":
    leases.RENEW_S = RENEW_S
    with quiet_stderr():
        require_tensorflow()
    listen(Path(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
