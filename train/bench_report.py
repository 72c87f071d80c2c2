"""The report of `train bench`: measurements, whether a training waits for loader or step, and advice."""

from __future__ import annotations

import os
from pathlib import Path

import tensorflow as tf

from precompute.dataset.manifest import Manifest
from precompute.text.format import format_count
from train.bench import BenchResult
from train.bench_options import BenchOptions
from train.learnt_targets import learnt_values

__all__ = ["advise", "describe"]

JPEG = "precompute build --image-format jpeg"
LEVEL = 1.1  # below that a loader is hardly faster than the step: small changes decide who waits


def describe(result: BenchResult, dataset: Path, manifest: Manifest, options: BenchOptions) -> list[str]:
    """Return the lines of the report."""
    image, size = manifest.image, options.batch_size
    num_gpus = len(tf.config.list_logical_devices("GPU"))
    if result.memory is None:
        memory = f"not held in memory ({result.why_held})"
    else:
        memory = f"{_rate(result.memory, size)} from rows held in memory ({result.why_held})"
    slower = ", each on the same cores" if not num_gpus else ""
    than = f"{result.ratio:.3g} times as fast as the step"
    return [
        f"dataset     {dataset}: {image.height}×{image.width}, {image.encoding}, {_target_of(manifest)}",
        f"machine     {format_count(os.cpu_count() or 1, 'core')}, "
        f"{format_count(num_gpus, 'GPU') if num_gpus else 'no GPU'}",
        f"model       {result.model}, {format_count(size, 'image')} a step",
        f"loader      {_rate(result.loader, size)} from files",
        f"            {memory}",
        f"step        {_rate(result.step, size)} on a batch that is in memory",
        f"together    {_rate(result.together, size)} from files{slower}",
        f"{result.bound}: the loader is {than}",
        *(f"- {line}" for line in advise(result, manifest, options)),
    ]


def _target_of(manifest: Manifest) -> str:
    targets = manifest.schema.targets
    if len(targets) == 1 and not learnt_values(manifest.schema):
        return manifest.target.kind
    return ", ".join(field.own_name for field in targets.values()) or manifest.target.kind


def _rate(images_per_second: float, batch_size: int) -> str:
    return f"{images_per_second:,.0f} images/s, {1000 * batch_size / images_per_second:,.3g} ms a batch,"


def advise(result: BenchResult, manifest: Manifest, options: BenchOptions) -> list[str]:
    """Return advice on what to change, the most worthwhile first."""
    if result.bound == "compute-bound":
        return _advise_compute(result, manifest)
    return _advise_input(result, manifest, options)


def _advise_input(result: BenchResult, manifest: Manifest, options: BenchOptions) -> list[str]:
    advice = []
    if manifest.image.encoding != "jpeg":
        advice.append(
            f"JPEG may be read faster than {manifest.image.encoding}, and takes a fraction of the disk: {JPEG}"
        )
    if not result.is_held:
        advice.append(
            "--cache auto holds decoded rows in memory"
            if options.cache == "off"
            else f"fewer rows can be held in memory, where reading costs next to nothing (now: {result.why_held})"
        )
    if options.fresh != "off":
        advice.append("--fresh off saves the moves that are drawn at each reading, if there are rows enough")
    cores = os.cpu_count()
    advice.append(f"more cores: decoding takes all {cores} that are here, and grows with them")
    return advice


def _advise_compute(result: BenchResult, manifest: Manifest) -> list[str]:
    advice = []
    if result.ratio < LEVEL:
        advice.append("loader and step are about level: a faster step would wait for the loader")
    else:
        advice.append("the loader keeps up: nothing is to be won in reading or augmenting")
    if result.together < 0.9 * result.step and result.ratio >= LEVEL:
        advice.append("the model runs on the cores that decode: a GPU would leave them to the loader")
    if tf.config.list_logical_devices("GPU"):
        advice.append("a faster step: --precision mixed_float16 on recent GPUs, a larger --batch-size, --devices all")
    else:
        advice.append("a faster step: a GPU, a smaller model (--base-channels), smaller images")
    return advice
