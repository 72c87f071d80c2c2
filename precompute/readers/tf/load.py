"""`precompute.load`: manifest → tf.data.

Nothing in this package needs Albumentations or OpenCV.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

try:
    import tensorflow as tf
except ModuleNotFoundError as error:
    if error.name != "tensorflow":
        raise  # TensorFlow is there, and something that it needs is not: its own words say what
    raise ImportError(
        "precompute.load needs TensorFlow: pip install 'augment-once[train]'. precompute.read does without."
    ) from error
except ValueError as error:  # of Keras, which TensorFlow loads where it finds it
    raise ImportError(
        f"precompute.load needs TensorFlow, which cannot be loaded: {error}. Look at the environment variable "
        "KERAS_BACKEND, and at ~/.keras/keras.json."
    ) from error

import tensorflow as tf

from precompute.dataset.rows import EXPECTED, Reading
from precompute.dataset.shard_cache import ShardCache, open_cache
from precompute.errors import UsageError
from precompute.options.plain_values import converts_arguments
from precompute.program.memory import teach_malloc
from precompute.readers.reader_shard import ReaderShard, shard_for_reader
from precompute.readers.tf.batches import batch_finisher, batch_parser, choose_fields, make_twins
from precompute.readers.tf.epochs import EpochCounter
from precompute.readers.tf.fields import BoxArguments
from precompute.readers.tf.ineffective_arguments import check_ineffective_arguments
from precompute.readers.tf.memory import RowsInMemory
from precompute.readers.tf.opening import open_split
from precompute.readers.tf.order import RecordOrder, shard_opener
from precompute.readers.tf.row_files import FixedRows, RowFiles
from precompute.readers.tf.weights import ClassWeights
from precompute.storage.paths import as_path, is_remote

__all__ = ["load"]


@converts_arguments
def load(
    path: str | Path,
    *,
    split: str = "train",
    batch_size: int = 32,
    rows: str | Sequence[int] = "cycle",
    readings: Sequence[Reading] = (),
    start_batch: int = 0,
    shuffle: bool | None = None,
    shuffle_seed: int = 0,
    drop_remainder: bool = False,
    fresh: str | Sequence[str] = "off",
    clean_from: int | None = None,
    class_weights: ClassWeights | Mapping[str, ClassWeights] | None = None,
    sample_weights: bool = True,
    extra: Sequence[str] = (),
    with_keys: bool = False,
    cache: bool | str = "auto",
    normalize: bool = False,
    box_format: str | None = None,
    max_boxes: int | None = None,
    ragged: bool = False,
    check: str = "sizes",
    allow_leak: bool = False,
    lease_dir: str | Path | None = None,
    cache_dir: str | Path | None = None,
    input_context: Any = None,
) -> Any:
    """Return a split of a dataset as a `tf.data.Dataset` of batches.

    Each iteration reads one row, which holds every source once: epoch e of a plain `fit` reads row e mod R of the
    R chosen rows. Without the callback `EpochRow`, each fresh iteration counts as an epoch: a peek at a batch, or
    `initial_epoch`, then shifts which row is read, never how much of it. An iteration keeps its row to its end, also
    where `steps_per_epoch` makes epochs of `fit` shorter or longer, with `.repeat()` or without. Use `cache` in place
    of `.cache()`, which would hold the first row for ever.

    As long as the dataset is in use, a small file in its folder keeps `follow`, `regenerate`, `drop` and
    `build --replace` from deleting rows that it may read. Where the folder cannot be written to, there is none, unless
    `lease_dir` says where to leave it.

    Args:
        path: Folder of the dataset, or its URL in an object store, such as ``s3://bucket/shards``. TensorFlow reads
            ``gs://`` itself; shards from elsewhere are fetched to `cache_dir`, a row when its epoch begins and the next
            one meanwhile.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        batch_size: Examples a batch; the last may be smaller.
        rows: ``"cycle"``: a listed row an epoch, in turn; ``"follow"``: the same where rows come and go: the manifest
            is read when an epoch begins, and the row that was not read for the longest time is taken, new ones first;
            ``"all"``: all listed rows in one long epoch; or the row numbers to take turns with.
        readings: With ``"follow"``: what the epochs before have read, `EpochRow.readings` of the program before.
        start_batch: Leave out the first batches of each iteration, without reading the shards before them: the rest
            of an epoch that was interrupted.
        shuffle: Mix shards and records anew in each epoch; by default only for train.
        shuffle_seed: Seed that decides, with the epoch, the order and the draws of `fresh`.
        drop_remainder: Leave a smaller last batch out, so that the batch size is static.
        fresh: Cheap changes drawn at each reading, for rows that are read more than once: ``"off"``; ``"auto"``:
            shifts by up to 1/16 of the size, and the flips that the manifest allows; or a list out of
            ``"horizontal"``, ``"vertical"``, ``"shift"``. Images, masks, boxes and keypoints move alike.
        clean_from: Epoch from which on the original row is read (`--include-original`), without fresh changes.
        class_weights: A weight a class: numbers in the order of the classes, or a dictionary by index or by name; in
            place of `fit(class_weight=…)`, which is for class indices alone: Keras fails with it on masks and boxes,
            and takes the first of several labels for the only one. Adds a third component, float32 of the target's
            shape: 0 where masks have the ignore class; of several labels an image, 1 for those that are not there; of
            boxes [B, N], 0 for padding. With several targets a dictionary of such weights by target, unless just one of
            them has classes.
        sample_weights: Where sources have weights, add them as the third component, which Keras' `fit` uses: float32
            [B]; of masks, or with `class_weights`, in the shape of the latter, multiplied. Not of images alone.
        extra: Names of extra values (``"weight"`` is one) to add, after the weights, as a dictionary of int64, float32
            or string [B].
        with_keys: Add the sources' keys as the last component, string [B].
        cache: Hold decoded rows in memory; what is yielded, and its order, are the same. ``True``: all of them, read
            now, so that the files are not needed later. ``"auto"``: each from its first reading on, if all rows that
            the reader may come to take 512 MiB or less when they are decoded, and at most a quarter of the memory that
            is free now; with `start_batch` or `input_context` none, since those read parts of rows. ``False``: none.
            `EpochRow.cache_plan` of the dataset tells what was decided. With ``"follow"``, rows that come later take
            the places of those read first when the room is used up.
        normalize: Apply the Normalize that was taken off the pipeline: images become float32.
        box_format: Form of boxes: ``"xyxy"`` (default), ``"yxyx"``, ``"xywh"`` (corner and size) or
            ``"center_xywh"``, in pixels of the image; with ``rel_`` before it, as shares of width and height.
            Keypoints are x, y in the same unit.
        max_boxes: Boxes an image, so many that dense tensors have room for; others are left out, the first are kept. By
            default the largest number in any listed row, so that shapes are static and nothing is left out.
        ragged: Boxes as ragged tensors.
        check: ``"sizes"`` compares all files' sizes with the row files, ``"full"`` also their sha256, ``"none"``
            neither.
        allow_leak: Read a split that shares a source's content with another one.
        lease_dir: Folder for the lease, of this dataset alone, where the dataset is read-only; name it to the commands
            that take rows away, too.
        cache_dir: Local folder for the shards of a dataset in an object store; several readers may share it. What is
            there is compared with the row files as `check` says, and fetched again where it differs. By default
            `AUGMENT_ONCE_CACHE`, else a folder of the user's cache. It comes to hold all listed rows.
        input_context: What `tf.distribute.Strategy.distribute_datasets_from_function` hands out: `batch_size` is then
            that of all replicas together; shards are divided among the readers, or records where shards are too few.
            What does not divide is left out of the epoch.

    Returns:
        Dataset of (image uint8 [B, H, W, C] RGB, target): int64 [B] class indices; or uint8 [B, number of classes],
        1 for each label that is there; or uint8 [B, H, W] class ids (int32 with more than 256 classes); or of boxes a
        dictionary: ``boxes`` float32 [B, N, 4], 0 where there is padding; ``labels`` int64 [B, N], −1 there; ``mask``
        bool [B, N], true for boxes; ``crowd`` and ``difficult`` bool [B, N]; of objects with masks also ``masks`` bool
        [B, N, H, W]. Ragged, N differs from image to image, and there is no ``mask``. Of keypoints the same (without
        ``boxes`` where objects have none), ``keypoints`` float32 [B, N, K, 2] as x, y, and ``visibility`` int64
        [B, N, K]: 0 not labelled or not in the image, then x, y are 0, 0; 1 hidden; 2 visible. Values that are learnt:
        float32 [B], not a number where one is missing. Of several targets a dictionary of them by name, and one of
        weights, if there are any, of which each target then has some. Of images alone: image, no tuple. Its cardinality
        is known.

    Raises:
        DatasetError: The dataset is missing, short or altered, or splits share a source's content.
        UsageError: An argument is not one that the dataset can serve.
    """
    rows = rows if isinstance(rows, str) else _row_numbers(rows)
    batch_size, seed = _integer("batch_size", batch_size, 1), _integer("shuffle_seed", shuffle_seed, -(2**63))
    clean_from = None if clean_from is None else _integer("clean_from", clean_from, 0)
    max_boxes = None if max_boxes is None else _integer("max_boxes", max_boxes, 1)
    _check_together(rows, cache=cache, clean_from=clean_from, readings=readings)
    opened = open_split(as_path(path).absolute(), split, rows, check=check, allow_leak=allow_leak, lease_dir=lease_dir)
    manifest, num_rows = opened.manifest, len(opened.rows) if rows == "all" else 1
    part = shard_for_reader(opened.block_sizes, batch_size, input_context)
    num_batches = part.num_batches(num_rows, drop_remainder=drop_remainder)
    first = _integer("start_batch", start_batch, 0, num_batches)
    shards = open_cache(opened.root, cache_dir, full=check == "full", tensorflow=True)
    if shards is not None:
        shards.tidy(manifest, opened.lease)

    if rows == "follow":
        files: RowFiles = opened.follow(readings, clean_from, check, shards)
    else:
        files = FixedRows(opened.root, manifest, split, opened.rows, clean_from, shards)
    mixed = split == "train" if shuffle is None else shuffle
    fetch = None if shards is None else _fetching(shards)
    read = shard_opener(opened.mean_bytes, local=shards is not None or not is_remote(opened.root))
    order: Any = RecordOrder(
        opened.block_sizes, opened.mean_bytes, seed if mixed else None, part, files.paths, read, fetch
    )
    plan = opened.plan_cache(cache, clean_from, reads_part=first > 0 or input_context is not None)
    boxes = BoxArguments(box_format=box_format, max_boxes=max_boxes, ragged=ragged)
    chosen = choose_fields(manifest.schema, sample_weights=sample_weights, extra=extra)
    twins = make_twins(manifest, chosen.names, boxes, held=plan.holds)
    check_ineffective_arguments(split, mixed=mixed, shuffle_seed=seed, fresh=fresh, clean_from=clean_from)
    parse: Callable[..., tuple[Any, ...]] = batch_parser(twins)
    look = partial(files.look, num_rows=num_rows)
    held = None
    if plan.holds:
        if rows == "follow":
            held = RowsInMemory(order, parse, num_rows, plan.room, look=look)
        else:
            held = RowsInMemory(
                order, parse, num_rows, plan.num_rows // num_rows, look=look, when_full=opened.lease.close
            )
        order, parse = order.of_positions(held.runs), held.examples
        if cache is True:
            for epoch in range(len(opened.rows) // num_rows):
                held.rows(tf.constant(epoch, tf.int64))
    finish = batch_finisher(
        manifest,
        split,
        chosen,
        twins,
        fresh=fresh,
        seed=seed,
        clean_from=clean_from,
        class_weights=class_weights,
        normalize=normalize,
        with_keys=with_keys,
    )

    read_epoch = _epochs(
        order, held, part, num_rows=num_rows, batches=range(first, num_batches), drop_remainder=drop_remainder
    )
    teach_malloc()
    length = num_batches - first
    counter = EpochCounter(
        files,
        opened.lease,
        plan,
        held,
        lengths=(length, length // part.num_replicas),
        look=None if held else look,
    )

    def finished(epoch: Any, batch: Any, records: Any) -> Any:
        return finish(epoch, batch, *parse(*records))

    # No branch or loop of Python hangs on a tensor; looking for some would take a seventh of the time of opening.
    plain = tf.autograph.experimental.do_not_convert
    dataset = (
        counter.numbers()
        .flat_map(plain(read_epoch))
        .map(plain(finished), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .apply(tf.data.experimental.assert_cardinality(length))
        .prefetch(tf.data.AUTOTUNE)
    )
    return counter.attach(dataset)


def _epochs(
    order: Any, held: RowsInMemory | None, part: ReaderShard, *, num_rows: int, batches: range, drop_remainder: bool
) -> Callable[[Any], Any]:
    """Return epoch → dataset of these of its batches: (epoch, number of the batch, what is to be decoded)."""
    rows_left_out, of_next = divmod(batches.start * part.batch_size, part.row_size)

    def records_of(epoch: Any) -> Any:
        """Return the epoch's records, encoded, or their positions in rows that are held."""
        rows_before = epoch * num_rows + rows_left_out
        return tf.data.Dataset.range(rows_before, (epoch + 1) * num_rows).flat_map(
            lambda count: order.records(count, tf.where(count == rows_before, tf.constant(of_next, tf.int64), 0))
        )

    look_up = held.epochs(records_of) if held else None

    def read_epoch(epoch: Any) -> Any:
        """Return the epoch's batches with their numbers, not decoded yet."""
        if look_up:
            positions, *values = look_up(epoch)
            records = tf.data.Dataset.from_tensor_slices(positions)
        else:
            records, values = records_of(epoch), []
        batched = records.batch(part.batch_size, drop_remainder=drop_remainder or part.is_shared)
        numbered = batched.take(len(batches)).enumerate(batches.start)
        return numbered.map(lambda batch, records: (epoch, batch, (records, *values)))

    return read_epoch


