"""Sources with any combination of columns, for tests that draw them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from precompute.fields.box_column import BoxColumn
from precompute.fields.boxes import Boxes, Instances
from precompute.fields.column import Column, columns_by_name
from precompute.fields.file_column import ExtraImageColumn, PathColumn, mask_column
from precompute.fields.instance_column import InstanceColumn
from precompute.fields.label_column import LabelColumn, LabelSetColumn
from precompute.fields.string_column import StringColumn
from precompute.fields.value_column import ValueColumn
from precompute.table.sources import Sources
from tests.helpers.angles import AngleColumn

__all__ = ["names", "some_sources"]

names = st.text(st.sampled_from('ab"\\é漢😀 /.-'), min_size=1, max_size=6)


CLASSES = st.integers(0, 400)
SIZES = st.none() | st.tuples(st.integers(1, 99), st.integers(1, 99))
SIDES = st.integers(-9, 99) | st.sampled_from([0.5, 1 / 3, 1e-9])
BOX = st.tuples(SIDES, SIDES, SIDES, SIDES, CLASSES, st.integers(0, 7))
POINTS = st.lists(st.tuples(SIDES, SIDES, st.integers(0, 2)).map(list), min_size=2, max_size=2)
NUMBERS = st.integers(-(2**63), 2**63 - 1)


def boxes_of(rows: list[tuple[Any, Any]], size: Any, *, pointed: bool) -> Boxes:
    points = [[number for point in of_box for number in point] for _, of_box in rows] if pointed else None
    return Boxes.of_rows([box for box, _ in rows], size, points)


@st.composite
def some_columns(draw: st.DrawFn, number: int) -> list[Column]:
    """Any of the columns that there are, each with any values."""

    def column(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=number, max_size=number))

    def objects(name: str) -> Column:
        if name == "instances":
            shapes = st.lists(st.tuples(names, CLASSES, st.integers(0, 7)), max_size=3)
            target = draw(st.sampled_from(["instances", "boxes", "mask"]))
            return InstanceColumn.of_instances(
                (Instances.of_shapes(*pair) for pair in column(st.tuples(shapes, SIZES))), target
            )
        every = column(st.tuples(st.lists(st.tuples(BOX, POINTS), max_size=3), SIZES))
        return BoxColumn.of_images(boxes_of(*pair, pointed=name == "points") for pair in every)

    labels = {
        "one": lambda: LabelColumn(values=column(CLASSES)),
        "several": lambda: LabelSetColumn(values=column(st.sets(CLASSES, max_size=3).map(sorted).map(tuple))),
    }
    others: dict[str, Any] = {
        "mask": lambda: PathColumn(values=StringColumn(column(names))),
        "angles": lambda: AngleColumn(values=column(names)),
        "fine": lambda: mask_column("fine", StringColumn(column(names))),
        "coarse": lambda: mask_column("coarse", StringColumn(column(names))),
        "depth": lambda: ExtraImageColumn(name="depth", values=StringColumn(column(names))),
        "clean": lambda: ExtraImageColumn(name="clean", values=StringColumn(column(names))),
        "age": lambda: ValueColumn.of("age", "int", column(NUMBERS)),
        "dose": lambda: ValueColumn.of("dose", "float", column(st.floats(-1e30, 1e30))),
        "label": lambda: ValueColumn.of("label", "text", column(names)),
    }
    chosen = [labels[name]() for name in draw(st.lists(st.sampled_from(sorted(labels)), max_size=1))]
    chosen += [objects(name) for name in draw(st.lists(st.sampled_from(["boxes", "points", "instances"]), max_size=1))]
    chosen += [others[name]() for name in others if draw(st.booleans())]
    return list({found.name: found for found in chosen}.values())


@st.composite
def some_sources(draw: st.DrawFn, splits: tuple[str, ...] = ("train", "validation")) -> Sources:
    keys = sorted(draw(st.sets(names, min_size=1, max_size=8)))

    def column(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=len(keys), max_size=len(keys)))

    columns = columns_by_name(*draw(some_columns(len(keys))))
    return Sources(
        root=Path("/root"),
        keys=StringColumn(keys),
        images=StringColumn(column(names)),
        columns=columns,
        splits=column(st.sampled_from(splits)),
        groups=draw(st.none() | st.just(column(st.none() | names))),
        num_bytes=column(st.integers(0, 2**40)),
        segments=draw(st.none() | st.just(column(st.integers(0, 2)))),
        copies=draw(st.none() | st.just(column(st.integers(1, 5)))),
        names_by_field={name: ["cat"] for name in columns},
    )
