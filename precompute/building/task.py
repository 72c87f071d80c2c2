"""A task: one column of the grid, or a range of its rows. It decodes each source once and writes all its shards."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np

from precompute.building.files import ShardWriter, commit, write_all_whole, write_whole
from precompute.building.heartbeat import CRASHED, Heartbeat
from precompute.building.receipts import Bad, BadSources, BlockFacts, Cell, Receipt
from precompute.dataset.manifest import ORIGINAL_VARIANT, BoxCounts
from precompute.dataset.paths import DatasetPaths
from precompute.errors import RejectedSource
from precompute.images.threads import one_opencv_thread
from precompute.pipelines.pipeline import Pipeline
from precompute.plan.generation import RowPlan
from precompute.program.interruption import leave_signals_to_parent
from precompute.program.memory import freeze_gc, tune_malloc
from precompute.records.stored import count_objects
from precompute.rendering.decode import Decoded, decode_source, files_beside
from precompute.rendering.render import render
from precompute.rendering.spec import RecordSpec
from precompute.storage.paths import as_path

__all__ = ["Slot", "Task", "TaskContext", "TaskDone", "decode_place", "run_task"]

BUFFER_BYTES = 4 * 2**20  # of all open shards of a task together, so that a worker's memory does not grow with rows
SYNC_THREADS = 4  # waiting for the disk side by side: 64 small files are synced in 12 ms where one by one takes 23


@dataclass(frozen=True, kw_only=True)
class TaskContext:
    """What all tasks of a build have in common.

    Attributes:
        out: The dataset's folder.
        name: The dataset's name.
        generation: Name of the generation that is written.
        fingerprint: Fingerprint of the settings, for receipts.
        spec: Specification of records.
        pipelines: Split → pickled pipeline; ``"original"`` → that of the original row.
        own_process: Whether the worker runs nothing else, so that global generators may be set.
        blames_crashes: Whether the task itself finds the source at which its worker died: on a cluster, which restarts
            tasks. Elsewhere the parent does.
    """

    out: str
    name: str
    generation: str
    fingerprint: str
    spec: RecordSpec
    pipelines: dict[str, bytes]
    own_process: bool
    blames_crashes: bool = False


@dataclass(frozen=True, slots=True)
class Slot:
    """One place of a block: the path of its source, and field's name → raw value."""

    key: str
    copy: int
    image: str
    raw: Mapping[str, Any] = field(default_factory=dict)
    sha256: str | None = None  # what the files held when earlier rows were made, if there are any
    mask_sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Task:
    """Some rows of one block.

    Attributes:
        split: Split of the grid.
        block: Index of the block.
        num_blocks: Number of blocks of the split.
        rows: Rows to write.
        places: All places of the block, in order.
        skipped: Keys that are left out.
        known_bad: Skipped sources that killed the workers that tried them, so that no other receipt names them.
    """

    split: str
    block: int
    num_blocks: int
    rows: Sequence[RowPlan]
    places: Sequence[Slot]
    skipped: list[str]
    known_bad: list[Bad] = field(default_factory=list)

    @property
    def name(self) -> str:
        """A unique name among the tasks of a call, fit for a file."""
        return f"{self.split}-{self.block:05d}-{self.rows[0].row if self.rows else 0:04d}"

    def cell(self, row: RowPlan) -> Cell:
        """Return the cell that the task fills in a row."""
        return Cell(
            split=self.split,
            row=row.row,
            block=self.block,
            seed=row.seed,
            variant=row.variant,
            skipped=self.skipped,
        )

    def with_known_bad(self, crashing_sources: BadSources) -> Task:
        """Return the task with the skipped sources that killed workers in `known_bad`."""
        crashed = [bad for (split, key), bad in crashing_sources.items() if split == self.split and key in self.skipped]
        return replace(self, known_bad=crashed) if crashed else self


@dataclass(frozen=True, kw_only=True)
class TaskDone:
    """The report of a finished task to the parent; the proof is in its receipts."""

    num_records: int
    num_bytes: int


def run_task(context: TaskContext, task: Task) -> TaskDone:
    """Write the shards of a task, give them their final names, and write their receipts."""
    leave_signals_to_parent()
    if context.own_process:
        tune_malloc()
        freeze_gc()
    paths = DatasetPaths(as_path(context.out))
    with one_opencv_thread(), ExitStack() as stack:
        writers = [stack.enter_context(_open_shard(paths, context, task, row)) for row in task.rows]
        note = stack.enter_context(Heartbeat(paths.heartbeats, task.name, only_task=context.blames_crashes))
        threads = stack.enter_context(ThreadPoolExecutor(SYNC_THREADS))
        facts, bad, counts = _write_places(context, task, writers, note, threads)
        note.leave()
        hashes = [writer.finish() for writer in writers]  # synced by now, unless the last source is left out
        commit([(writer.temp_path, writer.final) for writer in writers])
        write_whole(paths.block_facts(context.generation, task.split, task.block), facts.to_bytes(), paths.temporary)
        receipts = _receipts(context, task, zip(writers, hashes, counts, strict=True), facts, bad)
        contents = {receipt.path(paths, context.generation): receipt.to_bytes() for receipt in receipts}
        write_all_whole(contents, paths.temporary, threads)
    return TaskDone(
        num_records=sum(writer.num_records for writer in writers), num_bytes=sum(writer.num_bytes for writer in writers)
    )


