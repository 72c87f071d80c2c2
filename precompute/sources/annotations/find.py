"""Which of the usual layouts with boxes a folder has, if it has one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from precompute.errors import SourceError, UsageError
from precompute.images.file_kinds import IMAGE_EXTENSIONS
from precompute.options.build_options import BuildOptions
from precompute.sources.annotations.coco import find_coco
from precompute.sources.annotations.foreign import check_foreign, foreign_below, foreign_text
from precompute.sources.annotations.keypoint_table import find_keypoint_table
from precompute.sources.annotations.sniffing import MAX_ENTRIES, beginning, is_label_file, some_files
from precompute.sources.annotations.voc import find_voc
from precompute.sources.annotations.yolo import find_yolo
from precompute.sources.annotations.yolo_data import CLASS_LISTS, yaml_files
from precompute.sources.found import Found
from precompute.sources.tables.files import is_table
from precompute.storage.paths import is_remote, is_url

__all__ = ["find_boxes", "kinds_of_annotations", "named_place"]

MAX_SNIFFED = 20
COCO_LISTS = '"(images|annotations|categories)"'
EXPECTED = """Expected one of
  a COCO JSON, such as annotations/instances_train.json
  a folder of Pascal VOC xml files, such as Annotations/
  a folder of YOLO text files, such as labels/, or YOLO's data.yaml
  a table of keypoints (CSV, TSV, JSON lines, Parquet), with columns such as image,nose_x,nose_y"""


def find_boxes(root: str | Path, options: BuildOptions) -> Found | None:
    """Return the sources of a folder with boxes; None where there is no sign of annotations.

    Raises:
        SourceError: There are annotations, and something is wrong with them; or of several kinds, or of one that is
            not read.
        UsageError: An option makes no sense here.
    """
    if is_url(root) or is_remote(root):
        if options.annotations is not None:
            raise UsageError(
                "annotations: they are read from local folders; give boxes in an object store from Python."
            )
        return None
    top = Path(os.path.abspath(root))  # noqa: PTH100 (resolve would follow links)
    if not top.is_dir() or options.masks is not None or options.mask_suffix:
        if options.annotations is not None:
            raise UsageError("annotations: they name boxes, --masks and --mask-suffix masks; give one of the two.")
        return None
    if options.annotations is not None:
        return _find_named(top, options.annotations, options)
    kinds, foreign = _look(top, options.target)
    if len(kinds) > 1:
        raise SourceError(
            f"{top}: there are annotations of several kinds: {' and '.join(kinds)}. Name the ones that count with "
            f"--annotations.\n{EXPECTED}"
        )
    if not kinds and foreign:
        raise SourceError(foreign)
    return _find(kinds[0], top, top, options) if kinds else None


def kinds_of_annotations(top: Path) -> list[str]:
    """Return which kinds of annotations there are signs of below a folder."""
    return _look(top)[0]


def _look(top: Path, target: str = "auto") -> tuple[list[str], str | None]:
    """Return the kinds of annotations below a folder, and what is said of files of others that look like some."""
    has_xml, foreign_xml = _look_at_xml(top)
    files, foreign_json = _coco_files(top, target)
    signs = {"Pascal VOC": has_xml, "COCO": bool(files), "YOLO": _has_labels(top)}
    return [kind for kind, there in signs.items() if there], foreign_xml or foreign_json


def _find(kind: str, top: Path, annotations: Path, options: BuildOptions) -> Found:
    if kind == "Pascal VOC":
        return find_voc(top, annotations, options)
    if kind == "COCO":
        return find_coco(top, _coco_files(annotations, options.target)[0], options)
    return find_yolo(top, annotations, options)


def named_place(top: Path, annotations: str) -> Path:
    """Return the file or folder that a user named: from the working folder on, or else from that of the sources."""
    here = Path(os.path.abspath(annotations))  # noqa: PTH100 (resolve would follow links)
    return here if here.exists() else Path(os.path.abspath(top / annotations))  # noqa: PTH100


def _find_named(top: Path, annotations: str, options: BuildOptions) -> Found:
    path = named_place(top, annotations)
    if not path.exists():
        here = Path(os.path.abspath(annotations))  # noqa: PTH100
        looked = "" if here == path else f"{here} and no "
        raise SourceError(
            f"--annotations {annotations}: there is no {looked}{path}. Paths start from the working folder, or from "
            f"the source. {EXPECTED}"
        )
    if path.is_file():
        if path.suffix.lower() == ".json":
            return find_coco(top, [path], options)
        if is_table(path):
            return find_keypoint_table(top, path, options)
        if path.suffix.lower() in (".yaml", ".yml"):
            return find_yolo(top, path, options)
        check_foreign(path, beginning(path))
        raise SourceError(f"--annotations {annotations}: {path} is none of the files that are read. {EXPECTED}")
    has_coco = bool(_coco_files(path, options.target)[0])
    signs = {"Pascal VOC": _look_at_xml(path)[0], "COCO": has_coco, "YOLO": _has_boxes(path)}
    kinds = [kind for kind, there in signs.items() if there] or ["YOLO"] * _has_texts(path)
    if len(kinds) > 1:
        raise SourceError(
            f"--annotations {annotations}: {path} holds annotations of several kinds: {' and '.join(kinds)}. Name the "
            f"file or the folder of those that count.\n{EXPECTED}"
        )
    if kinds:
        return _find(kinds[0], top, path, options)
    raise SourceError(
        foreign_below(path) or f"--annotations {annotations}: {path} holds no annotations that are read. {EXPECTED}"
    )


def _look_at_xml(folder: Path) -> tuple[bool, str | None]:
    """Whether there are Pascal VOC annotations below a folder, and what is said of others; a few files tell."""
    texts = [(path, beginning(path)) for path in islice(some_files(folder, (".xml",)), MAX_SNIFFED)]
    foreign = next(filter(None, (foreign_text(path, text) for path, text in texts)), None)
    return any(re.search(r"<annotation[\s>]", text) for _, text in texts), foreign


def _coco_files(folder: Path, target: str = "auto") -> tuple[list[Path], str | None]:
    """Return the COCO files below a folder, and what is said of others that look like some.

    Those named instances… are taken where there are such, or after what is asked for.
    """
    paths = [path for path in islice(some_files(folder, (".json",)), MAX_ENTRIES) if _is_called_so(path)]
    texts = {path: text for path in paths if re.search(COCO_LISTS, text := beginning(path))}
    foreign = {path: message for path, text in texts.items() if (message := foreign_text(path, text))}
    found = texts.keys() - foreign.keys()
    names = ("instances", "person_keypoints")
    for name in reversed(names) if target == "keypoints" else names:
        named = [path for path in found if path.name.startswith(name)]
        if named:
            return sorted(named), None
    return sorted(found), next(iter(foreign.values()), None)


def _is_called_so(path: Path) -> bool:
    in_place = path.parent.name.lower() == "annotations"
    return in_place or bool(re.search("coco|instances|annotations|keypoints", path.stem.lower()))


def _has_labels(top: Path) -> bool:
    """Whether there are text files in a folder labels/, or with a list of classes or a data.yaml beside the images."""
    if any("labels" in map(str.lower, path.relative_to(top).parts[:-1]) for path in _label_files(top)):
        return True
    named = next(yaml_files(top), None) is not None or any((top / name).is_file() for name in CLASS_LISTS)
    return named and _beside_images(top)


def _beside_images(top: Path) -> bool:
    """Whether a text file that may hold boxes is called like an image, wherever images lie; a few files tell."""
    images = islice(some_files(top, IMAGE_EXTENSIONS), MAX_ENTRIES)
    folders = {path.parent: None for path in images}
    texts = list(_label_files(top))
    return any(
        (folder / f"{text.stem}{extension}").is_file()
        for folder in islice(folders, MAX_SNIFFED)
        for text in texts
        for extension in IMAGE_EXTENSIONS
    )


def _has_texts(folder: Path) -> bool:
    return any(_label_files(folder))


def _has_boxes(folder: Path) -> bool:
    """Whether there are text files that hold boxes, not empty ones alone."""
    return any(beginning(path).strip() for path in _label_files(folder))


def _label_files(folder: Path) -> Iterator[Path]:
    """Yield some text files that hold boxes, or nothing."""
    for path in islice(some_files(folder, (".txt",)), MAX_SNIFFED):
        if is_label_file(path):
            yield path
