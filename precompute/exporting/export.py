"""`precompute.export`: writes one row as plain files, to look at, to label, or for other programs."""

from __future__ import annotations

import csv
import io
import os
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from precompute.dataset.manifest import IMAGE_ONLY, Manifest, Row
from precompute.errors import BuildError, UsageError, accessible, first_few
from precompute.exporting.boxes import BOX_FORMATS, files_beside
from precompute.exporting.exporter import TABLE, Exporter, Names
from precompute.exporting.plain import PLAIN
from precompute.fields.field import Field
from precompute.images.color_modes import CHANNELS
from precompute.options.plain_values import converts_arguments
from precompute.readers.read import read_stored
from precompute.storage.paths import as_path, is_remote, local_path
from precompute.text.display import Displayed
from precompute.text.format import format_bytes, format_count

__all__ = ["Exported", "export"]

OF_TABLES = ("--label-column", "--mask-column", "--extra-image-columns", "--label-separator", "--value-columns")
FORMATS: dict[str, tuple[type[Exporter], ...]] = {
    "files": PLAIN,
    **{name: (exporter,) for name, exporter in BOX_FORMATS.items()},
}


@dataclass(frozen=True, kw_only=True, repr=False)
class Exported(Displayed):
    """What an export wrote.

    Attributes:
        folder: Folder that was written.
        split: Split of the row; the first one where several were written.
        row: Number of the row.
        others: Further splits that were written: split → number of the row.
        num_files: Top folder (a class, ``"images"``, ``"masks"``) → number of files in it.
        num_bytes: Size of all files, without the table.
        build_options: Options that `precompute build` needs for the folder, such as ``["--ignore-class", "255"]``.
        foreign: Files in the folder that this export did not write.
        notes: Notes on what the format has no place for.
    """

    folder: Path
    split: str
    row: Row
    others: dict[str, Row]
    num_files: dict[str, int]
    num_bytes: int
    build_options: list[str]
    foreign: int
    notes: list[str]

    def summary(self) -> str:
        """Return a few lines for people."""
        rows = [f"row {row.row} ({row.drawn}) of {split}" for split, row in self._rows.items()]
        lines = [
            f"wrote {', '.join(rows)} to {self.folder}: "
            f"{format_count(sum(self.num_files.values()), 'file')}, {format_bytes(self.num_bytes)}",
            *(
                f"  {name}{'' if '.' in name else '/'}: {format_count(number, 'file')}"
                for name, number in sorted(self.num_files.items())[:10]
            ),
            f"  {TABLE}: what each file is",
        ]
        if len(self.num_files) > 10:
            lines.insert(-1, f"  … and {format_count(len(self.num_files) - 10, 'more folder')}")
        lines += [f"  note: {note}" for note in self.notes]
        if self.build_options:
            in_table = set(OF_TABLES) & set(self.build_options)
            where = TABLE if in_table else "it"
            lines.append(f"  to build from {where}, give {shlex.join(self.build_options)}")
        if self.foreign:
            lines.append(f"  {format_count(self.foreign, 'other file')} in the folder stayed as they were")
        return "\n".join(lines)

    @property
    def _rows(self) -> dict[str, Row]:
        return {self.split: self.row, **self.others}


@converts_arguments
def export(
    out: str | Path,
    output: str | Path,
    *,
    split: str = "train",
    row: int | None = None,
    format: str = "files",
    overwrite: bool = False,
) -> Exported:
    """Write one row of a dataset as plain files, in a layout that `build` reads again.

    Classes: a folder each. Masks: ``images/`` and ``masks/``. Several labels an image: ``images/``, and the labels in
    the column `labels` of ``labels.csv``, separated by ``;``. Numbers: ``images/``, and a column each, empty where a
    number is missing. Several of these, and further images: ``images/``, a folder for each, and ``labels.csv``, which a
    build reads. Boxes: the layout of COCO, YOLO or Pascal VOC, with the split and whatever the format can say.
    ``labels.csv`` is written for every target: it lists each file with its key, its label and its draw. Files hold the
    stored bytes where these are JPEG or PNG; raw pixels become PNG. Names come from the keys; copies of rare classes
    end with ``-copy1`` and so on.

    Args:
        out: The dataset's folder.
        output: Folder to write; new or empty.
        split: ``"train"``, ``"validation"``, ``"test"``, or ``"all"``: each in a folder, or where the format keeps it.
        row: Number of the row; the first listed one when None, and in all splits but the first.
        format: ``"files"``; for boxes ``"coco"``, ``"yolo"`` or ``"voc"``.
        overwrite: Write into a folder that holds files. What an earlier export wrote there is removed first, files of
            the same names are replaced, others stay.

    Returns:
        What was written.

    Raises:
        UsageError: There is no such split, row or format, or the folder holds files.
        DatasetError: The dataset is missing, short or altered.
        BuildError: A file cannot be written.
    """
    folder = local_path(output, "output")
    if not is_remote(as_path(out)):
        with accessible(folder, UsageError, "written"):
            _check_folder(Path(out), folder)
    manifest = Manifest.load(as_path(out))
    exporter = _make_exporter(format, manifest, apart=split == "all")
    splits = list(manifest.splits) if split == "all" else [split]
    rows, records = dict[str, Row](), list[tuple[str, Iterator[dict[str, Any]]]]()
    for name in splits:
        _, rows[name], examples = read_stored(out, split=name, row=None if rows else row)
        records.append((name, examples))
    with accessible(folder, BuildError, "written"):
        foreign = _clear(folder, overwrite=overwrite)
    try:
        num_files, num_bytes, lines, written = _write(folder, exporter, records)
    except OSError as error:
        raise BuildError(
            f"{error.filename or folder}: cannot be written: {error.strerror}. Files that are there are "
            "whole; make space, or choose another folder, and run the same command again with --overwrite."
        ) from error
    return Exported(
        folder=folder,
        split=splits[0],
        row=rows.pop(splits[0]),
        others=rows,
        num_files=num_files,
        num_bytes=num_bytes,
        build_options=[*exporter.build_options(lines), *_color_options(manifest)],
        foreign=len(foreign - written),
        notes=exporter.notes(lines),
    )


