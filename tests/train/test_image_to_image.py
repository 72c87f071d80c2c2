"""Images as targets: from `train fit --target clean` to `train predict` and `train export`."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError, UsageError
from precompute.fields.field import Schema
from tests.helpers.trainer_datasets import SIZE, write_pairs
from train.bench import bench
from train.bench_options import BenchOptions
from train.checkpoint import TrainingState
from train.compiled import make_network
from train.data import fit_task, load_train
from train.evaluate import evaluate
from train.export import export
from train.files import write_file
from train.fit import fit
from train.image_scores import ImageScores, score_images
from train.learnt_targets import choose_targets, target_facts
from train.options import ExportOptions, FitOptions, PredictOptions
from train.predict import predict
from train.predictions import resize_smoothly
from train.run_folder import RunFolder, RunSettings
from train.samples import Sample
from train.tasks import make_task
from train.tasks.losses import ImageLoss
from train.tasks.reconstruct import UNIT, Reconstruct

OPTIONS = {"epochs": 1, "base_channels": 2, "batch_size": 8, "cache": "off", "target": ["clean"]}
PIPELINE = f"""
import albumentations as A
train = validation = A.Compose([A.Resize({SIZE}, {SIZE})], additional_targets={{"clean": "mask"}})
"""
SETTINGS = {"pixels": {"pipelines": {}, "versions": {}, "quality": None, "image_format": "raw"}, "dataset": {}}
SHAPE = (SIZE, SIZE, 3)
TASK = Reconstruct(
    shape=SHAPE,
    num_classes=0,
    class_names=(),
    normalize=None,
    name="clean",
    channels=1,
    dtype="float32",
    low=-2,
    high=2,
)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    return {
        dtype: write_pairs(folder / dtype, dtype=dtype, channels=3 if dtype == "uint8" else 1, settings=SETTINGS)
        for dtype in ("uint8", "uint16", "float32")
    }


def chosen(dataset, *names):
    return choose_targets(Manifest.load(dataset), names or ["clean"])


def images(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-2, 2, shape).astype(np.float32)


# The task


def test_a_further_image_is_learnt_where_it_is_named(datasets):
    manifest = Manifest.load(datasets["uint8"])
    assert make_task(manifest).target == "class"
    task = make_task(chosen(datasets["uint8"]))
    assert (task.name, task.channels, task.dtype, task.span) == ("clean", 3, "uint8", 255)
    assert list(make_task(chosen(datasets["uint8"], "clean", "label")).parts) == ["clean", "label"]
    assert target_facts(chosen(datasets["uint8"]))["values"] == ["clean"]
    with pytest.raises(UsageError, match="--target: the dataset has no target 'clear'; its targets: label, clean"):
        choose_targets(manifest, ["clear"])
    alone = replace(manifest, schema=Schema(manifest.schema[name] for name in ("image", "clean")))
    with pytest.raises(DatasetError, match="has images alone: .* Or pass --target clean, which is a further image"):
        make_task(alone)


def test_values_are_scaled_by_those_of_the_training_split(datasets):
    for dtype, (low, high) in {"uint8": (0, 255), "uint16": (1000, 5000), "float32": (-2, 2)}.items():
        manifest = chosen(datasets[dtype])
        task = fit_task(datasets[dtype], manifest, make_task(manifest), FitOptions(**OPTIONS))
        assert (task.low, task.high) == (pytest.approx(low, abs=5e-2, rel=2e-3), pytest.approx(high, rel=2e-3))
        assert task.knows_from_row == (dtype != "uint8")
        model = task.make_model(FitOptions(**OPTIONS))
        assert model.output_shape == (None, SIZE, SIZE, task.channels)
        again = make_task(manifest).with_model(model)
        assert (again.low, again.high) == (pytest.approx(task.low), pytest.approx(task.high))
    assert task.describe_target() == f"image clean, 1 channel, float32, {task.low:.4g} to {task.high:.4g}"
    with pytest.raises(DatasetError, match="nothing to learn of clean: all values of the training images are 3"):
        TASK.fitted_to(lambda: [np.full((2, 4, 4, 1), 3.0)])


def test_a_new_model_gives_the_image_or_the_middle_value(datasets):
    pixels = np.random.default_rng(0).integers(0, 256, (2, *SHAPE), dtype=np.uint8)
    model = make_task(chosen(datasets["uint8"])).make_model(FitOptions(**OPTIONS))
    np.testing.assert_allclose(model(pixels), pixels, atol=1e-3)
    half = make_network(
        make_task(chosen(datasets["uint8"])), FitOptions(**OPTIONS, precision="mixed_bfloat16"), started=False
    )
    np.testing.assert_allclose(half(pixels), pixels, atol=1e-3)
    model = TASK.make_model(FitOptions(**OPTIONS))
    np.testing.assert_allclose(model(pixels), 0.0, atol=1e-6)
    grey = replace(TASK, dtype="uint8", low=0.0, high=255.0).make_model(FitOptions(**OPTIONS))
    expected = pixels.mean(axis=3, keepdims=True)
    np.testing.assert_allclose(grey(pixels), expected, atol=1e-2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mixup": 0.2}, "--mixup: it is not for images; expected 0, got 0.2"),
        ({"cutmix": 1.0}, "--cutmix: it is not for images; expected 0, got 1.0"),
        ({"class_weights": "balanced"}, "--class-weights: it is not for images; expected none, got balanced"),
        ({"ignore_class": 3}, "--ignore-class: it is not for images; expected None, got 3"),
        ({"label_smoothing": 0.1}, "--label-smoothing: it is not for images"),
        ({"loss_weights": "clean=2"}, "--loss-weights: it weighs several targets, and one is learnt"),
        ({"model": "small"}, "--model: the dataset has images: unet, unet- with a backbone"),
    ],
)
def test_options_that_are_not_for_images_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        TASK.check_options(FitOptions(**options))


def test_a_run_of_another_image_does_not_fit():
    assert TASK.misfits({"values": ["clean"]}, (None, SIZE, SIZE, 1)) == []
    assert TASK.misfits({"values": ["depth"]}, (None, SIZE, SIZE, 3)) == [
        "image: depth in the run, clean there",
        "channels of clean: 3 in the run, 1 there",
    ]


def test_a_model_of_ones_own_gives_values_from_minus_one_to_one(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import keras\n\n"
        "def make(shape, channels):\n"
        "    last = keras.layers.Conv2D(channels, 1, kernel_initializer='zeros')\n"
        "    return keras.Sequential([keras.Input(shape), last])\n"
    )
    model = TASK.make_model(FitOptions(model=f"{tmp_path}/mine.py:make"))
    np.testing.assert_allclose(model.predict(np.zeros((1, *SHAPE), np.uint8), verbose=0), 0.0, atol=1e-6)


# Loss and scores


def test_scores_are_those_of_numpy_and_tensorflow():
    truth, predicted = images(3, 20, 24, 2), images(3, 20, 24, 2, seed=1)
    found = {name: values.numpy() for name, values in score_images(truth, predicted, 4.0).items()}
    squared = ((truth - predicted).astype(np.float64) ** 2).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(found["psnr"], 10 * np.log10(16 / squared), rtol=1e-5)
    np.testing.assert_allclose(found["mae"], abs(truth - predicted).mean(axis=(1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(found["ssim"], tf.image.ssim(truth, predicted, 4.0), atol=1e-6)
    same = score_images(truth, truth, 4.0)
    assert same["psnr"].numpy() == pytest.approx([100] * 3) and same["ssim"].numpy() == pytest.approx([1] * 3)
    assert float(score_images(truth[:, :5, :7], truth[:, :5, :7], 4.0)["ssim"][0]) == pytest.approx(1)


def test_the_loss_is_absolute_error_and_missing_similarity_of_weighed_images():
    truth, predicted = images(2, 16, 16, 1), images(2, 16, 16, 1, seed=1)
    found = score_images(truth, predicted, 4.0)
    of_images = found["mae"].numpy() / 2 + 1 - found["ssim"].numpy()
    loss = ImageLoss(span=4.0)
    assert float(loss(truth, predicted)) == pytest.approx(of_images.mean(), rel=1e-5)
    weighed = float(loss(truth, predicted, np.array([1.0, 3.0], np.float32)))
    assert weighed == pytest.approx((of_images * [1, 3]).mean(), rel=1e-5)
    assert ImageLoss.from_config(loss.get_config()).span == 4.0


def test_logs_pool_the_same_scores_as_files():
    truth, predicted = images(5, 16, 16, 1), images(5, 16, 16, 1, seed=1)
    metric, counts = ImageScores(4.0), {}
    for part in (np.s_[:3], np.s_[3:]):
        metric.update_state(truth[part], predicted[part])
        counts = TASK.add_counts(counts, TASK.count(truth[part], predicted[part]))
    summary = TASK.summarize(counts)
    for name, value in metric.result().items():
        assert float(value) == pytest.approx(summary[name], rel=1e-5)
    assert summary["num_images"] == 5 and len(summary["images"]["psnr"]) == 5
    assert TASK.score_images(truth, predicted) == pytest.approx(summary["images"]["ssim"], rel=1e-5)
    assert "of values from -2 to 2, a mean over 5 images" in TASK.describe(summary)[0]
    assert TASK.draw_scores(summary).startswith(b"\x89PNG")


@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 1), ("uint8", 4), ("uint16", 1), ("float32", 1)])
def test_predictions_have_the_type_of_the_images_and_are_drawn(dtype, channels):
    task = replace(TASK, dtype=dtype, channels=channels, low=0.0, high=255.0)
    decided = task.decide(np.full((SIZE, SIZE, channels), 300.6, np.float32))
    assert decided.dtype == dtype and decided.max() == 255
    truth = np.zeros((SIZE, SIZE, channels), dtype)
    facts = {"image": np.zeros(SHAPE, np.uint8), "confidence": 1.0, "score": 0.5}
    samples = [Sample(truth=truth, predicted=decided, standing=standing, **facts) for standing in ("best", "worst")]
    assert task.draw(samples).startswith(b"\x89PNG")
    assert resize_smoothly(decided.astype(np.float32), 7, 9).shape == (7, 9, channels)


def test_weights_of_sources_weigh_images(datasets):
    manifest = chosen(datasets["uint16"])
    batches, _ = load_train(datasets["uint16"], manifest, make_task(manifest), FitOptions(**OPTIONS), TrainingState())
    _, targets, weights = next(iter(batches))
    assert (targets.dtype, targets.shape) == (tf.float32, (8, SIZE, SIZE, 1))
    assert sorted(set(weights.numpy())) == [1.0, 2.0] and weights.shape == (8,)


# Runs


@pytest.fixture(scope="module")
def run(datasets, tmp_path_factory):
    folder, lines = tmp_path_factory.mktemp("run") / "run", []
    result = fit(datasets["float32"], run=folder, options=FitOptions(**OPTIONS), say=lines.append)
    assert result.metrics["judged_by"] == "ssim" and any("ssim" in line for line in lines)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in result.pictures)
    return folder


@pytest.mark.slow
def test_scores_of_a_run_are_measured_again(run, datasets):
    found = evaluate(run)
    scores = json.loads((run / "metrics.json").read_bytes())["scores"]
    assert found.summary["psnr"] == pytest.approx(scores["psnr"], rel=1e-4) and found.summary["num_images"] == 9
    with (run / "history.csv").open(newline="") as file:
        assert {"psnr", "val_psnr", "val_ssim", "val_mae"} <= set(next(csv.DictReader(file)))


@pytest.mark.slow
def test_a_run_keeps_its_range_when_the_rows_are_others(run, datasets, monkeypatch):
    before = keras.models.load_model(run / "last.keras").get_layer(UNIT).get_config()
    monkeypatch.setattr(Reconstruct, "fitted_to", lambda *_: pytest.fail("the range is known"))
    more = fit(datasets["float32"], run=run, options=FitOptions(**OPTIONS | {"epochs": 2}))
    assert more.state.epochs == 2
    assert keras.models.load_model(run / "last.keras").get_layer(UNIT).get_config() == before


def untrained_run(run, dataset, *names):
    manifest, folder = chosen(dataset, *names), RunFolder(run)
    options = FitOptions(**OPTIONS | {"target": list(names)})
    task = fit_task(dataset, manifest, make_task(manifest), options)
    with folder.hold():
        folder.open(RunSettings.of(dataset, manifest, options))
    write_file(folder.model("best"), task.make_model(options).save)
    return run


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_predictions_are_images_of_the_size_of_each_file(datasets, tmp_path, dtype):
    run = untrained_run(tmp_path / "run", datasets[dtype], "clean")
    pixels = np.random.default_rng(0).integers(0, 255, (2, 40, 50, 3), dtype=np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    options = PredictOptions(pipeline=str(tmp_path / "pipeline.py"))
    predict(run, [tmp_path / "0.png", tmp_path / "1.png"], output=tmp_path / "out", options=options)
    with (tmp_path / "out/predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file", "clean"]
    path = tmp_path / "out" / rows[0]["clean"]
    found = np.load(path) if dtype == "float32" else np.asarray(Image.open(path))
    assert found.shape == {"uint8": (40, 50, 3), "uint16": (40, 50), "float32": (40, 50, 1)}[dtype]
    assert found.dtype == {"uint8": "uint8", "uint16": "uint16", "float32": "float32"}[dtype]
    if dtype != "uint8":
        np.testing.assert_allclose(found, (3000 if dtype == "uint16" else 0), atol=5)
    assert (tmp_path / "out/predictions.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match="--draw: there are no masks or boxes to draw, the dataset has images"):
        predict(run, [tmp_path / "0.png"], output=tmp_path / "drawn", options=replace(options, draw=True))


@pytest.mark.slow
def test_exports_give_the_image_by_its_name(datasets, tmp_path):
    run = untrained_run(tmp_path / "run", datasets["float32"], "clean", "label")
    served = export(run, output=tmp_path / "served")
    kept = export(run, output=tmp_path / "model.keras", options=ExportOptions(format="keras"))
    assert served.gives == "clean, label_logits, label_probabilities, label_class_ids"
    assert kept.gives == "clean: images: clean; label: logits"
    model = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    assert model(images=np.zeros((1, *SHAPE), np.uint8))["clean"].shape == (1, SIZE, SIZE, 1)


def test_both_move_alike_where_rows_are_read_again(datasets):
    both = precompute.load(datasets["uint8"], targets=["clean"], fresh=["shift"], batch_size=8, sample_weights=False)
    noisy, clean = next(iter(both))
    assert float(tf.reduce_mean(abs(tf.cast(noisy, tf.float32) - tf.cast(clean, tf.float32)))) < 40


@pytest.mark.slow
def test_a_chosen_target_is_timed(datasets):
    found = bench(datasets["uint16"], BenchOptions(target=["clean"], base_channels=2, steps=2, batch_size=4))
    assert found.model.startswith("unet") and found.step > 0
