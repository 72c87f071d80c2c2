"""Any number of labels an image, from lists to what readers hand out and a trained model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
import tensorflow as tf

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError, SettingsError
from precompute.inspecting import preview
from precompute.inspecting.inspect import inspect
from precompute.options.build_options import BuildOptions
from precompute.pictures import stored_sheet
from precompute.records.example import decode_example, encode_example
from precompute.records.stored import decode_record, difference
from precompute.records.tfrecord import read_records
from tests.helpers.small_datasets import options, save

SIZE = 24
NAMES = ["disc", "frame", "stripe"]
NUM = 120


def draw_shapes(folder: Path, num: int = NUM) -> dict[str, Any]:
    """Write images with a disc, a frame, a stripe, two of them or none; return their paths and names of shapes."""
    y, x = np.mgrid[:SIZE, :SIZE]
    images, labels = [], []
    for i in range(num):
        rng = np.random.default_rng(i)
        chosen = [NAMES[c] for c in sorted(rng.permutation(3)[: i % 3])]
        image = rng.integers(0, 60, (SIZE, SIZE, 3), dtype=np.uint8)
        top, left = rng.integers(5, SIZE - 5, 2)
        distance = np.maximum(abs(y - rng.integers(7, SIZE - 7)), abs(x - rng.integers(7, SIZE - 7)))
        shapes = {
            "disc": ((y - top) ** 2 + (x - left) ** 2 <= 16, (250, 90, 90)),
            "frame": ((distance == 5) | (distance == 6), (90, 250, 90)),
            "stripe": (abs(y - rng.integers(4, SIZE - 4)) <= 1, (90, 90, 250)),
        }
        for name in chosen:
            where, color = shapes[name]
            image[where] = color
        path = folder / "shapes" / f"i{i:03}.png"
        save(path, image)
        images.append(path)
        labels.append(chosen[::-1])
    return {"images": images, "labels": labels}


def given(**changes: Any) -> dict[str, Any]:
    pipeline = A.Compose([A.HorizontalFlip(p=0.5), A.RandomBrightnessContrast(p=0.5), A.Resize(SIZE, SIZE)])
    return options(**{"pipeline": pipeline, "variants": 2, **changes})


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return draw_shapes(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def out(lists: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "shapes"
    precompute.build(output=folder, **lists, **given())
    return folder


@pytest.fixture(scope="module")
def truth(lists: dict[str, Any]) -> dict[str, list[str]]:
    """Return the names of shapes by key."""
    return {path.stem: sorted(labels) for path, labels in zip(*lists.values(), strict=True)}


def records_of(out: Path) -> list[bytes]:
    return [record for shard in sorted(out.rglob("*.tfrecord-*")) for record in read_records(shard)]


def multi_hot(names: list[str]) -> list[int]:
    return [int(name in names) for name in NAMES]


# On disk


def test_records_are_those_of_tensorflow(out: Path, truth: dict[str, list[str]]) -> None:
    for record in records_of(out):
        example = tf.train.Example.FromString(record)
        assert example.SerializeToString(deterministic=True) == record
        feature = example.features.feature
        names = truth[feature["augment/key"].bytes_list.value[0].decode()]
        label, text = feature["image/class/label"], feature["image/class/text"]
        assert (label.WhichOneof("kind"), text.WhichOneof("kind")) == ("int64_list", "bytes_list")  # also where empty
        assert [NAMES[i] for i in label.int64_list.value] == [name.decode() for name in text.bytes_list.value] == names


def test_the_manifest_and_the_splits(out: Path) -> None:
    manifest = Manifest.load(out)
    assert (manifest.target.kind, manifest.target.num_classes) == ("multilabel", 3)
    assert manifest.target.class_names == NAMES
    inspected = inspect(out)
    shares = [inspected.splits["validation"].class_counts[c] / NUM * 4 * 2 for c in range(3)]
    assert shares == pytest.approx([2 / 3] * 3, abs=0.2)  # a quarter of the images, each of three labels on a third
    assert "any number of 3 labels an image" in inspected.text() and "sources of each label" in inspected.text()


def test_read_gives_indices_and_names(out: Path, truth: dict[str, list[str]]) -> None:
    examples = list(precompute.read(out, split="train", row=1))
    assert {example["key"] for example in examples} < truth.keys()
    for example in examples:
        assert example["class_names"] == truth[example["key"]]
        assert [NAMES[i] for i in example["labels"]] == example["class_names"]
        assert "label" not in example


@pytest.mark.parametrize("labels", [[3], [1, 1], [2, 0], [-1]])
def test_labels_that_are_none_are_found(out: Path, labels: list[int]) -> None:
    features: dict[str, Any] = {name: value[0] for name, value in decode_example(records_of(out)[0]).items() if value}
    features["image/class/label"] = np.array(labels)
    features["image/class/text"] = np.array([b"disc"] * len(labels), object)
    schema = Manifest.load(out).schema
    example = decode_record(encode_example(features), schema)
    assert "expected ascending ones from 0 to 2" in str(difference(example, schema))
    features["image/class/label"] = b"disc"
    with pytest.raises(DatasetError, match="image/class/label: expected a list of type int"):
        decode_record(encode_example(features), schema)


@pytest.mark.slow
def test_what_goes_on_with_a_dataset(lists: dict[str, Any], tmp_path: Path) -> None:
    """Resume, regenerate, follow, verify with records made again: they take labels from the stored list of sources."""
    out = tmp_path / "out"
    few = {name: values[:30] for name, values in lists.items()}
    precompute.build(output=out, **few, **given(variants=1))
    assert precompute.build(output=out, **few, **given(variants=2)).num_records > 0
    assert precompute.build(output=out, **few, **given(variants=2)).num_records == 0
    precompute.regenerate(out, seed=1, jobs=1, backend="sequential", quiet=True)
    precompute.follow(out, rows=1, jobs=1, backend="sequential")
    report = precompute.verify(out, sources=10)
    assert report.problems == [] and report.num_remade == 10
    other = {**few, "labels": [["disc"], *few["labels"][1:]]}
    with pytest.raises(SettingsError, match="i000: label changed"):
        precompute.build(output=out, **other, **given(variants=2))


def test_pictures_show_the_names(out: Path, lists: dict[str, Any], tmp_path: Path, monkeypatch: Any) -> None:
    sheets = []
    for module in (stored_sheet, preview):
        monkeypatch.setattr(module, "save_sheet", lambda sheet, path: sheets.append(sheet) or path)
    stored_sheet.draw_stored(out, tmp_path / "stored.png")
    preview.draw_preview(None, options=BuildOptions.make(**given()), output=tmp_path / "preview.png", lists=lists)
    for sheet in sheets:
        remarks = {line.remark.split(", 24")[0] for line in sheet.lines}
        assert {"no label", "disc, stripe"} <= remarks, remarks


# In tf.data


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"cache": True}, {"fresh": "auto"}, {"drop_remainder": True}])
def test_load_gives_multi_hot_labels(out: Path, truth: dict[str, list[str]], changes: dict[str, Any]) -> None:
    dataset = precompute.load(out, batch_size=16, with_keys=True, class_weights=[0.5, 3, 1], **changes)
    assert dataset.element_spec[1].dtype == tf.uint8
    assert dataset.element_spec[1].shape[1:] == (3,)
    for _, labels, weights, keys in dataset:
        assert labels.numpy().tolist() == [multi_hot(truth[key.decode()]) for key in keys.numpy()]
        assert weights.dtype == tf.float32
        np.testing.assert_array_equal(weights, np.where(labels, [0.5, 3, 1], 1))


def test_tensorflow_datasets_opens_it(out: Path, truth: dict[str, list[str]]) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder_from_directory(out)
    label = builder.info.features["image/class/label"].feature
    for example in tfds.as_numpy(builder.as_dataset(split="train_r0001")):
        assert [label.int2str(i) for i in example["image/class/label"]] == truth[example["augment/key"].decode()]


# To a trained model


def train(*arguments: Any) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "train", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_model_learns_the_labels(out: Path, lists: dict[str, Any], tmp_path: Path) -> None:
    run = tmp_path / "run"
    fit = ["--epochs", 12, "--batch-size", 8, "--base-channels", 8, "--learning-rate", 0.01]
    said = train("fit", out, "--run", run, *fit, "--class-weights", "balanced")
    assert "validation: loss" in said
    metrics = json.loads((run / "metrics.json").read_bytes())
    assert metrics["scores"]["mean_average_precision"] > 0.8  # by chance, the third of the images that have a label
    assert "average precision" in train("evaluate", run)
    found = json.loads((run / "evaluate-validation.json").read_bytes())
    assert found["mean_average_precision"] == pytest.approx(metrics["scores"]["mean_average_precision"], abs=1e-4)
    train("predict", run, *lists["images"][:4], "--output", tmp_path / "predicted")
    predicted = "".join(path.read_text() for path in (tmp_path / "predicted").glob("*.[cj]s*"))
    assert all(path.stem in predicted for path in lists["images"][:4])
