"""Print what the benchmarks have measured as the table of the guide, from the files in scripts/benchmarks.

    python scripts/bench_table.py

Files that are not there are passed over. tests/project/test_benchmarks.py compares precompute/docs/speed.md with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench_common import spread

__all__ = ["FOLDER", "table"]

FOLDER = Path(__file__).resolve().parent / "benchmarks"
HAND = "writing, {} by hand, {} variants: theirs / ours, {}"
AIMS = {"light": "≥ 0.95", "heavy": "≥ 0.98"}  # of the floor, by pipeline
WRITING = [  # part, what, figure, least
    ("light", "writing, light pipeline: time of the floor / ours after start-up", "efficiency", AIMS["light"]),
    ("heavy", "writing, heavy pipeline: time of the floor / ours after start-up", "efficiency", AIMS["heavy"]),
    ("naive", HAND.format("the usual script", 16, "whole commands"), "times_as_fast", "≥ 3.5"),
    ("naive", HAND.format("the usual script", 16, "without our start-up"), "times_as_fast_after_our_start_up", "–"),
    ("good", HAND.format("a careful script", 32, "whole commands"), "times_as_fast", "≥ 1"),
    ("good", HAND.format("a careful script", 32, "without our start-up"), "times_as_fast_after_our_start_up", "–"),
]
STARTING = {
    "outside_job_s": ("a new build of 367 pairs of 480×360: all but its job", "≤ 1.5"),
    "complete_s": ("the same when it is complete already", "≤ 0.8"),
    "imports_s": ("importing what any such script imports", "–"),
}
BEST_OF_OPENCV = {"masks": "OpenCV, tuned", "images": "OpenCV"}
ARMS = {"ours": "`load`", "tfds": "TensorFlow Datasets", "in memory": "records in memory"}
MIB_A_GIB = 1024


def table(folder: Path = FOLDER) -> list[str]:
    """Return the lines of the table, in Markdown."""
    head = ["| what | median | least to most | aim |", "|---|---|---|---|"]
    rows = [
        *_overhead(_read(folder, "write_overhead")),
        *_writing(_read(folder, "write")),
        *_start(_read(folder, "start")),
        *_codecs(_read(folder, "codecs")),
        *_reading(_read(folder, "read")),
        *_fit(_read(folder, "fit")),
    ]
    return [*head, *rows, *_planning(_read(folder, "planning")), *_growth(_read(folder, "growth"))]


def _read(folder: Path, name: str) -> dict[str, Any]:
    path = folder / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _row(what: str, figures: dict[str, float], aim: str, digits: int = 2) -> str:
    median, least, most = (f"{figures[key]:,.{digits}f}" for key in ("median", "min", "max"))
    return f"| {what} | {median} | {least} to {most} | {aim} |"


def _overhead(write: dict[str, Any]) -> Iterator[str]:
    for pipeline, found in write.get("overhead", {}).items():
        what = f"writing, {pipeline} pipeline: processor time of the floor / of a task, in turns by source"
        yield _row(f"{what}; {found['records']:,.0f} records", found["efficiency"], AIMS[pipeline])
        if pipeline == "light":
            what = "writing, light pipeline: processor time of the careful script / of a task, in turns by source"
            yield _row(f"{what}; {found['records']:,.0f} records", found["times_as_fast"], "≥ 1")


def _writing(write: dict[str, Any]) -> Iterator[str]:
    for part, what, figure, aim in WRITING:
        if write.get(part):
            yield _row(f"{what}; {write[part]['records']:,.0f} records", write[part][figure], aim)


def _start(start: dict[str, Any]) -> Iterator[str]:
    for figure, (what, aim) in STARTING.items():
        if start:
            yield _row(f"{what}, seconds", start["start"][figure], aim)
    for name, found in start.items():
        if name.startswith("whole_"):
            length = f"a build of {found['ours_s']['median']:.0f} s"
            yield _row(
                f"writing, {length} beside a careful script: theirs / ours", found["times_as_fast"], found["aim"]
            )


def _codecs(codecs: dict[str, Any]) -> Iterator[str]:
    for line in codecs.get("results", []):
        if line["encoder"] == BEST_OF_OPENCV[line["kind"]]:
            of = f"PNG of {line['kind']}: {line['encoder']} / ours"
            yield _row(f"encoding, {of}", line["write_to_ours"], "–")
            yield _row(f"decoding by TensorFlow, {of}", line["read_to_ours"], "–")


def _reading(read: dict[str, Any]) -> Iterator[str]:
    for compared in read.get("ratios", []):
        if compared["target"] is not None:
            what = f"reading: {_arm(compared['of'])} / {_arm(compared['to'])}"
            yield _row(what, compared, f"≥ {compared['target']:g}")


def _arm(name: str) -> str:
    if name == "online":
        return "augmented online"
    encoding, _, arm = name.partition(" ")
    return f"{encoding if encoding == 'raw' else encoding.upper() if encoding != 'cached' else 'cached'}, {ARMS[arm]}"


def _fit(fit: dict[str, Any]) -> Iterator[str]:
    for arm in fit.get("arms", []):
        if arm["source"] != "memory":
            aim = "–" if arm["target"] is None else f"≤ {arm['target']}"
            yield _row(f"`fit`, {arm['model']}: a step from {arm['source']} / from memory", arm["to_memory"], aim, 3)


def _planning(planning: dict[str, Any]) -> Iterator[str]:
    for line in planning.get("results", []):
        if line["sources"] == 10_000_000:
            what = f"planning 10 million sources ({line['kind']}, {line['build']})"
            yield f"| {what} | {line['seconds']:.0f} s, {line['peak_mib'] / MIB_A_GIB:.1f} GiB | – | ≤ 180 s, 4 GiB |"


def _growth(growth: dict[str, Any]) -> Iterator[str]:
    for name, lines in growth.get("records", {}).items():
        of, least, most = name if name == "rows" else "records", lines[0], lines[-1]
        what = f"worker's processor time of a record, {most[of]:,} {of} / {least[of]:,}"
        rounds = zip(most["worker_cpu_ms_of_rounds"], least["worker_cpu_ms_of_rounds"], strict=True)
        yield _row(what, spread([large / small for large, small in rounds]), "flat")
    for line in growth.get("parent", {}).get("limits", []):
        if line["rows"] == 1 and line["sources"] == 1_280_000:
            what = f"workers that one parent keeps busy, {line['sources']:,} sources in {line['blocks']:,} blocks"
            yield f"| {what} | {line['workers']:,.0f} | – | ≥ 256 |"


if __name__ == "__main__":
    print("\n".join(table()))
