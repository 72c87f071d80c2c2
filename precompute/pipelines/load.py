"""Loading pipelines from a file of Python or Albumentations, a preset, or objects; and assigning them to splits."""

from __future__ import annotations

import functools
import hashlib
import importlib.machinery
import importlib.util
import inspect
import json
import os
import sys
import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cloudpickle
import cv2
import yaml

from precompute.dataset.manifest import SPLITS
from precompute.errors import PipelineError, accessible
from precompute.fields.image import ImageField
from precompute.pipelines.pipeline import Prepared, prepare, resize
from precompute.pipelines.transforms import albumentations, make_from_dict
from precompute.text.files import read_text

__all__ = ["PRESETS", "TAKES_FROM", "complete_pipelines", "load_pipelines"]

ImageSize = tuple[int, int]

SUFFIXES = (".py", ".yaml", ".yml", ".json")
# Other names of splits: a pipeline in a file under such a name would be passed over without a word.
OTHER_NAMES = {"training": "train", "val": "validation", "valid": "validation", "testing": "test"}


EXACT = {"mask_interpolation": cv2.INTER_NEAREST_EXACT}  # keeps masks on their images; see `pipeline.resize`
TAKES_FROM = {"validation": "test", "test": "validation"}  # a split without a pipeline of its own


def _light(height: int, width: int, mask_fill: int = 0) -> Any:
    return albumentations.Compose(
        [
            albumentations.HorizontalFlip(p=0.5),
            albumentations.Rotate(limit=15, fill_mask=mask_fill, p=0.5),
            albumentations.RandomBrightnessContrast(p=0.3),
            albumentations.Resize(height, width, **EXACT),
        ]
    )


def _medium(height: int, width: int, mask_fill: int = 0) -> Any:
    return albumentations.Compose(
        [
            albumentations.RandomResizedCrop((height, width), scale=(0.5, 1.0), ratio=(0.8, 1.25), **EXACT),
            albumentations.HorizontalFlip(p=0.5),
            albumentations.Rotate(limit=20, fill_mask=mask_fill, p=0.5),
            albumentations.RandomBrightnessContrast(p=0.5),
            albumentations.HueSaturationValue(p=0.3),
            albumentations.GaussianBlur(p=0.1),
        ]
    )


def _heavy(height: int, width: int, mask_fill: int = 0) -> Any:
    return albumentations.Compose(
        [
            albumentations.RandomResizedCrop((height, width), scale=(0.3, 1.0), ratio=(0.75, 1.33), **EXACT),
            albumentations.HorizontalFlip(p=0.5),
            albumentations.Affine(rotate=(-30, 30), shear=(-10, 10), border_mode=cv2.BORDER_REFLECT_101, p=0.5),
            albumentations.ElasticTransform(alpha=30, sigma=6, approximate=True, fill_mask=mask_fill, p=0.2),
            albumentations.RandomBrightnessContrast(brightness_limit=0.3, contrast_limit=0.3, p=0.7),
            albumentations.HueSaturationValue(p=0.5),
            albumentations.GaussNoise(p=0.2),
            albumentations.GaussianBlur(p=0.2),
            albumentations.CoarseDropout(fill_mask=mask_fill, p=0.3),
        ]
    )


PRESETS: dict[str, Callable[..., Any]] = {"light": _light, "medium": _medium, "heavy": _heavy}


class Loaded(dict[str, Any]):
    """Pipelines by split.

    Attributes:
        is_sized: Whether one of them was made for the given image size.
    """

    is_sized = False


