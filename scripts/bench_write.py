"""How fast a build writes: against the least that the work can take, and against scripts written by hand.

    python scripts/bench_write.py                        everything at its full size: about an hour on two cores
    python scripts/bench_write.py --only light,stages    some parts
    python scripts/bench_write.py --sources 64 --hand-sources 64 --variants 8 --rounds 1    a quick look

Parts: `light` and `heavy` set our build beside the floor (see bench_write_arms.py; heavy is a pipeline that distorts),
`naive` and `good` beside scripts written by hand (see bench_write_by_hand.py). `overhead` sets a task beside the floor
and the good script in turns, source by source (see bench_write_overhead.py); `stages` shows where time goes; `memory`
the memory of workers and parent; `allocator` the floor with and without the allocator's settings. Every arm is a
command of its own in a fresh interpreter.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench_common import add_output, alternate, print_table, ratio, save, spread
from bench_write_data import make_megapixel_sources, make_sources

HERE = Path(__file__).resolve().parent
PARTS = ("light", "heavy", "naive", "good", "overhead", "stages", "memory", "allocator")
ARMS = {"naive": "bench_write_by_hand.py", "good": "bench_write_by_hand.py"}
MEGAPIXEL_SOURCES = 24
GOOD_VARIANTS = 32  # of what is set beside the careful script


class Bench:
    """Runs arms in fresh interpreters, in a folder that it empties after each.

    Args:
        folder: For sources and outputs.
        jobs: Processes of every arm.
    """

    def __init__(self, folder: Path, jobs: int) -> None:
        self._folder = folder
        self.jobs = jobs

    def run(self, arm: str, sources: Path, variants: int, pipeline: str = "light", **more: Any) -> dict[str, float]:
        """Run one arm; returns its figures, and how long the whole command took."""
        config = {"sources": str(sources), "out": str(self._folder / "out"), "pipeline": pipeline}
        config |= {"variants": variants, "jobs": self.jobs, "allocator": True, **more}
        script = HERE / ARMS.get(arm, "bench_write_arms.py")
        start = time.perf_counter()
        done = subprocess.run([sys.executable, script, arm, json.dumps(config)], capture_output=True, text=True)
        command_s = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(f"{arm} failed:\n{done.stderr}")
        shutil.rmtree(self._folder / "out", ignore_errors=True)
        told = json.loads(done.stdout.splitlines()[-1])
        return {**told, "command_s": command_s} if isinstance(told, dict) else {"rounds": told}

    def alternate(self, arms: dict[str, Callable[[], dict[str, float]]], rounds: int) -> dict[str, dict[str, Any]]:
        """Measure arms in turns; returns arm → figure → one value a round."""
        told: dict[str, list[dict[str, float]]] = {name: [] for name in arms}

        def measured(name: str) -> float:
            told[name].append(arms[name]())
            return told[name][-1]["command_s"]

        alternate({name: lambda name=name: measured(name) for name in arms}, rounds)  # type: ignore[misc]
        return {
            name: {key: [figures[key] for figures in rows[1:] if key in figures] for key in rows[0]}
            for name, rows in told.items()
        }


def against_floor(bench: Bench, sources: Path, variants: int, pipeline: str, rounds: int) -> dict[str, Any]:
    """Set our build beside the floor: efficiency, and start-up apart."""
    arms = {arm: lambda arm=arm: bench.run(arm, sources, variants, pipeline) for arm in ("floor", "ours")}
    figures = bench.alternate(arms, rounds)  # type: ignore[arg-type]
    floor, ours = figures["floor"], figures["ours"]
    started = [whole - first for whole, first in zip(ours["seconds"], ours["first_record_s"], strict=True)]
    to_first = [first - plan for first, plan in zip(ours["first_record_s"], ours["plan_s"], strict=True)]
    jobs = bench.jobs
    waiting = [1 - cpu / (jobs * s) for cpu, s in zip(ours["worker_cpu_s"], started, strict=True)]
    result = {
        "records": ours["records"][0],
        "floor_s": spread(floor["seconds"]),
        "build_s": spread(ours["seconds"]),
        "plan_s": spread(ours["plan_s"]),
        "plan_to_first_record_s": spread(to_first),
        "efficiency": ratio(floor["seconds"], started),
        "efficiency_with_start_up": ratio(floor["seconds"], ours["seconds"]),
        "workers_cpu_over_floor_cpu": ratio(ours["worker_cpu_s"], floor["cpu_s"]),
        "workers_waiting": spread(waiting),
        "rounds": figures,
    }
    print(f"\n{pipeline}: {result['records']:,} records of {floor['record_bytes'][0]:,.0f} bytes, {jobs} jobs")
    _print_spreads({key: value for key, value in result.items() if key not in ("records", "rounds")})
    return result


def against_hand(bench: Bench, arm: str, sources: Path, variants: int, rounds: int) -> dict[str, Any]:
    """Set our build beside a script written by hand; whole commands, start-up included, and without it."""
    if arm == "good" and "fork" not in multiprocessing.get_all_start_methods():
        print("\ngood: left out, this system does not fork.")
        return {}
    arms = {name: lambda name=name: bench.run(name, sources, variants) for name in (arm, "ours")}
    figures = bench.alternate(arms, rounds)  # type: ignore[arg-type]
    theirs, ours = figures[arm], figures["ours"]
    rates = {
        name: [n / s for n, s in zip(f["records"], f["command_s"], strict=True)]
        for name, f in ((arm, theirs), ("ours", ours))
    }
    started = [whole - first for whole, first in zip(ours["seconds"], ours["first_record_s"], strict=True)]
    result = {
        "records": ours["records"][0],
        f"{arm}_records_per_s": spread(rates[arm]),
        "ours_records_per_s": spread(rates["ours"]),
        "times_as_fast": ratio(theirs["command_s"], ours["command_s"]),
        "times_as_fast_after_our_start_up": ratio(theirs["seconds"], started),
        "rounds": figures,
    }
    print(f"\nby hand, {arm}: {result['records']:,} records, {variants} variants; whole commands")
    _print_spreads({key: value for key, value in result.items() if key not in ("records", "rounds")})
    return result


def overhead(bench: Bench, sources: Path, variants: int, pipeline: str, rounds: int) -> dict[str, Any]:
    """Print the processor time of floor, careful script and task, in turns within one process."""
    told: Any = bench.run("overhead", sources, variants, pipeline, rounds=rounds)["rounds"]
    floor, hand, ours = ([t[arm] / t["records"] * 1e3 for t in told] for arm in ("floor_s", "hand_s", "ours_s"))
    result = {"floor_ms": spread(floor), "by_hand_ms": spread(hand), "task_ms": spread(ours)}
    result |= {"efficiency": ratio(floor, ours), "times_as_fast": ratio(hand, ours)}
    print(f"\n{pipeline}: processor time a record, floor, careful script and task in turns, {variants} variants")
    _print_spreads(result)
    return {"records": sum(t["records"] for t in told), **result, "rounds": told}


def stages(bench: Bench, sources: Path, variants: int, pipeline: str) -> dict[str, Any]:
    """Print where the time of our build goes, one process, milliseconds a record."""
    found = bench.run("stages", sources, variants, pipeline)
    del found["command_s"]
    whole = sum(found.values())
    rows = [(name, ms, f"{ms / whole:.1%}") for name, ms in sorted(found.items(), key=lambda item: -item[1])]
    print(f"\nwhere time goes, {pipeline}: {variants} variants, one process (waiting of workers: see above)")
    print_table(("stage", "ms a record", "share"), [*rows, ("all", whole, "")])
    return found


def memory(bench: Bench, folder: Path, sources: Path, variants: int) -> dict[str, Any]:
    """Print the most memory that workers and the parent had: by rows, at a megapixel, and by records."""
    large = folder / "megapixel"
    make_megapixel_sources(large, sources, MEGAPIXEL_SOURCES)
    runs = {
        "megapixel sources, 4 rows": (large, 4),
        "megapixel sources, 64 rows": (large, 64),
        "small sources, 1 row": (sources, 1),
        f"small sources, {variants} rows": (sources, variants),
    }
    found = {name: bench.run("ours", where, rows) for name, (where, rows) in runs.items()}
    print("\nmost memory resident, MB")
    print_table(
        ("run", "records", "a worker", "the parent"),
        [(name, int(f["records"]), f["worker_peak_mb"], f["parent_peak_mb"]) for name, f in found.items()],
    )
    return found


def allocator(bench: Bench, folder: Path, sources: Path, variants: int, rounds: int) -> dict[str, Any]:
    """Print what the allocator's settings change: processor time and page faults of the floor."""
    large, result = folder / "megapixel-allocator", {}
    make_megapixel_sources(large, sources, MEGAPIXEL_SOURCES)
    for name, where, rows in (("small", sources, variants), ("megapixel", large, 8)):
        arms = {
            setting: lambda keep=keep, where=where, rows=rows: bench.run("floor", where, rows, allocator=keep)
            for setting, keep in (("as it is", False), ("kept", True))
        }
        figures = bench.alternate(arms, rounds)  # type: ignore[arg-type]
        times = {
            setting: [s / n * 1e3 for s, n in zip(f["cpu_s"], f["records"], strict=True)]
            for setting, f in figures.items()
        }
        faults = {setting: f["faults"][0] / f["records"][0] for setting, f in figures.items()}
        result[name] = {"ms_a_record": {k: spread(v) for k, v in times.items()}, "faults_a_record": faults}
        result[name]["gain"] = ratio(times["as it is"], times["kept"])
        print(f"\nfreed memory, {name} sources: page faults a record {faults['as it is']:.1f} → {faults['kept']:.1f}")
        _print_spreads({**result[name]["ms_a_record"], "gain": result[name]["gain"]})
    return result


