"""From what a user gave to sources: a folder, a table, an iterable of `Source`, or parallel lists."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from precompute.errors import SourceError, UsageError, accessible
from precompute.images.file_kinds import unreadable_text
from precompute.options.build_options import TABLE_OPTIONS, BuildOptions
from precompute.sources.annotations.find import find_annotated
from precompute.sources.annotations.foreign import foreign_below
from precompute.sources.annotations.instance_folders import find_instances
from precompute.sources.box_checks import drop_empty
from precompute.sources.checks import check_class_names
from precompute.sources.folders.find import find_in_folders
from precompute.sources.found import Found, assemble
from precompute.sources.groups import group_by
from precompute.sources.keypoint_checks import check_target
from precompute.sources.passed_over import passing_over, real_path
from precompute.sources.python import LISTS, from_iterable, from_lists
from precompute.sources.tables.files import TABLES, is_table
from precompute.sources.tables.find import find_table
from precompute.sources.utf8_names import check_names
from precompute.sources.values import check_numbers
from precompute.storage.paths import absolute, as_path, is_remote, is_url
from precompute.table.sources import Source, Sources

__all__ = ["find", "limit_sources", "read_arguments"]

TARGET_OPTIONS = ("class_names", "annotations", "drop_empty")
OF_OBJECTS = ("instances", "boxes", "mask")  # what can be made of masks of single objects


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
        lists: `images` and others of the arguments of `from_lists`.
        output: What the command writes: no source, wherever it lies.

    Raises:
        SourceError: They cannot be used as they are.
        UsageError: Both or neither were given, or an option does not fit them; or they lie in the output.
    """
    if not isinstance(source, str | Path):
        return _find(source, options, lists)
    exclude = options.exclude or ()
    with accessible(source, SourceError), passing_over(output, list(_named(source, options)), exclude) as passed:
        _check_folder(source)
        _check_apart(source, output)
        try:
            found = _find(source, options, lists)
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


def read_arguments(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], BuildOptions]:
    """Return the lists among the arguments of a call, and its options; some names stand for either.

    Raises:
        UsageError: An argument is not known, or has a bad value.
    """
    lists = {name: arguments[name] for name in LISTS if _is_list(arguments.get(name))}
    known = {f.name for f in fields(BuildOptions)}
    options = {
        name: value
        for name, value in arguments.items()
        if name not in lists and (name in known or name not in LISTS or value is not None)
    }
    return lists, BuildOptions.make(**options)


def _is_list(value: Any) -> bool:
    return value is not None and not isinstance(value, str | Path)


def _named(source: str | Path, options: BuildOptions) -> Iterator[str | Path]:
    """Yield the folders that the user named, in which sources are looked for whoever wrote them."""
    top = as_path(source)
    if _is_table(source):
        top = absolute(top).parent if options.root is None else as_path(options.root)
    yield top
    yield from (top / folder for folder in (options.images, options.masks, options.annotations) if folder)
    if options.annotations:
        yield options.annotations


def _check_folder(source: str | Path) -> None:
    """Raise OSError where a folder cannot be listed, or where it can and nothing in it be looked at."""
    if not (is_url(source) or is_remote(source)) and Path(source).is_dir():
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


def _find(
    source: str | Path | Iterable[Source] | None, options: BuildOptions, lists: Mapping[str, Any] | None
) -> Sources:
    # Names of colours are for masks alone: others are not to be compared with names that nobody gave.
    named = options if options.mask_colors is None else replace(options, class_names=None)
    found = _read(source, named, lists)
    sources = assemble(found)
    if options.drop_empty:
        sources = drop_empty(sources)
    sources = _choose_target(sources, named)
    sources = replace(sources, from_python=not isinstance(source, str | Path))
    unreadable = unreadable_text(sources.passed)
    sources = replace(sources, notes=[*sources.notes, unreadable]) if unreadable else sources
    given = next((name for name in ("mask_offset", "mask_colors") if getattr(options, name)), None)
    if given and not sources.has_class_ids:
        raise UsageError(f"{given} (--{given.replace('_', '-')}): is for masks, and these sources have none.")
    if named is not options and not sources.class_names:
        sources = replace(sources, class_names=check_class_names(options.class_names) or [])
    check_target(sources, options)
    if options.class_names and sources.image_only:
        raise UsageError("class_names (--class-names): these sources are images alone, of no classes.")
    if options.class_names and not any(column.has_classes for column in sources.targets):
        raise UsageError(f"class_names (--class-names): is for classes; these sources have none, but {sources.kind}.")
    sources = sources if found.names_groups else group_by(sources, options.group_by)
    check_names(sources)
    check_numbers(sources, options)
    return sources


