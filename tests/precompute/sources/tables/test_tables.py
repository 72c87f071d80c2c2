"""Sources from CSV, TSV, JSON lines and Parquet: what each column becomes, and the usual mistakes of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import precompute
from precompute.errors import SourceError, UsageError
from precompute.options.build_options import BuildOptions
from precompute.sources.find import find
from precompute.sources.tables.files import read_table
from precompute.table.sources import Sources
from tests.helpers.small_datasets import options
from tests.helpers.source_columns import label_sets_of, labels_of, masks_of
from tests.helpers.table_datasets import draw_colored, number_of, turned, unmoved, write_table

KINDS = (".csv", ".tsv", ".jsonl", ".parquet")


def sources_of(table: Path, **given: Any) -> Sources:
    return find(table, BuildOptions.make(**given))


def refused(table: Path, **given: Any) -> str:
    with pytest.raises((SourceError, UsageError)) as caught:
        sources_of(table, **given)
    return str(caught.value)


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    return draw_colored(tmp_path, masks=True)


def csv_of(folder: Path, text: str | bytes, name: str = "t.csv") -> Path:
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return folder / name


# From tables to tensors.


@pytest.mark.parametrize("kind", KINDS)
def test_from_a_table_to_records(kind: str, images: list[str], tmp_path: Path) -> None:
    labels = [["cow", "cat", "dog"][i % 3] for i in range(8)]
    splits = ["valid" if i in (2, 5) else "Train" for i in range(8)]
    columns = {"Filename": images, "class": labels, "subset": splits, "patient": [f"p{i}" for i in range(8)]}
    table = write_table(tmp_path / f"list{kind}", columns)
    for name, pipeline in (("unmoved", unmoved()), ("turned", turned())):
        given = options(pipeline={"train": pipeline, "validation": pipeline}, variants=2, validation_split=0.0)
        precompute.build(table, tmp_path / name, **given)
        seen: dict[str, set[int]] = {}
        for split in ("train", "validation"):
            for example in precompute.read(tmp_path / name, split=split):
                i = number_of(example["image"])
                assert example["key"] == f"pics/n{i:03d}" and example["class_name"] == labels[i]
                assert example["filename"] == f"n{i:03d}.png"
                assert bool((example["image"][0, 0] == 0).all()) == (name == "turned")
                seen.setdefault(split, set()).add(i)
        assert seen == {"validation": {2, 5}, "train": {0, 1, 3, 4, 6, 7}}


def test_masks_and_groups(images: list[str], tmp_path: Path) -> None:
    masks = [f"../m/n{i:03d}.png" for i in range(8)]
    columns = {"image": [f"../{path}" for path in images], "mask": masks, "group": [i // 4 for i in range(8)]}
    table = write_table(tmp_path / "lists" / "t.csv", columns)
    found = sources_of(table)
    assert (found.kind, found.root, found.groups) == ("mask", tmp_path, ["0"] * 4 + ["1"] * 4)
    assert found.keys[0] == "n000" and found.images[0] == "pics/n000.png" and masks_of(found)[0] == "m/n000.png"
    below = {**columns, "image": images, "mask": [mask[3:] for mask in masks]}
    again = sources_of(write_table(tmp_path / "lists" / "u.csv", below), root=str(tmp_path))
    assert again.keys[0] == "pics/n000" and again.root == tmp_path
    precompute.build(table, tmp_path / "out", **options(pipeline=turned(), variants=1, validation_split=0.5))
    for example in precompute.read(tmp_path / "out"):
        assert ((example["image"][..., 2] > 0) == example["mask"]).all()


def test_a_column_or_a_pattern_groups(images: list[str], tmp_path: Path) -> None:
    table = write_table(
        tmp_path / "t.csv", {"image": images, "label": ["x", "y"] * 4, "scene": [i // 4 for i in range(8)]}
    )
    assert sources_of(table, group_by="scene").groups == ["0"] * 4 + ["1"] * 4
    assert sources_of(table, group_by="n00[0-3]|n00[4-7]").groups == [f"n00{i}" for i in range(8)]
    assert "both name a column" in refused(table, group_by="scene", group_column="scene")
    assert "finds no group in 8 of 8 keys" in refused(table, group_by="place")


def test_the_columns_are_told(images: list[str], tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", {"": range(8), "path": images, "label": ["a", "b"] * 4, "notes": ["x"] * 8})
    assert sources_of(table).notes == ["columns: image=path, label=label; not used: (without a name), notes."]
    assert sources_of(table, label_column="NOTES").class_names == ["x"]


def test_sorted_by_key_with_all_columns(images: list[str], tmp_path: Path) -> None:
    columns = {"image": images[::-1], "label": [f"c{i}" for i in range(8)][::-1], "key": [f"k{i}" for i in range(8)]}
    found = sources_of(write_table(tmp_path / "t.csv", columns))
    assert found.keys == [f"k{i}" for i in range(8)] and found.images == images[::-1]
    assert [found.class_names[i] for i in labels_of(found) or ()] == columns["label"]
    assert list(found.num_bytes) == [(tmp_path / path).stat().st_size for path in images[::-1]]


def test_ids_without_an_extension(images: list[str], tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", {"image_id": [f"n{i:03d}" for i in range(8)], "label": ["a", "b"] * 4})
    found = sources_of(table, root=str(tmp_path / "pics"))
    assert found.images[0] == "n000.png" and found.keys[0] == "n000"
    assert "column image_id has names without an extension" in " ".join(found.notes)
    (tmp_path / "pics/n003.jpg").write_bytes(b"x")
    message = refused(table, root=str(tmp_path / "pics"))
    assert "several files fit:\n  line 5: " in message and "n003.jpg" in message


def test_rows_are_added_later_from_the_same_table(images: list[str], tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", {"image": images, "label": ["a", "b"] * 4})
    given = options(pipeline=unmoved(), variants=1)
    precompute.build(table, tmp_path / "out", **given)
    assert precompute.build(table, tmp_path / "out", **{**given, "variants": 2}).num_records == 6
    precompute.regenerate(tmp_path / "out", seed=3, jobs=1, backend="sequential", quiet=True)
    assert precompute.verify(tmp_path / "out", sources=3, jobs=1).problems == []
    changed = write_table(tmp_path / "t.csv", {"image": images, "label": ["a", "b"] * 3 + ["b", "b"]})
    with pytest.raises(precompute.PrecomputeError, match="pics/n006: label changed"):
        precompute.build(changed, tmp_path / "out", **given)


# Labels.


def test_numbers_in_csv(images: list[str], tmp_path: Path) -> None:
    def of(labels: list[Any], **given: Any) -> tuple[list[str], list[int] | None]:
        found = sources_of(write_table(tmp_path / "t.csv", {"image": images, "label": labels}), **given)
        return found.class_names, labels_of(found)

    numbers = [0, 1, 2, 10, 3, 4, 5, 6]
    assert of([f"{n:03d}" for n in numbers])[0] == ["000", "001", "002", "003", "004", "005", "006", "010"]
    assert of(list(range(8))) == ([str(i) for i in range(8)], list(range(8)))
    assert of(numbers)[0] == ["0", "1", "2", "3", "4", "5", "6", "10"]  # as numbers, not as texts
    assert of([0, 1, 0, 1, 2, 2, 2, 2], class_names=["x", "y", "z"]) == (["x", "y", "z"], [0, 1, 0, 1, 2, 2, 2, 2])
    assert of([7, 5] * 4, class_names=["7", "5"]) == (["7", "5"], [0, 1] * 4)
    assert of(["1", "2", "cat", "2"] * 2) == (["1", "2", "cat"], [0, 1, 2, 1] * 2)


@pytest.mark.parametrize("kind", [".jsonl", ".parquet"])
def test_typed_labels(kind: str, images: list[str], tmp_path: Path) -> None:
    def of(labels: list[Any], **given: Any) -> Sources:
        return sources_of(write_table(tmp_path / f"t{kind}", {"image": images, "label": labels}), **given)

    assert labels_of(of([0, 1] * 4, class_names=["x", "y"])) == [0, 1] * 4
    assert of(["01", "1"] * 4).class_names == ["01", "1"]
    several = of([["cat", "dog"], [], ["dog"], ["cat"]] * 2)
    assert several.kind == "multilabel" and label_sets_of(several) == [(0, 1), (), (1,), (0,)] * 2
    with pytest.raises(UsageError, match=r"column label: expected a class name .* for 'pics/n000', got float 1.0"):
        of([1.0, 2.0] * 4)
    with pytest.raises(UsageError, match="got bool True. Write classes as texts or as integers"):
        of([True, False] * 4)
    with pytest.raises(SourceError, match="2 of 8 cells are empty"):
        of(["a", None, "b", "c"] * 2)


def test_several_labels_in_a_cell(images: list[str], tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", {"image": images, "labels": ["cat| dog", "", "dog", "cat|cat"] * 2})
    found = sources_of(table, label_separator="|")
    assert label_sets_of(found) == [(0, 1), (), (1,), (0,)] * 2 and found.class_names == ["cat", "dog"]
    numbers = write_table(tmp_path / "n.csv", {"image": images, "labels": ["0 2", "1", "", "2"] * 2})
    assert (
        label_sets_of(sources_of(numbers, label_separator=" ", class_names=["x", "y", "z"]))
        == [(0, 2), (1,), (), (2,)] * 2
    )
    assert "expected one or more characters" in refused(table, label_separator="")
    assert "there is no column of labels" in refused(
        write_table(tmp_path / "m.csv", {"image": images}), label_separator="|"
    )


def test_labels_that_look_like_several_are_told(images: list[str], tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", {"image": images, "label": ["cat", "dog", "cat|dog", "big bird"] * 2})
    found = sources_of(table)
    assert found.class_names == ["big bird", "cat", "cat|dog", "dog"]
    assert "'cat|dog' is read as one class. If it is several labels, give --label-separator '|'." in found.notes[-1]
    assert "big bird" not in " ".join(found.notes)


@pytest.mark.parametrize("kind", KINDS)
def test_columns_of_0_and_1(kind: str, images: list[str], tmp_path: Path) -> None:
    columns = {"image": images, "rust": [0, 1] * 4, "scab": [1.0, 1.0, 0.0, 0.0] * 2}
    found = sources_of(write_table(tmp_path / f"t{kind}", columns), label_columns=["scab", "rust"])
    assert (found.kind, found.class_names) == ("multilabel", ["scab", "rust"])
    assert label_sets_of(found) == [(0,), (0, 1), (), (1,)] * 2
    wrong = write_table(tmp_path / f"u{kind}", {**columns, "rust": [0, -1] * 4})
    message = refused(wrong, label_columns=["scab", "rust"])
    assert "column rust: expected 0 or 1 in each cell, but 4 hold something else" in message and "-1" in message
    assert "no column 'mold'. It has: image, rust, scab." in refused(wrong, label_columns=["rust", "mold"])


# Mistakes.


def test_columns_that_are_not_clear(images: list[str], tmp_path: Path) -> None:
    both = write_table(tmp_path / "t.csv", {"image": images, "label": ["a", "b"] * 4, "category": ["a", "b"] * 4})
    assert "label and category may be the target; say which with --label-column" in refused(both)
    assert sources_of(both, label_column="category").kind == "class"
    assert sources_of(both, target="none").kind == "image"
    unknown = write_table(tmp_path / "u.csv", {"image": images, "diagnosis": ["a", "b"] * 4})
    message = refused(unknown)
    assert "name it with --label-column" in message and "--target none" in message and "diagnosis" in message
    assert "label_column (--label-column): " in refused(unknown, label_column="lable")
    assert "has no column 'lable'. It has: image, diagnosis." in refused(unknown, label_column="lable")
    nowhere = write_table(tmp_path / "v.csv", {"photo": images, "label": ["a", "b"] * 4})
    assert "name it with --image-column. It has: photo, label." in refused(nowhere)
    assert sources_of(nowhere, image_column="photo").kind == "class"
    assert "If that is a source and no header" in refused(csv_of(tmp_path, f"{images[0]},a\n", "w.csv"))
    assert "label and category may be the target" in refused(both, target="label,mask")
    assert "give one of them" in refused(both, label_column="label", label_columns=["category"])
    assert "a column of the label was named" in refused(both, label_column="label", target="none")
    assert "is for folders, and" in refused(both, images="pics")
    assert "there is no folder" in refused(both, root=str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="label_column .--label-column.: is for a table"):
        sources_of(tmp_path, label_column="x")


def test_rows_whose_files_are_gone_are_left_out_where_they_are_accepted(images: list[str], tmp_path: Path) -> None:
    gone = {"image": [*images[:6], "pics/gone.png", images[7]], "label": ["a", "b"] * 4, "split": ["train"] * 8}
    table = write_table(tmp_path / "t.csv", gone)
    assert "--skip-unmatched 1." in refused(table)
    found = find(table, BuildOptions(skip_unmatched="1"))
    assert len(found) == 7 and "pics/n006" not in found.keys and found.class_names == ["a", "b"]
    assert found.notes[0].startswith("Sources whose files are not there, left out (1):\n  line 8: ")
    assert "8 of 8" in refused(write_table(tmp_path / "t.csv", {"image": ["no.png"] * 8}), skip_unmatched="100%")


def test_cells(images: list[str], tmp_path: Path) -> None:
    def of(**columns: list[Any]) -> str:
        return refused(write_table(tmp_path / "t.csv", {"image": images, "label": ["a", "b"] * 4, **columns}))

    assert "column label: 1 of 8 cells are empty:\n  line 5\nExpected a class in each" in of(
        label=["a"] * 3 + [""] + ["b"] * 4
    )
    assert "column image: 1 of 8 cells are empty:\n  line 9\n" in of(image=[*images[:7], ""])
    assert "column group: 7 of 8 cells are empty:\n  line 3\n" in of(group=["p"] + [""] * 7)
    assert "column split: 8 of 8 cells are empty" in of(split=[""] * 8)
    message = of(split=["train"] * 6 + ["fold3", "holdout"])
    assert "words that name no split:\n  'fold3' in 1 line\n  'holdout' in 1 line\nExpected train (training," in message
    message = of(image=[*images[:6], images[2], images[2]])
    assert "Images that come again (2):\n  line 4: pics/n002.png, line 8: pics/n002.png" in message
    assert "--label-separator" in message
    message = of(image=[*images[:6], "pics/gone.png", "pics"])
    assert "2 of 8 files cannot be found:\n  line 8: " in message and "No such file" in message
    assert "line 9: " in message and "not a file" in message and f"Relative paths start from {tmp_path}" in message
    assert "Paths are written with /" in of(image=[path.replace("/", "\\") for path in images])
    message = of(key=["k", "l", "k", *"mnopq"])
    assert "share a key (1):\n  line 2: pics/n000.png, line 4: pics/n002.png (key 'k')" in message
    assert "keys that cannot be used" in of(key=["../k", *"lmnopqr"])
    (tmp_path / "pics/n000.jpg").write_bytes(b"x")
    message = of(image=["pics/n000.jpg", *images[:7]])
    assert "share a key (1)" in message and "--key-column" in message


def test_csv_files_as_they_come(images: list[str], tmp_path: Path) -> None:
    lines = [f"{path};cät\n" for path in images]
    excel = csv_of(tmp_path, b"\xef\xbb\xbf" + b"image;label\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n")
    found = sources_of(excel)
    assert found.class_names == ["cät"] and "columns are separated by ';'" in found.notes[0]
    utf16 = csv_of(tmp_path, ("image\tlabel\n" + "".join(lines).replace(";", "\t")).encode("utf-16"))
    assert sources_of(utf16).class_names == ["cät"]
    latin = csv_of(tmp_path, ("image,label\n" + "".join(lines).replace(";", ",")).encode("latin-1"))
    assert "line 2: byte 0xe4 is no UTF-8" in refused(latin) and "CSV UTF-8" in refused(latin)
    quoted = csv_of(tmp_path, f'image, label\n"{images[0]}", "a, ""b"""\n{images[1]},plain\n')
    assert sources_of(quoted).class_names == ['a, "b"', "plain"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the table is empty"),
        (" \n\n", "the table is empty"),
        ("image,label\n", "the table has a header and no line below it"),
        (
            "image,label\nPIC,a\nPIC,a,b\n\nPIC\n",
            "expected 2 cells in each line, as in the header, but 2 lines have others:\n  line 3: 3\n  line 5: 1",
        ),
        ('image,label\nPIC,"a\nPIC,b\n', "Is there a quotation mark that is not closed"),
        ("image,label,label\nPIC,a,b\n", "columns that come again: label"),
    ],
)
def test_csv_files_that_are_broken(text: str, message: str, images: list[str], tmp_path: Path) -> None:
    assert message in refused(csv_of(tmp_path, text.replace("PIC", images[0])))