def _print_spreads(figures: dict[str, dict[str, float]]) -> None:
    print_table(
        ("", "median", "least", "most"), [(name, f["median"], f["min"], f["max"]) for name, f in figures.items()]
    )


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas (default: %(default)s)")
    parser.add_argument("--sources", type=int, default=640, help="in all but good (default: %(default)s)")
    parser.add_argument("--hand-sources", type=int, default=1280, help="in good (default: %(default)s)")
    parser.add_argument("--variants", type=int, default=64, help="of light, stages and memory (default: %(default)s)")
    parser.add_argument("--heavy-variants", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count(), help="default: the cores")
    parser.add_argument("--rounds", type=int, default=5, help="that count, after one that does not (default: 5)")
    add_output(parser)
    options = parser.parse_args()
    wanted = options.only.split(",")
    if unknown := set(wanted) - set(PARTS):
        parser.error(f"--only: expected some of {', '.join(PARTS)}, got {', '.join(sorted(unknown))}.")
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="bench-write-") as name:
        folder, bench, rounds = Path(name), Bench(Path(name), options.jobs), options.rounds
        results["sources"] = make_sources(folder / "sources", options.sources)
        print(f"{results['sources']}; {options.jobs} jobs, {rounds} rounds")
        sources, hand = folder / "sources", folder / "hand"
        make_sources(hand, options.hand_sources)
        parts: dict[str, Callable[[], Any]] = {
            "light": lambda: against_floor(bench, sources, options.variants, "light", rounds),
            "heavy": lambda: against_floor(bench, sources, options.heavy_variants, "heavy", rounds),
            "naive": lambda: against_hand(bench, "naive", sources, 16, rounds),
            "good": lambda: against_hand(bench, "good", hand, GOOD_VARIANTS, rounds),
            "overhead": lambda: {
                "light": overhead(bench, sources, GOOD_VARIANTS, "light", rounds),
                "heavy": overhead(bench, sources, options.heavy_variants, "heavy", rounds),
            },
            "stages": lambda: {
                "light": stages(bench, sources, options.variants, "light"),
                "heavy": stages(bench, sources, options.heavy_variants, "heavy"),
            },
            "memory": lambda: memory(bench, folder, sources, options.variants),
            "allocator": lambda: allocator(bench, folder, sources, options.variants, rounds),
        }
        for part in wanted:
            results[part] = parts[part]()
            save(options.output, results)  # after each part: an hour is long


if __name__ == "__main__":
    main()
