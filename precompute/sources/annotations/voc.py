"""Pascal VOC: an xml file an image, and lists of the images of each split.

Source: https://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf, sections 3 and 4 (files): pixels are counted
from 1, and x_max, y_max are the last ones inside. Programs that write the same xml, labelImg first, write edges: x_max
is where the box ends. PASCAL's own files are known by the database that they name; their x_min and y_min are taken down
by 1, so that they become edges. All others are taken as written. Where that is wrong, and pixels were meant, boxes
begin one pixel too far right and below, which moves their middles by half a pixel.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from precompute.errors import SourceError
from precompute.fields.boxes import DIFFICULT, TRUNCATED
from precompute.options.build_options import BuildOptions
from precompute.sources.annotations.images import (
    FoundImages,
    MatchedFiles,
    check_partners,
    find_beside,
    find_files,
    sources_of,
    unnamed_note,
)
from precompute.sources.annotations.layout import MAX_SNIFFED, Layout, beginning, some_files
from precompute.sources.classes import given_names
from precompute.sources.found import Found
from precompute.sources.found_objects import FoundObject, boxes_of_images, number_objects, upright_size
from precompute.sources.problems import Problems
from precompute.sources.split_folders import split_of
from precompute.sources.unicode_forms import UnicodeForms
from precompute.text.files import decode_text, lines_of, read_text
from precompute.text.format import format_count

__all__ = ["LAYOUT"]

ROLES = ("annotations", "xmls", "xml", "labels")
SIDES = ("xmin", "ymin", "xmax", "ymax")
WITHOUT = (
    "Expected for each an xml of the same name, in Annotations/ or beside it, without objects where there are none; or "
    "lists in ImageSets/Main of those that are annotated."
)
TRUE = ("1", "true", "yes")
DECLARED_ENCODING = re.compile(rb"""\s*<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]+)["']""")


class _Annotation(NamedTuple):
    """One file: its objects, the size of the image that it states, and who wrote it."""

    objects: list[FoundObject]
    size: tuple[int, int] | None
    is_original: bool


def _find(top: Path, annotations: Path, options: BuildOptions) -> Found:
    """Return the sources of a folder: images in JPEGImages/, images/ or beside their xml files; see `Layout.find`.

    Raises:
        SourceError: Images lack annotations, annotations lack images or cannot be read, lists contradict each other, or
            classes are not in --class-names.
    """
    found, matched = find_beside(top, annotations, find_files(annotations, (".xml",)), ROLES, options)
    files = matched.files
    splits, notes = _splits(found, matched)
    notes += found.left_out_note(options.annotations)
    chosen = [image for image in found.images if splits is None or image.place in splits]
    chosen, left_out = check_partners(found, chosen, files, options, WITHOUT, all_files=splits is None)
    notes += left_out
    read, wrong = list[_Annotation](), list[str]()
    for image in chosen:
        try:
            read.append(_read(files[image.place]))
        except ValueError as error:
            wrong.append(f"{files[image.place]}: {error}")
        except SourceError as error:  # of its encoding
            wrong.append(str(error))
    problems = Problems(f"{top}: annotations (Pascal VOC) cannot be read.")
    problems.add("Annotations that cannot be used", wrong, "Fix or remove them.").check()
    original = sum(annotation.is_original for annotation in read)
    if original:
        are = format_count(original, "annotation is", "annotations are")
        notes.append(
            f"{are} PASCAL's own: pixels count from 1 and include the last one: boxes begin at x_min − 1, y_min − 1."
        )
    keys, given = [image.key for image in chosen], given_names(options, "objects", "mask")
    objects, classes = number_objects([annotation.objects for annotation in read], keys, given)
    sizes = (one.size or upright_size(image.path) for one, image in zip(read, chosen, strict=True))
    boxes = boxes_of_images(objects, sizes, keys, classes.names, where=str(top))
    of_lists = {} if splits is None else {image.path: splits[image.place] for image in chosen}
    return sources_of(found, chosen, boxes, splits=of_lists, notes=notes)


# Lists of splits.


