"""`precompute.load`: manifest → tf.data. The one module that owns tf.data; it never loads Albumentations or OpenCV."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

try:
    import keras
    import tensorflow as tf
except ImportError as error:
    raise ImportError("precompute.load needs TensorFlow and Keras: pip install 'augment-once[train]'") from error

from precompute.dataset.manifest import Manifest, Row, Split, read_row_file
from precompute.dataset.paths import DatasetPaths
from precompute.dataset.rows import position_of_epoch, select_rows
from precompute.errors import DatasetError, UsageError, first_few

__all__ = ["EpochRow", "load"]

SHUFFLE_BUFFER_BYTES = 128 * 2**20  # encoded records; blocks are a global shuffle already, this mixes further
CHECKS = ("sizes", "full", "none")


def load(
    path: str | Path,
    *,
    split: str = "train",
    batch_size: int = 32,
    rows: str | Sequence[int] = "cycle",
    shuffle: bool | None = None,
    shuffle_seed: int = 0,
    drop_remainder: bool = False,
    with_keys: bool = False,
    cache: bool = False,
    normalize: bool = False,
    check: str = "sizes",
    allow_leak: bool = False,
) -> Any:
    """Return a split of a dataset as a `tf.data.Dataset` of batches.

    Each iteration reads one row, which holds every source once: epoch e of a plain `fit` reads row e mod R of the
    R chosen rows. Without the callback `EpochRow`, each fresh iteration counts as an epoch: a peek at a batch, or
    `initial_epoch`, then shifts which row is read, never how much of it.

    Args:
        path: Folder of the dataset.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        batch_size: Examples a batch; the last may be smaller.
        rows: ``"cycle"``: a listed row an epoch, in turn; ``"all"``: all listed rows in one long epoch; or the row
            numbers to take turns with.
        shuffle: Mix shards and records anew in each epoch; by default only for train.
        shuffle_seed: Decides the order together with the epoch.
        drop_remainder: Leave a smaller last batch out, so that the batch size is static.
        with_keys: Add the sources' keys as a third component, string [B].
        cache: Hold the decoded rows in memory, read once now.
        normalize: Apply the Normalize that was taken off the pipeline: images become float32.
        check: ``"sizes"`` compares all files' sizes with the row files, ``"full"`` also their sha256, ``"none"``
            neither.
        allow_leak: Read a split that shares a source's content with another one.

    Returns:
        Dataset of (image uint8 [B, H, W, C] RGB, target): int64 [B] class indices, or uint8 [B, H, W] class ids
        (int32 with more than 256 classes). Its cardinality is known.

    Raises:
        DatasetError: The dataset is missing, short or altered, or splits share a source's content.
        UsageError: An argument is not one that the dataset can serve.
    """
    root = Path(path)
    manifest = Manifest.load(root)
    grid = _choose_split(manifest, root, split, batch_size, check)
    chosen = select_rows(grid, rows, name=split)
    if not allow_leak:
        _check_leaks(manifest, root, split)
    if check != "none":
        _check_shards(root, manifest, split, chosen, full=check == "full")

    shuffle = split == "train" if shuffle is None else shuffle
    rows_an_epoch = len(chosen) if rows == "all" else 1
    epoch = _Epoch()
    positions = epoch.dataset().flat_map(
        lambda e: tf.data.Dataset.range(e * rows_an_epoch, (e + 1) * rows_an_epoch)  # counts rows read so far
    )
    read_row = _row_reader(root, manifest, split, chosen, seed=shuffle_seed if shuffle else None)
    parse = _batch_parser(manifest, split, with_keys=with_keys, normalize=normalize)
    if cache:
        held = _read_all(read_row, parse, len(chosen), batch_size)
        read_row = _memory_reader(len(chosen), grid.num_records, seed=shuffle_seed if shuffle else None)
        parse = lambda indices: tf.nest.map_structure(lambda values: tf.gather(values, indices), held)  # noqa: E731

    num_records = grid.num_records * rows_an_epoch
    num_batches = num_records // batch_size if drop_remainder else -(-num_records // batch_size)
    dataset = (
        positions.flat_map(read_row)
        .batch(batch_size, drop_remainder=drop_remainder)
        .map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .apply(tf.data.experimental.assert_cardinality(num_batches))
        .prefetch(tf.data.AUTOTUNE)
    )
    dataset._augment_once_epoch = epoch  # found again by EpochRow, also below a user's own map or prefetch
    return dataset


class EpochRow(keras.callbacks.Callback):  # type: ignore[misc]
    """Ties the row that a dataset reads to the epoch number of `fit`.

    Needed with `initial_epoch`, when a run is resumed, under `tf.distribute`, and where batches were looked at before.

    Args:
        dataset: What `load` returned, or a dataset made from it.
    """

    def __init__(self, dataset: Any) -> None:
        super().__init__()
        self._epoch = _find_epoch(dataset)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Let all iterations read the row of this epoch until the next one begins."""
        self._epoch.hold(epoch)

    def on_train_end(self, logs: Any = None) -> None:
        """Let each fresh iteration count as an epoch again."""
        self._epoch.release()


