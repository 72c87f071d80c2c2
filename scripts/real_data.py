#!/usr/bin/env python3
"""Train on real data and compare with what must be reached: nuclei against a threshold, clothing against guessing.

    PRECOMPUTE_TEST_DATA=… scripts/real_data.py --output real-data

The settings for nuclei were chosen on the same validation split that is scored here, so its IoU is somewhat flattered;
only the epoch is not chosen on it.

Too slow for continuous integration: about 20 minutes for nuclei and 13 for clothing on two busy cores. Each training
is a process of its own, started as a user starts it. Run again, it goes on where it was stopped. Writes results.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev
from typing import Any

PIPELINES = {
    "nuclei": """
import albumentations as A

train = A.Compose([
    A.HorizontalFlip(p=0.5),
    A.VerticalFlip(p=0.5),
    A.Rotate(limit=15, p=0.5),
    # By the mean, not by 255: many images have a mean of 8, a step of 50 would leave them black.
    A.RandomBrightnessContrast(brightness_by_max=False, p=0.3),
    A.Resize(128, 128),
])
validation = A.Compose([A.Resize(128, 128)])
""",
    "clothing": """
import albumentations as A

train = A.Compose([
    A.RandomResizedCrop((96, 96), scale=(0.5, 1.0), ratio=(0.8, 1.25)),
    A.HorizontalFlip(p=0.5),
    A.Rotate(limit=15, p=0.5),
    A.ColorJitter(p=0.7),
])
validation = A.Compose([A.Resize(96, 96)])
""",
}
NUCLEI_FIT = {"epochs": 80, "batch-size": 8, "learning-rate": 0.004}
CLOTHING_FIT = {"epochs": 40, "batch-size": 16, "learning-rate": 0.002}
VARIANTS = 20

IOU_WANTED = 0.80
ACCURACY_WANTED = 0.40


def main() -> int:
    """Run what was asked for; exit code 1 if something was not reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("real-data"), help="folder for datasets, runs and results")
    parser.add_argument("--only", choices=("nuclei", "clothing"), help="one of the two")
    parser.add_argument("--seeds", type=int, default=3, help="trainings on nuclei (default: 3)")
    parser.add_argument("--folds", type=int, default=5, help="parts that clothing is cut into (default: 5)")
    parser.add_argument("--repeats", type=int, default=2, help="cuttings of clothing (default: 2)")
    arguments = parser.parse_args()
    if "PRECOMPUTE_TEST_DATA" not in os.environ:
        print("PRECOMPUTE_TEST_DATA is not set: expected the folder that holds nuclei and clothing", file=sys.stderr)
        return 2
    data = Path(os.environ["PRECOMPUTE_TEST_DATA"])
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "results.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}  # of the other of the two
    if arguments.only != "clothing":
        results["nuclei"] = run_nuclei(data / "nuclei", arguments.output, arguments.seeds)
    if arguments.only != "nuclei":
        results["clothing"] = run_clothing(data / "clothing", arguments.output, arguments.folds, arguments.repeats)
    path.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\n{'data':<10}{'trainings':>10}  {'mean':>6}  {'sd':>6}  {'wanted':>6}  {'to beat':>18}  reached")
    for name, result in results.items():
        beat = f"{result['baseline']} {result['baseline_score']:.3f}"
        print(
            f"{name:<10}{len(result['scores']):>10}  {result['mean']:>6.3f}  {result['sd']:>6.3f}  "
            f"{result['wanted']:>6.2f}  {beat:>18}  {'yes' if result['reached'] else 'NO'}"
        )
    print(path)
    return 0 if all(result["reached"] for result in results.values()) else 1


def run_nuclei(source: Path, output: Path, num_seeds: int) -> dict[str, Any]:
    """Train the U-Net with several seeds on one split, which the build chose."""
    dataset = output / "nuclei"
    pipeline = write_pipeline(output, "nuclei")
    began = time.monotonic()
    command = ["build", source, dataset, "--pipeline", pipeline, "--variants", VARIANTS, "--seed", 0]
    run("precompute", *command, "--validation-split", 0.2, "--mask-map", "255:1", "--quiet")
    print(f"nuclei: built in {time.monotonic() - began:.0f} s", flush=True)
    trainings = []
    for seed in range(num_seeds):
        folder = output / f"nuclei-seed{seed}"
        trainings.append(train(dataset, folder, "val_foreground_iou", seed=seed, **NUCLEI_FIT))
    return summarize(trainings, IOU_WANTED, "Otsu", otsu_iou(dataset))


