"""`train export`: opened again by another process in which this package cannot be imported."""

from __future__ import annotations

import subprocess
import sys

import keras
import numpy as np
import pytest

from precompute.errors import SettingsError, UsageError
from tests.helpers.runs_without_training import make_run
from tests.helpers.trainer_datasets import CLASSES, SIZE, write_classes, write_masks
from train.cli import main
from train.export import export
from train.options import ExportOptions

OPEN_AGAIN = """
import sys
sys.modules.update(dict.fromkeys(["train", "precompute", "albumentations"]))  # importing these raises ImportError
import keras, numpy as np, tensorflow as tf
images = np.load(sys.argv[1])
for folder in sys.argv[2:]:
    served = tf.saved_model.load(f"{folder}/served").signatures["serving_default"](images=tf.constant(images))
    served = {name: value.numpy() for name, value in served.items()}
    model = keras.models.load_model(f"{folder}/model.keras")
    np.savez(f"{folder}/found.npz", keras=model.predict(images, verbose=0), **served)
"""


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export masks")
    return make_run(folder / "run", write_masks(folder / "data", num_classes=3))


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export classes")
    return make_run(folder / "run", write_classes(folder / "data"))


@pytest.mark.slow
def test_both_formats_give_the_run_s_predictions_without_this_package(masks, classes, tmp_path):
    folders = {masks: tmp_path / "deep" / "masks", classes: tmp_path / "classes"}
    for run, folder in folders.items():
        export(run, output=folder / "served")
        export(run, output=folder / "model.keras", options=ExportOptions(format="keras"))
    images = np.random.default_rng(0).integers(0, 255, (3, SIZE, SIZE, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    paths = [tmp_path / "images.npy", *folders.values()]
    subprocess.run([sys.executable, "-c", OPEN_AGAIN, *map(str, paths)], check=True, capture_output=True, cwd=tmp_path)
    for run, folder in folders.items():
        _check_found(np.load(folder / "found.npz"), run, images)


def _check_found(found, run, images):
    logits = keras.models.load_model(run / "best.keras").predict(images, verbose=0)
    assert set(found) == {"keras", "logits", "probabilities", "class_ids"}
    np.testing.assert_allclose(found["keras"], logits, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["logits"], logits, rtol=1e-5, atol=1e-5)
    powers = np.exp(logits.astype(np.float64))
    np.testing.assert_allclose(found["probabilities"], powers / powers.sum(axis=-1, keepdims=True), atol=1e-5)
    np.testing.assert_array_equal(found["class_ids"], logits.argmax(axis=-1))
    assert found["class_ids"].dtype == np.int32
    assert found["probabilities"].dtype == np.float32


def test_labels_stand_beside(classes, masks, tmp_path):
    made = export(classes, output=tmp_path / "a.keras", options=ExportOptions(format="keras"))
    assert made.labels_paths[0] == tmp_path / "a.labels.txt"
    assert made.labels_paths[0].read_text().split("\n") == [*CLASSES, ""]
    made = export(masks, output=tmp_path / "b")
    assert made.labels_paths[0] == tmp_path / "b" / "labels.txt"
    assert made.labels_paths[0].read_text().split("\n") == ["class 0", "class 1", "class 2", ""]


def test_an_export_needs_no_dataset_and_says_what_it_is(classes, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (classes.parent / "data").rename(classes.parent / "gone")
    try:
        assert main(["export", str(classes), "--output", "served"]) == 0
    finally:
        (classes.parent / "gone").rename(classes.parent / "data")
    said = capsys.readouterr().out
    assert f"takes uint8 images [B, {SIZE}, {SIZE}, 3], gives logits, probabilities, class_ids" in said
    assert (tmp_path / "served" / "saved_model.pb").exists()


def test_what_is_there_is_not_replaced_unasked(classes, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        export(classes, output=tmp_path / "photos")
    with pytest.raises(UsageError, match="no earlier export"):
        export(classes, output=tmp_path / "photos", options=ExportOptions(overwrite=True))
    assert (tmp_path / "photos" / "mine.txt").read_text() == "mine"
    with pytest.raises(UsageError, match=r"ends with \.keras"):
        export(classes, output=tmp_path / "model.h5", options=ExportOptions(format="keras"))
    for format in ("saved_model", "keras"):
        path = tmp_path / "again.keras" if format == "keras" else tmp_path / "again"
        export(classes, output=path, options=ExportOptions(format=format))
        with pytest.raises(UsageError, match="--overwrite"):
            export(classes, output=path, options=ExportOptions(format=format))
        export(classes, output=path, options=ExportOptions(format=format, overwrite=True))
    assert not list(tmp_path.glob(".unfinished*"))


def test_a_model_that_is_not_there_yet_is_missed(classes, tmp_path):
    with pytest.raises(SettingsError, match=r"there is no last\.keras yet"):
        export(classes, output=tmp_path / "served", options=ExportOptions(checkpoint="last"))
    with pytest.raises(SettingsError, match="no run in this folder"):
        export(tmp_path, output=tmp_path / "served")
