"""Sources from Python lists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from precompute.errors import SourceError, UsageError
from precompute.sources.found import key_problem
from precompute.table.sources import Source
from tests.helpers.listed_files import make
from tests.helpers.python_sources import from_iterable, from_lists
from tests.helpers.source_columns import labels_of, masks_of


def test_images_and_labels(tmp_path: Path) -> None:
    paths = make(tmp_path, "b/1.png", "a/1.png", "a/2.x.jpg")
    found = from_lists(
        images=paths, labels=["dog", "cat", "dog"], groups=["p", None, 7], splits=["test", None, "train"]
    )
    assert found.root == tmp_path and found.images == ["a/1.png", "a/2.x.jpg", "b/1.png"]
    assert found.keys == ["a/1", "a/2.x", "b/1"]
    assert found.class_names == ["cat", "dog"] and labels_of(found) == [0, 1, 1] and masks_of(found) is None
    assert found.groups == [None, "7", "p"] and found.splits == [None, "train", "test"]
    assert list(found.num_bytes) == [7, 9, 7]


def test_images_and_masks(tmp_path: Path) -> None:
    images, masks = make(tmp_path, "i/a.jpg", "i/b.jpg"), make(tmp_path, "m/xyz.png", "m/b.png")
    found = from_lists(images=[Path(p) for p in images], masks=masks, class_names=["sky"])
    assert found.keys == ["a", "b"] and found.kind == "mask" and found.class_names == ["sky"]
    assert found.images == ["i/a.jpg", "i/b.jpg"] and masks_of(found) == ["m/xyz.png", "m/b.png"]
    assert list(found.num_bytes) == [len("i/a.jpgm/xyz.png"), len("i/b.jpgm/b.png")]
    assert found.groups is None and found.path(masks_of(found)[0]).is_file()


def test_sources_in_any_order(tmp_path: Path) -> None:
    a, b = make(tmp_path, "a.png", "b.png")
    sources = [Source("y", a, label="cat"), Source("x", b, label="dog")]
    assert from_iterable(iter(sources)) == from_iterable(sources[::-1])
    assert from_iterable(sources).keys == ["x", "y"] and from_iterable(sources).images == ["b.png", "a.png"]


def test_relative_paths_and_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "d/a.png")
    monkeypatch.chdir(tmp_path)
    found = from_lists(images=["d/a.png"], labels=["cat"])
    assert (found.root, found.keys, found.images) == (tmp_path / "d", ["a"], ["a.png"])


# Labels.


@pytest.mark.parametrize("kind", [int, np.int64, np.uint8])
def test_numbers_from_0_are_indices(tmp_path: Path, kind: Any) -> None:
    paths = make(tmp_path, *[f"{i:02}.png" for i in range(12)])
    found = from_lists(images=paths, labels=[kind(i) for i in range(12)])
    assert labels_of(found) == list(range(12)) and found.class_names == [str(i) for i in range(12)]
    assert all(type(label) is int for label in labels_of(found)) and found.notes == []


def test_arrays_of_labels(tmp_path: Path) -> None:
    paths = np.array(make(tmp_path, "a.png", "b.png"))
    found = from_lists(images=paths, labels=np.array([1, 0]))
    assert labels_of(found) == [1, 0] and type(found.keys[0]) is str
    assert from_lists(images=paths, labels=np.array(["x", "y"])).class_names == ["x", "y"]


def test_other_numbers_are_numbered_in_their_order_with_a_note(tmp_path: Path) -> None:
    paths = make(tmp_path, "a.png", "b.png", "c.png")
    found = from_lists(images=paths, labels=[10, 2, -1])
    assert labels_of(found) == [2, 1, 0] and found.class_names == ["-1", "2", "10"]
    assert "The labels -1, 2, 10 do not run from 0 without gaps" in found.notes[0]


def test_class_names(tmp_path: Path) -> None:
    paths = make(tmp_path, "a.png", "b.png")
    by_index = from_lists(images=paths, labels=[2, 0], class_names=["x", "y", "z"])
    assert labels_of(by_index) == [2, 0] and by_index.class_names == ["x", "y", "z"]
    assert by_index.notes == ["Classes without a source:\n  y"]
    assert labels_of(from_lists(images=paths, labels=["y", "x"], class_names=["y", "x"])) == [0, 1]
    with pytest.raises(SourceError, match="no index into the 2 class_names:\n  2 of 'a'\n  -1 of 'b'"):
        from_lists(images=paths, labels=[2, -1], class_names=["x", "y"])
    with pytest.raises(SourceError, match="does not hold \\(1\\):\n  'cow' of 'b'\nIt holds: x, y"):
        from_lists(images=paths, labels=["x", "cow"], class_names=["x", "y"])


def test_mixed_labels(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"got both: 1 name \('x' …\) and 1 index \(1 …\)"):
        from_lists(images=make(tmp_path, "a.png", "b.png"), labels=["x", 1])


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (np.array([0, 1]), r"got ndarray of shape \(2,\). One number is expected, not one-hot"),
        (1.0, "got float 1.0"),
        (True, "got bool True"),
        (np.float32(1), "got float32"),
        ("", "labels: 1 of 1 cell is empty:\n  'a'\nExpected a class in each"),
    ],
)
def test_labels_that_are_none(tmp_path: Path, label: Any, message: str) -> None:
    with pytest.raises((UsageError, SourceError), match=message):
        from_lists(images=make(tmp_path, "a.png"), labels=[label])


# What is refused.


def test_unequal_lengths(tmp_path: Path) -> None:
    paths = make(tmp_path, "a.png", "b.png")
    with pytest.raises(UsageError, match="labels: expected an entry for each of 2 images, got 1"):
        from_lists(images=paths, labels=["x"])
    with pytest.raises(UsageError, match="masks: expected an entry for each of 1 image, got 2"):
        from_lists(images=paths[:1], masks=paths)
    with pytest.raises(UsageError, match=r"groups: expected .* 2 images, got 3"):
        from_lists(images=paths, labels=["x", "y"], groups=["p"] * 3)


def test_neither_or_both(tmp_path: Path) -> None:
    paths = make(tmp_path, "a.png")
    assert from_lists(images=paths).kind == "image"
    with pytest.raises(SourceError, match="labels: 1 of 2 cells are empty:\n  'k'\nExpected a class in each"):
        from_iterable([Source("k", paths[0]), Source("l", paths[0], label="x")])
    with pytest.raises(UsageError, match=r"the same .* labels \(1, such as of 'k'\) and masks \(1, such as of 'l'\)"):
        from_iterable([Source("k", paths[0], label="x"), Source("l", paths[0], mask=paths[0])])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 3), np.uint8), r"expected the path of an image file for 0, got an array of shape \(4, 4, 3\)"),
        (None, "images: 1 of 1 cell is empty:\n  0\nExpected the path of a file in each"),
        (b"a.png", "got b'a.png'"),
        ("", "images: 1 of 1 cell is empty"),
    ],
)
def test_images_that_are_no_paths(image: Any, message: str) -> None:
    with pytest.raises((UsageError, SourceError), match=message):
        from_lists(images=[image], labels=["x"])


def test_an_array_of_images() -> None:
    with pytest.raises(UsageError, match="got an array of shape"):
        from_lists(images=np.zeros((2, 4, 4, 3), np.uint8), labels=[0, 1])


def test_masks_that_are_no_paths(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="masks: expected the path of a mask file"):
        from_lists(images=make(tmp_path, "a.png"), masks=[np.zeros((4, 4))])


def test_lists_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="images: expected a list with an entry for each image, got 'data/images'"):
        from_lists(images="data/images", labels=["x"])
    with pytest.raises(UsageError, match=r"labels: expected a list .* got int"):
        from_lists(images=make(tmp_path, "a.png"), labels=3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"sources\[0\]: expected a precompute.Source, got str"):
        from_iterable(["a.png"])  # type: ignore[list-item]
    with pytest.raises(SourceError, match="the list of images is empty"):
        from_lists(images=[], labels=[])


def test_missing_files(tmp_path: Path) -> None:
    paths = make(tmp_path, "a.png") + [str(tmp_path / f"{i}.png") for i in range(7)] + [str(tmp_path), "a\0b"]
    with pytest.raises(SourceError) as caught:
        from_lists(images=paths, labels=["x"] * 10, keys=[f"{i:02}" for i in range(10)])
    message = str(caught.value)
    assert "9 of 10 files cannot be found" in message and f"  '01': {tmp_path}/0.png: No such file" in message
    assert "… and 4 more (9 in total)" in message and f"Relative paths start from {Path.cwd()}. " in message


def test_duplicate_keys(tmp_path: Path) -> None:
    paths = make(tmp_path, "a.png", "a.jpg", "b.png")
    with pytest.raises(
        SourceError, match=r"Images that share a key \(1\):\n  a.png, a.jpg \(key 'a'\)\nKeys made from"
    ):
        from_lists(images=paths, labels=["x", "y", "z"])
    assert from_lists(images=paths, labels=["x", "y", "z"], keys=["1", "2", "3"]).keys == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("", "empty"),
        ("/a", "starts with '/'"),
        ("a/../b", r"holds a '\.\.' part"),
        ("a\\b", "holds a backslash"),
        ("a\tb", "holds a control character"),
        ("a\x85", "holds a control character"),
        ("é" * 513, "1,026 bytes of UTF-8, at most 1,024"),
        ("\ud800", "not valid Unicode"),
        (3, "expected text, got int"),
    ],
)
def test_keys_that_cannot_be_used(tmp_path: Path, key: Any, problem: str) -> None:
    with pytest.raises(SourceError, match=problem):
        from_lists(images=make(tmp_path, "a.png"), labels=["x"], keys=[key])


@pytest.mark.parametrize("key", ["a", "a..b", "...", "é" * 512, "a b/c", "😀", "a/b.c/"])
def test_keys_that_can(key: str) -> None:
    assert key_problem(key) is None


@pytest.mark.parametrize(("field", "value"), [("splits", "val"), ("splits", 1), ("groups", 1.5), ("groups", True)])
def test_splits_and_groups_that_are_none(tmp_path: Path, field: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"{field[:-1]} of 'a': expected .*, got {value!r}"):
        from_lists(images=make(tmp_path, "a.png"), labels=["x"], **{field: [value]})


# For any lists.

part = st.text(alphabet="ab.é ", min_size=1, max_size=3).filter(lambda p: p.strip(" .") == p)


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
@given(names=st.sets(st.tuples(part, part), min_size=1, max_size=8), order=st.randoms())
def test_keys_are_unique_and_order_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, names: set[tuple[str, str]], order: Any
) -> None:
    paths = make(tmp_path_factory.mktemp("any"), *[f"{folder}/{name}.png" for folder, name in sorted(names)])
    expected = from_lists(images=paths, labels=[Path(path).parent.name for path in paths])
    order.shuffle(paths)
    assert from_lists(images=paths, labels=[Path(path).parent.name for path in paths]) == expected
    assert expected.keys == sorted(set(expected.keys))
    assert all(expected.path(image).is_file() for image in expected.images)


# Columns of tables, and what is no list.


class Column(list[Any]):
    """What of a pandas Series is used: entries in order, and an index."""

    def __init__(self, values: list[Any], index: list[Any]) -> None:
        super().__init__(values)
        self.index = index  # type: ignore[assignment]


def test_columns_of_one_index_belong_together(tmp_path: Path) -> None:
    paths = make(tmp_path, "a.png", "b.png")
    columns = {"labels": Column(["cat", "dog"], [5, 3]), "extra": {"age": Column([1, 2], [5, 3])}}
    assert labels_of(from_lists(images=Column(paths, [5, 3]), **columns)) == [0, 1]
    assert labels_of(from_lists(images=paths, **columns)) == [0, 1]  # a list has positions alone


@pytest.mark.parametrize("name", ["labels", "groups", "splits", "weights", "extra"])
def test_columns_of_another_index_are_refused(tmp_path: Path, name: str) -> None:
    paths = make(tmp_path, "a.png", "b.png")
    column: Any = Column(["train", "train"], [1, 0])
    given = {name: {"age": column} if name == "extra" else column}
    shown = re.escape("extra['age']") if name == "extra" else name
    with pytest.raises(UsageError, match=rf"{shown}: its index differs from that of images[\s\S]*position 0: 0 and 1"):
        from_lists(images=Column(paths, [0, 1]), **given)
    with pytest.raises(UsageError, match=rf"{shown}.loc\[images.index\].*reset_index\(drop=True\)"):
        from_lists(images=Column(paths, [0, 1]), **given)


class Table:
    columns = ("path", "label")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"a.png": "cat"}, "got a dict; give its values in the order of the images"),
        ({"cat", "dog"}, "got a set, which has no order; give a list"),
        (Table(), "got a whole Table; give one of its columns"),
        (3, "got int"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path: Path, labels: Any, message: str) -> None:
    paths = make(tmp_path, "a.png", "b.png")
    with pytest.raises(UsageError, match=f"labels: expected a list with an entry for each image, {message}"):
        from_lists(images=paths, labels=labels)
    with pytest.raises(UsageError, match=rf"extra\['age'\]: expected a list with an entry for each image, {message}"):
        from_lists(images=paths, extra={"age": labels})