def _read(
    source: str | Path | Iterable[Source] | None, options: BuildOptions, lists: Mapping[str, Any] | None
) -> Found:
    if lists:
        if source is not None:
            raise UsageError(f"source: give a folder or the lists {', '.join(lists)}, not both.")
        if "images" not in lists:
            raise UsageError(f"images: expected a list of image paths beside {', '.join(lists)}.")
        return _from_python(from_lists(lists, options), options)
    if source is None:
        raise UsageError(
            "source: expected a folder, a table, an iterable of Source, or images=[…], alone or with labels=[…], "
            "masks=[…], boxes=[…], instances=[…] or keypoints=[…]."
        )
    if isinstance(source, str | Path):
        if _is_table(source):
            return find_table(as_path(source), options)
        _check_no_table(source, options)
        if options.image_only:
            return _find_image_only(source, options)
        with_objects = find_instances(source, options) or find_annotated(source, options)
        if with_objects is not None:
            return with_objects
        return _find_in_folders(source, options)
    return _from_python(from_iterable(source, options), options)


def _is_table(source: object) -> bool:
    return isinstance(source, str | Path) and is_table(as_path(source))


def _check_no_table(source: str | Path, options: BuildOptions) -> None:
    given = next((name for name in TABLE_OPTIONS if getattr(options, name) is not None), None)
    if given:
        raise UsageError(
            f"{given} (--{given.replace('_', '-')}): is for a table, and {source} is none; expected a file that ends "
            f"with {', '.join(TABLES)}."
        )


def _find_in_folders(source: str | Path, options: BuildOptions) -> Found:
    """Return classes or masks; where there are none, annotations that are not read may be why."""
    try:
        found = find_in_folders(source, options)
    except SourceError as error:
        if foreign := _foreign(source):
            raise SourceError(f"{foreign}\n{error}") from error
        raise
    one_class = any(len(one.class_names) == 1 for one in found.fields)
    foreign = _foreign(source) if one_class else None
    return replace(found, notes=[*found.notes, foreign]) if foreign else found


def _foreign(source: str | Path) -> str | None:
    return None if is_url(source) or is_remote(source) else foreign_below(Path(source))


def _find_image_only(source: str | Path, options: BuildOptions) -> Found:
    given = next((name for name in TARGET_OPTIONS if getattr(options, name)), None)
    if given:
        raise UsageError(f"{given} (--{given.replace('_', '-')}): is for a target, and --target none asks for none.")
    return find_in_folders(source, options)


def _from_python(found: Found, options: BuildOptions) -> Found:
    """Return sources from Python, for which the options of folders and tables make no sense."""
    _check_no_table("a list", options)
    targets = [one.column for one in found.fields if one.column.is_target]
    if options.image_only and targets:
        raise UsageError(f"target: none was asked for, and the sources have one ({targets[0].kind}); leave it out.")
    if options.annotations is not None:
        raise UsageError("annotations: it names the annotations of a folder; sources from Python bring their boxes.")
    return found


def limit_sources(sources: Sources, limit: int | None) -> Sources:
    """Return a fixed choice of sources for a quick try: those whose keys have the smallest hashes."""
    if limit is None or limit >= len(sources):
        return sources
    hashes = [hashlib.blake2b(key.encode(), digest_size=8, person=b"augonce-limit-1").digest() for key in sources.keys]
    chosen = sorted(range(len(sources)), key=lambda i: (hashes[i], sources.keys[i]))[:limit]
    taken = sources.take(sorted(chosen))
    of_taken = dict(zip(_counting_notes(sources), _counting_notes(taken), strict=True))
    return replace(taken, notes=[of_taken.get(note, note) for note in sources.notes])


def _counting_notes(sources: Sources) -> list[str]:
    """Return the notes that count boxes, objects or keypoints."""
    return [note for column in sources.targets for note in column.notes()]


def _choose_target(sources: Sources, options: BuildOptions) -> Sources:
    """Return sources whose objects become what was asked for.

    Raises:
        UsageError: That cannot be made of them.
    """
    target = options.target
    column = next((column for column in sources.targets if column.can_be), None)
    if column is None:
        lacking = next((other.lacks(target) for other in sources.targets), "no masks of objects")
        if target in OF_OBJECTS and lacking:
            raise UsageError(f"target: {target} needs masks of single objects, and these sources have {lacking}.")
        return sources
    if options.mask_colors:
        raise UsageError("mask_colors: masks of single objects hold no colours; give their classes otherwise.")
    chosen, names, notes = column.as_target(target, sources.class_names, options.ignore_class)
    return replace(sources.with_column(chosen, column), class_names=names, notes=[*sources.notes, *notes])
