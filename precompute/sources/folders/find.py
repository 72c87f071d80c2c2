"""Sources from a folder: classes by folder, or images paired with masks by key."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from precompute.errors import SourceError, first_few
from precompute.fields.file_column import mask_column
from precompute.fields.label_column import LabelColumn
from precompute.images.file_kinds import IMAGE_EXTENSIONS, ignored_files_text, unreadable_text
from precompute.options.build_options import BuildOptions
from precompute.options.sources import LABEL, MASK
from precompute.sources.classes import class_order, given_names
from precompute.sources.folders.layout import LAYOUTS, Layout, find_layout
from precompute.sources.folders.siblings import check_class_folders
from precompute.sources.found import Found, FoundColumn
from precompute.sources.found_files import FoundFile, FoundFiles, RoleFolder, relative
from precompute.sources.pairs import Pairs, files_of, in_all, pair_files
from precompute.sources.problems import Problems
from precompute.sources.split_folders import split_positions
from precompute.sources.unicode_forms import check_unicode_forms
from precompute.storage.paths import common_folder
from precompute.text.format import format_count
from precompute.text.notes import SummarizedNote

__all__ = ["find_in_folders"]


def find_in_folders(top: Path, options: BuildOptions) -> Found:
    """Find the sources in a folder, whichever of the usual layouts it has.

    The layouts are one folder per class, or images/ and masks/ with files of equal names; in both, folders train, val
    (valid, validation) and test may lie above or below. Nothing is decoded.

    Args:
        top: Folder to look in, absolute.
        options: Options of the build: folders, and suffixes of names, that tell images and masks apart; classes.

    Raises:
        SourceError: An image would be left out, or something guessed: unmatched, ambiguous, duplicate, empty.
        UsageError: An option makes no sense.
    """
    names = given_names(options, LABEL, "labels")
    if not top.is_dir():
        raise SourceError(
            f"{top}: expected a folder with images, got a file. Give the folder that it lies in, or "
            "a table that ends with .csv, .tsv, .jsonl or .parquet."
            if top.exists()
            else f"{top}: there is no such folder. Check the path."
        )
    layout = find_layout(top, options)
    folders = [part.path for part in chain(layout.images, *layout.beside.values())]
    # All paths start from the top, unless folders elsewhere were named.
    base = top if all(relative(folder, top) is not None for folder in folders) else common_folder(folders)
    found = _Folders(top, base, layout, names, options)
    found.check_any("images", layout.images, options.image_suffix)
    if options.image_only:
        return _image_only_sources(found)
    if not layout.beside or options.targets == (LABEL,):
        return _class_sources(found)
    for name, parts in layout.beside.items():
        found.check_any("masks" if name == MASK else f"masks of {name}", parts, options.mask_suffix)
    return _mask_sources(found)


class _Folders(NamedTuple):
    """The folders that were found, and the options; messages show paths relative to `base`."""

    top: Path
    base: Path | None
    layout: Layout
    names: list[str] | None
    options: BuildOptions

    @property
    def lacking(self) -> str:
        """What images have not that lie in no class folder."""
        return "no folders for their classes" if self.layout.beside else "neither folders for their classes nor masks"

    def check_any(self, role: str, parts: list[RoleFolder], suffix: str) -> None:
        """Refuse folders without any file of a role."""
        if any(part.files for part in parts):
            return
        layout, ending = self.layout, f" whose names end with {suffix!r} before the extension" if suffix else ""
        unreadable = unreadable_text(layout.passed)
        raise SourceError(
            f"{self.top}: there are no {role}{ending}; "
            f"{format_count(layout.num_ignored_files, 'other file was', 'other files were')} passed over"
            f"{ignored_files_text(layout.passed)}. {unreadable + ' ' if unreadable else ''}"
            f"Expected files with the extensions {' '.join(IMAGE_EXTENSIONS)}.\n{LAYOUTS}"
        )

    def empty(self, *, named: bool) -> list[str]:
        """Return the folders without images: those that the user named, or the others."""
        given = (self.options.images, *self.options.mask_folders.values())
        names = {Path(folder).name.lower() for folder in given if folder is not None}
        empty = self.layout.empty_folders
        return [f"{self.shown(path)}/" for path in empty if (path.rpartition("/")[2].lower() in names) is named]

    def shown(self, path: str) -> str:
        """Return a path as messages show it."""
        return relative(path, self.base) or path

    def with_key(self, file: FoundFile) -> str:
        """Return the path of a file, and its key."""
        return f"{self.shown(file.path)} (key {file.plain!r}{f' in {file.split}' if file.split else ''})"

    def sources(self, images: FoundFiles, problems: Problems, *, notes: Sequence[str] = (), **more: Any) -> Found:
        """Return images as sources, with notes on the folder; a folder that the user named must hold files."""
        remedy = "Fill them, remove them, or move them elsewhere."
        problems.add("Folders without images", self.empty(named=True), remedy)
        empty = self.empty(named=False)
        without = [SummarizedNote(f"Folders without images ({len(empty):,}):\n{first_few(empty)}")] if empty else []
        of_images: dict[str, Any] = {"splits": list(images.splits()), "num_bytes": images.num_bytes} | more
        return Found(
            where=str(self.top),
            root=self.base,
            keys=images.keys,
            images=images.paths(self.base),
            num_ignored_files=self.layout.num_ignored_files,
            passed=self.layout.passed,
            empty_folders=empty,
            problems=problems,
            notes=[*self.layout.notes, *notes, *without],
            **of_images,
        )


# Images alone.


def _image_only_sources(found: _Folders) -> Found:
    problems = Problems(f"{found.top}: the images cannot be used as they are.")
    return found.sources(
        _class_files(found), problems, layout="images alone", notes=_left_out(found, "images alone were")
    )


def _left_out(found: _Folders, asked: str) -> list[str]:
    """Return a note on masks that are left out, if there are any."""
    number = sum(len(part.files) for part in chain(*found.layout.beside.values()))
    return [f"{asked} asked for: {format_count(number, 'mask is', 'masks are')} left out."] if number else []


# A folder a class.


def _class_sources(found: _Folders) -> Found:
    files = _class_files(found)
    if found.options.extra_images and not any(files.labels()):  # these are what a model learns, or sees beside
        return _image_only_sources(found)
    problems = Problems(f"{found.top}: the class folders cannot be used as they are.")
    labels = _labels(found, files, problems)
    return found.sources(
        files, problems, layout="a folder a class", fields=[labels], notes=_left_out(found, "labels alone were")
    )


def _labels(found: _Folders, files: FoundFiles, problems: Problems) -> FoundColumn:
    """Return the classes of images, which are their folders; images outside of such folders are problems."""
    sizes = Counter(files.labels())
    flat = [found.shown(files[i].path) for i, label in enumerate(files.labels()) if not label] if "" in sizes else []
    if len(flat) == len(files):
        raise SourceError(
            f"{found.top}: {format_count(len(files), 'image')}, but {found.lacking}:\n"
            f"{first_few(flat)}\n{LAYOUTS}\n"
            "Labels in a table: give that file as SOURCE. Images alone, without any target: --target none."
        )
    problems.add("Images outside of every class folder", flat, "Move each into the folder of its class.")
    labels = class_order(sizes)
    check_unicode_forms(labels, str(found.top))
    notes = check_class_folders(
        found.top,
        sizes,
        found.names,
        lambda: () if found.layout.beside else zip(files.labels(), files.plain(), strict=True),
    )
    names = found.names or labels
    index = {name: i for i, name in enumerate(names)}
    return FoundColumn(LabelColumn(values=list(map(index.__getitem__, files.labels()))), names, notes)


def _class_files(found: _Folders) -> FoundFiles:
    parts = [part for part in found.layout.images if part.files]
    contexts = [part.context for part in parts]
    # Given names of classes outrank the looks of folders' names: a class may be called train.
    all_are_classes = found.names is not None and {"/".join(context) for context in contexts} == set(found.names)
    positions = None if all_are_classes else split_positions(contexts, where=str(found.top))
    return FoundFiles(parts, positions, split_in_key=found.options.split_in_key)


# Images with masks.

ELSEWHERE = "Move them elsewhere, or name the folders with --images and --masks."
NAMES_DIFFER = (
    "A key is the path without the folders of images, masks and splits, and without the extension. If names differ by "
    "an ending, give --image-suffix or --mask-suffix; if the folders have other names, --images and --masks."
)


def _mask_sources(found: _Folders) -> Found:
    images, images_split = _role_files(found, found.layout.images)
    every, pairs, split_of_files = dict[str, FoundFiles](), dict[str, Pairs](), dict[str, bool]()
    for name, parts in found.layout.beside.items():
        every[name], split_of_files[name] = _role_files(found, parts)
        pairs[name] = pair_files(images, every[name], by_split=images_split and split_of_files[name])
    problems, notes = _check_pairs(found, images, every, pairs)
    kept = in_all(pairs.values())
    images = images if len(kept) == len(images) else images.only(kept)
    masks = {name: files_of(files, pairs[name], kept) for name, files in every.items()}
    in_splits = [images] * images_split + [masks[name] for name, there in split_of_files.items() if there]
    labels = [_labels(found, images, problems)] if LABEL in found.options.targets else []
    columns = [mask_column(name, files.paths(found.base)) for name, files in masks.items()]
    sizes = zip(images.num_bytes, *(files.num_bytes for files in masks.values()), strict=True)
    return found.sources(
        images,
        problems,
        layout="images and masks",
        fields=[*labels, *(FoundColumn(column, given_names(found.options, column.name) or ()) for column in columns)],
        splits=list((in_splits or [images])[0].splits()),
        num_bytes=array("q", map(sum, sizes)),
        notes=notes,
    )


def _role_files(found: _Folders, parts: list[RoleFolder]) -> tuple[FoundFiles, bool]:
    """Return the files of one role, and whether they lie in splits' folders."""
    parts = [part for part in parts if part.files]
    positions = split_positions([part.context for part in parts], where=str(found.top))
    return FoundFiles(parts, positions, split_in_key=found.options.split_in_key), positions is not None


