"""Sources from a table of paths: CSV, TSV, JSON lines or Parquet, one row per source."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from precompute.errors import SourceError, UsageError, first_few
from precompute.options.build_options import BuildOptions
from precompute.options.of_fields import by_field
from precompute.options.sources import LABEL, MASK
from precompute.sources.classes import given_names
from precompute.sources.found import Found
from precompute.sources.problems import refuse_options
from precompute.sources.rows.cells import Cells, Rows
from precompute.sources.rows.find import find_rows
from precompute.sources.split_folders import EXPECTED_SPLITS, split_of
from precompute.sources.tables.files import Table, read_table
from precompute.sources.values import values_of_texts
from precompute.storage.paths import absolute, as_path
from precompute.text.format import format_count

__all__ = ["USUAL", "find_table", "usual_columns"]

FOLDER_OPTIONS = (
    *("images", "masks", "extra_images", "image_suffix", "mask_suffix", "split_in_key", "annotations", "drop_empty"),
)
SEPARATORS = "|;, "
INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")  # as it would be printed: 007 is a name
PATHS_AS_KEYS = "Keys are the paths without their extensions; give others with --key-column."
ONE_LINE = (
    "Expected a line for each image. Where an image has several labels, put them into one cell and give "
    "--label-separator, or into columns of 0 and 1 and give --label-columns."
)
FILLED = {
    "split": "Expected train, validation or test in each.",
    "group": "Expected the group (patient, scene) of each; a source that stands alone gets a group of its own.",
    "key": "Expected a name in each that no other source has.",
}
THERE: dict[Any, bool] = {
    **dict.fromkeys((1, "1", "1.0", "True", "true", "TRUE"), True),
    **dict.fromkeys((0, "0", "0.0", "False", "false", "FALSE"), False),
}


def find_table(path: Path, options: BuildOptions) -> Found:
    """Return the sources that a table lists.

    Args:
        path: Path of the table.
        options: Options that name columns, and the folder that paths are relative to.

    Raises:
        SourceError: The table or its files cannot be used as they are; the message names the lines.
        UsageError: An option makes no sense here, or the roles of columns are not clear.
    """
    why = f"is for folders, and {path} is a table: its columns say where images and masks lie."
    refuse_options(options, FOLDER_OPTIONS, f"{why} --root names the folder that their paths start from.")
    if options.label_separator == "":
        raise UsageError("label_separator (--label-separator): expected one or more characters, such as '|'.")
    names = given_names(options, LABEL, "labels")
    path = absolute(path)
    root = path.parent if options.root is None else absolute(as_path(options.root))
    if not root.is_dir():
        raise UsageError(
            f"root (--root): there is no folder {root}; expected the one that the table's paths start from."
        )
    table = read_table(path)
    chosen = _choose_columns(table, options)
    read = table.read(chosen.used())
    if not len(read[chosen.roles["image"]]):
        raise SourceError(f"{path}: the table has a header and no line below it. Expected a line a source.")
    cells = {role: table.cells(name, read[name]) for role, name in chosen.roles.items()}
    columns = {role: _as_in_lists(role, of_role) for role, of_role in cells.items()}
    notes = [*table.notes, chosen.note(table)]
    if "label" in cells:
        columns["label"], more = _read_labels(cells["label"], table.typed, options.label_separator, names)
        notes += more
    elif chosen.labels:
        names = _names_of_columns(chosen.labels, names)
        columns["label"] = _labels_of_columns([(name, table.cells(name, read[name])) for name in names])
    elif options.label_separator is not None:
        raise UsageError(
            "label_separator (--label-separator): there is no column of labels; name it with --label-column."
        )
    rows = Rows(
        where=str(path),
        layout="a table",
        columns=columns,
        names={"label": f"{path}: label_columns"} | {role: of_role.called for role, of_role in cells.items()},
        masks=[(name, _as_paths(table.cells(column, read[column]))) for name, column in chosen.masks.items()],
        values=[(name, table.cells(name, read[name])) for name in chosen.values],
        extra=[
            (name, table.cells(name, read[name] if table.typed else values_of_texts(read[name])))
            for name in chosen.extra
        ],
        extra_images=[(name, table.cells(column, read[column])) for name, column in chosen.extra_images.items()],
        root=root,
        tell=table.where,
        class_names=names,
        names_groups=options.group_by in table.columns,
        key_remedy=f"Keys are those of {cells['key'].called}." if "key" in cells else PATHS_AS_KEYS,
        again_remedy=ONE_LINE,
        notes=notes,
    )
    return find_rows(rows, options)


def _as_in_lists(role: str, cells: Cells) -> Sequence[Any]:
    """Return cells in the form of lists from Python: paths, groups, keys as texts, words for splits as names."""
    if role in FILLED:
        cells.check_filled(FILLED[role])
    if role == "split":
        return _splits(cells)
    return cells.values if role in ("label", "weight") else _as_paths(cells).values


def _as_paths(cells: Cells) -> Cells:
    """Return cells whose numbers are texts."""
    if set(map(type, cells.values)) <= {str}:
        return cells
    kept = (str, list, dict, bytes, type(None))  # what is no path is told as such
    texts = [value if isinstance(value, kept) or value != value else str(value) for value in cells.values]
    return cells._replace(values=texts)


def _splits(cells: Cells) -> list[str | None]:
    counts = Counter(map(str, cells.values))
    splits = {word: split_of(word) for word in counts}
    unknown = [word for word in counts if splits[word] is None]
    if unknown:
        listed = first_few(unknown, tell=lambda word: f"{word!r:.80} in {format_count(counts[word], 'line')}")
        raise SourceError(
            f"{cells.called}: words that name no split:\n{listed}\n"
            f"Expected {EXPECTED_SPLITS}. If the column means something else, name another one, or none: "
            "--split-column ''."
        )
    return [splits[str(word)] for word in cells.values]


# Labels: a class in a cell, several in a cell, or a column of 0 and 1 for each class.


def _read_labels(
    cells: Cells, typed: bool, separator: str | None, class_names: list[str] | None
) -> tuple[Sequence[Any], list[str]]:
    """Return the class of each source, or a list of them, and notes; texts of CSV may be numbers."""
    if separator is not None:
        return _separated(cells, separator, class_names), []
    labels = cells.values if typed else _numbered(cells.values, class_names)
    names = {label for label in labels if isinstance(label, str)}
    for between in SEPARATORS:
        joined = [
            name for name in sorted(names) if between in name and names.issuperset(map(str.strip, name.split(between)))
        ]
        if joined:
            return labels, [
                f"column {cells.called.rpartition(': column ')[2]}: {joined[0]!r:.80} is read as one class. If it is "
                f"several labels, give --label-separator {between!r}."
            ]
    return labels, []


def _numbered(texts: Sequence[str], class_names: list[str] | None) -> Sequence[Any]:
    """Return texts as integers if all are written as integers and none is a given name."""
    different = set(texts)
    if not different or (class_names is not None and different & set(class_names)):
        return texts
    if not all(INTEGER.fullmatch(text) for text in different):
        return texts
    number = {text: int(text) for text in different}
    return [number[text] for text in texts]


def _separated(cells: Cells, separator: str, class_names: list[str] | None) -> list[list[Any]]:
    wrong = next((i for i, cell in enumerate(cells.values) if not isinstance(cell, str | None)), None)
    if wrong is not None:
        raise UsageError(
            f"label_separator (--label-separator): is for labels in a text; {cells.called} holds "
            f"{cells.values[wrong]!r:.60} in {cells.tell(wrong)}."
        )
    sets = [[part for one in (cell or "").split(separator) if (part := one.strip())] for cell in cells.values]
    rest = iter(_numbered([label for of_one in sets for label in of_one], class_names))
    return [[next(rest) for _ in of_one] for of_one in sets]


def _names_of_columns(columns: list[str], class_names: list[str] | None) -> list[str]:
    """Return the classes of columns of 0 and 1: the columns' names, in the given order if there is one."""
    if class_names is not None and set(class_names) != set(columns):
        raise UsageError(
            f"class_names: expected the names of the label_columns in the order that classes shall have, "
            f"{', '.join(columns)}; got {', '.join(class_names)}."
        )
    return columns if class_names is None else class_names


