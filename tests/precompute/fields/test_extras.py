"""Weights and extra values: from tables and Python to records, tensors and training, unchanged."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import albumentations as A
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import SourceError, UsageError
from precompute.options.build_options import BuildOptions
from precompute.sources.find import find
from precompute.table.sources import Source, Sources
from tests.helpers.python_sources import from_iterable, from_lists
from tests.helpers.small_datasets import draw_classes, options
from tests.helpers.source_columns import extra_of
from tests.helpers.table_datasets import draw_colored, number_of, turned, unmoved, write_table

NUM = 8
AGES = [3 * i - 4 for i in range(NUM)]
DOSES = [i / 8 for i in range(NUM)]
SITES = [f"söte{i % 3}, 0{i}" for i in range(NUM)]
WEIGHTS = [0.5 * i for i in range(NUM)]
EXTRA = {"age": "int", "dose": "float", "site": "text", "weight": "float"}


def table_of(folder: Path, kind: str = ".csv", **changes: list[Any]) -> Path:
    columns = {"age": AGES, "dose": DOSES, "site": SITES, "sample_weight": WEIGHTS, **changes}
    labels = ["a", "b"] * 4
    return write_table(folder / f"t{kind}", {"image": draw_colored(folder), "label": labels, **columns})


def check(examples: list[dict[str, Any]]) -> None:
    for example in examples:
        i = number_of(example["image"])
        assert example["extra"] == {"age": AGES[i], "dose": DOSES[i], "site": SITES[i]}
        assert example["weight"] == WEIGHTS[i] and type(example["extra"]["age"]) is int


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("extra")
    given = options(pipeline=turned(), variants=2, extra_columns=["age", "dose", "site"])
    precompute.build(table_of(folder), folder / "out", **given)
    return folder / "out"


@pytest.mark.parametrize("kind", [".csv", ".jsonl", ".parquet"])
def test_from_tables_to_records(kind: str, tmp_path: Path) -> None:
    given = options(pipeline=unmoved(), variants=2, extra_columns=["age", "dose", "site"])
    table = table_of(tmp_path, kind)
    precompute.build(table, tmp_path / "out", **given)
    manifest = Manifest.load(tmp_path / "out")
    assert manifest.extra == manifest.settings["dataset"]["extra"] == EXTRA
    examples = list(precompute.read(tmp_path / "out", row=1))
    assert len(examples) == 6
    check(examples)
    again = precompute.build(table, tmp_path / "out", **{**given, "variants": 3})
    assert again.num_records == 6
    assert precompute.verify(tmp_path / "out", sources=6, jobs=1).problems == []
    assert "age (int), dose (float), site (text), weight (float)" in precompute.inspect(tmp_path / "out").text()


def test_from_python_the_same(out: Path, tmp_path: Path) -> None:
    paths = [tmp_path / path for path in draw_colored(tmp_path)]
    extra = {"age": np.array(AGES), "dose": np.array(DOSES, np.float32), "site": np.array(SITES)}
    lists = {"images": paths, "labels": ["a", "b"] * 4, "weights": WEIGHTS, "extra": extra}
    precompute.build(output=tmp_path / "out", **lists, **options(pipeline=turned(), variants=2))
    check(list(precompute.read(tmp_path / "out")))
    rows = [
        Source(f"n{i}", path, label="a", weight=WEIGHTS[i], extra={name: values[i] for name, values in extra.items()})
        for i, path in enumerate(paths)
    ]
    found = from_iterable(rows[::-1])
    assert extra_of(found, 5) == {"weight": 2.5, "age": 11, "dose": 0.625, "site": SITES[5]}
    assert Manifest.load(tmp_path / "out").extra == EXTRA == Manifest.load(out).extra


def test_the_listing_keeps_them(out: Path) -> None:
    lines = (out / "data/g0001/sources-train.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    for entry in entries:
        i = int(entry["key"][-3:])
        assert entry["extra"] == {"age": AGES[i], "dose": DOSES[i], "site": SITES[i], "weight": WEIGHTS[i]}
    precompute.regenerate(out, seed=5, jobs=1, backend="sequential", quiet=True)
    check(list(precompute.read(out)))


def test_other_values_need_replace(tmp_path: Path) -> None:
    given = options(pipeline=unmoved(), variants=1, extra_columns=["age", "dose"])
    precompute.build(table_of(tmp_path), tmp_path / "out", **given)
    for changes, more, message in (
        ({"age": [9, *AGES[1:]]}, {}, "pics/n000: extra changed"),
        ({}, {"extra_columns": ["age"]}, "dataset.extra › dose: 'float' in the dataset, none now"),
        (
            {"age": [float(age) for age in AGES]},
            {},
            "dataset.extra › age: 'int' in the dataset, 'float' now",
        ),  # equal numbers, another type
        ({"sample_weight": [1.0] * NUM}, {}, "extra changed"),
    ):
        with pytest.raises(precompute.PrecomputeError, match=message):
            precompute.build(table_of(tmp_path, **changes), tmp_path / "out", **{**given, **more})
    changed = table_of(tmp_path, age=[9, *AGES[1:]])
    precompute.build(changed, tmp_path / "out", **given, replace=True)
    examples = [e for split in ("train", "validation") for e in precompute.read(tmp_path / "out", split=split)]
    assert [e["extra"]["age"] for e in examples if number_of(e["image"]) == 0] == [9]


# Loading and training.


@pytest.mark.parametrize("cache", [True, False])
def test_load_hands_out_weights_and_extra_values(out: Path, cache: bool) -> None:
    dataset = precompute.load(out, batch_size=4, cache=cache, extra=["site", "age"], with_keys=True)
    seen = 0
    for images, labels, weights, extra, keys in dataset:
        assert weights.dtype == tf.float32 and list(extra) == ["site", "age"] and extra["age"].dtype == tf.int64
        for j, image in enumerate(images.numpy()):
            i, seen = number_of(image), seen + 1
            assert (labels[j], weights[j], extra["age"][j]) == (i % 2, WEIGHTS[i], AGES[i])
            assert extra["site"][j].numpy().decode() == SITES[i] and keys[j].numpy().decode() == f"pics/n{i:03d}"
    assert seen == 6
    assert len(precompute.load(out, sample_weights=False, cache=False).element_spec) == 2
    with pytest.raises(UsageError, match="the dataset has no 'sex'; its extra values: age, dose, site, weight"):
        precompute.load(out, extra=["sex"])


def test_weights_are_multiplied_with_those_of_classes(out: Path) -> None:
    of_class = (1.0, 3.0)
    for images, labels, weights in precompute.load(out, batch_size=8, class_weights=of_class, cache=False):
        pairs = zip(map(number_of, images.numpy()), labels.numpy(), strict=True)
        assert weights.numpy().tolist() == [WEIGHTS[i] * of_class[label] for i, label in pairs]


@pytest.mark.slow
def test_of_masks_and_labels(tmp_path: Path) -> None:
    images = [tmp_path / path for path in draw_colored(tmp_path, masks=True)]
    masks = [tmp_path / f"m/n{i:03d}.png" for i in range(NUM)]
    given = options(pipeline=turned(), variants=1, validation_split=0.0)
    lists = {"images": images, "weights": WEIGHTS}
    precompute.build(output=tmp_path / "m1", masks=masks, **lists, **given)
    for pixels, _, weights in precompute.load(tmp_path / "m1", batch_size=8):
        expected = [WEIGHTS[number_of(image)] for image in pixels.numpy()]
        np.testing.assert_array_equal(weights, np.broadcast_to(np.reshape(expected, (8, 1, 1)), (8, 16, 24)))
    precompute.build(output=tmp_path / "m2", labels=[["x"], []] * 4, **lists, **given)
    pixels, _, weights = next(iter(precompute.load(tmp_path / "m2", batch_size=8)))
    assert weights.numpy().tolist() == [WEIGHTS[number_of(image)] for image in pixels.numpy()]
    weighed = next(iter(precompute.load(tmp_path / "m2", batch_size=8, class_weights=[3.0])))
    expected = [[WEIGHTS[n := number_of(image)] * (3.0 if n % 2 == 0 else 1.0)] for image in weighed[0].numpy()]
    assert weighed[2].numpy().tolist() == expected


@pytest.mark.slow
def test_images_alone_with_weights(tmp_path: Path) -> None:
    images = [tmp_path / path for path in draw_colored(tmp_path)]
    precompute.build(images=images, weights=WEIGHTS, output=tmp_path / "out", **options(pipeline=unmoved(), variants=1))
    assert isinstance(precompute.load(tmp_path / "out").element_spec, tf.TensorSpec)
    for pixels, extra in precompute.load(tmp_path / "out", extra=["weight"]):
        assert extra["weight"].numpy().tolist() == [WEIGHTS[number_of(image)] for image in pixels.numpy()]


@pytest.mark.slow
def test_keras_counts_them(tmp_path: Path) -> None:
    images, labels = [tmp_path / path for path in draw_colored(tmp_path)], [i % 2 for i in range(NUM)]

    def moved_by(weights: list[float] | None, name: str) -> np.ndarray[Any, Any]:
        """Return how far one step of plain gradient descent goes."""
        given = options(pipeline=unmoved(), variants=1, validation_split=0.0, image_format="raw")
        precompute.build(images=images, labels=labels, weights=weights, output=tmp_path / name, **given)
        keras.utils.set_random_seed(1)
        dense = keras.layers.Dense(2)
        model = keras.Sequential([keras.Input((16, 24, 3)), keras.layers.GlobalAveragePooling2D(), dense])
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        before = dense.kernel.numpy()
        model.fit(precompute.load(tmp_path / name, batch_size=NUM, shuffle=False), verbose=0)
        return np.asarray(dense.kernel.numpy() - before)

    plain = moved_by(None, "a")
    np.testing.assert_allclose(moved_by([1.0] * NUM, "b"), plain, rtol=1e-4)
    assert not moved_by([0.0] * NUM, "c").any()
    halves = [moved_by([float(i % 2 == side) for i in range(NUM)], f"d{side}") for side in (0, 1)]
    assert not np.allclose(halves[0], halves[1]) and all(half.any() for half in halves)


@pytest.mark.slow
def test_train_fit_counts_them(tmp_path: Path) -> None:
    from train.cli import main

    images = sorted(draw_classes(tmp_path / "data", 12).rglob("*.png"))
    labels = [path.parent.name for path in images]
    weights = [float(label == "cat") for label in labels]
    given = options(pipeline=A.Compose([A.Resize(16, 16)]), variants=1)
    precompute.build(images=images, labels=labels, weights=weights, output=tmp_path / "out", **given)
    losses = {}
    for mode in ("auto", "off"):
        command = ["fit", str(tmp_path / "out"), "--run", str(tmp_path / mode), "--epochs", "6", "--batch-size", "6"]
        assert main([*command, "--learning-rate", "0.05", "--sample-weights", mode]) == 0
        with (tmp_path / mode / "history.csv").open() as file:
            losses[mode] = [float(line["loss"]) for line in csv.DictReader(file)]
    assert losses["auto"][-1] < 0.2 < losses["off"][-1]  # cats alone are learnt at once; noise of two classes is not


@pytest.mark.slow
def test_tensorflow_datasets_has_them(out: Path) -> None:
    import tensorflow_datasets as tfds

    found = tfds.builder_from_directory(out).as_dataset(split="train").as_numpy_iterator()
    for example in found:
        i = number_of(example["image/encoded"])
        assert (example["extra/age"], example["extra/dose"]) == (AGES[i], DOSES[i])
        assert example["extra/site"].decode() == SITES[i] and example["augment/weight"] == WEIGHTS[i]


def test_export_writes_them_into_its_table(out: Path, tmp_path: Path) -> None:
    precompute.export(out, tmp_path / "files")
    found = find(tmp_path / "files/labels.csv", BuildOptions.make(extra_columns=["age", "site", "seed"]))
    assert sorted((extra_of(found, i) or {})["age"] for i in range(len(found))) == sorted(
        e["extra"]["age"] for e in precompute.read(out)
    )
    assert set(found.value_types.values()) == {"float", "int", "text"}


def test_records_equal_those_of_tensorflow(out: Path) -> None:
    from precompute.records.tfrecord import read_records

    for shard in sorted((out / "data/g0001").glob("*-train_r*"))[:2]:
        for record in read_records(shard):
            assert tf.train.Example.FromString(record).SerializeToString(deterministic=True) == record


# Mistakes.


@pytest.mark.parametrize(
    ("changes", "names", "message"),
    [
        (
            {"age": ["", *AGES[1:]]},
            ["age"],
            "t.csv: column age: 1 of 8 cells are empty:\n  line 2\nFill them",
        ),
        (
            {"sample_weight": ["", *WEIGHTS[1:]]},
            [],
            "column sample_weight: expected a number of 0 or more .* 1 of 8 are none:\n  line 2: ''",
        ),
        ({"sample_weight": [-1.0, *WEIGHTS[1:]]}, [], "line 2: '-1.0'"),
        ({"sample_weight": ["much", *WEIGHTS[1:]]}, [], "'much'"),
        ({"sample_weight": ["nan", *WEIGHTS[1:]]}, [], "'nan'"),
        ({"my age": AGES}, ["my age"], "expected a name of letters, digits and _.* got 'my age'"),
        ({"weight": AGES}, ["weight"], "weight is what a source counts in training: give --weight-column"),
        ({}, ["sex"], "no column 'sex'. It has: image, label, age"),
    ],
)
def test_tables_that_are_refused(changes: dict[str, list[Any]], names: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises((SourceError, UsageError), match=message):
        find(table_of(tmp_path, **changes), BuildOptions.make(extra_columns=names))


def test_a_column_called_weight_is_a_persons_unless_told(tmp_path: Path) -> None:
    table = table_of(tmp_path, weight=AGES, sample_weight=["x"] * NUM)
    with pytest.raises(SourceError, match="column sample_weight: expected a number of 0 or more"):
        find(table, BuildOptions.make())
    plain = find(table, BuildOptions.make(weight_column=""))
    assert extra_of(plain, 0) is None and "not used: age, dose, site, sample_weight, weight" in plain.notes[0]
    assert extra_of(find(table_of(tmp_path, w=WEIGHTS), BuildOptions.make(weight_column="w")), 3) == {"weight": 1.5}


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"a": [1, None, 2, 3]}, "extra\\['a'\\]: 1 of 4 cells are empty:\n  'n001'"),
        ({"a": [1, "x", 2, 3]}, "expected numbers or texts, got both: 1 for 'n000', 'x' for 'n001'"),
        ({"a": [1, 2**63, 2, 3]}, "expected a whole number of 64 bits"),
        ({"a": [1.0, float("inf"), 2, 3]}, "a finite number"),
        ({"a": ["x", "\ud800", "y", "z"]}, "or a text"),
        ({"a": [[1], [2], [3], [4]]}, "or a text"),
        ({"a": [1, 2, 3]}, "expected an entry for each of 4 images, got 3"),
        ({"a": [1, 2, 3, 4], "b": [1]}, "extra\\['b'\\]: expected an entry for each of 4 images, got 1"),
        ({"1a": [1, 2, 3, 4]}, "begins with no digit"),
        ({"a": "text"}, "expected a list with an entry for each image"),
        ([1, 2], "expected a dictionary by name"),
    ],
)
def test_lists_that_are_refused(extra: Any, message: str, tmp_path: Path) -> None:
    images = [tmp_path / path for path in draw_colored(tmp_path, 4)]
    with pytest.raises((SourceError, UsageError), match=message):
        from_lists(images=images, extra=extra)


def test_all_or_none(tmp_path: Path) -> None:
    a, b = (tmp_path / path for path in draw_colored(tmp_path, 2))
    with pytest.raises(UsageError, match="expected the same names for all sources, got x for 'a', none for 'b'"):
        from_iterable([Source("a", a, extra={"x": 1}), Source("b", b)])
    with pytest.raises(UsageError, match="extra: expected a dictionary by name, got list"):
        from_iterable([Source("a", a, extra=["x"])])  # type: ignore[arg-type]
    with pytest.raises(SourceError, match="weights: .* 1 of 2 are none:\n  'b': None"):
        from_iterable([Source("a", a, weight=1), Source("b", b)])


def sources(folder: Path, **lists: Any) -> Sources:
    images = sorted((folder / "pics").glob("*.png"))
    return from_lists(images=images, **lists)


VALUES = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3),
    st.lists(st.floats(-(2.0**127), 2.0**127, width=32), min_size=3, max_size=3),
    st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=20), min_size=3, max_size=3),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=VALUES, order=st.permutations(range(3)))
def test_any_values_survive_columns_and_listing(values: list[Any], order: list[int], tmp_path: Path) -> None:
    from precompute.table.listed_sources import compare_listing, sources_of_listing
    from precompute.table.listing_file import listing_lines, read_listing

    if not (tmp_path / "pics").exists():
        draw_colored(tmp_path, 3)
    found = sources(tmp_path, extra={"v": values}, weights=[0.1, 0.2, 0.3], splits=["train"] * 3)
    (tmp_path / "l.jsonl").write_bytes(b"".join(listing_lines(found, "train")))
    listing = read_listing(tmp_path / "l.jsonl")
    assert compare_listing({"train": listing}, found) == []
    again = sources_of_listing({"train": listing}, str(found.root), [])
    assert [extra_of(again, i) for i in range(3)] == [extra_of(found, i) for i in range(3)]
    assert [extra_of(found.take(order), j)["v"] for j in range(3)] == [values[i] for i in order]  # type: ignore[index]