def load_pipelines(given: Any, image_size: ImageSize | None, *, mask_fill: int | None = None) -> Loaded:
    """Return the given pipelines by split.

    Args:
        given: A path (.py, .yaml, .yml, .json), the name of a preset, a `Compose` (for train), or a mapping from
            split to a `Compose` or to a function of (height, width) that returns one.
        image_size: Height and width for presets and functions.
        mask_fill: Class id that presets fill masks with; 0 when None.

    Raises:
        PipelineError: The pipeline cannot be read, or there is none for train.
    """
    found, where = _find(given, mask_fill or 0)
    if isinstance(given, str) and given in PRESETS and image_size is None:
        raise PipelineError(f"{where}: give its size with --image-size.")
    pipelines = Loaded(
        {split: _sized(found[split], image_size, f"{where}: {split}") for split in SPLITS if split in found}
    )
    pipelines.is_sized = any(_takes_size(pipeline) for pipeline in found.values())
    if "train" not in pipelines:
        raise PipelineError(f"{where}: there is no pipeline for train; expected a name `train` bound to a Compose.")
    return pipelines


def _find(given: Any, mask_fill: int) -> tuple[Mapping[str, Any], str]:
    """Return what was given by split, and its origin for messages."""
    if isinstance(given, str) and given in PRESETS:
        return {"train": functools.partial(PRESETS[given], mask_fill=mask_fill)}, f"preset {given}"
    if isinstance(given, str | Path):
        return _read_file(Path(given)), str(given)
    if isinstance(given, Mapping):
        _check_keys(given, "pipeline")
        return given, "pipeline"
    return {"train": given}, "pipeline"


def _check_keys(mapping: Mapping[str, Any], where: str) -> None:
    unknown = [str(key) for key in mapping if key not in SPLITS]
    if unknown:
        raise PipelineError(f"{where}: expected the keys {', '.join(SPLITS)}, got {', '.join(unknown)}.")


def _read_file(path: Path) -> Mapping[str, Any]:
    with accessible(path, PipelineError):
        is_there = path.is_file()
        if is_there:
            path.open("rb").close()
    if not is_there:
        raise PipelineError(
            f"{path}: there is no such file; expected a .py, .yaml or .json file with pipelines, or a preset: "
            f"{', '.join(PRESETS)}."
        )
    if path.suffix not in SUFFIXES:
        raise PipelineError(f"{path}: expected a file that ends in {', '.join(SUFFIXES)}.")
    with warnings.catch_warnings():
        # Albumentations warns of unknown arguments of transforms; `prepare` raises an error for them that says more.
        warnings.filterwarnings("ignore", message="Argument\\(s\\)")
        warnings.filterwarnings("ignore", message="Using lambda is incompatible")  # not with cloudpickle
        return _read_python(path) if path.suffix == ".py" else _read_serialized(path)


class _FromSource(importlib.machinery.SourceFileLoader):
    """A loader that compiles a file each time it is read.

    Python caches compiled files, and takes the cache for current while the file's size and the second of its last
    change stay the same. So it could miss a file that a program writes anew, or a quick change of a number.
    """

    def get_code(self, fullname: str) -> types.CodeType:
        path = self.get_filename(fullname)
        code: types.CodeType = self.source_to_code(self.get_data(path), path)
        return code


def _read_python(path: Path) -> dict[str, Any]:
    path = path.resolve()
    name = f"precompute_pipelines_{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_FromSource(name, str(path)))
    if spec is None or spec.loader is None:
        raise PipelineError(f"{path}: Python cannot import this file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))  # it may import its neighbours, as it could when run
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise PipelineError(f"{path}{_line_in(path, error)}: {type(error).__name__}: {_first_lines(error)}") from error
    finally:
        sys.path.remove(str(path.parent))
    _pickle_by_value(path.parent)
    others = [name for name in OTHER_NAMES if hasattr(module, name) and not hasattr(module, OTHER_NAMES[name])]
    if others:
        raise PipelineError(f"{path}: defines {others[0]}; pipelines are looked for under {', '.join(SPLITS)}.")
    found = {split: getattr(module, split) for split in SPLITS if hasattr(module, split)}
    if not found:
        raise PipelineError(
            f"{path}: defines none of {', '.join(SPLITS)}; expected `train = albumentations.Compose(…)`."
        )
    return found


def _pickle_by_value(folder: Path) -> None:
    """Pickle the definitions of a folder's modules by value, for workers cannot import a user's files."""
    start = str(folder)  # a Path of each of thousands of modules takes longer than all the rest
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and file.startswith(start) and Path(file).parent == folder and module.__name__ != "__main__":
            cloudpickle.register_pickle_by_value(module)


def _line_in(path: Path, error: BaseException) -> str:
    """Return ``", line 7"`` for the last line of a file in an error's traceback."""
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}" if error.filename == str(path) else ""
    line, trace = "", error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = f", line {trace.tb_lineno}"
        trace = trace.tb_next
    return line


