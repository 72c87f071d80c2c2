"""What a task takes beyond the floor's work, in processor time, source by source in turns.

A whole build and a whole floor are half a minute apart, and machines drift more than the few per cent that lie between
them. Here the floor does each source right before the task that writes shards does the same source, in one process:
what drifts, drifts for both. So does what the careful script by hand does with a source (see bench_write_by_hand.py).
Left out is what several processes add: waiting, handing over tasks, the parent's work.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import IO, Any

import cv2
from bench_write_by_hand import write_source
from bench_write_data import MASK_MAP, PIPELINES, SIZE, pairs_of

from precompute.building import task as tasks
from precompute.building.task import Slot, Task, TaskContext, run_task
from precompute.dataset.paths import DatasetPaths
from precompute.fields.field import Schema
from precompute.fields.image import ImageField
from precompute.fields.mask import MaskField
from precompute.images.png import SYNC_FLUSH
from precompute.pipelines.pipeline import Pipeline, prepare
from precompute.plan.generation import RowPlan
from precompute.program.memory import freeze_gc, tune_malloc
from precompute.rendering.decode import decode_source
from precompute.rendering.render import render
from precompute.rendering.spec import RecordSpec

__all__ = ["SPEC", "overhead"]

BLOCK = 40  # sources, about as many as in a block of the builds that are measured

SPEC = RecordSpec.of_settings(
    {"quality": 95, "mask_map": {str(old): new for old, new in MASK_MAP.items()}, "png_deflate": SYNC_FLUSH},
    Schema(
        [
            ImageField(height=SIZE, width=SIZE, channels=3, encoding="jpeg"),
            MaskField(name="mask", num_classes=256, class_names=[]),
        ]
    ),
)


def overhead(sources: Path, out: Path, pipeline: str, variants: int, rounds: int) -> list[dict[str, float]]:
    """Run a block of sources a round; returns seconds of processor time of floor, script and task, and records."""
    tune_malloc()
    freeze_gc()
    cv2.setNumThreads(1)
    pickled = prepare(PIPELINES[pipeline](), "train").pickled
    pairs = pairs_of(sources)
    found = []
    for number in range(rounds + 1):
        chosen = [pairs[(number * BLOCK + i) % len(pairs)] for i in range(BLOCK)]
        found.append(_one_block(chosen, out / str(number), pickled, PIPELINES[pipeline](), variants))
    return found[1:]


def _one_block(
    pairs: list[tuple[Path, Path]], out: Path, pickled: bytes, transform: Any, variants: int
) -> dict[str, float]:
    paths = DatasetPaths(out)
    for folder in (paths.temporary, paths.heartbeats):
        folder.mkdir(parents=True)
    context = TaskContext(
        out=str(out),
        name=out.name,
        generation="g0001",
        fingerprint="",
        spec=SPEC,
        pipelines={"train": pickled},
        own_process=True,
    )
    places = [
        Slot(key=f"{i:02d}", copy=0, image=str(image), raw={"mask": str(mask)}) for i, (image, mask) in enumerate(pairs)
    ]
    rows = [RowPlan(row=variant, seed=0, variant=variant) for variant in range(variants)]
    task = Task(split="train", block=0, num_blocks=1, rows=rows, places=places, skipped=[])
    real = tasks.decode_place
    with (out / "by-hand.tfrecord").open("wb") as file:
        others = _Others(pickled, transform, file, variants)
        tasks.decode_place = others.before(real)
        try:
            start = time.process_time()
            done = run_task(context, task)
            all_s = time.process_time() - start
        finally:
            tasks.decode_place = real
    ours_s = all_s - others.floor_s - others.hand_s
    return {"floor_s": others.floor_s, "hand_s": others.hand_s, "ours_s": ours_s, "records": done.num_records}


class _Others:
    """Does a source's records before the task does, as the floor and as the careful script; keeps what that took."""

    def __init__(self, pickled: bytes, transform: Any, file: IO[bytes], variants: int) -> None:
        self._pipeline = Pipeline(pickled, own_process=True)
        self._transform, self._file, self._variants = transform, file, variants
        self.floor_s = self.hand_s = 0.0

    def before(self, decode_place: Any) -> Any:
        def decode(place: Slot, spec: RecordSpec) -> Any:
            image, mask = Path(place.image), Path(place.raw["mask"])
            start = time.process_time()
            write_source(self._file, (image, mask), self._transform, self._variants)
            middle = time.process_time()
            source = decode_source(place.key, image, place.raw, spec)
            for variant in range(self._variants):
                render(source, self._pipeline, spec, seed=0, variant=variant)
            self.hand_s += middle - start
            self.floor_s += time.process_time() - middle
            return decode_place(place, spec)

        return decode
