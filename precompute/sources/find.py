"""The entry to finding sources: from a folder, a table, an iterable of `Source`, or parallel lists."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from precompute.errors import SourceError, UsageError, accessible
from precompute.options.build_options import BuildOptions
from precompute.options.of_fields import by_field
from precompute.options.sources import LABEL, TableOptions
from precompute.sources.annotations.find import find_annotated
from precompute.sources.annotations.instance_folders import find_instances
from precompute.sources.annotations.layout import foreign_below
from precompute.sources.chosen import apply_options
from precompute.sources.folders.extra_images import folders_apart, with_extra_images
from precompute.sources.folders.find import find_in_folders
from precompute.sources.found import Found, assemble
from precompute.sources.passed_over import passing_over, real_path
from precompute.sources.problems import refuse_options
from precompute.sources.python import from_iterable, from_lists
from precompute.sources.tables.files import TABLES, is_table
from precompute.sources.tables.find import find_table
from precompute.storage.paths import absolute, as_path, is_remote
from precompute.table.sources import Source, Sources

__all__ = ["find"]

TARGET_OPTIONS = ("class_names", "annotations", "drop_empty")
NO_TABLE = f"is for a table, and {{}} is none; expected a file that ends with {', '.join(TABLES)}."


def find(
    source: str | Path | Iterable[Source] | None,
    options: BuildOptions,
    lists: Mapping[str, Any] | None = None,
    output: str | Path | None = None,
) -> Sources:
    """Return the sources, splits not yet assigned.

    Args:
        source: A folder, a table, an iterable of `Source`, or None when lists are given.
        options: Options of the build.
        lists: `images` and the other lists of `from_lists`.
        output: File or folder that the command writes; it is never a source.

    Raises:
        SourceError: The sources cannot be used as they are.
        UsageError: Both or none of source and lists are given, an option does not fit, or sources lie in the output.
    """
    # Names in a file of colours are for masks alone; classes of other targets are not compared with them.
    of_colors = options.mask_colors is not None and not by_field(options.class_names)
    named = replace(options, class_names=None) if of_colors else options
    if lists and source is not None:
        raise UsageError(f"source: give a folder or the lists {', '.join(lists)}, not both.")
    if not isinstance(source, str | Path):
        return _table(_from_python(source, named, lists), options, from_python=True)
    top = absolute(as_path(source))
    with (
        accessible(source, SourceError),
        passing_over(output, [*_named(top, options)], options.exclude or (), folders_apart(top, options)) as passed,
    ):
        _check_folder(source)
        _check_apart(source, output)
        try:
            found = _table(_in_files(source, top, named), options, from_python=False)
        except SourceError as error:  # what was left out may be why
            if not passed.excluded:
                raise
            raise SourceError("\n".join([str(error), *passed.exclude_notes()])) from error
        return replace(
            found,
            notes=[*found.notes, *passed.notes(source)],
            passed_folders=passed.endings_below(source),
            own_folders=passed.own_below(source),
        )


def _named(top: Path, options: BuildOptions) -> Iterator[str | Path]:
    """Yield the folders that the user named; they are searched even if this program wrote them."""
    if is_table(top):
        top = top.parent if options.root is None else as_path(options.root)
    yield top
    masks = options.masks.values() if by_field(options.masks) else (options.masks,)
    yield from (top / folder for folder in (options.images, *masks, options.annotations) if folder)
    if options.annotations:
        yield options.annotations


def _check_folder(source: str | Path) -> None:
    """Raise OSError if a folder cannot be listed, or if nothing in it can be accessed."""
    if not is_remote(as_path(source)) and Path(source).is_dir():
        with os.scandir(source):
            os.stat(os.path.join(source, "."))  # noqa: PTH116, PTH118 (a Path leaves out the dot)


def _check_apart(source: str | Path, output: str | Path | None) -> None:
    """Refuse sources that lie where a command writes."""
    if output is None or not as_path(source).is_dir():
        return
    folder, written = real_path(source), real_path(output)
    if folder == written:
        raise UsageError(f"output: {output} is the folder of the sources; give another one, such as {output}/dataset.")
    if folder.startswith(f"{written.rstrip('/')}/"):
        raise UsageError(f"output: the sources, {source}, lie in {output}; give a folder that does not hold them.")


def _table(found: Found, options: BuildOptions, *, from_python: bool) -> Sources:
    sources = replace(assemble(found), from_python=from_python)
    return apply_options(sources, options, have_groups=found.names_groups)


def _from_python(source: Iterable[Source] | None, options: BuildOptions, lists: Mapping[str, Any] | None) -> Found:
    """Return sources from Python, for which the options of folders and tables make no sense."""
    if lists and "images" not in lists:
        raise UsageError(f"images: expected a list of image paths beside {', '.join(lists)}.")
    if source is None and not lists:
        raise UsageError(
            "source: expected a folder, a table, an iterable of Source, or images=[…], alone or with labels=[…], "
            "masks=[…], boxes=[…], instances=[…] or keypoints=[…]."
        )
    found = from_lists(lists, options) if lists else from_iterable(source or (), options)
    refuse_options(options, TableOptions.names(), NO_TABLE.format("a list"))
    targets = [one.column for one in found.fields if one.column.is_target]
    if options.image_only and targets:
        raise UsageError(f"target: none was asked for, and the sources have one ({targets[0].kind}); leave it out.")
    if options.annotations is not None:
        raise UsageError("annotations: it names the annotations of a folder; sources from Python bring their boxes.")
    return found


def _in_files(source: str | Path, top: Path, options: BuildOptions) -> Found:
    if is_table(top):
        return find_table(as_path(source), options)
    refuse_options(options, TableOptions.names(), NO_TABLE.format(source))
    found = _in_a_folder(top, options)
    return with_extra_images(found, top, options) if options.extra_images else found


def _in_a_folder(top: Path, options: BuildOptions) -> Found:
    if options.image_only:
        refuse_options(options, TARGET_OPTIONS, "is for a target, and --target none asks for none.")
    if is_remote(top) and options.annotations is not None:
        raise UsageError("annotations: they are read from local folders; give boxes in an object store from Python.")
    has_names = by_field(options.masks) or (LABEL in options.targets and options.annotations is None)
    if options.image_only or is_remote(top) or has_names:
        return find_in_folders(top, options)
    return find_instances(top, options) or find_annotated(top, options) or _by_names(top, options)


def _by_names(top: Path, options: BuildOptions) -> Found:
    """Return sources with classes or masks; if there are none, the error mentions annotations that are not read."""
    try:
        found = find_in_folders(top, options)
    except SourceError as error:
        if foreign := foreign_below(top):
            raise SourceError(f"{foreign}\n{error}") from error
        raise
    one_class = any(len(one.class_names) == 1 for one in found.fields)
    foreign = foreign_below(top) if one_class else None
    return replace(found, notes=[*found.notes, foreign]) if foreign else found