def _check_pairs(
    found: _Folders, images: FoundFiles, beside: Mapping[str, FoundFiles], pairs: Mapping[str, Pairs]
) -> tuple[Problems, list[str]]:
    """Return the problems with pairs, and notes on images and masks that are left out."""
    problems, again = Problems(f"{found.top}: images and masks do not fit together."), dict[str, list[str]]()
    for name, of in pairs.items():
        files, which = beside[name], "" if name == MASK else f"{name} "
        alone = [found.with_key(images[i]) for i in of.images_alone]
        problems.add_unmatched(f"Images that have no {which}mask", alone, "Expected one mask of the same key.")
        excluded = found.layout.excluded() if of.files_alone else set[str]()  # their masks go with them
        alone = [found.with_key(files[i]) for i in of.files_alone if files[i].plain not in excluded]
        what = f"{which}masks that have no image"
        problems.add_unmatched(f"{what[:1].upper()}{what[1:]}", alone, "Expected one image of the same key.")
        again[name] = [f"{found.shown(files[first].path)}, {found.with_key(files[i])}" for first, i in of.again]
    notes = problems.leave_out(found.options, len(images), NAMES_DIFFER)
    for name, lines in again.items():
        which = "Masks" if name == MASK else f"Masks of {name}"
        problems.add(f"{which} for one image", lines, "Expected one mask an image; rename or move the others.")
    problems.add(
        "Images outside of the folders of images and masks", sorted(map(found.shown, found.layout.outside)), ELSEWHERE
    )
    return problems, notes