# Before the first file.


def _make_exporter(format: str, manifest: Manifest, *, apart: bool) -> Exporter:
    """Return the exporter of a dataset; refuse a format that has no place for its fields."""
    if format not in FORMATS:
        raise UsageError(f"format: expected one of {', '.join(FORMATS)}, got {format!r}.")
    _, *fields = manifest.schema.values()
    every = ((name, exporter) for name, exporters in FORMATS.items() for exporter in exporters)
    fitting = {name: exporter for name, exporter in every if exporter.can_hold(fields)}
    if format not in fitting:
        expected = f"expected {', '.join(fitting)}" if fitting else "read the row in Python with precompute.read"
        raise UsageError(f"format: {format} has no place for the {_named(fields)} of {manifest.name}; {expected}.")
    return fitting[format](fields, apart=apart)


def _named(fields: Sequence[Field]) -> str:
    """Return how messages name fields that have no place: the form of a single one, the names of several."""
    placed = [field for field in fields if not field.in_table]
    if len(placed) < 2:
        return next((field.form for field in placed), IMAGE_ONLY)
    return f"{', '.join(field.name for field in placed[:-1])} and {placed[-1].name}"


def _check_folder(out: Path, folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"output: {folder} is a file; expected the name of a folder.")
    dataset, target = out.resolve(), folder.resolve()
    if target == dataset or dataset in target.parents:
        raise UsageError(f"output: {folder} lies in the dataset {out}; choose a folder elsewhere.")


def _clear(folder: Path, *, overwrite: bool) -> set[str]:
    """Remove what an earlier export wrote; returns the other files, as paths below the folder."""
    present = set(_files_below(folder)) if folder.exists() else set[str]()
    if present and not overwrite:
        shown = first_few(sorted(present))
        raise UsageError(
            f"output: {folder} holds files:\n{shown}\nChoose another folder, or pass --overwrite: it removes what an "
            "earlier export wrote there, and replaces files of the same names."
        )
    earlier = _earlier(folder / TABLE) & present
    for name in [*earlier, *([TABLE] if earlier else [])]:
        (folder / name).unlink()
    return present - earlier - {TABLE}


def _files_below(folder: Path) -> Iterator[str]:
    """Yield the relative path of each file below a folder, hidden ones too."""

    def refuse(error: OSError) -> None:
        raise error

    for parent, _, names in os.walk(folder, onerror=refuse):
        yield from ((Path(parent) / name).relative_to(folder).as_posix() for name in names)


def _earlier(table: Path) -> set[str]:
    """Return the files that the table of an earlier export lists."""
    try:
        with table.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        return set()
    own = [line for line in lines if line.get("key")]
    columns = ("image", "mask", "annotation")
    named = [line[column] for line in own for column in columns if line.get(column)]
    named += [path for line in own for name, path in line.items() if f"/{name}/" in f"/{path}"]  # depth/a.png
    named += files_beside([line["annotation"] for line in lines if line.get("annotation") and line.get("key")])
    return {name for name in named if not PurePosixPath(name).is_absolute() and ".." not in name.split("/")}


# Files.


def _write(
    folder: Path, exporter: Exporter, records: list[tuple[str, Iterator[dict[str, Any]]]]
) -> tuple[dict[str, int], int, list[dict[str, Any]], set[str]]:
    """Write all files, then the table; returns files by top folder, bytes, lines of the table, and paths."""
    names, counts, num_bytes, lines, written = Names(), Counter[str](), 0, [], {TABLE}

    def write(files: dict[str, bytes]) -> None:
        nonlocal num_bytes
        for name, content in files.items():
            _write_file(folder / name, content)
            counts[name.partition("/")[0]] += 1
            num_bytes += len(content)
            written.add(name)

    for split, examples in records:
        for example in examples:
            made = exporter.export(example, names, split)
            write(made.files)
            lines.append(made.line)
    write(exporter.finish())
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(lines[0]) if lines else ["image"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    _write_file(folder / TABLE, text.getvalue().encode())
    return dict(counts), num_bytes, lines, written


def _write_file(path: Path, content: bytes) -> None:
    """Write one file under a temporary name, and give it its own when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temp_path = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temp_path.write_bytes(content)
        temp_path.replace(path)
    except BaseException:
        temp_path.unlink(missing_ok=True)
        raise


def _color_options(manifest: Manifest) -> list[str]:
    """Return the options that keep the images' channels; JPEG, the default, has no alpha."""
    mode = next(mode for mode, channels in CHANNELS.items() if channels == manifest.image.channels)
    return {"rgb": [], "rgba": ["--color-mode", mode, "--image-format", "png"]}.get(mode, ["--color-mode", mode])
