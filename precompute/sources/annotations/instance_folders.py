"""A file for each object: ``images/a.png`` with ``masks/a/0.png, 1.png …``, or a folder an image as in the Data Science
Bowl 2018, ``<id>/images/<id>.png`` with ``<id>/masks/*.png``.

Source: https://www.kaggle.com/c/data-science-bowl-2018/data
"""

from __future__ import annotations

import os
from array import array
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, repeat
from pathlib import Path
from typing import NamedTuple

from precompute.errors import SourceError, first_few
from precompute.images.file_kinds import IMAGE_EXTENSIONS
from precompute.options.build_options import BuildOptions
from precompute.options.of_fields import of_field
from precompute.options.sources import MASK
from precompute.sources.annotations.find import layouts_below
from precompute.sources.annotations.images import (
    find_images,
    path_below,
    sources_of,
)
from precompute.sources.annotations.layout import MAX_ENTRIES, MAX_SNIFFED, folders_below
from precompute.sources.classes import class_order, given_names
from precompute.sources.found import Found, FoundColumn
from precompute.sources.found_files import FoundFile, in_role
from precompute.sources.found_objects import FoundObject, instances_of_images, number_objects
from precompute.sources.passed_over import first_entries
from precompute.sources.problems import Problems
from precompute.sources.unicode_forms import UnicodeForms
from precompute.sources.walk import Folder, is_folder, walk
from precompute.storage.paths import absolute
from precompute.text.format import format_count

__all__ = ["find_instances"]

MASKS, IMAGES, ONE_CLASS = "masks", "images", "object"
MAX_FOLDERS = 200
EXPECTED = """Expected a mask file for each object:
  images/a.png with masks/a/0.png, masks/a/1.png …, or with a folder a class: masks/a/cell/0.png …
  or a folder an image: a/images/a.png with a/masks/0.png, a/masks/1.png …"""


def find_instances(top: Path, options: BuildOptions) -> Found | None:
    """Return the sources of a local folder with a mask file for each object; None if the folder is not of this kind.

    Raises:
        SourceError: Images and masks do not fit together.
    """
    if options.annotations is not None or options.mask_suffix:
        return None
    folder = of_field(options.masks, MASK)
    role = MASKS if folder is None else Path(folder).name
    if not top.is_dir() or not _looks_so(top, role, options.images or IMAGES):
        return None
    kinds = [layout.name for layout in layouts_below(top, options)]
    if kinds:
        raise SourceError(
            f"{top}: there are mask files of single objects, and annotations as well ({', '.join(kinds)}). Name the "
            "annotations with --annotations if they count, or move them elsewhere if the masks do."
        )
    return _Finder(top, role, options).sources()


# Whether a folder is of this kind: the first entries of each folder tell, so that millions of images take no time.


def _looks_so(top: Path, role: str, images: str) -> bool:
    every = (entry for entries in islice(folders_below(top), MAX_FOLDERS) for entry in entries)
    masks = (Path(entry.path) for entry in every if entry.name.lower() == role.lower() and is_folder(entry))
    return any(_objects_inside(folder, images) for folder in islice(masks, MAX_SNIFFED))


def _objects_inside(masks: Path, images: str) -> bool:
    """Return whether a folder of masks has one folder per image, or belongs to the only image beside it."""
    stems, names = _stems(masks.parent / images), set(_stems(masks))
    if len(stems) == 1 and names and stems[0] not in names:
        return True
    beside = [masks.parent / images, masks.parent.parent / images / masks.parent.name]
    # Images lie in folders of these, too: those of splits.
    found = {stem for start in beside for folder in (start, *_folders(start)) for stem in _stems(folder)}
    # masks/train/a/0.png: a folder with the name of a split holds the folders of its images
    return any(
        folder.name in found or any(inner.name in found for inner in _folders(folder)) for folder in _folders(masks)
    )


def _folders(folder: Path) -> list[Path]:
    return [Path(entry.path) for entry in first_entries(folder, MAX_ENTRIES) if is_folder(entry)]


def _stems(folder: Path) -> list[str]:
    """Return the stems of some images of a folder."""
    names = (entry.name for entry in first_entries(folder, MAX_ENTRIES))
    return [os.path.splitext(name)[0] for name in names if name.lower().endswith(IMAGE_EXTENSIONS)]  # noqa: PTH122


# All of them.


class _Mask(NamedTuple):
    """One mask file: its path, its size, and the folder of its class, if it has one."""

    path: str
    num_bytes: int
    class_name: str | None