def _first_lines(error: BaseException) -> str:
    """Return the first lines of an error's message."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return "; ".join(line.strip() for line in text.splitlines()[:3])


def _read_serialized(path: Path) -> dict[str, Any]:
    text = read_text(path, PipelineError)
    try:
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise PipelineError(f"{path}: not valid {path.suffix[1:].upper()}: {_first_lines(error)}") from error
    if not isinstance(content, dict):
        raise PipelineError(f"{path}: expected what albumentations.save writes, got {type(content).__name__}.")
    parts = {"train": content} if "transform" in content else content
    if not any(split in parts for split in SPLITS):
        raise PipelineError(f"{path}: expected what albumentations.save writes, or that under {', '.join(SPLITS)}.")
    _check_keys(parts, str(path))
    return {split: _deserialize(part, f"{path}: {split}") for split, part in parts.items()}


def _deserialize(part: Any, where: str) -> Any:
    if not isinstance(part, dict) or "transform" not in part:
        raise PipelineError(f"{where}: expected what albumentations.save writes, got {part!r:.60}.")
    try:
        return make_from_dict(part["transform"])
    except KeyError as error:
        raise PipelineError(f"{where}: Albumentations does not know a transform {error}.") from error
    except Exception as error:  # each transform refuses arguments in its own way
        raise PipelineError(f"{where}: Albumentations cannot rebuild it: {_first_lines(error)}") from error


def _takes_size(pipeline: Any) -> bool:
    return inspect.isroutine(pipeline) or isinstance(pipeline, functools.partial)


def _sized(pipeline: Any, image_size: ImageSize | None, where: str) -> Any:
    """Return a pipeline itself, or the result of a function of the image size."""
    if not _takes_size(pipeline):
        return pipeline
    name = getattr(pipeline, "__name__", "it")
    parameters = list(inspect.signature(pipeline).parameters.values())
    required = [
        p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if image_size is None and required:
        raise PipelineError(f"{where} is a function of the image size: give --image-size.")
    arguments: tuple[Any, ...] = () if image_size is None or not parameters else image_size
    if image_size is not None and len(required or parameters) == 1:
        arguments = (image_size,)
    try:
        return pipeline(*arguments)
    except Exception as error:
        call = f"{name}({', '.join(map(str, arguments))})"
        raise PipelineError(f"{where}: {call} raised {type(error).__name__}: {_first_lines(error)}") from error


def complete_pipelines(
    prepared: Mapping[str, Prepared], splits: Sequence[str], image: ImageField, stored: Mapping[str, Any] | None = None
) -> dict[str, Prepared]:
    """Return a pipeline for each split.

    If only one of validation and test has a pipeline, both use it; if neither has, they get the deterministic resize. A
    dataset that was made when each split without a pipeline got the resize keeps it.

    Args:
        prepared: The given pipelines.
        splits: The splits that have sources.
        image: The image of the train pipeline's output, with its size.
        stored: Split → description of its pipeline in an existing dataset.
    """
    wanted = [split for split in SPLITS if split in splits or split in ("train", "validation")]
    rules, further = next(((p.box_rules, p.further_targets) for p in prepared.values()), (None, {}))
    plain = prepare(resize(image.height, image.width), "validation", box_rules=rules, further_targets=further)

    def not_given(split: str) -> Prepared:
        resized = stored is not None and stored.get(split) == plain.description
        return plain if resized else given(TAKES_FROM.get(split, "")) or plain

    def given(split: str) -> Prepared | None:
        one = prepared.get(split)
        earlier = None if one is None else one.earlier
        return earlier if earlier is not None and (stored or {}).get(split) == earlier.description else one

    return {split: given(split) or not_given(split) for split in wanted}
