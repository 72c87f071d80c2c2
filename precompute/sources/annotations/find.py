"""Finds out which layout with annotations a folder has, if any."""

from __future__ import annotations

from pathlib import Path

from precompute.errors import SourceError, UsageError
from precompute.options.build_options import BuildOptions
from precompute.sources.annotations import coco, object_table, voc, yolo
from precompute.sources.annotations.layout import Layout, beginning, check_foreign, foreign_below
from precompute.sources.found import Found
from precompute.storage.paths import absolute

__all__ = ["find_annotated", "layouts_below", "named_place"]

LAYOUTS = (voc.LAYOUT, coco.LAYOUT, yolo.LAYOUT, object_table.LAYOUT)
EXPECTED = "\n  ".join(["Expected one of", *(layout.expected for layout in LAYOUTS)])


def find_annotated(top: Path, options: BuildOptions) -> Found | None:
    """Return the sources of a local folder with annotations; None where there are no signs of annotations.

    Raises:
        SourceError: Something is wrong with the annotations, or they are of several kinds, or of a kind that is not
            read.
        UsageError: An option makes no sense here.
    """
    if not top.is_dir() or options.masks is not None or options.mask_suffix:
        if options.annotations is not None:
            raise UsageError("annotations: they name boxes, --masks and --mask-suffix masks; give one of the two.")
        return None
    if options.annotations is not None:
        return _find_named(top, options.annotations, options)
    found = layouts_below(top, options)
    if len(found) > 1:
        raise SourceError(
            f"{top}: there are annotations of several kinds: {_names(found)}. Name the ones that count with "
            f"--annotations.\n{EXPECTED}"
        )
    if not found and (foreign := foreign_below(top, in_place=True)):
        raise SourceError(foreign)
    return found[0].read(top, top, options) if found else None


def layouts_below(folder: Path, options: BuildOptions, *, named: bool = False) -> list[Layout]:
    """Return the layouts that show signs below a folder; a folder that the user named needs fewer signs."""
    signs = ((layout, (named and layout.is_in) or layout.is_below) for layout in LAYOUTS)
    return [layout for layout, is_there in signs if is_there is not None and is_there(folder, options)]


def named_place(top: Path, annotations: str) -> Path:
    """Return the file or folder that a user named, relative to the working folder, or else to that of the sources."""
    here = absolute(Path(annotations))
    return here if here.exists() else absolute(top / annotations)


def _find_named(top: Path, annotations: str, options: BuildOptions) -> Found:
    path, given = named_place(top, annotations), f"--annotations {annotations}"
    if not path.exists():
        here = absolute(Path(annotations))
        looked = "" if here == path else f"{here} and no "
        raise SourceError(
            f"{given}: there is no {looked}{path}. Paths start from the working folder, or from the source. {EXPECTED}"
        )
    if path.is_file():
        layout = next((layout for layout in LAYOUTS if path.suffix.lower() in layout.endings), None)
        if layout is not None:
            return layout.read(top, path, options)
        check_foreign(path, beginning(path))
        raise SourceError(f"{given}: {path} is none of the files that are read. {EXPECTED}")
    found = layouts_below(path, options, named=True)
    if len(found) > 1:
        raise SourceError(
            f"{given}: {path} holds annotations of several kinds: {_names(found)}. Name the file or the folder of "
            f"those that count.\n{EXPECTED}"
        )
    if found:
        return found[0].read(top, path, options)
    raise SourceError(foreign_below(path) or f"{given}: {path} holds no annotations that are read. {EXPECTED}")


def _names(layouts: list[Layout]) -> str:
    return " and ".join(layout.name for layout in layouts)
