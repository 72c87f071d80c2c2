"""Where the time of a build goes: all its tasks in one process, its functions wrapped with clocks.

Each stage has the time that was spent in it and in none of the stages that it calls. A clock takes about half a
microsecond, some thirty times a record.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import albumentations as A
from bench_write_arms import Config, build_options

import precompute
from precompute.building import files, task, write
from precompute.pipelines import pipeline
from precompute.rendering import render
from precompute.rendering.fields import mask as masks

__all__ = ["stages"]


class Clock:
    """Adds up the time of each stage, that of the stages inside it left out."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inside = [0.0]  # seconds spent in the stages inside each open stage

    def timed(self, function: Callable[..., Any], name: str | Callable[[Any], str]) -> Callable[..., Any]:
        """Return the function with a clock around it; the stage may be named by its first argument."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self._inside.append(0.0)
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                taken = time.perf_counter() - start
                self.seconds[name if isinstance(name, str) else name(args[0])] += taken - self._inside.pop()
                self._inside[-1] += taken

        return call

    def wrap(self, owner: Any, attribute: str, name: str | Callable[[Any], str]) -> None:
        """Put the clock around a function of a module or a class, for the rest of the process."""
        setattr(owner, attribute, self.timed(getattr(owner, attribute), name))


def stages(config: Config) -> dict[str, float]:
    """Run our build in this process; returns milliseconds a record by stage."""
    clock = Clock()
    _wrap_all(clock)
    # As in a worker of its own: the global generators are set and the allocator keeps memory.
    make_task_context = write.make_task_context
    write.make_task_context = lambda *given: replace(make_task_context(*given), own_process=True)
    start = time.perf_counter()
    result = precompute.build(config["sources"], config["out"], **{**build_options(config), "jobs": 1})
    whole = time.perf_counter() - start
    records = sum(split.num_records * len(split.rows) for split in result.manifest.splits.values())
    clock.seconds["plan, survey, grid, manifest (parent)"] = whole - sum(clock.seconds.values())
    return {name: seconds / records * 1e3 for name, seconds in clock.seconds.items()}


def _wrap_all(clock: Clock) -> None:
    clock.wrap(task, "decode_place", "read, hash and decode the source")
    clock.wrap(task, "render", "render: the rest")
    clock.wrap(pipeline.Draws, "set", "seed the generators")
    pipeline.Pipeline._set_global_generators = staticmethod(
        clock.timed(pipeline.Pipeline._set_global_generators, "seed the global generators")
    )
    clock.wrap(A.BasicTransform, "__call__", lambda transform: f"transform {type(transform).__name__}")
    clock.wrap(A.Compose, "__call__", "Compose: the rest")
    clock.wrap(masks.MaskRenderer, "invention", "check ids and sizes")
    clock.wrap(render, "_wrong_output", "check ids and sizes")
    clock.wrap(render, "encode_image", "encode the image (JPEG)")
    clock.wrap(masks, "encode_mask", "encode the mask (PNG)")
    clock.wrap(render, "encode_record", "tf.train.Example")
    clock.wrap(files, "record_header", "framing, CRC-32C")
    clock.wrap(files, "record_footer", "framing, CRC-32C")
    clock.wrap(files.ShardWriter, "write", "write to the buffered file")
    clock.wrap(files.ShardWriter, "mark", "marks to roll back to")
    clock.wrap(task.Heartbeat, "at", "note of the source")
    clock.wrap(task, "_write_places", "loop over places and rows")
    for name in ("_open_shard", "_await", "commit", "write_whole", "write_all_whole"):
        clock.wrap(task, name, "open, sync, rename, receipts")
    clock.wrap(task, "_receipts", "open, sync, rename, receipts")
    run_task = clock.timed(
        task.run_task, "open, sync, rename, receipts"
    )  # of itself it waits for the threads that sync
    from precompute.building import execute

    execute.run_task = run_task
    _time_sha256(clock)


def _time_sha256(clock: Clock) -> None:
    """Let the writers of shards hash with a clock."""
    real = files.hashlib.sha256

    class Timed:
        def __init__(self, hashed: Any = None) -> None:
            self._hashed = real() if hashed is None else hashed
            self.update = clock.timed(self._hashed.update, "sha256 of the shard")

        def copy(self) -> Timed:
            return Timed(self._hashed.copy())

        def hexdigest(self) -> str:
            return str(self._hashed.hexdigest())

    files.hashlib = SimpleNamespace(sha256=Timed)
