"""Annotations that are recognised and not read: what they are, and what to do instead."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from precompute.errors import SourceError
from precompute.sources.annotations.sniffing import MAX_SNIFFED, beginning, is_called_so, some_files

__all__ = ["check_foreign", "foreign_below", "foreign_text"]


class _Format(NamedTuple):
    """A format by its first keys.

    Attributes:
        start: Pattern of the first characters.
        signs: Patterns that are all found behind them.
        name: What people call such files.
        advice: What to do with them.
    """

    start: str
    signs: tuple[str, ...]
    name: str
    advice: str


def _key(names: str) -> str:
    return rf'"(?:{names})"\s*:'


_NUMBER = r"-?\d+(?:\.\d+)?"
_OBJECT, _LIST = r"\s*\{", r"\s*\[\s*\{"

# The first one that fits counts.
FORMATS = (
    _Format(
        r"(?s).{0,4000}?<annotations[\s>]",
        (r"<(version|meta|image|track)[\s>]",),
        "annotations.xml of CVAT",
        "Export the task from CVAT once more, as COCO 1.0 or Pascal VOC 1.1.",
    ),
    _Format(
        _OBJECT,
        (_key("segments_info"),),
        "COCO's panoptic segmentation",
        "Give COCO's instances_….json, or PNG files of class ids beside the images: images/ + masks/.",
    ),
    _Format(
        _LIST,
        (_key("image_id"), _key("category_id|keypoints"), _key("score")),
        "what a detector found, in COCO's form of results",
        "Give the file with the annotations: it has the lists images, annotations and categories.",
    ),
    _Format(
        _OBJECT,
        (_key("shapes"), _key("imagePath|imageData|shape_type|lineColor")),
        "a file of LabelMe",
        "Convert them to COCO, with labelme2coco say, or to Pascal VOC.",
    ),
    _Format(
        _OBJECT,
        (_key("_via_img_metadata|_via_settings|shape_attributes|file_attributes"),),
        "a project of the VGG Image Annotator (VIA)",
        "Export the annotations from VIA as COCO.",
    ),
    _Format(
        _LIST,
        (_key("result|annotator|rectanglelabels|polygonlabels|brushlabels|keypointlabels|completions"),),
        "an export of Label Studio",
        "Export the project from Label Studio once more, as COCO, YOLO or Pascal VOC.",
    ),
    _Format(
        _LIST,
        (_key("image|imagefilename"), _key("annotations?")),
        "annotations of CreateML",
        "Export or convert them to COCO, YOLO or Pascal VOC.",
    ),
    _Format(
        rf"[A-Za-z_]+(?:[ \t]+{_NUMBER}){{14,15}}[ \t]*(?:\r?\n|$)",
        (),
        "a label of KITTI",
        "Convert them to COCO, YOLO or Pascal VOC, or give the boxes as a table: image,xmin,ymin,xmax,ymax,class.",
    ),
    _Format(
        r"\d+(?:,-?\d+){7},?[ \t]*(?:\r?\n|$)",
        (),
        "an annotation of VisDrone",
        "Convert them to COCO, YOLO or Pascal VOC, or give the boxes as a table: image,xmin,ymin,xmax,ymax,class.",
    ),
)


def foreign_text(path: Path, text: str) -> str | None:
    """Return what a file is that is not read, and what to do; None where it is not recognised.

    Args:
        path: Path of the file.
        text: The file, or its beginning.
    """
    for known in FORMATS:
        if re.match(known.start, text) and all(re.search(sign, text) for sign in known.signs):
            return (
                f"{path}: this is {known.name}, which is not read. {known.advice} Other annotations are named with "
                "--annotations, --exclude leaves these out, and --target none reads images alone."
            )
    return None


def check_foreign(path: Path, text: str) -> None:
    """Refuse a file that is recognised and not read.

    Raises:
        SourceError: It is one.
    """
    if message := foreign_text(path, text):
        raise SourceError(message)


def foreign_below(folder: Path, *, in_place: bool = False) -> str | None:
    """Return what the first files below a folder are, where they are recognised and not read.

    Args:
        folder: The folder.
        in_place: Look at files alone that are called as annotations are, or lie in a folder that is.
    """
    for endings in ((".json", ".xml"), (".txt",)):
        files = (path for path in some_files(folder, endings) if not in_place or is_called_so(path))
        texts = ((path, beginning(path)) for path in islice(files, MAX_SNIFFED))
        found = next(filter(None, (foreign_text(path, text) for path, text in texts)), None)
        if found is not None:
            return found
    return None