def _splits(found: FoundImages, matched: MatchedFiles) -> tuple[dict[str, str] | None, list[str]]:
    """Return key → split by the lists in ImageSets/Main, or None without lists; and notes.

    trainval.txt counts only where there is no train.txt; lists a class (aeroplane_train.txt) do not count.
    """
    lists = [
        (parts[:-2], name, found.top.joinpath(*parts, name))
        for parts, name in find_files(found.top, (".txt",))
        if tuple(part.lower() for part in parts[-2:]) == ("imagesets", "main")
        and "".join(f"{part}/" for part in parts[:-2]).startswith(matched.start)
    ]
    stems = {name[:-4].lower() for _, name, _ in lists}
    known = {image.place for image in found.images}
    excluded = found.excluded_places
    forms = UnicodeForms(known)
    splits: dict[str, str] = {}
    missing, duplicates = [], []
    for context, name, path in lists:
        split = split_of(name[:-4]) or ("train" if name[:-4].lower() == "trainval" and "train" not in stems else None)
        if split is None:
            continue
        for line in lines_of(read_text(path)):
            if not line.strip():
                continue
            key = _known_key(line.strip(), context, known, forms)
            if key is None and _known_key(line.strip(), context, excluded, UnicodeForms(excluded)) is not None:
                continue
            if key is None:
                missing.append(f"{path.name}: {line.strip()}")
            elif splits.setdefault(key, split) != split:
                duplicates.append(f"{key}: {splits[key]} and {split}")
    problems = Problems(f"{found.top}: the lists of the splits do not fit.")
    problems.add("Images in lists of ImageSets/Main that are not there", missing, "Put them there, or fix the lists.")
    problems.add(
        "Images in the lists of two splits", duplicates, "Expected each in one of train.txt, val.txt, test.txt."
    )
    problems.check()
    if not splits:
        return None, []
    left = len(known - splits.keys())
    return splits, unnamed_note(left, "no list in ImageSets/Main names")


def _known_key(line: str, context: tuple[str, ...], known: set[str], forms: UnicodeForms) -> str | None:
    """Return the key that a line of a list means: a name, maybe with a suffix, or with a number after it."""
    for name in (line, line.rpartition(".")[0], line.split()[0]):
        key = forms.find("/".join((*context, name)))
        if key in known:
            return key
    return None


# Files.


def _read(path: Path) -> _Annotation:
    try:
        root = ElementTree.fromstring(_decoded(path.read_bytes(), path))
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        empty = "the file is empty" if not path.stat().st_size else f"not valid XML ({error})"
        raise ValueError(empty) from error
    if root.tag != "annotation":
        raise ValueError(f"expected <annotation>, got <{root.tag}>")
    names = [root.findtext(f"source/{name}") or "" for name in ("database", "annotation")]
    is_original = any("PASCAL VOC" in name or "The VOC" in name for name in names)
    return _Annotation(list(_objects(root, is_original)), _size(root), is_original)


def _decoded(content: bytes, path: Path) -> str:
    """Return the text of an XML file, decoded as it declares: the parser itself knows only a few encodings."""
    declared = DECLARED_ENCODING.match(content)
    if declared is None or declared[1].lower() in (b"utf-8", b"utf-16"):
        return decode_text(content, path)
    return content.decode(declared[1].decode())


def _objects(root: ElementTree.Element, is_original: bool) -> Iterator[FoundObject]:
    """Yield the objects; parts of objects (a person's head) do not count."""
    for i, node in enumerate(root.findall("object")):
        name = (node.findtext("name") or "").strip()
        if not name:
            raise ValueError(f"object {i} has no name")
        box = node.find("bndbox")
        if box is None:
            raise ValueError(f"object {i} ({name}) has no bndbox")
        try:
            x_min, y_min, x_max, y_max = (float(box.findtext(side) or "") for side in SIDES)
        except ValueError as error:
            raise ValueError(f"object {i} ({name}): expected numbers for {', '.join(SIDES)}") from error
        if is_original:
            x_min, y_min = x_min - 1, y_min - 1
        flags = DIFFICULT * _is_set(node, "difficult") + TRUNCATED * _is_set(node, "truncated")
        yield FoundObject((x_min, y_min, x_max, y_max), name, flags)


def _is_set(node: ElementTree.Element, name: str) -> bool:
    return (node.findtext(name) or "").strip().lower() in TRUE


def _size(root: ElementTree.Element) -> tuple[int, int] | None:
    """Return width and height; None where the file does not know them, for which some programs write 0."""
    try:
        width, height = (int(float(root.findtext(f"size/{side}") or 0)) for side in ("width", "height"))
    except (ValueError, OverflowError):
        return None
    return (width, height) if 0 < width < 2**31 and 0 < height < 2**31 else None


def _is_below(folder: Path, options: BuildOptions) -> bool:
    texts = map(beginning, islice(some_files(folder, (".xml",)), MAX_SNIFFED))
    return any(re.search(r"<annotation[\s>]", text) for text in texts)


LAYOUT = Layout(
    name="Pascal VOC",
    expected="a folder of Pascal VOC xml files, such as Annotations/",
    find=_find,
    is_below=_is_below,
    reads=(".xml", ".txt"),  # and the lists of ImageSets
)