class _Epoch:
    """The number of the epoch, on the graph's side: each fresh iteration reads it and moves it on."""

    def __init__(self) -> None:
        with tf.device("CPU:0"):
            self._number = tf.Variable(0, dtype=tf.int64, trainable=False)
            self._step = tf.Variable(1, dtype=tf.int64, trainable=False)  # 0 while a callback holds the number

    def hold(self, epoch: int) -> None:
        self._step.assign(0)
        self._number.assign(epoch)

    def release(self) -> None:
        self._number.assign_add(1 - self._step)
        self._step.assign(1)

    def dataset(self) -> Any:
        def advance(_: Any) -> Any:
            return self._number.assign_add(self._step, read_value=True) - self._step

        return tf.data.Dataset.range(1).map(advance)


def _find_epoch(dataset: Any) -> _Epoch:
    found = getattr(dataset, "_augment_once_epoch", None)
    if isinstance(found, _Epoch):
        return found
    for source in dataset._inputs() if hasattr(dataset, "_inputs") else ():
        try:
            return _find_epoch(source)
        except UsageError:
            continue
    raise UsageError(f"EpochRow: expected a dataset made by precompute.load, got {dataset!r}.")


def _choose_split(manifest: Manifest, root: Path, split: str, batch_size: int, check: str) -> Split:
    if split not in manifest.splits:
        raise UsageError(f"split: {root} has {', '.join(manifest.splits)}; got {split!r}.")
    if isinstance(batch_size, bool) or batch_size < 1:
        raise UsageError(f"batch_size: expected 1 or more, got {batch_size!r}.")
    if check not in CHECKS:
        raise UsageError(f"check: expected one of {', '.join(CHECKS)}, got {check!r}.")
    grid = manifest.splits[split]
    if not grid.rows:
        raise DatasetError(f"{root}: {split} lists no rows; add some with `precompute build`.")
    return grid


def _check_leaks(manifest: Manifest, root: Path, split: str) -> None:
    for leak in manifest.leaks:
        if split in leak.get("splits", ()):
            pairs = [" = ".join(map(str, pair)) for pair in leak.get("examples", ())]
            raise DatasetError(
                f"{root}: {' and '.join(leak['splits'])} share the content of {leak.get('num_sources')} sources, so a "
                f"score on one would flatter a model trained on the other:\n{first_few(pairs)}\n"
                "Remove the duplicates and build again, or pass allow_leak=True."
            )


