"""Two of the arms of bench_write.py: the floor and our build, each run in a fresh interpreter.

    python scripts/bench_write_arms.py floor|ours|stages|overhead '{"sources": …, "out": …, "pipeline": "light", …}'

The floor is the least that this work can take here: as many processes as jobs; each decodes its sources once, and
seeds, augments, checks and encodes each record to a whole tf.train.Example by the very functions that a build calls
(`decode_source`, `render`), with the allocator set as in a build's workers. Nothing is framed, hashed or written. Its
time is the sum over the processes divided by their number: perfect balance, and no start-up at all.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from pathlib import Path
from threading import Event, Thread
from typing import Any, TypedDict

import psutil
from bench_write_data import MASK_MAP, PIPELINES, pairs_of

import precompute
from precompute.program.memory import freeze_gc, tune_malloc

__all__ = ["Config", "build_options", "main"]

POLL_S = 0.005


class Config(TypedDict):
    """What an arm has to do.

    Attributes:
        sources: Folder with images/ and masks/.
        out: Folder to write to; a new one each time.
        pipeline: Name in PIPELINES.
        variants: Of each source.
        jobs: Processes.
        allocator: Whether the floor's processes keep freed memory.
        rounds: Of `overhead`.
    """

    sources: str
    out: str
    pipeline: str
    variants: int
    jobs: int
    allocator: bool
    rounds: int


def build_options(config: Config) -> dict[str, Any]:
    """Return the options of our build."""
    return {
        "pipeline": {"train": PIPELINES[config["pipeline"]]()},
        "variants": config["variants"],
        "jobs": config["jobs"],
        "mask_map": MASK_MAP,
        "quiet": True,
    }


# The floor


def floor(config: Config) -> dict[str, float]:
    """Run the floor; returns seconds and records."""
    context = multiprocessing.get_context("spawn")
    counter, ready, results = context.Value("q", 0), context.Barrier(config["jobs"]), context.SimpleQueue()
    processes = [
        context.Process(target=_floor_process, args=(config, counter, ready, results)) for _ in range(config["jobs"])
    ]
    for process in processes:
        process.start()
    shares = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return {
        "seconds": sum(share["seconds"] for share in shares) / len(shares),
        "cpu_s": sum(share["cpu_s"] for share in shares),
        "records": sum(share["records"] for share in shares),
        "record_bytes": sum(share["bytes"] for share in shares) / sum(share["records"] for share in shares),
        "faults": sum(share["faults"] for share in shares),
    }


def _floor_process(config: Config, counter: Any, ready: Any, results: Any) -> None:
    import cv2
    from bench_write_overhead import SPEC as spec  # noqa: N811

    from precompute.pipelines.pipeline import Pipeline, prepare
    from precompute.rendering.decode import decode_source
    from precompute.rendering.render import render

    if config["allocator"]:
        tune_malloc()
    freeze_gc()
    cv2.setNumThreads(1)
    pipeline = Pipeline(prepare(PIPELINES[config["pipeline"]](), "train").pickled, own_process=True)
    pairs, records, num_bytes = pairs_of(Path(config["sources"])), 0, 0
    ready.wait()
    start, cpu, faults = time.perf_counter(), time.process_time(), _page_faults()
    while True:
        with counter.get_lock():
            number = counter.value
            counter.value += 1
        if number >= len(pairs):
            break
        image, mask = pairs[number]
        source = decode_source(image.stem, image, {"mask": str(mask)}, spec)
        for variant in range(config["variants"]):
            num_bytes += len(render(source, pipeline, spec, seed=0, variant=variant))
            records += 1
    results.put(
        {
            "seconds": time.perf_counter() - start,
            "cpu_s": time.process_time() - cpu,
            "records": records,
            "bytes": num_bytes,
            "faults": _page_faults() - faults,
        }
    )


def _page_faults() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


# Our build


def ours(config: Config) -> dict[str, float]:
    """Run our build; returns its seconds, when its plan and its first record came, and the memory of its processes."""
    start = time.perf_counter()
    with _Watch(Path(config["out"]), start) as watch:
        result = precompute.build(config["sources"], config["out"], **build_options(config))
        seconds = time.perf_counter() - start
    records = sum(split.num_records * len(split.rows) for split in result.manifest.splits.values())
    return {"seconds": seconds, "records": records, **watch.seen}


class _Watch:
    """Sees from outside when the plan is made and when a worker is at its first source, and at the end the workers."""

    def __init__(self, out: Path, start: float) -> None:
        self.seen: dict[str, float] = {}
        self._build, self._start, self._end = out / ".build", start, Event()
        self._thread = Thread(target=self._look, daemon=True)
        self._cpu_s = 0.0

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        workers = psutil.Process().children()
        self.seen["worker_cpu_s"] = _cpu_of(workers) - self._cpu_s
        self.seen["worker_peak_mb"] = max((_peak_mb(worker) for worker in workers), default=0.0)
        self.seen["parent_peak_mb"] = _peak_mb(psutil.Process())

    def _look(self) -> None:
        while not self._end.wait(POLL_S):
            if "plan_s" not in self.seen:
                if any(self._build.glob("g*/plan.json")):
                    self.seen["plan_s"] = time.perf_counter() - self._start
            elif any(_size(note) for note in self._build.glob("at/*")):
                self.seen["first_record_s"] = time.perf_counter() - self._start
                self._cpu_s = _cpu_of(psutil.Process().children())
                return


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # its task has ended meanwhile
        return 0


def _cpu_of(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _peak_mb(process: psutil.Process) -> float:
    """Return the most memory that a process had resident; where the system does not tell, what it has now."""
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    except OSError:
        return float(process.memory_info().rss / 2**20)
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def main() -> None:
    """Run one arm and print its figures as JSON."""
    arm, config = sys.argv[1], json.loads(sys.argv[2])
    if arm == "stages":
        from bench_write_stages import stages

        print(json.dumps(stages(config)))
        return
    if arm == "overhead":
        from bench_write_overhead import overhead

        where = Path(config["sources"]), Path(config["out"])
        print(json.dumps(overhead(*where, config["pipeline"], config["variants"], config["rounds"])))
        return
    print(json.dumps({"floor": floor, "ours": ours}[arm](config)))


if __name__ == "__main__":
    main()
