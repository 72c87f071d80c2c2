"""Numbers as targets, from `train fit` to `train predict` and `train export`."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import SettingsError, UsageError
from tests.helpers.tensorboard_log import read_log
from tests.helpers.trainer_datasets import SIZE, write_classes, write_values
from train.bench import bench
from train.bench_options import BenchOptions
from train.cli import main
from train.data import fit_task
from train.evaluate import evaluate
from train.export import export
from train.files import write_file
from train.fit import fit
from train.options import EvaluateOptions, ExportOptions, FitOptions, PredictOptions
from train.predict import predict
from train.run_folder import RunFolder, RunSettings
from train.tasks import make_task
from train.tasks.regress import UNIT

OPTIONS = {"epochs": 2, "base_channels": 2, "batch_size": 8, "cache": "off"}
PIPELINE = f"import albumentations as A\ntrain = validation = A.Compose([A.Resize({SIZE}, {SIZE})])\n"
SETTINGS = {"pixels": {"pipelines": {}, "versions": {}, "quality": None, "image_format": "raw"}, "dataset": {}}
OPEN_AGAIN = """
import sys
sys.modules.update(dict.fromkeys(["train", "precompute"]))  # importing these raises ImportError
import keras, numpy as np, tensorflow as tf
images = np.load(sys.argv[1])
served = tf.saved_model.load(sys.argv[2]).signatures["serving_default"](images=tf.constant(images))
numbers = keras.models.load_model(sys.argv[3]).predict(images, verbose=0)
np.savez(sys.argv[4], numbers=numbers, **{name: value.numpy() for name, value in served.items()})
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("numbers")
    return write_values(folder, units={"age": 10.0, "label": 0.5}, missing=(1, 4), weights=lambda i: 1.0 + i % 2)


@pytest.fixture(scope="module")
def run(dataset, tmp_path_factory):
    folder, lines = tmp_path_factory.mktemp("run") / "run", []
    result = fit(dataset, run=folder, options=FitOptions(**OPTIONS), say=lines.append)
    assert any("numbers, 2 values: age (1,004" in line for line in lines)
    assert sum("loss" in line and "r2" in line for line in lines) == 2
    assert result.table[0].startswith("value") and result.metrics["judged_by"] == "r2"
    return folder


def values_of(dataset, split):
    _, values = next(iter(precompute.load(dataset, split=split, batch_size=100, shuffle=False, sample_weights=False)))
    return np.stack([values["age"], values["extra/label"]], axis=1)


@pytest.mark.slow
def test_scores_are_in_the_unit_of_the_values_beside_those_of_the_mean(run, dataset):
    found = evaluate(run)
    scores = json.loads((run / "metrics.json").read_bytes())["scores"]
    assert found.summary["values"] == scores["values"] and found.pictures[1].read_bytes().startswith(b"\x89PNG")
    means = np.nanmean(values_of(dataset, "train").astype(np.float64), axis=0)
    truth = values_of(dataset, "validation")
    for k, row in enumerate(scores["values"]):
        assert (row["value"], row["num_images"]) == (("age", "label")[k], 8)
        assert row["training_mean"] == pytest.approx(means[k])
        assert row["baseline_mae"] == pytest.approx(np.nanmean(abs(truth[:, k].astype(np.float64) - means[k])))


@pytest.mark.slow
def test_curves_and_history_have_each_value(run):
    with (run / "history.csv").open(newline="") as file:
        (entry, *_) = csv.DictReader(file)
    names = {"loss", "r2", *(f"{score}_{name}" for score in ("mae", "rmse", "r2") for name in ("age", "label"))}
    assert names | {f"val_{name}" for name in names} <= set(entry)
    log = read_log(run / "tensorboard")
    assert names <= set(log["train"]) and names <= set(log["validation"])


@pytest.mark.slow
def test_a_run_goes_on_with_the_unit_that_it_has(run, dataset, tmp_path):
    whole = fit(dataset, run=tmp_path / "whole", options=FitOptions(**OPTIONS | {"epochs": 3, "schedule": "constant"}))
    folder = tmp_path / "parts"
    for epochs in (1, 3):
        parts = fit(dataset, run=folder, options=FitOptions(**OPTIONS | {"epochs": epochs, "schedule": "constant"}))
    models = [keras.models.load_model(result.folder.model("last")) for result in (whole, parts)]
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert len({str(model.get_layer(UNIT).get_config()) for model in models}) == 1
    assert fit(dataset, run=folder, options=FitOptions(**OPTIONS | {"epochs": 3, "schedule": "constant"})).was_finished