def _integer(name: str, value: Any, low: int, high: int = 2**63 - 1) -> int:
    try:
        number = operator.index(value)  # NumPy's integers are welcome
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or not low <= number <= high:
        expected = "an integer" if low < 0 else f"an integer of {low} or more"
        expected += f", at most {high}" if high < 2**63 - 1 else ""
        raise UsageError(f"{name}: expected {expected}, got {value!r}.")
    return number


def _row_numbers(rows: Sequence[int]) -> list[int]:
    try:
        return [operator.index(number) for number in rows]
    except TypeError:
        raise UsageError(f"rows: expected {EXPECTED}, got {rows!r}.") from None


def _check_together(
    rows: str | Sequence[int], *, cache: bool | str, clean_from: int | None, readings: Sequence[Reading]
) -> None:
    """Refuse arguments that do not go together."""
    if cache not in (True, False, "auto"):
        raise UsageError(f"cache: expected 'auto', True or False, got {cache!r}.")
    if cache is True and rows == "follow":
        raise UsageError("cache: rows that come and go are not all held in memory; cache='auto' holds those that fit.")
    if clean_from is not None and (cache is True or rows == "all"):
        raise UsageError("clean_from: expected rows that take turns and are read from files, got cache or rows='all'.")
    if readings and rows != "follow":
        raise UsageError("readings: what was read before matters with rows='follow' alone.")


def _fetching(cache: ShardCache) -> Callable[[Any], Any]:
    """Return a function for the graph: local names of shards, string [n] → the same, once their files are there."""

    def fetch(names: Any) -> Any:
        cache.fetch([name.decode() for name in names])
        return names

    def fetched(names: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(fetch, [names], tf.string), names.shape)

    return fetched
