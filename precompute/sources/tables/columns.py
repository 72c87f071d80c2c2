"""Which columns of a table are read, and as what: by options, else by their names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from precompute.errors import UsageError
from precompute.options.build_options import BuildOptions
from precompute.options.of_fields import by_field
from precompute.options.sources import LABEL, MASK
from precompute.sources.tables.files import Table
from precompute.text.names import with_flag

__all__ = ["USUAL", "TableColumns", "choose_columns", "usual_columns"]

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
class TableColumns:
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


def choose_columns(table: Table, options: BuildOptions) -> TableColumns:
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
    chosen = TableColumns(roles=roles, masks=masks, labels=labels, values=values, extra=extra, extra_images=further)
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
    raise UsageError(f"{with_flag(option)}: {table.path} has no column {name!r}. {_those(table)}")


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
