"""Labels and masks together as plain files: images, a folder for each field of masks, and a table for the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from precompute.exporting.exporter import Example, Export, Names, image_file, own_file, safe_path
from precompute.exporting.plain import OWN_COLUMNS, SEPARATOR, Files, check_separator, value_options
from precompute.fields.field import Field
from precompute.text.names import format_names

__all__ = ["FieldsTogether"]

LABEL, LABELS, MASK = "class", "multilabel", "mask"  # forms


class FieldsTogether(Files):
    """`images/a.jpg` with `masks/a.png` or `fine/a.png`; labels and numbers are in the table, which a build reads."""

    def __init__(self, fields: Sequence[Field], *, apart: bool) -> None:
        super().__init__(fields, apart=apart)
        for field in self._of(LABELS):
            check_separator(field)
        self.paths = ("image", *(_column(field) for field in self._of(MASK)))

    @classmethod
    def can_hold(cls, fields: Sequence[Field]) -> bool:
        """Return whether there are several fields, all of them labels or masks."""
        forms = [field.form for field in fields if not (field.in_table or field.has_own_file)]
        return len(forms) > 1 and all(form in (LABEL, LABELS, MASK) for form in forms)

    def _of(self, *forms: str) -> list[Any]:
        return [field for field in self.fields if field.form in forms]

    def layout(self, example: Example, names: Names) -> Export:
        """Return the files of a record, without its split's folder."""
        suffix, content = image_file(example)
        path = names.unique(safe_path(example["key"]), example["copy"])
        columns: dict[str, Any] = {"image": f"images/{path}{suffix}"}
        files = {columns["image"]: content}
        for field in self.fields:
            column = _column(field)
            if field.form != MASK:
                columns[column] = _classes(field, example)
                continue
            ending, stored = own_file(example, field.name)
            columns[column] = f"{'masks' if field.name == MASK else field.name}/{path}{ending}"
            files[columns[column]] = stored
        return Export(files=files, line=self.line_of(example, **columns))

    def build_options(self, lines: Sequence[dict[str, Any]]) -> list[str]:
        """Return the options for a build from the table."""
        return [*self._columns(), *self._class_options(), *value_options(self._in_table, lines), *self.own_columns]

    def _columns(self) -> Iterator[str]:
        """Yield the options that name columns."""
        for field in self._of(LABEL, LABELS):
            yield from ("--label-column", _column(field))
            yield from ("--label-separator", SEPARATOR) if field.form == LABELS else ()
        masks = [f"{field.name}={_column(field)}" for field in self._of(MASK)]
        yield from ("--mask-column", *masks) if masks else ()

    def _class_options(self) -> Iterator[str]:
        """Yield the options that give the names of classes, and the ids that masks may hold."""
        named = [field for field in self.fields if field.class_names]
        unnamed = [field for field in self._of(MASK) if not field.class_names]
        ignoring = [field for field in self._of(MASK) if field.ignore_class is not None]
        for option, values in (
            (
                "--class-names",
                [f"{field.name}={format_names(field.class_names)}" for field in named],
            ),
            ("--num-classes", [f"{field.name}={field.num_classes}" for field in unnamed]),
            ("--ignore-class", [f"{field.name}={field.ignore_class}" for field in ignoring]),
        ):
            yield from (option, *values) if values else ()


def _column(field: Field) -> str:
    """Return the column of a field; it has another name where the field's name has a meaning in the table."""
    return f"{field.name}_file" if field.name in OWN_COLUMNS else field.name


def _classes(field: Any, example: Example) -> str:
    found = example[field.name]
    return SEPARATOR.join(field.class_names[i] for i in (found if isinstance(found, list) else [found]))
