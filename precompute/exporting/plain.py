"""One record as plain files, in a layout that `precompute build` reads again.

A layout is a function of an example and the names in use that returns its files and its line of the table. A new target
needs one more function, and its line in FORMATS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from precompute.dataset.manifest import IMAGE_ONLY
from precompute.exporting.names import Names, safe_name, safe_path
from precompute.images.encode import encode_image, encode_mask
from precompute.sources.split_folders import split_of

__all__ = [
    "FORMATS",
    "SEPARATOR",
    "TABLE",
    "Example",
    "Export",
    "Layout",
    "below_split",
    "copy_suffix",
    "image_file",
    "line_of",
]

TABLE = "labels.csv"
SEPARATOR = ";"  # between the labels of one image
PATHS = ("image", "mask")  # columns of the table that name files
SUFFIXES = {"jpeg": ".jpg", "png": ".png"}

Example = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Export:
    """What becomes of one record.

    Attributes:
        files: Path below the folder, posix → content.
        line: Its line of the table: column → value.
    """

    files: dict[str, bytes]
    line: dict[str, Any]


def class_files(example: Example, names: Names) -> Export:
    """A folder a class, `animals/cat/1.jpg`; whatever else the key holds is part of the file's name."""
    folder = names.folder(example["class_name"])
    rest = example["key"].removeprefix(f"{example['class_name']}/")
    suffix, content = image_file(example)
    path = names.unique(f"{folder}/{safe_name(rest)}{copy_suffix(example)}") + suffix
    return Export(files={path: content}, line=line_of(example, image=path, label=example["class_name"]))


def mask_files(example: Example, names: Names) -> Export:
    """Images and masks of equal names, `images/a.jpg` and `masks/a.png`."""
    suffix, content = image_file(example)
    path = names.unique(safe_path(example["key"]) + copy_suffix(example))
    image, mask = f"images/{path}{suffix}", f"masks/{path}.png"
    return Export(files={image: content, mask: _mask(example)}, line=line_of(example, image=image, mask=mask))


def multilabel_files(example: Example, names: Names) -> Export:
    """Images alone, `images/a.jpg`: their labels are in the table."""
    suffix, content = image_file(example)
    image = f"images/{names.unique(safe_path(example['key']) + copy_suffix(example))}{suffix}"
    labels = SEPARATOR.join(example["class_names"])
    return Export(files={image: content}, line=line_of(example, image=image, labels=labels))


def image_only_files(example: Example, names: Names) -> Export:
    """Images alone, `images/a.jpg`."""
    suffix, content = image_file(example)
    image = f"images/{names.unique(safe_path(example['key']) + copy_suffix(example))}{suffix}"
    return Export(files={image: content}, line=line_of(example, image=image))


Layout = Callable[[Example, Names], Export]
FORMATS: dict[str, dict[str, Layout]] = {  # format → target → layout
    "files": {"class": class_files, "mask": mask_files, "multilabel": multilabel_files, IMAGE_ONLY: image_only_files},
}


def below_split(layout: Layout, example: Example, names: Names, split: str) -> Export:
    """Return what a layout makes of a record, below a folder of its split, which is a column of the table as well.

    A folder of the key that a build would take for a split's begins with ``_``.
    """
    *folders, name = example["key"].split("/")
    safe = [f"_{folder}" if split_of(folder) else folder for folder in folders]
    made = layout({**example, "key": "/".join([*safe, name])}, names)
    line = {column: f"{split}/{value}" if column in PATHS else value for column, value in made.line.items()}
    others = {("extra_split" if column == "split" else column): value for column, value in line.items()}
    files = {f"{split}/{path}": content for path, content in made.files.items()}
    return Export(files=files, line={**others, "key": example["key"], "split": split})


def line_of(example: Example, **columns: str | int) -> dict[str, Any]:
    """Return a line of the table: the columns given, which draw of which source it is, and what travels along."""
    line = {**columns, **{name: example[name] for name in ("key", "copy", "seed", "variant")}}
    line |= {"sample_weight": example["weight"]} if "weight" in example else {}
    return line | {f"extra_{name}" if name in line else name: value for name, value in example.get("extra", {}).items()}


def image_file(example: Example) -> tuple[str, bytes]:
    """Return suffix and content: the stored bytes where they are a file."""
    if example["format"] == "raw":
        return ".png", encode_image(example["image"], "png", 95)
    return SUFFIXES[example["format"]], example["encoded"]


def _mask(example: Example) -> bytes:
    content: bytes = example["mask_encoded"]
    return encode_mask(example["mask"], "png") if example["mask_format"] == "raw" else content


def copy_suffix(example: Example) -> str:
    """Return what tells the copies of a rare class apart."""
    return f"-copy{example['copy']}" if example["copy"] else ""
