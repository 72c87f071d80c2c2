"""Records as plain files, in layouts that `precompute build` reads again: a class for each combination of fields.

A new one needs its line in PLAIN.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from typing import Any

from precompute.errors import UsageError, on_one_line
from precompute.exporting.exporter import (
    TABLE,
    Example,
    Export,
    Exporter,
    Names,
    image_file,
    own_file,
    safe_name,
    safe_path,
)
from precompute.fields.field import Field
from precompute.sources.split_folders import split_of
from precompute.text.format import format_count
from precompute.text.names import format_names

__all__ = ["PLAIN"]

SEPARATOR = ";"  # between the labels of one image
OWN_COLUMNS = ("image", "key", "copy", "seed", "variant", "split")  # of the table, beside values
FOLDERS, COLUMNS = "--extra-images", "--extra-image-columns"  # options for files of their own
LABEL, LABELS, MASK = "class", "multilabel", "mask"  # forms


class _Files(Exporter):
    """Files below one folder; or below a folder for each of several splits, which are also a column of the table.

    Attributes:
        paths: Columns of the table that name files.
    """

    paths: tuple[str, ...] = ("image", "mask")

    takes_own_files = True

    @abc.abstractmethod
    def layout(self, example: Example, names: Names) -> Export:
        """Return the files of a record, without its split's folder."""

    def export(self, example: Example, names: Names, split: str) -> Export:
        """Return the files of one record; a folder of its key that a build would take for a split's begins with _."""
        if not self._apart:
            return self._with_own_files(example, self.layout(example, names))
        *folders, name = example["key"].split("/")
        safe = [f"_{folder}" if split_of(folder) else folder for folder in folders]
        made = self._with_own_files(example, self.layout({**example, "key": "/".join([*safe, name])}, names))
        paths = (*self.paths, *(field.name for field in self.own_files))
        line = {column: f"{split}/{value}" if column in paths else value for column, value in made.line.items()}
        others = {("extra_split" if column == "split" else column): value for column, value in line.items()}
        files = {f"{split}/{path}": content for path, content in made.files.items()}
        return Export(files=files, line={**others, "key": example["key"], "split": split})

    def _with_own_files(self, example: Example, made: Export) -> Export:
        """Return an export with a file for each field that has its own, `depth/a.png` beside `images/a.jpg`."""
        stem = made.line["image"].removeprefix("images/").rpartition(".")[0]
        files, paths = dict(made.files), dict[str, Any]()
        for field in self.own_files:
            suffix, content = own_file(example, field.name)
            paths[field.name] = f"{field.name}/{stem}{suffix}"
            files[paths[field.name]] = content
        return Export(files=files, line=made.line | paths)

    def _own(self, option: str) -> list[str]:
        """Return the option of a build from the folder, or from the table, that names the files of their own."""
        pairs = [f"{field.name}={field.name}" for field in self.own_files]
        return [option, *pairs] if pairs else []


class _ClassFiles(_Files):
    """One folder per class, `animals/cat/1.jpg`; the rest of the key is part of the file's name."""

    forms = ("class",)

    def __init__(self, fields: Sequence[Field], *, apart: bool) -> None:
        super().__init__(fields, apart=apart)
        both = [field.name for field in self.own_files if field.name in self.fields[0].class_names]
        if both:
            raise UsageError(
                f"format: {both[0]} is a class and a further image, and each would have a folder of that name; read "
                "the row in Python with precompute.read."
            )

    def layout(self, example: Example, names: Names) -> Export:
        (field,) = self.fields
        label = field.class_names[example[field.name]]
        folder = names.folder(label)
        rest = example["key"].removeprefix(f"{label}/")
        suffix, content = image_file(example)
        path = names.unique(f"{folder}/{safe_name(rest)}", example["copy"]) + suffix
        return Export(files={path: content}, line=self.line_of(example, image=path, label=label))

    def notes(self, lines: Sequence[dict[str, Any]]) -> list[str]:
        """Return the note on classes whose folders have other names."""
        renamed = sorted({line["label"] for line in lines if f"/{line['label']}/" not in f"/{line['image']}"})
        if not renamed:
            return []
        number = format_count(len(renamed), "class has a folder of another name", "classes have folders of other names")
        return [
            f"{number}, as not every file system takes {on_one_line(renamed[0])!r}; {TABLE} has the names: build from "
            "it to keep them"
        ]

    def build_options(self, lines: Sequence[dict[str, Any]]) -> list[str]:
        """Return the classes, unless sorting finds their order."""
        names = self.fields[0].class_names
        order = [] if names == sorted({line["label"] for line in lines}) else self.class_names_option
        return [*order, *self._own(FOLDERS)]


