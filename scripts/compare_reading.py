"""What readers hand out of the datasets of a comparison: `read`, `load`, and TensorFlow Datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from compare_life import ADOPTED, ENCODINGS, KEPT, LIVED, lived_encoding
from compare_observed import SAID, Observations, describe_array, describe_example

SPLITS = ("train", "validation", "test")

# What `read` is asked for, of each dataset.
READINGS: dict[str, dict[str, Any]] = {
    "first row": {},
    "epoch 1": {"epoch": 1},
    "epoch 2, mixed, second of two readers": {"epoch": 2, "shuffle_seed": 3, "part": (1, 2)},
    "validation": {"split": "validation"},
    "test": {"split": "test"},
}

# What `load` is asked for, of each dataset.
LOADINGS: dict[str, dict[str, Any]] = {"keys": {"with_keys": True}}
# The same of datasets that have lived a whole life. Some of it is refused by some datasets, which is noted, too.
MORE_LOADINGS: dict[str, dict[str, Any]] = {
    "validation, stored order": {"split": "validation", "cache": False, "with_keys": True},
    "test, mixed": {"split": "test", "shuffle": True},
    "all rows": {"rows": "all", "shuffle_seed": 5, "drop_remainder": True},
    "chosen rows, begun": {"rows": [3, 1], "cache": False, "start_batch": 2},
    "following": {"rows": "follow"},
    "held, fresh": {"cache": True, "fresh": "auto", "shuffle_seed": 2},
    "clean, fresh as asked": {"clean_from": 1, "fresh": ["horizontal", "shift"], "cache": False},
    "shared by two readers": {"input_context": (2, 1), "batch_size": 4},
    "weights of 2 classes": {"class_weights": {0: 2.0, 1: 0.5}},
    "weights of 3 classes": {"class_weights": [2.0, 0.5, 1.0]},
    "normalized": {"normalize": True},
    "extra values": {"extra": ["age"], "sample_weights": False},
    "further images": {"inputs": ["image", "depth"], "targets": ["twin", "range"], "fresh": "auto"},
    "boxes of shares": {"box_format": "rel_center_xywh", "max_boxes": 2},
    "ragged": {"ragged": True, "box_format": "yxyx"},
}
NUM_EPOCHS = 2
BATCH_SIZE = 5


def read_kind(kind: str, folder: Path, observed: Observations) -> None:
    """Read all datasets of a kind."""
    for encoding in ENCODINGS:
        name, out = f"{kind}/{encoding}", folder / encoding / KEPT
        lived = kind in LIVED and encoding == lived_encoding(kind)
        if not out.exists():  # its build was refused, which was noted
            continue
        for label, arguments in READINGS.items():
            _note(observed, f"{name} read, {label}", _read, out, arguments)
        for label, arguments in {**LOADINGS, **(MORE_LOADINGS if lived else {})}.items():
            _note(observed, f"{name} load, {label}", _load, out, arguments)
        _note(observed, f"{name} TensorFlow Datasets", _tfds, out, lived)
        if encoding == lived_encoding(kind):
            _note(observed, f"{name} replaced, read", _read, folder / encoding / "data", {"epoch": 1})
        if lived:
            _note(observed, f"{name} replaced, load", _load, folder / encoding / "data", {"with_keys": True})
            _read_adopted(name, folder / ADOPTED, observed)


def _read_adopted(name: str, folder: Path, observed: Observations) -> None:
    """Read what the old tree has written, as it was and after this tree has gone on with it."""
    _note(observed, f"{name} adopted, as it was, load", _load, folder / KEPT, {"with_keys": True})
    for state, out in (("as it was", folder / KEPT), ("gone on with", folder / "data")):
        _note(observed, f"{name} adopted, {state}, read", _read, out, {"epoch": 1})


def _note(observed: Observations, name: str, tell: Callable[..., Iterator[str]], *arguments: Any) -> None:
    """Note the lines, up to the error that ended them, and what that error says apart."""
    lines: list[str] = []
    try:
        lines.extend(tell(*arguments))
    except Exception as error:  # whatever it is, it is what is compared
        lines.append(f"ended by {type(error).__name__}")
        observed.add(f"{name}{SAID}", str(error))
    observed.add(name, "\n".join(lines))


def _read(out: Path, arguments: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each example."""
    import precompute

    yield from map(describe_example, precompute.read(out, **arguments))


def _load(out: Path, arguments: dict[str, Any]) -> Iterator[str]:
    """Yield what elements are, then a line for each tensor of each batch."""
    import tensorflow as tf

    import precompute

    arguments = {"batch_size": BATCH_SIZE, **arguments}
    if "input_context" in arguments:
        num_readers, reader = arguments["input_context"]
        arguments["input_context"] = tf.distribute.InputContext(num_readers, reader, num_readers)
    dataset = precompute.load(out, **arguments)
    yield f"{dataset.element_spec}, {int(dataset.cardinality())} batches"
    for epoch in range(NUM_EPOCHS):
        yield from (f"epoch {epoch}, {line}" for line in lines_of(dataset))


def lines_of(batches: Iterable[Any]) -> Iterator[str]:
    """Yield a line for each tensor of each batch, in order."""
    for number, batch in enumerate(batches):
        yield from (f"batch {number}, {line}" for line in _tensors(batch))


def _tensors(nest: Any, name: str = "") -> Iterator[str]:
    """Yield a line for each tensor of a nest, with the names or places that lead to it."""
    if isinstance(nest, dict):
        for key in sorted(nest):
            yield from _tensors(nest[key], f"{name}.{key}")
    elif isinstance(nest, tuple):
        for place, part in enumerate(nest):
            yield from _tensors(part, f"{name}.{place}")
    elif hasattr(nest, "nested_row_splits"):
        yield from _tensors((nest.flat_values, *nest.nested_row_splits), f"{name}.ragged")
    else:
        yield f"{name or '.image'}: {describe_array(nest.numpy() if hasattr(nest, 'numpy') else nest)}"


def _tfds(out: Path, with_examples: bool) -> Iterator[str]:
    """Yield the view of TensorFlow Datasets: its features, its splits, and the first examples of each."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(out)
    yield repr(builder.info.features)
    for name, split in builder.info.splits.items():
        yield f"{name}: {split.num_examples} examples, {split.shard_lengths} in shards, {split.num_bytes}"
    for name in list(builder.info.splits)[:: 4 if with_examples else 100]:
        for example in islice(tfds.as_numpy(builder.as_dataset(split=name)), 2):
            yield f"{name}: {describe_example(_flat(example))}"


def _flat(example: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Return name → array of an example that holds others."""
    flat: dict[str, Any] = {}
    for name, value in example.items():
        flat |= _flat(value, f"{above}{name}/") if isinstance(value, dict) else {f"{above}{name}": np.asarray(value)}
    return flat