def _check_shards(root: Path, manifest: Manifest, split: str, rows: Sequence[Row], *, full: bool) -> None:
    paths, wrong = DatasetPaths(root), []
    for row in rows:
        shards = read_row_file(root, manifest, split, row).shards
        for block, shard in enumerate(shards):
            path = paths.shard(manifest.name, manifest.generation, split, row.row, block, len(shards))
            try:
                size = path.stat().st_size
            except OSError:
                wrong.append(f"{path}: missing")
                continue
            if size != shard.num_bytes:
                wrong.append(f"{path}: {size} bytes, expected {shard.num_bytes}")
            elif full and _sha256(path) != shard.sha256:
                wrong.append(f"{path}: its content was altered (sha256 differs)")
    if wrong:
        raise DatasetError(
            f"{root}: {len(wrong)} shards are not what the manifest says:\n{first_few(wrong)}\n"
            "Run the same `precompute build` again: it puts back what is missing or altered."
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _row_reader(
    root: Path, manifest: Manifest, split: str, rows: Sequence[Row], *, seed: int | None
) -> Callable[[Any], Any]:
    """Return a function from the number of rows read so far to a dataset of one row's encoded records."""
    paths, grid = DatasetPaths(root), manifest.splits[split]
    table = tf.constant(
        [
            [
                str(paths.shard(manifest.name, manifest.generation, split, row.row, block, grid.num_blocks))
                for block in range(grid.num_blocks)
            ]
            for row in rows
        ]
    )
    mean_bytes = max(1, rows[0].num_bytes // max(1, grid.num_records))
    buffer_size = max(1, min(grid.num_records, SHUFFLE_BUFFER_BYTES // mean_bytes))

    def read_row(count: Any) -> Any:
        files = tf.gather(table, position_of_epoch(count, len(rows)))
        if seed is None:
            return tf.data.TFRecordDataset(files)
        key = tf.stack([tf.constant(seed, tf.int64), count])
        files = tf.random.experimental.stateless_shuffle(files, seed=key)
        buffer_seed = tf.random.stateless_uniform([], seed=key, minval=None, maxval=None, dtype=tf.int64)
        return (
            tf.data.Dataset.from_tensor_slices(files)
            .interleave(tf.data.TFRecordDataset, cycle_length=min(16, grid.num_blocks), num_parallel_calls=4)
            .shuffle(buffer_size, seed=buffer_seed, reshuffle_each_iteration=False)
        )

    return read_row


def _memory_reader(num_rows: int, num_records: int, *, seed: int | None) -> Callable[[Any], Any]:
    """Return a function from the number of rows read so far to a dataset of positions among the held examples."""

    def read_row(count: Any) -> Any:
        first = position_of_epoch(count, num_rows) * num_records
        positions = tf.range(first, first + num_records)
        if seed is not None:
            key = tf.stack([tf.constant(seed, tf.int64), count])
            positions = tf.random.experimental.stateless_shuffle(positions, seed=key)
        return tf.data.Dataset.from_tensor_slices(positions)

    return read_row


def _read_all(read_row: Callable[[Any], Any], parse: Callable[[Any], Any], num_rows: int, batch_size: int) -> Any:
    dataset = tf.data.Dataset.range(num_rows).flat_map(read_row).batch(batch_size)
    batches = list(dataset.map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True))
    with tf.device("CPU:0"):
        return tuple(tf.concat(parts, axis=0) for parts in zip(*batches, strict=True))


def _batch_parser(manifest: Manifest, split: str, *, with_keys: bool, normalize: bool) -> Callable[[Any], Any]:
    """Return a function from encoded records, string [B], to a batch."""
    image, target = manifest.image, manifest.target
    spec = {"image/encoded": tf.io.FixedLenFeature([], tf.string), "augment/key": tf.io.FixedLenFeature([], tf.string)}
    if target.kind == "class":
        spec["image/class/label"] = tf.io.FixedLenFeature([], tf.int64)
    else:
        spec["image/segmentation/class/encoded"] = tf.io.FixedLenFeature([], tf.string)
    shape = (image.height, image.width, image.channels)
    decode_image = _decoder(image.encoding, shape, tf.uint8)
    decode_mask = _decoder(target.encoding or "png", (*shape[:2], 1), tf.as_dtype(target.dtype or "uint8"))
    finish = _normalizer(manifest, split) if normalize else (lambda images: images)

    def parse(records: Any) -> tuple[Any, ...]:
        features = tf.io.parse_example(records, spec)
        images = finish(decode_image(features["image/encoded"]))
        if target.kind == "class":
            labels = features["image/class/label"]
        else:
            labels = tf.squeeze(decode_mask(features["image/segmentation/class/encoded"]), axis=-1)
            labels = tf.cast(labels, tf.uint8 if target.num_classes <= 256 else tf.int32)
        return (images, labels, features["augment/key"]) if with_keys else (images, labels)

    return parse


def _decoder(encoding: str, shape: tuple[int, int, int], dtype: Any) -> Callable[[Any], Any]:
    """Return a function from string [B] to `dtype` [B, *shape]."""
    if encoding == "raw":
        return lambda encoded: tf.reshape(tf.io.decode_raw(encoded, dtype), (-1, *shape))

    def decode_one(encoded: Any) -> Any:
        if encoding == "jpeg":
            pixels = tf.io.decode_jpeg(encoded, channels=shape[2])
        else:
            pixels = tf.io.decode_png(encoded, channels=shape[2], dtype=dtype)
        return tf.ensure_shape(pixels, shape)

    # One call a batch, batches in parallel: as fast as a call a record, and the parsing is shared.
    return lambda encoded: tf.map_fn(decode_one, encoded, fn_output_signature=tf.TensorSpec(shape, dtype))


def _normalizer(manifest: Manifest, split: str) -> Callable[[Any], Any]:
    numbers = manifest.normalize.get(split)
    if numbers is None:
        raise UsageError(f"normalize: no Normalize was taken off {split}'s pipeline; scale inside the model instead.")
    scale = float(numbers["max_pixel_value"])
    mean = tf.constant(numbers["mean"], tf.float32) * scale
    std = tf.constant(numbers["std"], tf.float32) * scale
    return lambda images: (tf.cast(images, tf.float32) - mean) / std