def test_other_files_that_are_broken(images: list[str], tmp_path: Path) -> None:
    broken = csv_of(tmp_path, f'{{"image": "{images[0]}", "label": 1}}\n\n{{"image": \n[1]\n', "t.jsonl")
    message = refused(broken)
    assert "but 2 lines cannot be read as one:\n  line 3: Expecting value" in message and "line 4: [1]" in message
    lacking = csv_of(tmp_path, f'{{"image": "{images[0]}", "label": "a"}}\n\n{{"image": "{images[1]}"}}\n', "t.jsonl")
    assert "column label: 1 of 2 cells are empty:\n  line 3" in refused(lacking)
    assert "this is no whole Parquet file" in refused(csv_of(tmp_path, b"PAR1 nothing", "t.parquet"))
    assert "cannot be read: No such file" in refused(tmp_path / "gone.csv")


def test_without_pyarrow(images: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = write_table(tmp_path / "t.parquet", {"image": images, "label": ["a", "b"] * 4})
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert "pip install 'augment-once[parquet]'" in refused(table)


def test_images_inside_of_parquet_are_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Hugging Face writes them, and others; the schema alone says so, and no row is read."""
    from pyarrow import parquet

    monkeypatch.setattr(parquet.ParquetFile, "read", None)
    cells = {"bytes": b"\x89PNG" * 1000, "path": "0.png"}
    for image, told in (
        ([cells] * 4, "images as bytes, as Hugging Face writes them (struct<bytes: binary, path: string>), and these"),
        ([[cells]] * 4, "images as bytes, as Hugging Face writes them (list<element: struct<bytes: binary, path: stri"),
        (
            [b"\x89PNG"] * 4,
            "bytes (binary), and these are not read: write each to a file, and put its path in",
        ),
        ([{"id": 1}] * 4, "struct<id: int64>, which no field can hold; expected texts"),
    ):
        table = write_table(tmp_path / "t.parquet", {"image": image, "objects": [[{"bbox": [1.0]}]] * 4})
        message = refused(table)
        assert message.startswith(f"{table}: column image holds {told}") and "\n" not in message
        assert len(message) < 400 + len(str(table))


@pytest.mark.parametrize("kind", [".jsonl", ".parquet"])
def test_cells_that_no_field_can_hold(kind: str, images: list[str], tmp_path: Path) -> None:
    """They are told where one is named, in a few words; a table may have them."""
    objects = [[{"bbox": [1.0, 2.0], "category": "a" * 10_000}]] * 8
    table = write_table(tmp_path / f"t{kind}", {"image": images, "label": ["a", "b"] * 4, "objects": objects})
    assert sources_of(table).kind == "class"
    for option in ("image_column", "label_column", "extra_columns", "value_columns", "weight_column"):
        given = {option: ["objects"] if option.endswith("s") else "objects"}
        message = refused(table, **given, **({"target": "none"} if option == "image_column" else {}))
        assert "objects" in message or "labels" in message or "weights" in message
        assert len(message) < 1200, message


def test_long_cells_are_cut_in_messages(images: list[str], tmp_path: Path) -> None:
    def of(**columns: list[Any]) -> str:
        return refused(write_table(tmp_path / "t.csv", {"image": images, "label": ["a", "b"] * 4, **columns}), **given)

    long = [f"{i}" + "x" * 100_000 for i in range(8)]
    given: dict[str, Any] = {}
    assert "words that name no split" in (message := of(split=long)) and len(message) < 2000
    assert "cannot be found" in (message := of(image=long)) and len(message) < 3000
    assert "keys that cannot be used" in (message := of(key=long)) and len(message) < 3000
    given = {"class_names": ["a", "b"]}
    assert "does not hold (8)" in (message := of(label=long)) and len(message) < 2000


CELLS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8).map(str.strip)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(CELLS, CELLS, st.integers(-(2**40), 2**40)), min_size=1, max_size=30), data=st.data())
def test_any_cells_come_back_from_every_kind(rows: list[tuple[str, str, int]], data: Any, tmp_path: Path) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    columns = {name: [row[i] for row in rows] for i, name in enumerate(("a", "b", "n"))}
    table = read_table(write_table(tmp_path / f"h{kind}", columns))
    read = table.read(["n", "b"])
    assert table.columns == ["a", "b", "n"] and list(read["b"]) == columns["b"]
    assert [int(number) for number in read["n"]] == columns["n"]
    assert table.where(len(rows) - 1) == (
        f"row {len(rows) - 1}" if kind == ".parquet" else f"line {len(rows) + (kind != '.jsonl')}"
    )


def test_a_line_with_a_break_in_it_is_counted(images: list[str], tmp_path: Path) -> None:
    table = csv_of(tmp_path, f'image,label,text\n{images[0]},a,"two\nlines"\n{images[1]},,x\n')
    assert "cells are empty:\n  line 4\n" in refused(table)


# Images alone.


def test_python_lists_alone(images: list[str], tmp_path: Path) -> None:
    paths = [tmp_path / path for path in images]
    precompute.build(images=paths, output=tmp_path / "out", **options(pipeline=unmoved(), variants=2))
    examples = list(precompute.read(tmp_path / "out"))
    assert sorted(f"n{number_of(e['image']):03d}" for e in examples) == sorted(e["key"] for e in examples)
    assert not {"label", "labels", "mask", "boxes"} & examples[0].keys() and len(examples) == 6
    inspected = precompute.inspect(tmp_path / "out")
    assert "none: images alone" in inspected.text() and inspected.manifest.target.kind == "image"
    assert precompute.verify(tmp_path / "out", sources=4, jobs=1).problems == []


@pytest.mark.parametrize(
    ("layout", "keys"),
    [
        ("{i}.png", ["0", "1", "2", "3"]),
        ("images/{i}.png", ["0", "1", "2", "3"]),
        ("{s}/{i}.png", ["0", "1", "2", "3"]),
        ("some/deep {i}/x.png", [f"some/deep {i}/x" for i in range(4)]),
    ],
)
def test_folders_alone(layout: str, keys: list[str], tmp_path: Path) -> None:
    for i in range(4):
        path = tmp_path / layout.format(i=i, s=["train", "val"][i % 2])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    found = sources_of(tmp_path, target="none")
    assert (found.kind, found.keys, found.class_names) == ("image", keys, [])
    assert found.splits == (["train", "validation"] * 2 if "{s}" in layout else [None] * 4)


def test_masks_beside_images_alone_are_left_out(images: list[str], tmp_path: Path) -> None:
    (tmp_path / "pics").rename(tmp_path / "images")
    (tmp_path / "m").rename(tmp_path / "masks")
    found = sources_of(tmp_path, target="none")
    assert len(found) == 8 and found.notes == ["images alone were asked for: 8 masks are left out."]
    with pytest.raises(UsageError, match="class_names .*: is for a target"):
        sources_of(tmp_path, target="none", class_names=["a"])


def test_options_of_classes_are_not_for_images_alone(images: list[str], tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", {"image": images})
    assert "these sources are images alone" in refused(table, class_names=["a"])
    with pytest.raises(UsageError, match="balance: expected sources with a class each, these are images alone"):
        precompute.build(table, tmp_path / "out", **options(pipeline=unmoved(), balance=True))


def test_the_refusal_of_a_flat_folder_offers_both(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"x")
    message = refused(tmp_path)
    assert "Images alone, without any target: --target none." in message and "give that file as SOURCE" in message


def test_a_list_with_a_target_is_not_alone(images: list[str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="target: none was asked for, and the sources have one"):
        find(None, BuildOptions.make(target="none"), {"images": [tmp_path / images[0]], "labels": ["a"]})


def test_exported_images_are_built_again(images: list[str], tmp_path: Path) -> None:
    precompute.build(tmp_path / "pics", tmp_path / "out", **options(pipeline=unmoved(), variants=1, target="none"))
    exported = precompute.export(tmp_path / "out", tmp_path / "files")
    assert exported.build_options == ["--target", "none"] and exported.num_files == {"images": 6}
    precompute.build(
        tmp_path / "files", tmp_path / "again", **options(target="none", pipeline=unmoved(), validation_split=0.0)
    )
    assert {number_of(e["image"]) for e in precompute.read(tmp_path / "again")} == {
        number_of(e["image"]) for e in precompute.read(tmp_path / "out")
    }