def run_clothing(source: Path, output: Path, num_folds: int, num_repeats: int) -> dict[str, Any]:
    """Train the compact classifier from scratch on each fold of several cuttings."""
    import precompute

    pipeline = write_pipeline(output, "clothing")
    images = sorted(source.glob("*/*.jpg"))
    labels = [path.parent.name for path in images]
    trainings = []
    for repeat in range(num_repeats):
        fold_of = stratified_folds(labels, num_folds, seed=repeat)
        for fold in range(num_folds):
            dataset, folder = (output / f"clothing{kind}-{repeat}-{fold}" for kind in ("", "-run"))
            precompute.build(
                output=dataset,
                images=images,
                labels=labels,
                splits=["validation" if f == fold else "train" for f in fold_of],
                pipeline=str(pipeline),
                variants=VARIANTS,
                quiet=True,
            )
            trainings.append(train(dataset, folder, "val_accuracy", seed=repeat * num_folds + fold, **CLOTHING_FIT))
    majority = max(labels.count(label) for label in set(labels)) / len(labels)
    return summarize(trainings, ACCURACY_WANTED, "largest class", majority)


def train(dataset: Path, folder: Path, score: str, **options: Any) -> dict[str, float]:
    """Train in another process and return the score of the last epoch, which nothing was selected by, and the best."""
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    run("train", "fit", dataset, "--run", folder, *arguments, "--quiet")
    lines = [line.split(",") for line in (folder / "history.csv").read_text().splitlines()]
    column, seconds = lines[0].index(score), lines[0].index("seconds")
    scores = [float(line[column]) for line in lines[1:]]
    result = {"last": scores[-1], "best": max(scores), "seconds": sum(float(line[seconds]) for line in lines[1:])}
    print(f"{folder.name}: {result['last']:.3f} (best {result['best']:.3f}), {result['seconds']:.0f} s", flush=True)
    return result


def summarize(trainings: list[dict[str, float]], wanted: float, baseline: str, baseline_score: float) -> dict[str, Any]:
    """Compare the mean of the last epochs with what is wanted and with a baseline."""
    scores = [training["last"] for training in trainings]
    return {
        "mean": mean(scores),
        "sd": stdev(scores) if len(scores) > 1 else 0.0,
        "mean_best_epoch": mean(training["best"] for training in trainings),
        "wanted": wanted,
        "baseline": baseline,
        "baseline_score": baseline_score,
        "reached": mean(scores) >= wanted and mean(scores) > baseline_score,
        "scores": scores,
        "seconds": [round(training["seconds"], 1) for training in trainings],
    }


def otsu_iou(dataset: Path) -> float:
    """Return the pooled IoU of Otsu's threshold on the validation images.

    Nuclei are bright in some images and dark in others; the rarer side of the threshold is taken for them.
    """
    import cv2
    import numpy as np

    from train.start import quiet_stderr

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with quiet_stderr():
        import precompute

        validation = precompute.load(dataset, split="validation", targets=["mask"])
    both = either = 0
    for images, masks in validation:
        for image, mask in zip(images.numpy(), masks.numpy(), strict=True):
            _, found = cv2.threshold(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 0, 1, cv2.THRESH_OTSU)
            found = (found if found.mean() < 0.5 else 1 - found).astype(bool)
            truth = np.asarray(mask == 1)
            both += int((found & truth).sum())
            either += int((found | truth).sum())
    return both / either


def stratified_folds(labels: list[str], num_folds: int, *, seed: int) -> list[int]:
    """Return a fold for each label: classes are shuffled and dealt out one after the other, as cards."""
    by_class = defaultdict(list)
    for i, label in enumerate(labels):
        by_class[label].append(i)
    folds, generator, dealt = [0] * len(labels), random.Random(seed), 0
    for label in sorted(by_class):
        generator.shuffle(by_class[label])
        for i in by_class[label]:
            folds[i] = dealt % num_folds
            dealt += 1
    return folds


def write_pipeline(output: Path, name: str) -> Path:
    """Write the augmentation of one dataset as a file, as a user would."""
    path = output / f"{name}_pipeline.py"
    path.write_text(PIPELINES[name].lstrip())
    return path


def run(module: str, *arguments: Any) -> None:
    """Run a command of this project; what it says goes to the screen, a failure ends the script."""
    subprocess.run([sys.executable, "-m", module, *map(str, arguments)], check=True)


if __name__ == "__main__":
    sys.exit(main())