def untrained_run(run, dataset):
    """Write a run whose model is as it was made; return its folder."""
    manifest, folder, options = Manifest.load(dataset), RunFolder(run), FitOptions(base_channels=2)
    task = fit_task(dataset, manifest, make_task(manifest), options)
    with folder.hold():
        folder.open(RunSettings.of(dataset, manifest, options))
    write_file(folder.model("best"), task.make_model(options).save)
    return run


@pytest.mark.slow
def test_predictions_are_a_column_a_value(tmp_path):
    data = write_values(tmp_path / "data", units={"age": 10.0, "label": 0.5}, settings=SETTINGS)
    run = untrained_run(tmp_path / "run", data)
    images = np.random.default_rng(0).integers(0, 255, (3, SIZE, SIZE, 3), dtype=np.uint8)
    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    options = PredictOptions(batch_size=2, pipeline=str(tmp_path / "pipeline.py"))
    found = predict(run, [tmp_path / f"{number}.png" for number in range(3)], output=tmp_path / "out", options=options)
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = keras.models.load_model(run / "best.keras").predict(images, verbose=0)
    assert list(rows[0]) == ["file", "age", "label"]
    np.testing.assert_allclose([[float(row["age"]), float(row["label"])] for row in rows], expected, rtol=1e-6)
    assert (found.summary["target"], found.summary["values"]) == ("value", ["age", "label"])
    assert (tmp_path / "out" / "predictions.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match="--draw: there are no masks or boxes to draw, the dataset has numbers"):
        predict(run, tmp_path, output=tmp_path / "drawn", options=PredictOptions(draw=True))


@pytest.mark.slow
def test_exports_name_the_values_and_open_without_this_package(run, tmp_path):
    served = export(run, output=tmp_path / "served")
    kept = export(run, output=tmp_path / "model.keras", options=ExportOptions(format="keras"))
    assert (served.gives, kept.gives) == ("age, label", "numbers [B, 2]: age, label")
    assert served.labels_paths[0].read_text() == kept.labels_paths[0].read_text() == "age\nlabel\n"
    images = np.random.default_rng(0).integers(0, 255, (3, SIZE, SIZE, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    files = [tmp_path / name for name in ("images.npy", "served", "model.keras", "found.npz")]
    subprocess.run([sys.executable, "-c", OPEN_AGAIN, *map(str, files)], check=True, capture_output=True, cwd=tmp_path)
    found = np.load(files[-1])
    np.testing.assert_allclose(np.stack([found["age"], found["label"]], axis=1), found["numbers"], rtol=1e-6)


@pytest.mark.slow
def test_one_value_is_timed_and_trained_from_the_command_line(tmp_path, capsys):
    data = write_values(tmp_path / "data", units={"age": 10.0})
    assert bench(data, BenchOptions(batch_size=8, steps=2, base_channels=2)).step > 0
    arguments = ["fit", str(data), "--run", str(tmp_path / "run"), "--epochs", "1", "--base-channels", "2"]
    assert main(arguments) == 0
    assert "always the mean: MAE, RMSE" in capsys.readouterr().out
    assert main([*arguments[:2], "--run", str(tmp_path / "other"), "--class-weights", "balanced"]) == 2
    assert "no classes to weigh" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_is_used_on_datasets_of_the_same_values_only(run, dataset, tmp_path):
    other = write_values(tmp_path / "other", units={"height": 1.0})
    with pytest.raises(SettingsError, match="values: age, label in the run, height there"):
        evaluate(run, EvaluateOptions(dataset=str(other)))
    with pytest.raises(SettingsError, match="target: value in the run, class there"):
        evaluate(run, EvaluateOptions(dataset=str(write_classes(tmp_path / "classes"))))
    with pytest.raises(SettingsError, match=r"values: \['age', 'label'\] in the run, \['height'\] now"):
        fit(other, run=run, options=FitOptions(**OPTIONS))