def _labels_of_columns(columns: Sequence[tuple[str, Cells]]) -> list[list[str]]:
    """Return the names of the columns that hold 1 for each source."""
    labels: list[list[str]] = [[] for _ in columns[0][1].values]
    for name, cells in columns:
        values = cells.values
        wrong = [i for i, cell in enumerate(values) if not (isinstance(cell, str | int | float) and cell in THERE)]
        if wrong:
            raise SourceError(
                f"{cells.called}: expected 0 or 1 in each cell, but {len(wrong):,} hold something else:\n"
                f"{cells.listed(wrong)}\nDecide what unknown or uncertain ones are, and write 0 or 1."
            )
        for of_one, cell in zip(labels, values, strict=True):
            if THERE[cell]:
                of_one.append(name)
    return labels


# Of several that are there the first is taken.
USUAL = {
    role: names.split()
    for role, names in {
        "image": "image image_path path filepath file_path filename file_name image_file image_filename image_name "
        "file img img_path img_name image_id id_code",
        "mask": "mask mask_path mask_file mask_filename mask_name",
        "label": "label labels class classes class_name label_name category category_name target tags",
        "split": "split subset partition",
        "group": "group group_id",
        "key": "key",
        "weight": "sample_weight sample_weights",  # not weight: that may be a person's
    }.items()
}


