"""The report of the parity experiment: paired differences, a table, a plot, a page."""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from parity_data import STUDIES, Study
from scipy import stats

__all__ = ["write"]

REFERENCE = "online"
POWER = 0.8
POINTS = {"accuracy": "accuracy", "foreground_iou": "IoU of the foreground"}


def write(work: Path, folder: Path, arms: list[str]) -> None:
    """Write results.json, parity.png and README.md from the results of trials.

    Args:
        work: Where the experiment has left its trials.
        folder: Where the report goes.
        arms: Names in the order of the table.
    """
    trials = [json.loads(path.read_text()) for path in sorted((work / "trials").glob("*.json"))]
    compared = {name: compare([t for t in trials if t["study"] == name], arms) for name in STUDIES}
    compared = {name: rows for name, rows in compared.items() if rows}
    folder.mkdir(parents=True, exist_ok=True)
    commits = sorted({trial["commit"] for trial in trials})
    facts = {key: trials[0][key] for key in ("machine", "python", "versions")}
    facts |= {"commits": commits, "cpu_hours": round(sum(trial["cpu_seconds"] for trial in trials) / 3600, 2)}
    results = {"facts": facts, "comparisons": compared, "trials": trials}
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "parity.png").write_bytes(draw(compared))
    (folder / "tables.md").write_text("\n\n".join(table(STUDIES[n], rows) for n, rows in compared.items()) + "\n")
    print("\n\n".join(table(STUDIES[name], rows) for name, rows in compared.items()))
    print(folder / "results.json", folder / "parity.png", folder / "tables.md", sep="\n")


def compare(trials: list[dict[str, Any]], arms: list[str]) -> list[dict[str, Any]]:
    """Return a mapping an arm: its mean, and its difference from online augmentation, trial by trial."""
    scores: dict[str, dict[int, float]] = defaultdict(dict)
    for trial in trials:
        scores[trial["arm"]][trial["trial"]] = trial["score"]
    found = []
    for arm in (arm for arm in arms if arm in scores):
        row: dict[str, Any] = {"arm": arm, "trials": len(scores[arm]), "mean": statistics.mean(scores[arm].values())}
        paired = sorted(scores[arm].keys() & scores[REFERENCE].keys())
        if arm != REFERENCE and len(paired) > 1:
            row |= intervals([scores[arm][trial] - scores[REFERENCE][trial] for trial in paired])
        found.append(row)
    return found


def intervals(differences: list[float]) -> dict[str, Any]:
    """Return the mean of paired differences with 95 % intervals, and the smallest difference that could be seen.

    The plain interval holds for these images: what varies is the cutting and the seed. The corrected one is wider,
    since trials share images: for other images of the same kind.

    Source: Nadeau and Bengio 2003, https://doi.org/10.1023/A:1024068626366
    """
    num, spread = len(differences), statistics.stdev(differences)
    t = float(stats.t.ppf(0.975, num - 1))
    plain, corrected = spread * math.sqrt(1 / num), spread * math.sqrt(1 / num + 1)
    return {
        "difference": statistics.mean(differences),
        "half_interval": t * plain,
        "half_interval_corrected": t * corrected,
        "smallest_visible": (t + float(stats.t.ppf(POWER, num - 1))) * plain,
    }


def table(study: Study, rows: list[dict[str, Any]]) -> str:
    """Return a table in Markdown."""
    lines = [
        f"**{study.title}**, {POINTS[study.metric]}",
        "",
        "| images from | reuse | mean | difference from online | for other images | smallest visible |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = ["–"] * 3
        if "difference" in row:
            difference, half = row["difference"], row["half_interval"]
            cells = [f"{difference:+.3f} ± {half:.3f}", f"± {row['half_interval_corrected']:.3f}"]
            cells.append(f"{row['smallest_visible']:.3f}")
        lines.append(f"| {row['arm']} | {reuse(study, row['arm'])} | {row['mean']:.3f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def reuse(study: Study, arm: str) -> str:
    """Return epochs / rows, for the table."""
    return f"{study.epochs / int(arm.split()[0]):g}" if arm[0].isdigit() else "1" if arm == REFERENCE else "–"


def draw(compared: dict[str, list[dict[str, Any]]]) -> bytes:
    """Draw the differences with their intervals."""
    import io

    figure = Figure(figsize=(5.2 * len(compared), 4.2), dpi=110, layout="constrained")
    for axes, (name, rows) in zip(figure.subplots(1, len(compared), squeeze=False)[0], compared.items(), strict=True):
        rows = [row for row in rows if "difference" in row]
        places = range(len(rows))
        values = [row["difference"] for row in rows]
        for key, width, color in (("half_interval_corrected", 1.2, "#9db4d8"), ("half_interval", 4, "#1f5fbf")):
            axes.errorbar(values, places, xerr=[row[key] for row in rows], fmt="none", elinewidth=width, color=color)
        axes.plot(values, places, "o", color="#0b2f66", markersize=6)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_yticks(list(places), [row["arm"] for row in rows])
        axes.invert_yaxis()
        axes.set_title(STUDIES[name].title, fontsize=11)
        axes.set_xlabel(f"{POINTS[STUDIES[name].metric]}: difference from online augmentation", fontsize=9)
        axes.grid(axis="x", alpha=0.25)
    figure.suptitle(
        "thick: 95 % for these images; thin: for other images of the same kind", fontsize=9, color="#555555"
    )
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()