def _receipts(
    context: TaskContext,
    task: Task,
    shards: Iterable[tuple[ShardWriter, str, BoxCounts | None]],
    facts: BlockFacts,
    bad: list[Bad],
) -> list[Receipt]:
    """Return the receipts of finished shards, each with its sha256 and the counts of its boxes."""
    # A copy can fail after another copy of its source did not: the source still has a record here, not yet left out.
    skipped = sorted({*task.skipped, *(b.key for b in bad if b.key not in facts.sha256)})
    column_sha256, cpu_features = hashlib.sha256(facts.to_bytes()).hexdigest(), cv2.getCPUFeaturesLine()
    return [
        Receipt(
            cell=replace(task.cell(row), skipped=skipped),
            fingerprint=context.fingerprint,
            num_records=writer.num_records,
            num_bytes=writer.num_bytes,
            sha256=sha256,
            column_sha256=column_sha256,
            bad=[*task.known_bad, *bad],
            cpu_features=cpu_features,
            boxes=boxes,
        )
        for row, (writer, sha256, boxes) in zip(task.rows, shards, strict=True)
    ]


def _open_shard(paths: DatasetPaths, context: TaskContext, task: Task, row: RowPlan) -> ShardWriter:
    final = paths.shard(context.name, context.generation, task.split, row.row, task.block, task.num_blocks)
    return ShardWriter(final, paths.temporary, buffer_bytes=max(8192, BUFFER_BYTES // len(task.rows)))


def _write_places(
    context: TaskContext, task: Task, writers: Sequence[ShardWriter], note: Heartbeat, threads: Executor
) -> tuple[BlockFacts, list[Bad], list[BoxCounts | None]]:
    pipeline = Pipeline(context.pipelines[task.split], own_process=context.own_process)
    original = (
        Pipeline(context.pipelines["original"], own_process=context.own_process)
        if "original" in context.pipelines
        else None
    )
    facts, bad = BlockFacts(sha256={}, mask_sha256={}, class_ids=[]), list[Bad]()
    found = {one.name: np.zeros(65_536, bool) for one in context.spec.fields if one.has_class_ids}
    failed = set(task.skipped)
    counted = bool(context.spec.schema.counted_keys)
    counts: list[BoxCounts | None] = [BoxCounts() if counted else None for _ in writers]
    places = list(task.places)  # in the parent's own process they are made anew each time they are looked at
    for place in places:
        if place.key in failed:
            continue
        if note.deaths[task.split, place.key] >= 2:
            bad.append(Bad(key=place.key, reason=f"{place.image}: {CRASHED}"))
            failed.add(place.key)
            continue
        note.at(task.split, place.key)
        for writer in writers:
            writer.mark()
        syncing: list[Future[None]] = []
        try:
            source, of_place = decode_place(place, context.spec), list[BoxCounts | None]()
            for row, writer in zip(task.rows, writers, strict=True):
                chosen = original if row.variant == ORIGINAL_VARIANT and original is not None else pipeline
                record = render(source, chosen, context.spec, seed=row.seed, variant=row.variant, copy=place.copy)
                writer.write(record)
                if counted:
                    of_place.append(BoxCounts.of_record(count_objects(record, context.spec.schema)))
                if place is places[-1]:  # this shard is full: the disk can begin while the others get their last
                    syncing.append(threads.submit(writer.sync))
            _await(syncing)
        except RejectedSource as error:
            # The source shall be absent from all rows: its records in earlier rows are removed.
            _await(syncing)
            for writer in writers:
                writer.rollback()
            bad.append(Bad(key=place.key, reason=str(error)))
            failed.add(place.key)
            continue
        if of_place:
            counts = [BoxCounts.total(pair) for pair in zip(counts, of_place, strict=True)]
        facts.sha256[place.key] = source.sha256
        if source.mask_sha256 is not None:
            facts.mask_sha256[place.key] = source.mask_sha256
        if source.counters:
            facts.counters[place.key] = dict(source.counters)
        for name, ids in source.class_ids(context.spec).items():
            found[name][ids] = True
    of_fields = {name: np.flatnonzero(there).tolist() for name, there in found.items()}
    facts.class_ids.extend(sorted({i for ids in of_fields.values() for i in ids}))
    facts.ids_of_fields.update(of_fields if len(of_fields) > 1 else {})
    return facts, bad, counts


def _await(syncing: Iterable[Future[None]]) -> None:
    for future in syncing:
        future.result()  # raises what went wrong: a second fsync of the file would succeed in silence


def decode_place(place: Slot, spec: RecordSpec) -> Decoded:
    """Read and decode the source of a place.

    Raises:
        RejectedSource: The source cannot be used, or is not what earlier rows were made from.
    """
    source = decode_source(place.key, as_path(place.image), place.raw, spec)
    for path, expected, got in (
        (place.image, place.sha256, source.sha256),
        (files_beside(source, place.raw, place.image), place.mask_sha256, source.mask_sha256),
    ):
        if expected is not None and expected != got:
            raise RejectedSource(
                f"{path}: its content has changed since earlier rows were made from it; put the file back, or build "
                "with --replace"
            )
    return source
