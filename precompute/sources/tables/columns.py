"""Which column of a table holds what: as told, or by the names that they usually have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from precompute.errors import UsageError
from precompute.options.build_options import BuildOptions
from precompute.sources.tables.files import Table

__all__ = ["TableColumns", "choose_columns"]

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
        labels: Columns of 0 and 1, one a class, in place of a column of labels.
        values: Columns of numbers that are learnt.
        extra: Columns that travel along unchanged; some that mean something else may be among them.
    """

    roles: dict[str, str]
    labels: list[str]
    values: list[str]
    extra: list[str]

    def used(self) -> list[str]:
        """Return all of them, each once."""
        return list(dict.fromkeys([*self.roles.values(), *self.labels, *self.values, *self.extra]))

    def note(self, table: Table) -> str:
        """Return what the user should hear of the choice."""
        shown = [f"{role}={name}" for role, name in self.roles.items()]
        several = (("labels", self.labels), ("values", self.values), ("extra", self.extra))
        shown += [f"{what}={','.join(names)}" for what, names in several if names]
        used = self.used()
        unused = [name for name in table.columns if name not in used]
        return f"columns: {', '.join(shown)}{f'; not used: {_listed(unused)}' if unused else ''}."


def choose_columns(table: Table, options: BuildOptions) -> TableColumns:
    """Decide which columns are read.

    Raises:
        UsageError: One that was named is not there, the image's is not found, or it is not clear what the target is.
    """
    given = {role: getattr(options, f"{role}_column") for role in USUAL}
    roles = {role: _find(table, f"{role}_column", name) for role, name in given.items() if name}
    if options.group_by in table.columns:
        if given["group"]:
            raise UsageError(f"group_by, group_column: both name a column of {table.path}; give one of them.")
        roles["group"] = str(options.group_by)
    labels = [_find(table, "label_columns", name) for name in options.label_columns or []]
    values = [_find(table, "value_columns", name) for name in options.value_columns or []]
    extra = [_find(table, "extra_columns", name) for name in options.extra_columns or []]
    taken = {*roles.values(), *labels, *values}
    for role in ("image", "split", "group", "key", "weight"):
        no_column = given[role] == ""  # as the user said
        if role not in roles and not no_column and (usual := _usual(table, role, taken | set(extra))):
            roles[role] = usual[0]
    if "image" not in roles:
        raise UsageError(
            f"{table.path}: no column is called as those of image files usually are; name it with --image-column. "
            f"{_those(table)}"
        )
    table.check_readable([roles["image"]])  # before what the target is: nobody could choose one
    taken |= set(roles.values())
    _check_no_objects(table, options)
    given_lists = {"labels": labels, "values": values}
    target = _target(table, options, roles, [name for name, found in given_lists.items() if found], taken | set(extra))
    roles = {role: name for role, name in roles.items() if role not in ("mask", "label")} | target
    chosen = TableColumns(roles=roles, labels=labels, values=values, extra=extra)
    table.check_readable(chosen.used())
    return chosen


def _check_no_objects(table: Table, options: BuildOptions) -> None:
    """Refuse a table of objects, unless the user says what it is otherwise."""
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
    """Return which columns there are, and what may help where the first line looks like a source."""
    text = f"It has: {_listed(table.columns)}."
    if table.typed or not any("." in name or "/" in name for name in table.columns):
        return text
    return (
        f"{text} If that is a source and no header: put a line with the columns' names above it, such as image,label."
    )


def _usual(table: Table, role: str, taken: set[str]) -> list[str]:
    """Return the columns whose names fit, in the order of those names, whatever the case of their letters."""
    free = [name for name in table.columns if name not in taken]
    plain = {usual: number for number, usual in enumerate(USUAL[role])}
    found = [(plain[key], name) for name in free if (key := name.casefold().replace(" ", "_")) in plain]
    return [name for _, name in sorted(found)]


def _target(
    table: Table, options: BuildOptions, roles: dict[str, str], lists: list[str], taken: set[str]
) -> dict[str, str]:
    """Return the column of the mask or of the label; none for images alone, and for labels or numbers in `lists`."""
    given = [role for role in ("mask", "label") if role in roles] + lists
    if options.image_only and given:
        raise UsageError(f"target: none was asked for, and a column of the {given[0]} was named; give one of them.")
    if len(given) > 1:
        raise UsageError(
            "mask_column, label_column, label_columns, value_columns: give one of them; a source has a mask, a label, "
            f"labels or numbers. Given: {', '.join(given)}. What shall travel along, unlearnt, is for --extra-columns."
        )
    if options.image_only or given:
        return {role: roles[role] for role in given if role in roles}
    found = {name: role for role in ("mask", "label") for name in _usual(table, role, taken)}
    if len(found) > 1:
        raise UsageError(
            f"{table.path}: {' and '.join(found)} may be the target; say which with --label-column or --mask-column, "
            "or --target none for images alone."
        )
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
