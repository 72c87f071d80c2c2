"""`precompute.load`: manifest → tf.data.

Nothing in this package needs Albumentations or OpenCV.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Mapping, Sequence
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

from precompute.dataset.rows import EXPECTED, Reading, select_rows
from precompute.dataset.shard_cache import open_cache
from precompute.errors import UsageError
from precompute.options.plain_values import converts_arguments
from precompute.program.memory import teach_malloc
from precompute.readers.epoch import batches_of_epoch, check_integer, open_split
from precompute.readers.tf.batches import batch_finisher, batch_parser, choose_fields, make_twins
from precompute.readers.tf.epochs import EpochCounter, FixedRows, FollowedRows, RowFiles
from precompute.readers.tf.fields import BoxArguments
from precompute.readers.tf.fresh import move_drawer
from precompute.readers.tf.memory import RowsInMemory, plan_cache
from precompute.readers.tf.order import RecordOrder, shard_opener
from precompute.readers.tf.weights import ClassWeights
from precompute.storage.paths import as_path, check_path_text

__all__ = ["load"]

CHECKS = ("sizes", "full", "none")


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
    inputs: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
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
    R chosen rows. Without the callback `EpochRow`, each fresh iteration counts as an epoch. A look at a batch, or
    `initial_epoch`, then shifts which row is read, never how much of it. An iteration keeps its row to its end, also
    where `steps_per_epoch` makes epochs of `fit` shorter or longer, with `.repeat()` or without. Use `cache` and not
    `.cache()`, which would hold the first row for ever.

    While the dataset is in use, a small file in its folder, the lease, keeps `follow`, `regenerate`, `drop` and
    `build --replace` from deleting rows that it may read. A folder that cannot be written to gets no lease, unless
    `lease_dir` names another place for it.

    Args:
        path: Folder of the dataset, or its URL in an object store, such as ``s3://bucket/shards``. TensorFlow reads
            ``gs://`` itself. Shards in other stores are fetched to `cache_dir`: a row when its epoch begins, and the
            next row during that epoch.

        *Which data*
        split: ``"train"``, ``"validation"`` or ``"test"``.
        rows: ``"cycle"``: one listed row per epoch, in turn. ``"follow"``: the same while rows come and go: each epoch
            reads the manifest anew and takes the row that was read longest ago, new rows first. ``"all"``: all listed
            rows in one long epoch. Or the numbers of the rows to take turns with.
        readings: What earlier epochs have read, for ``"follow"``: the `EpochRow.readings` of the earlier program.
        clean_from: First epoch that reads the original row (`--include-original`); it gets no fresh changes.
        start_batch: Number of batches to skip at the start of each iteration, without reading the shards that lie
            before them: for the rest of an interrupted epoch.
        input_context: The argument that `tf.distribute.Strategy.distribute_datasets_from_function` passes. `batch_size`
            is then that of all replicas together. Shards are divided among the readers, or records where shards are
            too few. A remainder is left out of the epoch.
        allow_leak: Read a split even if it shares a source's content with another split.

        *How batches are made*
        batch_size: Examples per batch; the last batch may be smaller.
        drop_remainder: Leave out a smaller last batch, so that the batch size is static.
        shuffle: Mix shards and records anew in each epoch; by default only for train.
        shuffle_seed: Seed that decides, with the epoch, the order and the draws of `fresh`.
        fresh: Cheap changes drawn at each reading, for rows that are read more than once: ``"off"``; ``"auto"``:
            shifts by up to 1/16 of the size, and the flips that the manifest allows; or a list out of
            ``"horizontal"``, ``"vertical"``, ``"shift"``. Images, masks, boxes and keypoints move alike.

        *What comes out*
        inputs: Names of the fields that a model sees; the default is the image. One comes as itself, several as a
            dictionary by name.
        targets: Names of the fields that it learns, in the same way; the default is all targets of the dataset that
            are no inputs. ``()``: none. Fields that nothing names are neither parsed nor decoded.
        normalize: Apply the Normalize that was taken off the pipeline: images that are inputs become float32.
        box_format: Form of boxes: ``"xyxy"`` (default), ``"yxyx"``, ``"xywh"`` (corner and size) or
            ``"center_xywh"``, in pixels of the image; with ``rel_`` before it, as shares of width and height.
            Keypoints are x, y in the same unit.
        max_boxes: Boxes per image in dense tensors: the first ones are kept, others are left out. The default is the
            largest number in any listed row, so that shapes are static and nothing is left out.
        ragged: Return boxes as ragged tensors.
        class_weights: A weight for each class: numbers in the order of the classes, or a dictionary by index or by
            name. It takes the place of `fit(class_weight=…)`, which works for class indices alone: Keras fails with it
            on masks and boxes, and takes the first of several labels for the only one. The weights come as a third
            component, float32 of the target's shape. They are 0 where masks have the ignore class, 1 for labels that an
            image with several labels lacks, and 0 for padding of boxes [B, N]. With several targets, give a dictionary
            of such weights by target, unless just one of them has classes.
        sample_weights: Add the weights of the sources, if they have any, as the third component, which Keras' `fit`
            uses: float32 [B]. For masks, and with `class_weights`, they have the shape of class weights, and are
            multiplied with these. Images without a target get none.
        extra: Names of extra values (``"weight"`` is one) to add, after the weights, as a dictionary of int64, float32
            or string [B]. Any other field that is neither input nor target can be named, too.
        with_keys: Add the sources' keys as the last component, string [B].

        *What it may use*
        cache: Hold decoded rows in memory; the batches and their order stay the same. ``True``: all rows, read now, so
            that the files are not needed later. ``"auto"``: each row from its first reading on, if all rows that the
            reader may come to take 512 MiB or less when decoded, and at most a quarter of the memory that is free now.
            With `start_batch` or `input_context`, which read parts of rows, ``"auto"`` holds none. ``False``: none.
            `EpochRow.cache_plan` of the dataset tells what was decided. With ``"follow"``, when the room is used up,
            later rows take the places of those read first.
        cache_dir: Local folder for the shards of a dataset in an object store; several readers may share it. Files
            there are compared with the row files as `check` says, and fetched again where they differ. The default is
            `AUGMENT_ONCE_CACHE`, else a folder of the user's cache. In time it holds all listed rows.
        check: ``"sizes"`` compares the sizes of all files with the row files, ``"full"`` also their sha256, ``"none"``
            neither.
        lease_dir: Folder for the lease where the dataset is read-only, used for this dataset alone. Give it to the
            commands that remove rows, too.

    Returns:
        Dataset of (image, target), whose cardinality is known. The image is uint8 [B, H, W, C], RGB. The target:

        - class: int64 [B], class indices.
        - several labels: uint8 [B, number of classes], 1 for each label that the image has.
        - mask: uint8 [B, H, W], class ids; int32 with more than 256 classes.
        - boxes: a dictionary: ``boxes`` float32 [B, N, 4], 0 in padding; ``labels`` int64 [B, N], −1 in padding;
          ``mask`` bool [B, N], true for boxes; ``crowd`` and ``difficult`` bool [B, N]. Ragged, N differs from image to
          image, and there is no ``mask``.
        - instances: the same, and ``masks`` bool [B, N, H, W].
        - keypoints: what boxes have (without ``boxes`` where objects have none), ``keypoints`` float32 [B, N, K, 2] as
          x, y, and ``visibility`` int64 [B, N, K]: 0 not labelled or not in the image (x, y are 0, 0 then), 1 hidden,
          2 visible.
        - numbers: float32 [B]; not a number where one is missing.
        - further images, where `targets` names them: uint8 [B, H, W, C], or uint16 or float32 [B, H, W, 1].
        - several targets: a dictionary of them by name. Weights, if there are any, are a dictionary of the same names.
          Keras' models whose outputs have these names take both.
        - none: the dataset yields the image alone, no tuple.

    Raises:
        DatasetError: The dataset is missing, short or altered, or splits share a source's content.
        UsageError: An argument is not one that the dataset can serve.
    """
    rows = rows if isinstance(rows, str) else _row_numbers(rows)
    batch_size, seed = check_integer("batch_size", batch_size, 1), check_integer("shuffle_seed", shuffle_seed, -(2**63))
    clean_from = None if clean_from is None else check_integer("clean_from", clean_from, 0)
    max_boxes = None if max_boxes is None else check_integer("max_boxes", max_boxes, 1)
    _check_together(rows, cache=cache, clean_from=clean_from, readings=readings, check=check)
    mixed, follows = split == "train" if shuffle is None else shuffle, rows == "follow"
    root = as_path(path).absolute()
    check_path_text(root, "dataset")

    # Rows ► this reader's part of them, in batches. Rows are held before anything is read of them.
    choose = partial(select_rows, rows=rows, name=split)
    opened, lease = open_split(root, split, choose, check=check, allow_leak=allow_leak, lease_dir=lease_dir)
    num_rows = len(opened.rows) if rows == "all" else 1
    batches = batches_of_epoch(opened.block_sizes, batch_size, input_context, num_rows, drop_remainder=drop_remainder)
    first = check_integer("start_batch", start_batch, 0, batches.number)
    length = batches.number - first

    # ► shards ► interleaved ► shuffled: encoded records, in the order of reading
    shards = open_cache(root, cache_dir, full=check == "full", tensorflow=True)
    if shards is not None:
        shards.tidy(opened.manifest, lease)
    if follows:
        files: RowFiles = FollowedRows(opened, lease, readings, clean_from, check, shards)
    else:
        files = FixedRows(opened, num_rows, clean_from, shards)
    open_shards, key = shard_opener(opened, shards), seed if mixed else None
    order = RecordOrder(opened, batches, first, key, files.paths, shards, open_shards)

    # ► parsed, or found in memory ► moved, normalized, weighed
    reads_part = first > 0 or input_context is not None
    schema = opened.manifest.schema
    chosen = choose_fields(schema, inputs=inputs, targets=targets, sample_weights=sample_weights, extra=extra)
    plan = plan_cache(cache, opened.manifest, files.rows, reads_part=reads_part, names=chosen.names)
    boxes = BoxArguments(box_format=box_format, max_boxes=max_boxes, ragged=ragged)
    twins = make_twins(opened.manifest, chosen.names, boxes, held=plan.holds)
    _warn_without_effect(split, mixed=mixed, seed=seed, fresh=fresh, clean_from=clean_from)
    moves = move_drawer(opened.manifest, fresh, seed=seed, clean_from=clean_from)
    finish = batch_finisher(
        opened.manifest, split, chosen, twins, moves, class_weights, normalize=normalize, with_keys=with_keys
    )
    parse, held = batch_parser(twins), None
    if plan.holds:
        held = RowsInMemory(order, parse, plan, look=files.look, when_whole=None if follows else lease.close)
        parse = held.examples
        for epoch in range(len(opened.rows) // num_rows) if cache is True else ():
            held.rows(tf.constant(epoch, tf.int64))  # now, so that the files are not needed later

    def read_epoch(epoch: Any) -> Any:
        """Return the epoch's batches with their numbers, not decoded yet."""
        records, rows_held = held.epoch(epoch) if held else (order.epoch(epoch), [])
        batched = records.batch(batches.size, drop_remainder=batches.drop_remainder)
        numbered = batched.take(length).enumerate(first)
        return numbered.map(lambda batch, records: (epoch, batch, (records, *rows_held)))

    def finished(epoch: Any, batch: Any, records: Any) -> Any:
        return finish(epoch, batch, *parse(*records))

    # No branch or loop of Python depends on a tensor; AutoGraph's search for them would take a seventh of the opening.
    plain = tf.autograph.experimental.do_not_convert
    teach_malloc()
    counter = EpochCounter(files, lease, plan, held, lengths=(length, length // batches.num_replicas))
    dataset = (
        counter.numbers()
        .flat_map(plain(read_epoch))
        .map(plain(finished), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .apply(tf.data.experimental.assert_cardinality(length))
        .prefetch(tf.data.AUTOTUNE)
    )
    return counter.attach(dataset)


def _row_numbers(rows: Sequence[int]) -> list[int]:
    try:
        return [operator.index(number) for number in rows]
    except TypeError:
        raise UsageError(f"rows: expected {EXPECTED}, got {rows!r}.") from None


def _check_together(
    rows: str | Sequence[int], *, cache: bool | str, clean_from: int | None, readings: Sequence[Reading], check: str
) -> None:
    """Refuse unknown words, and arguments that do not go together."""
    if cache not in (True, False, "auto"):
        raise UsageError(f"cache: expected 'auto', True or False, got {cache!r}.")
    if cache is True and rows == "follow":
        raise UsageError("cache: rows that come and go are not all held in memory; cache='auto' holds those that fit.")
    if clean_from is not None and (cache is True or rows == "all"):
        raise UsageError("clean_from: expected rows that take turns and are read from files, got cache or rows='all'.")
    if readings and rows != "follow":
        raise UsageError("readings: what was read before matters with rows='follow' alone.")
    if check not in CHECKS:
        raise UsageError(f"check: expected one of {', '.join(CHECKS)}, got {check!r}.")


def _warn_without_effect(
    split: str, *, mixed: bool, seed: int, fresh: str | Sequence[str], clean_from: int | None
) -> None:
    """Warn of arguments without effect; arguments that a target cannot have are refused where they are used."""
    moves = fresh == "auto" if isinstance(fresh, str) else bool(fresh)
    words = []
    if seed and not mixed and not moves:
        words.append(f"shuffle_seed has no effect: {split} is read in its order; shuffle=True mixes it.")
    if moves and clean_from == 0:
        words.append("fresh has no effect: no image is moved from epoch clean_from=0 on.")
    for warning in words:
        warnings.warn(warning, stacklevel=4)  # the caller of `load`, which has a wrapper
