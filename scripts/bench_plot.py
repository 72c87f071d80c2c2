"""Draw what bench_write.py and bench_read.py have measured: writing and reading, beside what they are compared with.

    python scripts/bench_plot.py scripts/benchmarks

The folder holds write.json and read.json, as the two benchmarks write them; speed.png is put beside them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib
from bench_common import spread

matplotlib.use("Agg")  # no screen is needed
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

__all__: list[str] = []

OURS, OTHER = "#1f6f8b", "#b8b8b8"
HAND = {"naive": "the usual script by hand", "good": "a careful script by hand"}
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
    """Return bars in pairs, each of one comparison of `bench_write.py`: records a second of what took turns.

    Of the floor and the build beside it the time after start-up counts, as of the efficiency; of scripts by hand and
    the builds beside them whole commands.
    """
    records, rounds = write["light"]["records"], write["light"]["rounds"]
    ours = rounds["ours"]
    started = [whole - first for whole, first in zip(ours["seconds"], ours["first_record_s"], strict=True)]
    of_light = f"{records:,.0f} records, after start-up"
    bars = [
        (f"the floor: {of_light}", spread([records / s for s in rounds["floor"]["seconds"]])),
        (f"precompute build: {of_light}", spread([records / s for s in started])),
    ]
    for arm, name in HAND.items():
        whole = f"{write[arm]['records']:,.0f} records, whole commands"
        bars.append((f"{name}: {whole}", write[arm][f"{arm}_records_per_s"]))
        bars.append((f"precompute build: {whole}", write[arm]["ours_records_per_s"]))
    return bars


def reading_bars(read: dict[str, Any]) -> list[Bar]:
    """Return a bar for each arm that was measured: images a second."""
    return [(name, read["images_per_second"][arm]) for arm, name in READ.items() if arm in read["images_per_second"]]


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
    axes.locator_params(axis="x", nbins=6)
    axes.set_xlim(0, max(rate["max"] for _, rate in bars) * 1.15)


def main() -> None:
    """Read the files and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the files are, and the picture goes")
    folder = parser.parse_args().folder
    write, read = (json.loads((folder / f"{name}.json").read_text()) for name in ("write", "read"))
    figure, (left, right) = plt.subplots(1, 2, figsize=(14, 4.2), layout="constrained")
    draw(left, "Writing, light pipeline", "records a second", writing_bars(write))
    draw(right, "Reading, batches of 32", "images a second", reading_bars(read))
    machine = write["machine"]
    figure.supxlabel(
        f"{machine['cores']} cores of {machine['cpu']}, {write['date']}; images of 256×256 with masks; "
        "bars are medians, lines from least to most",
        fontsize=8,
    )
    figure.savefig(folder / "speed.png", dpi=110)


if __name__ == "__main__":
    main()