@dataclass(frozen=True, kw_only=True)
class _TableColumns:
    """Names of the columns that are read.

    Attributes:
        roles: Role (`USUAL`) → the column that has it.
        masks: Name of masks → the column of their paths, where they have names.
        labels: Columns of 0 and 1, one per class, in place of a column of labels.
        values: Columns of learnt numbers.
        extra: Columns that travel along unchanged; a column may also have another role.
        extra_images: Name of further images → the column of their paths.
    """

    roles: dict[str, str]
    masks: dict[str, str]
    labels: list[str]
    values: list[str]
    extra: list[str]
    extra_images: dict[str, str]

    def used(self) -> list[str]:
        """Return all used columns, each once."""
        files = (*self.masks.values(), *self.extra_images.values())
        return list(dict.fromkeys([*self.roles.values(), *files, *self.labels, *self.values, *self.extra]))

    def note(self, table: Table) -> str:
        """Return the note on the choice for the user."""
        several = {"labels": self.labels, "values": self.values, "extra": self.extra}
        files = self.masks | self.extra_images
        chosen = self.roles | files | {what: ",".join(names) for what, names in several.items() if names}
        shown = [f"{what}={name}" for what, name in chosen.items()]
        used = self.used()
        unused = [name for name in table.columns if name not in used]
        return f"columns: {', '.join(shown)}{f'; not used: {_listed(unused)}' if unused else ''}."


def _choose_columns(table: Table, options: BuildOptions) -> _TableColumns:
    """Decide which columns are read.

    Raises:
        UsageError: A named column is missing, the image's column is not found, or the target is not clear.
    """
    given = {role: getattr(options, f"{role}_column") for role in USUAL}
    masks = given.pop("mask") if by_field(given["mask"]) else {}
    masks = {name: _find(table, "mask_column", column) for name, column in masks.items()}
    roles = {role: _find(table, f"{role}_column", name) for role, name in given.items() if name}
    if options.group_by in table.columns:
        if given["group"]:
            raise UsageError(f"group_by, group_column: both name a column of {table.path}; give one of them.")
        roles["group"] = str(options.group_by)
    labels = [_find(table, "label_columns", name) for name in options.label_columns or []]
    values = [_find(table, "value_columns", name) for name in options.value_columns or []]
    extra = [_find(table, "extra_columns", name) for name in options.extra_columns or []]
    further = options.extra_image_columns or {}
    further = {name: _find(table, "extra_image_columns", column) for name, column in further.items()}
    taken = {*roles.values(), *masks.values(), *labels, *values, *further.values()}
    for role in ("image", "split", "group", "key", "weight"):
        no_column = given[role] == ""  # as the user said
        if role not in roles and not no_column and (usual := usual_columns(table.columns, role, taken | set(extra))):
            roles[role] = usual[0]
    if "image" not in roles:
        raise UsageError(
            f"{table.path}: no column is called as those of image files usually are; name it with --image-column. "
            f"{_those(table)}"
        )
    table.check_readable([roles["image"]])  # before what the target is: nobody could choose one
    taken |= set(roles.values())
    _check_no_objects(table, options)
    given_lists = {"labels": labels, "masks": list(masks), "values": values}
    target = _target(table, options, roles, [name for name, found in given_lists.items() if found], taken | set(extra))
    roles = {role: name for role, name in roles.items() if role not in (MASK, LABEL)} | target
    chosen = _TableColumns(roles=roles, masks=masks, labels=labels, values=values, extra=extra, extra_images=further)
    table.check_readable(chosen.used())
    return chosen


