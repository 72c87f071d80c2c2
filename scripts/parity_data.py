"""The data of the parity experiment: pipelines, cuttings, datasets with stored rows."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from real_data import stratified_folds

__all__ = ["STUDIES", "Study", "build_follow", "build_rows", "describe_machine"]

SIZE = 64


@dataclass(frozen=True, kw_only=True)
class Study:
    """A data set with what is trained on it.

    Attributes:
        name: Of its folder.
        title: For people.
        metric: Score of the test images, as `train` calls it.
        num_folds: Parts that the images are cut into: one is trained on, the others are tested on.
        epochs: Each reads as many images as there are sources.
        fit: Options of `train fit`.
        pipeline: A pipeline file.
    """

    name: str
    title: str
    metric: str
    num_folds: int
    epochs: int
    fit: dict[str, Any]
    pipeline: str


STUDIES = {
    study.name: study
    for study in (
        Study(
            name="nuclei",
            title="nuclei (segmentation)",
            metric="foreground_iou",
            num_folds=10,
            epochs=240,
            fit={"batch_size": 8, "base_channels": 6, "learning_rate": 0.004},
            pipeline=f"""
import albumentations as A
import cv2

train = A.Compose([
    A.RandomCrop(192, 192, pad_if_needed=True, border_mode=cv2.BORDER_REFLECT_101),
    A.HorizontalFlip(p=0.5),
    A.VerticalFlip(p=0.5),
    A.Rotate(limit=15, p=0.5, border_mode=cv2.BORDER_REFLECT_101),
    A.RandomBrightnessContrast(brightness_by_max=False, p=0.3),
    A.Resize({SIZE}, {SIZE}, mask_interpolation=cv2.INTER_NEAREST_EXACT),
])
validation = A.Compose([A.CenterCrop(192, 192, pad_if_needed=True, border_mode=cv2.BORDER_REFLECT_101),
    A.Resize({SIZE}, {SIZE}, mask_interpolation=cv2.INTER_NEAREST_EXACT)])
""",
        ),
        Study(
            name="clothing",
            title="clothing (classification)",
            metric="accuracy",
            num_folds=2,
            epochs=48,
            fit={"batch_size": 16, "base_channels": 8, "learning_rate": 0.003},
            pipeline=f"""
import albumentations as A

train = A.Compose([
    A.RandomResizedCrop(({SIZE}, {SIZE}), scale=(0.5, 1.0), ratio=(0.8, 1.25)),
    A.HorizontalFlip(p=0.5),
    A.Rotate(limit=15, p=0.5),
    A.ColorJitter(p=0.7),
])
validation = A.Compose([A.Resize({SIZE}, {SIZE})])
""",
        ),
    )
}


def build_rows(study: Study, trial: int, output: Path, *, num_rows: int) -> Path:
    """Build the dataset of one trial: a fold of a cutting is its test images, called validation."""
    return _build(study, trial, output, output / "data" / f"{study.name}-{trial:02d}", num_rows)


def build_follow(study: Study, trial: int, output: Path, *, num_rows: int) -> Path:
    """Build the dataset that rows come to and go from; an unfinished training leaves it as it is not wanted again."""
    import shutil

    path = output / "data" / f"{study.name}-{trial:02d}-follow"
    shutil.rmtree(path, ignore_errors=True)
    return _build(study, trial, output, path, num_rows)


def _build(study: Study, trial: int, output: Path, path: Path, num_rows: int) -> Path:
    import precompute

    folder = Path(os.environ["PRECOMPUTE_TEST_DATA"]) / study.name
    pipeline = output / f"{study.name}_pipeline.py"
    if not pipeline.exists():
        pipeline.parent.mkdir(parents=True, exist_ok=True)
        pipeline.write_text(study.pipeline.lstrip())
    if study.metric == "accuracy":
        images = sorted(folder.glob("*/*.jpg"))
        given: dict[str, Any] = {"labels": [image.parent.name for image in images]}
        strata = given["labels"]
    else:
        images = sorted((folder / "images").iterdir())
        masks = {mask.stem: mask for mask in (folder / "masks").iterdir()}
        given = {"masks": [masks[image.stem] for image in images], "mask_map": {255: 1}}
        strata = ["all"] * len(images)
    cutting, fold = divmod(trial, study.num_folds)
    fold_of = stratified_folds(strata, study.num_folds, seed=cutting)
    precompute.build(
        output=path,
        images=images,
        splits=["train" if f == fold else "validation" for f in fold_of],
        include_original=True,
        pipeline=str(pipeline),
        variants=num_rows,
        seed=trial,
        jobs=1,
        backend="sequential",
        quiet=True,
        **given,
    )
    return path


def describe_machine() -> dict[str, Any]:
    """Return what a result should be read with."""
    here = Path(__file__).parent
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True, check=False
    )
    packages = ("augment-once", "albumentations", "opencv-python-headless", "numpy", "tensorflow", "keras")
    return {
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {name: version(name) for name in packages},
    }
