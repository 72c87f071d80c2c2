"""What a user can choose when a trained model is used: predict and export."""

from __future__ import annotations

from dataclasses import dataclass

from precompute.images.color_modes import ALPHAS
from precompute.options.option import option
from precompute.options.values import within
from train.options import TrainOptions

__all__ = ["AS_BUILT", "ExportOptions", "PredictOptions"]

AS_BUILT = "as-built"


@dataclass(frozen=True, kw_only=True)
class PredictOptions(TrainOptions):
    """Options of `train predict`."""

    checkpoint: str = option("best", "which model of the run", choices=("best", "last"))
    dataset: str | None = option(
        None, "folder of the dataset (default: the one that the run was trained on)", metavar="DIR"
    )
    pipeline: str | None = option(
        None, "file of the pipelines, where the dataset's manifest cannot hold the code", metavar="FILE"
    )
    alpha: str = option(
        AS_BUILT,
        "alpha channel of an image that is not 255 everywhere: opaque: refused; drop: taken off; white, black: what "
        "lies behind; as-built: as of the dataset",
        choices=(AS_BUILT, *ALPHAS),
    )
    draw: bool = option(False, "also write each image with its mask or boxes laid over it")
    model_size: bool = option(
        False, "masks and boxes at the size that the model works at (default: at that of the images)"
    )
    batch_size: int = option(8, "images a step; changes no result", check=within(1))
    overwrite: bool = option(False, "also replace files in the output folder that this command did not write")


@dataclass(frozen=True, kw_only=True)
class ExportOptions(TrainOptions):
    """Options of `train export`."""

    format: str = option(
        "saved_model", "saved_model: for TensorFlow Serving; keras: a .keras file", choices=("saved_model", "keras")
    )
    checkpoint: str = option("best", "which model of the run", choices=("best", "last"))
    overwrite: bool = option(False, "replace an earlier export")
