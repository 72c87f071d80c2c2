"""Where pipelines come from: a Python file, a file that Albumentations wrote, a preset, or objects."""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import albumentations
import cloudpickle
import cv2
import yaml

from precompute.dataset.manifest import SPLITS
from precompute.errors import PipelineError

__all__ = ["PRESETS", "load_pipelines"]

ImageSize = tuple[int, int]


def _light(height: int, width: int) -> Any:
    return albumentations.Compose(
        [
            albumentations.HorizontalFlip(p=0.5),
            albumentations.Rotate(limit=15, p=0.5),
            albumentations.RandomBrightnessContrast(p=0.3),
            albumentations.Resize(height, width),
        ]
    )


def _medium(height: int, width: int) -> Any:
    return albumentations.Compose(
        [
            albumentations.RandomResizedCrop((height, width), scale=(0.5, 1.0), ratio=(0.8, 1.25)),
            albumentations.HorizontalFlip(p=0.5),
            albumentations.Rotate(limit=20, p=0.5),
            albumentations.RandomBrightnessContrast(p=0.5),
            albumentations.HueSaturationValue(p=0.3),
            albumentations.GaussianBlur(p=0.1),
        ]
    )


def _heavy(height: int, width: int) -> Any:
    return albumentations.Compose(
        [
            albumentations.RandomResizedCrop((height, width), scale=(0.3, 1.0), ratio=(0.75, 1.33)),
            albumentations.HorizontalFlip(p=0.5),
            albumentations.Affine(rotate=(-30, 30), shear=(-10, 10), border_mode=cv2.BORDER_REFLECT_101, p=0.5),
            albumentations.ElasticTransform(alpha=30, sigma=6, approximate=True, p=0.2),
            albumentations.RandomBrightnessContrast(brightness_limit=0.3, contrast_limit=0.3, p=0.7),
            albumentations.HueSaturationValue(p=0.5),
            albumentations.GaussNoise(p=0.2),
            albumentations.GaussianBlur(p=0.2),
            albumentations.CoarseDropout(fill_mask=0, p=0.3),
        ]
    )


PRESETS: dict[str, Callable[[int, int], Any]] = {"light": _light, "medium": _medium, "heavy": _heavy}


def load_pipelines(given: Any, image_size: ImageSize | None) -> dict[str, Any]:
    """Return the pipelines that were given, by split.

    Args:
        given: A path (.py, .yaml, .yml, .json), the name of a preset, a `Compose` (for train), or a mapping from
            split to a `Compose` or to a function of (height, width) that returns one.
        image_size: Height and width for presets and functions.

    Raises:
        PipelineError: It cannot be read, or holds no pipeline for train.
    """
    if isinstance(given, str) and given in PRESETS:
        found: Mapping[str, Any] = {"train": PRESETS[given]}
        where = f"preset {given}"
    elif isinstance(given, str | Path):
        path = Path(given)
        found, where = _read_file(path), str(path)
    elif isinstance(given, Mapping):
        found, where = given, "pipeline"
        unknown = [str(split) for split in found if split not in SPLITS]
        if unknown:
            raise PipelineError(f"pipeline: expected the keys {', '.join(SPLITS)}, got {', '.join(unknown)}.")
    else:
        found, where = {"train": given}, "pipeline"
    pipelines = {split: _sized(found[split], image_size, f"{where}: {split}") for split in SPLITS if split in found}
    if "train" not in pipelines:
        raise PipelineError(f"{where}: there is no pipeline for train; expected a name `train` bound to a Compose.")
    return pipelines


def _read_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise PipelineError(
            f"{path}: there is no such file; expected a .py, .yaml or .json file with pipelines, or a preset: "
            f"{', '.join(PRESETS)}."
        )
    with warnings.catch_warnings():
        # Unknown arguments of transforms come with a warning; `prepare` makes an error of them that says more.
        warnings.filterwarnings("ignore", message="Argument\\(s\\)")
        if path.suffix == ".py":
            return _read_python(path)
        return _read_serialized(path)


def _read_python(path: Path) -> dict[str, Any]:
    name = f"precompute_pipelines_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PipelineError(f"{path}: Python cannot import this file.")
    module = importlib.util.module_from_spec(spec)
    # Workers cannot import a user's file: what it defines is pickled by value.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        line = _line_in(path, error)
        raise PipelineError(f"{path}{line}: {type(error).__name__}: {_first_lines(error)}") from error
    cloudpickle.register_pickle_by_value(module)
    found = {split: getattr(module, split) for split in SPLITS if hasattr(module, split)}
    if not found:
        raise PipelineError(
            f"{path}: defines none of {', '.join(SPLITS)}; expected `train = albumentations.Compose(…)`."
        )
    return found


def _line_in(path: Path, error: BaseException) -> str:
    line, trace = "", error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = f", line {trace.tb_lineno}"
        trace = trace.tb_next
    return line


def _first_lines(error: BaseException) -> str:
    return "; ".join(line.strip() for line in str(error).splitlines()[:3])


def _read_serialized(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise PipelineError(f"{path}: not valid {path.suffix[1:].upper()}: {_first_lines(error)}") from error
    if not isinstance(content, dict):
        raise PipelineError(f"{path}: expected what albumentations.save writes, got {type(content).__name__}.")
    parts = {"train": content} if "transform" in content else {s: content[s] for s in SPLITS if s in content}
    if not parts:
        raise PipelineError(f"{path}: expected what albumentations.save writes, or that under {', '.join(SPLITS)}.")
    try:
        return {split: albumentations.from_dict(part) for split, part in parts.items()}
    except Exception as error:
        raise PipelineError(f"{path}: Albumentations cannot rebuild it: {_first_lines(error)}") from error


def _sized(pipeline: Any, image_size: ImageSize | None, where: str) -> Any:
    """Return the pipeline itself, or what a function of the image size returns."""
    if not inspect.isfunction(pipeline):
        return pipeline
    if image_size is None:
        raise PipelineError(f"{where} is a function of the image size: give --image-size.")
    height, width = image_size
    two = len(inspect.signature(pipeline).parameters) == 2
    call = f"{pipeline.__name__}({height}, {width})" if two else f"{pipeline.__name__}(({height}, {width}))"
    try:
        return pipeline(height, width) if two else pipeline((height, width))
    except Exception as error:
        raise PipelineError(f"{where}: {call} raised {type(error).__name__}: {_first_lines(error)}") from error
