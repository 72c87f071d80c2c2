"""The task of an image beside the image: its clean picture, its colours, its depth."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import layers

from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError
from precompute.fields.extra_image import ExtraImageField
from precompute.text.format import format_count
from train.image_scores import SCORES, ImageScores, score_images
from train.learnt_targets import IMAGE
from train.options import FitOptions
from train.pictures.charts import draw_histograms
from train.pictures.sheets import draw_images, format_value
from train.samples import Sample
from train.scores import Counts
from train.tasks.losses import ImageLoss
from train.tasks.task import OneTarget
from train.tasks.trunk import Trunk
from train.weights import check_loss_weights

__all__ = ["Reconstruct"]

UNIT = "in_unit"  # the last layer of a model: from −1 … 1 to the values of the images


@dataclass(frozen=True, kw_only=True)
class Reconstruct(OneTarget):
    """Image to image: absolute error plus structural similarity, judged by structural similarity.

    Attributes:
        name: Name of the further image.
        channels: Number of its channels.
        dtype: Type of its values: ``"uint8"``, ``"uint16"`` or ``"float32"``.
        low: Least value of the training images; of uint8, 0.
        high: Greatest value; of uint8, 255.
    """

    name: str
    channels: int
    dtype: str
    low: float = 0.0
    high: float = 255.0

    score = "ssim"
    target: ClassVar[str] = IMAGE
    title: ClassVar[str] = "image"
    noun: ClassVar[str] = "images"
    per_pixel: ClassVar[bool] = True
    num_samples: ClassVar[int] = 6
    outputs: ClassVar[str] = "values, −1 for the least and 1 for the greatest of training,"

    @classmethod
    def of(cls, manifest: Manifest, ignore_class: int | None = None, head: str = "") -> Reconstruct:
        """Make the task from what the manifest says; there are no classes."""
        image, (field,) = manifest.image, manifest.schema.targets.values()
        further = cast(ExtraImageField, field)
        return cls(
            shape=(image.height, image.width, image.channels),
            num_classes=0,
            class_names=(),
            normalize=manifest.normalize.get("train"),
            head=head,
            name=further.name,
            channels=further.channels,
            dtype=further.dtype,
        )

    @property
    def num_outputs(self) -> int:
        """Number of outputs per pixel: one per channel."""
        return self.channels

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of a predicted image."""
        return (*self.shape[:2], self.channels)

    @property
    def span(self) -> float:
        """Difference of the greatest and the least value, by which errors are measured."""
        return self.high - self.low

    @property
    def knows_from_row(self) -> bool:
        """Whether `fitted_to` depends on the row that it is given, so that a continued run keeps what it had."""
        return self.dtype != "uint8"

    def describe_target(self) -> str:
        """Return what is learnt, in words."""
        values = f"{format_value(self.low)} to {format_value(self.high)}"
        return f"{self.title} {self.name}, {format_count(self.channels, 'channel')}, {self.dtype}, {values}"

    def check_target_options(self, options: FitOptions) -> None:
        """Raise `UsageError` for options that make no sense for images."""
        check_loss_weights(options.loss_weights, [self.name])
        self.refuse(options, "mixup", "cutmix", "label_smoothing", "class_weights", "ignore_class")

    def fitted_to(self, batches: Callable[[], Iterable[npt.NDArray[Any]]]) -> Reconstruct:
        """Return the task with the least and the greatest value of the training images; those of uint8 are known.

        Args:
            batches: Returns packed targets, [B, H, W, C], of all training images.

        Raises:
            DatasetError: All values are the same.
        """
        if self.dtype == "uint8":
            return self
        ends = np.array([(images.min(), images.max()) for images in batches()], np.float64)
        low, high = float(ends[:, 0].min()), float(ends[:, 1].max())
        if low == high:
            raise DatasetError(
                f"there is nothing to learn of {self.name}: all values of the training images are {low:g}."
            )
        return dataclasses.replace(self, low=low, high=high)

    def with_model(self, model: Any) -> Reconstruct:
        """Return the task with the range of values inside a trained model."""
        unit = model.get_layer(self.layer(UNIT))
        return dataclasses.replace(self, low=float(unit.offset - unit.scale), high=float(unit.offset + unit.scale))

    def attach(self, trunk: Trunk) -> Any:
        """Return values from −1 to 1, out of features and of the image itself.

        A new head gives the image where the target is uint8, which most such targets resemble, else the middle value.
        """
        image = layers.Rescaling(1 / 127.5, offset=-1, dtype="float32", name=self.layer("scaled_image"))(trunk.images)
        x = layers.Concatenate(dtype="float32", name=self.layer("with_image"))([trunk.fine, image])
        last = layers.Conv2D(self.channels, 1, kernel_initializer="zeros", dtype="float32", name=self.layer("values"))
        values = last(x)
        if self.dtype == "uint8":
            kernel, seen = np.zeros(last.kernel.shape, np.float32), self.shape[2]
            kernel[0, 0, -seen:] = np.eye(seen) if seen == self.channels else 1 / seen
            last.set_weights([kernel, np.zeros(self.channels, np.float32)])
        return values

    def finish(self, outputs: Any) -> Any:
        """Return values in the range of the images, by a plain layer of Keras."""
        half, middle = self.span / 2, (self.low + self.high) / 2
        return layers.Rescaling(half, offset=middle, dtype="float32", name=self.layer(UNIT))(outputs)

    def make_loss(self, options: FitOptions) -> Any:
        """Return absolute error plus what is missing of structural similarity."""
        return ImageLoss(span=self.span)

    def make_metrics(self) -> list[Any]:
        """Return peak signal-to-noise ratio, structural similarity and mean absolute error."""
        return [ImageScores(self.span)]

    def pack(self, targets: Any, *weights: Any) -> tuple[Any, ...]:
        """Return images as float32, and weights of images [B]: those of their pixels are all the same."""
        return tf.cast(targets, tf.float32), *(tf.reduce_mean(of_pixels, axis=[1, 2]) for of_pixels in weights)

    def misfits(self, facts: dict[str, Any], output_shape: Any) -> list[str]:
        """Return why a run's model cannot be used here: it has another image, or other channels."""
        wrong = []
        if facts.get("values", [self.name]) != [self.name]:
            wrong.append(f"image: {', '.join(facts['values'])} in the run, {self.name} there")
        if output_shape[-1] != self.channels:
            wrong.append(f"channels of {self.name}: {output_shape[-1]} in the run, {self.channels} there")
        return wrong

    def count(self, truth: npt.NDArray[Any], logits: npt.NDArray[np.float32]) -> Counts:
        """Return the scores of each image of a batch."""
        return {name: values.numpy() for name, values in score_images(truth, logits, self.span).items()}

    def add_counts(self, counts: Counts, found: Counts) -> Counts:
        """Return the scores of all images so far."""
        return {name: np.concatenate([counts[name], found[name]]) if counts else found[name] for name in found}

    def summarize(self, counts: Counts) -> dict[str, Any]:
        """Return the mean scores, and those of each image."""
        means = {name: float(counts[name].mean(dtype=np.float64)) for name in SCORES}
        of_images = {name: counts[name].tolist() for name in SCORES}
        return {
            "num_images": len(counts["ssim"]),
            **means,
            "least": self.low,
            "greatest": self.high,
            "images": of_images,
        }

    def describe(self, summary: dict[str, Any]) -> list[str]:
        """Return one line with the mean scores."""
        return [
            f"PSNR {summary['psnr']:.2f} dB, SSIM {summary['ssim']:.4f}, MAE {format_value(summary['mae'])} of values "
            f"from {format_value(summary['least'])} to {format_value(summary['greatest'])}, a mean over "
            f"{format_count(summary['num_images'], 'image')}"
        ]

    def score_images(self, truth: npt.NDArray[Any], logits: npt.NDArray[np.float32]) -> list[float]:
        """Return the structural similarity of each image."""
        return [float(value) for value in self.count(truth, logits)["ssim"]]

    def decide(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Return values within the range and of the type of the images."""
        values = np.clip(logits, self.low, self.high)
        return values if self.dtype == "float32" else values.round().astype(self.dtype)

    def confidence(self, logits: npt.NDArray[np.float32]) -> float:
        """Return NaN: values have no probability."""
        return float("nan")

    def draw(self, samples: Sequence[Sample]) -> bytes:
        """Return image, truth, prediction and their differences side by side."""
        return draw_images(samples, low=self.low, high=self.high)

    def draw_scores(self, summary: dict[str, Any]) -> bytes:
        """Return how many images have which scores."""
        shown = {"PSNR, dB": "psnr", "SSIM": "ssim", "MAE": "mae"}
        return draw_histograms({title: summary["images"][name] for title, name in shown.items()})