def _check_no_objects(table: Table, options: BuildOptions) -> None:
    """Refuse a table of objects, unless the user's options say that it is something else."""
    named = (options.mask_column, options.label_column, options.label_columns, options.value_columns)
    if any(named) or options.label_separator or options.image_only:
        return
    sides = {name.casefold().replace("_", "") for name in table.columns}
    points = [name[:-2] for name in table.columns if name.endswith("_x") and f"{name[:-2]}_y" in table.columns]
    if not points and not sides >= {"xmin", "ymin", "xmax", "ymax"}:
        return
    what = f"keypoints ({', '.join(points[:3])})" if points else "boxes"
    raise UsageError(
        f"{table.path}: it seems to be a table of {what}, a line an object, where a line an image is expected: give "
        f"the folder of the images as the source, and this file as --annotations {table.path}. If it is none, say what "
        "the target is: --label-column, --mask-column, or --target none."
    )


def _find(table: Table, option: str, name: str) -> str:
    if name in table.columns:
        return name
    near = [column for column in table.columns if column.casefold() == name.casefold()]
    if len(near) == 1:
        return near[0]
    raise UsageError(f"{option} (--{option.replace('_', '-')}): {table.path} has no column {name!r}. {_those(table)}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name or "(without a name)" for name in names)


def _those(table: Table) -> str:
    """Return the list of columns for messages, and advice where the first line looks like a source."""
    text = f"It has: {_listed(table.columns)}."
    if table.typed or not any("." in name or "/" in name for name in table.columns):
        return text
    return (
        f"{text} If that is a source and no header: put a line with the columns' names above it, such as image,label."
    )


def usual_columns(columns: Sequence[str], role: str, taken: Collection[str] = ()) -> list[str]:
    """Return the columns with usual names of a role, in the order of `USUAL`, in any case of their letters."""
    plain = {usual: number for number, usual in enumerate(USUAL[role])}
    keys = ((name.casefold().replace(" ", "_"), name) for name in columns if name not in taken)
    return [name for _, name in sorted((plain[key], name) for key, name in keys if key in plain)]


def _target(
    table: Table, options: BuildOptions, roles: dict[str, str], lists: list[str], taken: set[str]
) -> dict[str, str]:
    """Return role → column of the mask or label; empty for images alone, and for targets in `lists`."""
    given = [role for role in (MASK, LABEL) if role in roles] + lists
    if options.image_only and given:
        raise UsageError(f"target: none was asked for, and a column of the {given[0]} was named; give one of them.")
    if LABEL in given and "labels" in given:
        raise UsageError("label_column, label_columns: both name labels; give one of them.")
    named = {role: roles[role] for role in given if role in roles}
    if options.image_only:
        return named
    usual = {role: usual_columns(table.columns, role, taken) for role in (MASK, LABEL)}
    if options.targets:
        known = {MASK: {MASK, "masks"}, LABEL: {LABEL, "labels"}}
        lacking = [role for role in known if role in options.targets and not known[role].intersection(given)]
        for role in lacking:
            _check_clear(table, dict.fromkeys(usual[role], role))
        return named | {role: usual[role][0] for role in lacking if usual[role]}
    if given:
        return named
    found = {name: role for role in (MASK, LABEL) for name in usual[role]}
    _check_clear(table, found)
    if found:
        return {role: name for name, role in found.items()}
    rest = [name for name in table.columns if name not in taken]
    if rest:
        raise UsageError(
            f"{table.path}: no column is called as those of labels or masks usually are; name it with --label-column, "
            "--label-columns (one of 0 and 1 for each class), --mask-column or --value-columns (numbers), or give "
            "--target none for images alone. Not used so far: "
            f"{_listed(rest)}."
        )
    return {}


def _check_clear(table: Table, found: Mapping[str, str]) -> None:
    """Refuse several columns that may be the target; `found` maps each to its role."""
    if len(found) > 1:
        both = "--target label,mask for both, " if set(found.values()) == {MASK, LABEL} else ""
        raise UsageError(
            f"{table.path}: {' and '.join(found)} may be the target; say which with --label-column or --mask-column, "
            f"{both}or --target none for images alone."
        )
