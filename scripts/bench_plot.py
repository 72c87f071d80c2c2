"""Draw what bench_write.py and bench_read.py have measured: writing and reading, beside what they are compared with.

    python scripts/bench_plot.py scripts/benchmarks

The folder holds what the benchmarks wrote: write.json, write_by_hand.json and read.json; speed.png is put beside them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # no screen is needed
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

__all__: list[str] = []

OURS, OTHER = "#1f6f8b", "#b8b8b8"
FILES = ("write", "write_by_hand", "read")
HAND = {"naive": "by hand, the usual way", "good": "by hand, carefully"}
READ = {
    "raw in memory": "raw, records in memory",
    "raw ours": "raw, precompute.load",
    "raw tfds": "raw, TensorFlow Datasets",
    "jpeg in memory": "JPEG, records in memory",
    "jpeg ours": "JPEG, precompute.load",
    "jpeg tfds": "JPEG, TensorFlow Datasets",
    "online": "augmented online, Keras",
}
Bar = tuple[str, dict[str, float]]


def writing_bars(write: dict[str, Any]) -> list[Bar]:
    """Return a bar for each arm: records a second, whole commands but for the floor, which has no start-up."""
    light = write["light"]
    rounds, records = light["rounds"], light["records"]
    bars = [
        ("the floor", _rates(rounds["floor"]["seconds"], records)),
        ("precompute build, the same work", _rates(rounds["ours"]["seconds"], records)),
    ]
    for arm, name in HAND.items():
        if write.get(arm):
            variants = {"naive": 16, "good": 32}[arm]
            bars.append((f"precompute build, {variants} variants", write[arm]["ours_records_per_s"]))
            bars.append((f"{name}, {variants} variants", write[arm][f"{arm}_records_per_s"]))
    return bars


def reading_bars(read: dict[str, Any]) -> list[Bar]:
    """Return a bar for each arm that was measured: images a second."""
    return [(name, read["images_per_second"][arm]) for arm, name in READ.items() if arm in read["images_per_second"]]


def _rates(seconds: list[float], records: float) -> dict[str, float]:
    rates = sorted(records / s for s in seconds)
    return {"median": rates[len(rates) // 2], "min": rates[0], "max": rates[-1]}


def draw(axes: Axes, title: str, unit: str, bars: list[Bar]) -> None:
    """Draw horizontal bars with their medians, and lines from the least to the most."""
    names = [name for name, _ in bars]
    medians = [rate["median"] for _, rate in bars]
    spans = [[r["median"] - r["min"] for _, r in bars], [r["max"] - r["median"] for _, r in bars]]
    colors = [OURS if "precompute" in name else OTHER for name in names]
    axes.barh(names, medians, xerr=spans, color=colors, ecolor="#555555", capsize=2)
    axes.invert_yaxis()
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel(unit)
    axes.spines[["top", "right"]].set_visible(False)
    for place, rate in enumerate(medians):
        label = f"{rate:,.0f}"
        axes.annotate(label, (bars[place][1]["max"], place), xytext=(6, 0), textcoords="offset points", va="center")
    axes.set_xlim(0, max(rate["max"] for _, rate in bars) * 1.15)


def main() -> None:
    """Read the files and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the files are, and the picture goes")
    folder = parser.parse_args().folder
    light, by_hand, read = (json.loads((folder / f"{name}.json").read_text()) for name in FILES)
    write = {**by_hand, "light": light["light"]}
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 4.2), layout="constrained")
    draw(left, "Writing: image 256×256 and mask, light pipeline", "records a second", writing_bars(write))
    draw(right, "Reading: batches of 32, image 256×256 and mask", "images a second", reading_bars(read))
    machine = light["machine"]
    figure.supxlabel(
        f"{machine['cores']} cores of {machine['cpu']}, {light['date']}; bars are medians, lines from least to most",
        fontsize=8,
    )
    figure.savefig(folder / "speed.png", dpi=110)


if __name__ == "__main__":
    main()