class _Finder:
    """Pairs images with the folders of their masks."""

    def __init__(self, top: Path, role: str, options: BuildOptions) -> None:
        self._top, self._role, self._options = top, role.lower(), options
        self._found = find_images(top, options)
        excluded = self._found.excluded_places
        self._excluded = {*excluded, *(place.rpartition("/")[0] for place in excluded)} - {""}
        self._masks: dict[str, list[_Mask]] = {}
        self._num_ignored_files = 0
        self._homeless: list[str] = []
        of_folder = defaultdict[str, list[FoundFile]](list)
        for image in self._found.images:
            of_folder[image.place.rpartition("/")[0]].append(image)
        # Place of an image → image; and folder → the only image in it.
        by_place = {image.place: image for image in self._found.images}
        self._forms = UnicodeForms(by_place)
        self._images = {folder: of[0] for folder, of in of_folder.items() if len(of) == 1} | by_place

    def sources(self) -> Found:
        named = of_field(self._options.masks, MASK)
        if named is not None and (given := absolute(self._top / named)).is_dir():
            placed = [(folder, folder.parts) for folder in walk(given).folders]
        else:
            placed = in_role(walk(self._top).folders, [self._role])
        for folder, context in placed:
            self._place(folder, context)
        notes = self._check()
        images = [image for image in self._found.images if image.place in self._masks]
        of_images = [sorted(self._masks[image.place]) for image in images]
        sizes = (
            image.num_bytes + sum(mask.num_bytes for mask in of) for image, of in zip(images, of_images, strict=True)
        )
        return replace(
            sources_of(self._found, images, self._objects(images, of_images), notes=notes),
            layout="a mask an object",
            num_bytes=array("q", sizes),
            num_ignored_files=self._num_ignored_files,
        )

    def _objects(self, images: Sequence[FoundFile], of_images: Sequence[Sequence[_Mask]]) -> FoundColumn:
        """Return the objects of images; without folders of classes, all are of one class."""
        given = given_names(self._options, "objects", "mask")
        one = self._one_class(given, [mask for masks in of_images for mask in masks])
        rows = [
            [FoundObject(path_below(self._top, mask.path), mask.class_name or one) for mask in of] for of in of_images
        ]
        numbered, classes = number_objects(rows, [image.key for image in images], given)
        return instances_of_images(numbered, repeat(None), classes.names)

    def _one_class(self, given: list[str] | None, masks: Sequence[_Mask]) -> str:
        """Return the class of masks that lie in no folder of a class.

        Raises:
            SourceError: Others lie in such folders, or several names were given.
        """
        bare = [mask.path for mask in masks if mask.class_name is None]
        folders = class_order({mask.class_name for mask in masks if mask.class_name is not None})
        if folders and bare:
            raise SourceError(
                f"{self._top}: masks outside of the folders of classes ({', '.join(folders[:5])}):\n{first_few(bare)}\n"
                "Move each into the folder of its class."
            )
        if bare and given is not None and len(given) != 1:
            raise SourceError(
                f"{self._top}: --class-names gives {format_count(len(given), 'name')}, but masks lie in no "
                f"folders of classes. {EXPECTED}"
            )
        return ONE_CLASS if given is None else given[0]

    def _place(self, folder: Folder, context: tuple[str, ...]) -> None:
        """Give the masks of a folder to the image with its name, or, in a class's folder, with the parent's name."""
        class_name = None
        image = self._images.get(self._forms.find("/".join(context)))
        if image is None and len(context) > 1:
            class_name = context[-1]
            image = self._images.get(self._forms.find("/".join(context[:-1])))
        if image is not None:
            masks = self._masks.setdefault(image.place, [])
            masks += [_Mask(f"{folder.path.rstrip('/')}/{name}", size, class_name) for name, size in folder.files]
            self._num_ignored_files += folder.num_ignored_files
        elif folder.files and not any("/".join(context[:i]) in self._excluded for i in range(len(context) + 1)):
            self._homeless.append(folder.path)  # masks of images that the user left out go with them

    def _check(self) -> list[str]:
        """Return notes on images and masks that are left out, or refuse them."""
        problems = Problems(f"{self._top}: images and masks of objects do not fit together.")
        problems.add_unmatched(
            "Images without a folder of masks",
            [image.path for image in self._found.images if image.place not in self._masks],
            "Expected masks/<image>/ with a file for each object; an empty folder where there are none.",
        )
        problems.add_unmatched("Folders of masks without an image", self._homeless, EXPECTED)
        notes = problems.leave_out(self._options, len(self._found.images))
        problems.check()
        if not any(self._masks.values()):
            raise SourceError(f"{self._top}: all folders of masks are empty. {EXPECTED}")
        return notes