class _MaskFiles(_Files):
    """Images and masks of equal names, `images/a.jpg` and `masks/a.png`."""

    forms = ("mask",)

    def layout(self, example: Example, names: Names) -> Export:
        suffix, content = image_file(example)
        path = names.unique(safe_path(example["key"]), example["copy"])
        ending, ids = own_file(example, self.fields[0].name)
        image, mask = f"images/{path}{suffix}", f"masks/{path}{ending}"
        return Export(files={image: content, mask: ids}, line=self.line_of(example, image=image, mask=mask))

    def build_options(self, lines: Sequence[dict[str, Any]]) -> list[str]:
        """Return the ids that masks may hold."""
        (field,) = self.fields
        ignored = [] if field.ignore_class is None else ["--ignore-class", str(field.ignore_class)]
        classes = self.class_names_option or ["--num-classes", str(field.num_classes)]
        return [*ignored, *classes, *self._own(FOLDERS)]


class _LabelFiles(_Files):
    """Images alone, `images/a.jpg`: their labels are in the table."""

    forms = ("multilabel",)

    def __init__(self, fields: Sequence[Field], *, apart: bool) -> None:
        super().__init__(fields, apart=apart)
        _check_separator(self.fields[0])

    def layout(self, example: Example, names: Names) -> Export:
        (field,) = self.fields
        image, content = _image_alone(example, names)
        line = self.line_of(example, image=image, labels=_classes(field, example))
        return Export(files={image: content}, line=line)

    def build_options(self, lines: Sequence[dict[str, Any]]) -> list[str]:
        """Return the options for a build from the table."""
        return ["--label-separator", SEPARATOR, *self.class_names_option, *self._own(COLUMNS)]


class _ImageOnlyFiles(_Files):
    """Images alone, `images/a.jpg`."""

    forms = ()

    def layout(self, example: Example, names: Names) -> Export:
        image, content = _image_alone(example, names)
        return Export(files={image: content}, line=self.line_of(example, image=image))

    def build_options(self, lines: Sequence[dict[str, Any]]) -> list[str]:
        """Return the options that name the columns to learn, or that say that only images are wanted."""
        options = _value_options(self._in_table, lines)
        return [*options, *self._own(COLUMNS)] if options else ["--target", "none", *self._own(FOLDERS)]


class _FieldsTogether(_Files):
    """Labels and masks together: `images/a.jpg` with `masks/a.png` or `fine/a.png`.

    Labels and numbers are in the table, which a build reads.
    """

    def __init__(self, fields: Sequence[Field], *, apart: bool) -> None:
        super().__init__(fields, apart=apart)
        for field in self._of(LABELS):
            _check_separator(field)
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
        return [*self._columns(), *self._class_options(), *_value_options(self._in_table, lines), *self._own(COLUMNS)]

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


PLAIN: tuple[type[Exporter], ...] = (_ClassFiles, _MaskFiles, _LabelFiles, _ImageOnlyFiles, _FieldsTogether)


def _check_separator(field: Any) -> None:
    """Refuse labels whose names hold what stands between several of them.

    Raises:
        UsageError: There is such a label.
    """
    wrong = [name for name in field.class_names if SEPARATOR in name]
    if wrong:
        raise UsageError(
            f"format: {TABLE} separates labels by {SEPARATOR!r}, and a label is named {wrong[0]!r}; read the row "
            "in Python with precompute.read."
        )


def _value_options(fields: Sequence[Field], lines: Sequence[dict[str, Any]]) -> list[str]:
    """Return the options that name the columns to learn; empty if there are none.

    Args:
        fields: Fields that stand in the table.
        lines: Lines of the table.
    """
    learnt = [field for field in fields if field.is_target]
    if not learnt:
        return []
    columns = [_column_of(field.own_name, lines) for field in learnt]
    missing = any(line[column] is None for line in lines for column in columns)
    mirrored = [column for field, column in zip(learnt, columns, strict=True) if field.mirror_negates]
    return [
        *("--value-columns", ",".join(columns)),
        *(("--missing-values", "nan") if missing else ()),
        *(("--mirror-negates", ",".join(mirrored)) if mirrored else ()),
    ]


def _column_of(name: str, lines: Sequence[dict[str, Any]]) -> str:
    """Return the column of a value; it has another name where the value's name has a meaning in the table."""
    return f"extra_{name}" if name in OWN_COLUMNS and lines and f"extra_{name}" in lines[0] else name


def _image_alone(example: Example, names: Names) -> tuple[str, bytes]:
    suffix, content = image_file(example)
    return f"images/{names.unique(safe_path(example['key']), example['copy'])}{suffix}", content


def _column(field: Field) -> str:
    """Return the column of a field; it has another name where the field's name has a meaning in the table."""
    return f"{field.name}_file" if field.name in OWN_COLUMNS else field.name


def _classes(field: Any, example: Example) -> str:
    found = example[field.name]
    return SEPARATOR.join(field.class_names[i] for i in (found if isinstance(found, list) else [found]))
