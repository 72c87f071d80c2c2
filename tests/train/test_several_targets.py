"""Several targets at once: one network with a head each, from `train fit` to `train predict` and `train export`."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError, PrecomputeError, SettingsError, UsageError
from precompute.fields.objects import ObjectsField
from tests.helpers.runs_without_training import make_run
from tests.helpers.trainer_datasets import CLASSES, SIZE, write_classes, write_several, write_values
from train.checkpoint import TrainingState
from train.compiled import compile_model
from train.data import check_targets, fit_task, load_train
from train.evaluate import evaluate
from train.export import export
from train.fit import fit
from train.learnt_targets import choose_targets
from train.options import ExportOptions, FitOptions, PredictOptions
from train.predict import predict
from train.run_folder import RunFolder, RunSettings
from train.tasks import make_task, output_shapes
from train.tasks.classify import Classify
from train.tasks.regress import Regress
from train.tasks.segment import Segment

TARGETS = ["label", "age", "mask", "fine"]
OPTIONS = {"epochs": 2, "base_channels": 2, "batch_size": 8, "cache": "off", "target": TARGETS}
PIPELINE = f"import albumentations as A\ntrain = validation = A.Compose([A.Resize({SIZE}, {SIZE})])\n"
SETTINGS = {"pixels": {"pipelines": {}, "versions": {}, "quality": None, "image_format": "raw"}, "dataset": {}}
OWN = """
import keras
from keras import layers

def make(shape, sizes):
    inputs = keras.Input(shape)
    x = layers.Rescaling(1 / 255)(inputs)
    pooled = layers.GlobalAveragePooling2D()(x)
    outputs = {name: layers.Dense(size)(pooled) for name, size in sizes.items() if name != "mask"}
    return keras.Model(inputs, outputs | {"mask": layers.Conv2D(sizes["mask"], 1)(x)})

def without_age(shape, sizes):
    model = make(shape, sizes)
    return keras.Model(model.input, {name: out for name, out in model.output.items() if name != "age"})

def shares(shape, sizes):
    model = make(shape, sizes)
    return keras.Model(model.input, model.output | {"label": layers.Softmax()(model.output["label"])})

def wide(shape, sizes):
    return make(shape, sizes | {"label": 7})

def one(shape, sizes):
    return keras.Sequential([layers.Flatten(), layers.Dense(3)])
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_several(tmp_path_factory.mktemp("several") / "data", settings=SETTINGS)


@pytest.fixture(scope="module")
def manifest(dataset):
    return Manifest.load(dataset)


def task_of(manifest, *names, **facts):
    return make_task(choose_targets(manifest, list(names) or None), **facts)


# What is learnt


def test_all_targets_are_learnt_unless_some_are_named(manifest):
    kinds = {"label": Classify, "mask": Segment, "fine": Segment, "age": Regress}
    assert {name: type(part) for name, part in task_of(manifest).parts.items()} == kinds
    assert list(task_of(manifest, *TARGETS).parts) == TARGETS
    one = task_of(manifest, "fine")
    assert one == Segment.of(choose_targets(manifest, ["fine"])) and one.class_names == ("ground", "upper", "lower")
    assert task_of(manifest, "mask", "label").describe_target() == (
        "mask (masks, 2 classes); label (class labels, 3 classes)"
    )


def test_numbers_alone_are_one_target_and_a_value_may_have_the_name_of_another_field(tmp_path, manifest):
    values = Manifest.load(write_values(tmp_path, units={"age": 1.0, "label": 2.0}))
    assert task_of(values).values == ("age", "label") and task_of(values, "label").values == ("label",)
    label = values.schema["extra/label"]
    both = replace(manifest, schema=type(manifest.schema)([*manifest.schema.values(), label]))
    assert list(task_of(both, "extra/label", "label", "age").parts) == ["extra_label", "label", "age"]
    assert list(task_of(both, "extra/label", "mask").parts) == ["label", "mask"]


def test_targets_that_cannot_be_learnt_together_are_refused(manifest):
    boxes = ObjectsField(name="objects", num_classes=2, class_names=["a", "b"], has_masks=False, keypoints=None)
    more = replace(manifest, schema=type(manifest.schema)([*manifest.schema.values(), boxes]))
    with pytest.raises(DatasetError, match=r"boxes are learnt by a detector, which .* --target objects or --target la"):
        task_of(more)
    assert task_of(more, "objects").target == "boxes"
    shapes = replace(boxes, has_masks=True)
    with pytest.raises(DatasetError, match="the dataset has instances: .* or pass --target with other targets"):
        task_of(replace(manifest, schema=type(manifest.schema)([*manifest.schema.values(), shapes])))
    with pytest.raises(UsageError, match="--target: the dataset has no target 'weight'; its targets: label, mask, fi"):
        task_of(manifest, "weight")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": ["a", "a"]}, "--target: expected each target once, got a,a"),
        ({"target": [""]}, "--target: expected names of targets, such as label,mask"),
        ({"loss_weights": ["age"]}, "--loss-weights: expected a number of 0 or more by target, .* got .'age'"),
        ({"loss_weights": "age=-1"}, "--loss-weights: expected a number of 0 or more by target"),
        ({"loss_weights": {"age": "much"}}, "--loss-weights: expected a number of 0 or more by target"),
        ({"loss_weights": 3}, "--loss-weights: expected a number of 0 or more by target"),
    ],
)
def test_options_that_are_no_targets_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        FitOptions(**options)


@pytest.mark.parametrize(
    ("targets", "options", "message"),
    [
        (["label", "age"], {"loss_weights": "mask=1"}, "no target that is learnt is 'mask'; they are label, age"),
        (["label", "age"], {"loss_weights": "label=0 age=0"}, "with 0 for all targets nothing is learnt"),
        (["label"], {"loss_weights": "label=2"}, "it weighs several targets, and one is learnt; got label=2"),
        (["age"], {"loss_weights": "age=2"}, "it weighs several targets, and one is learnt; got age=2"),
        (["mask"], {"loss_weights": "mask=2"}, "it weighs several targets, and one is learnt; got mask=2"),
        (["label", "mask"], {"cutmix": 1.0}, "--cutmix: it is for one target; several are learnt, got 1.0"),
        (["label", "age"], {"ignore_class": 3}, "--ignore-class: this is for masks"),
        (["label", "age"], {"model": "unet"}, "unet is for masks; the dataset has classes and numbers: small"),
        (["mask", "age"], {"model": "small"}, "the dataset has masks and numbers: unet, unet- with a backbone"),
    ],
)
def test_options_that_fit_no_target_are_refused(manifest, targets, options, message):
    with pytest.raises(UsageError, match=message):
        task_of(manifest, *targets).check_options(FitOptions(**options))


def test_an_option_that_fits_one_target_is_for_it_alone(manifest):
    task = task_of(manifest, *TARGETS, ignore_class=1)
    task.check_options(FitOptions(ignore_class=1, label_smoothing=0.1, class_weights="balanced"))
    ignored = {name: part.ignore_class for name, part in task.parts.items()}
    assert ignored == {"label": None, "age": None, "mask": 1, "fine": 1}
    losses = fitted(task).compiling(FitOptions(label_smoothing=0.1, loss_weights="age=2"))
    assert losses["loss"]["label"].label_smoothing == losses["loss"]["fine"].label_smoothing == 0.1
    assert losses["loss_weights"] == {"label": 1, "age": 2, "mask": 1, "fine": 1}


# Networks


def fitted(task):
    return task.fitted_to(lambda: [{"age": np.array([[6.0], [22.0]], np.float32)}])


def test_heads_share_one_network(manifest):
    task = fitted(task_of(manifest, *TARGETS))
    model = task.make_model(FitOptions(base_channels=2))
    alone = task_of(manifest, "mask").make_model(FitOptions(base_channels=2))
    names, of_mask = ([layer.name for layer in network.layers] for network in (model, alone))
    assert set(of_mask) - set(names) == {"logits"}
    heads = {"pool", "dropout", "label_logits", "mask_logits", "fine_logits", "standardized_age", "age_in_unit"}
    assert set(names) - set(of_mask) == heads
    shapes = {"label": (None, 3), "age": (None, 1), "mask": (None, SIZE, SIZE, 2), "fine": (None, SIZE, SIZE, 3)}
    assert output_shapes(model) == shapes and model.name == "unet"
    pooled = fitted(task_of(manifest, "age", "label")).make_model(FitOptions(base_channels=2))
    assert pooled.name == "small" and output_shapes(pooled) == {"age": (None, 1), "label": (None, 3)}


@pytest.mark.slow
def test_a_backbone_serves_all_heads(manifest):
    for targets, name in ((["label", "age"], "MobileNetV3Small"), (["label", "mask"], "unet-MobileNetV3Small")):
        task, options = fitted(task_of(manifest, *targets)), FitOptions(model=name, base_channels=2)
        task.check_options(options)
        assert set(task.make_model(options).output) == set(targets)


def test_weights_of_numbers_scale_their_errors(manifest, tmp_path):
    task = replace(task_of(manifest, "age"), values=("age", "height"), means=(0.0, 0.0), stds=(1.0, 2.0))
    truth, predicted = np.array([[1.0, 2.0]], np.float32), np.zeros((1, 2), np.float32)
    for weights, expected in ((None, 1.0), ("age=3", 2.0), ("age=0 height=4", 2.0)):
        loss = task.make_loss(FitOptions(loss_weights=weights))
        assert float(loss(truth, predicted)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("without_age", "expected a model whose outputs are a dictionary of label, age, mask; got outputs label, mask"),
        ("one", "expected a model whose outputs are a dictionary of label, age, mask; got one without a name"),
        ("wide", r"expected logits of label of shape \(None, 3\) for images .* got \(None, 7\)"),
        ("shares", "expected logits of label, but its last layer has a softmax or sigmoid"),
    ],
)
def test_a_model_of_ones_own_gets_sizes_by_name(manifest, tmp_path, monkeypatch, function, message):
    (tmp_path / "mine.py").write_text(OWN)
    task = fitted(task_of(manifest, "label", "age", "mask"))
    model = task.make_model(FitOptions(model=f"{tmp_path}/mine.py:make"))
    assert output_shapes(model) == {"label": (None, 3), "age": (None, 1), "mask": (None, SIZE, SIZE, 2)}
    numbers = model.predict(np.zeros((1, SIZE, SIZE, 3), np.uint8), verbose=0)["age"]
    assert abs(float(numbers[0, 0]) - 14) < 16  # in the unit of ages, around their mean
    with pytest.raises(PrecomputeError, match=message):
        task.make_model(FitOptions(model=f"{tmp_path}/mine.py:{function}"))


# Batches


def test_targets_and_weights_come_by_head(dataset, manifest):
    chosen = choose_targets(manifest, ["age", "mask"])
    task, options = task_of(manifest, "age", "mask"), FitOptions(**OPTIONS | {"target": ["age", "mask"]})
    batches, _ = load_train(dataset, chosen, task, options, TrainingState(), class_weights={"mask": [1.0, 5.0]})
    _, targets, weights = next(iter(batches))
    assert {name: tuple(one.shape) for name, one in targets.items()} == {"age": (8, 1), "mask": (8, SIZE, SIZE)}
    of_images = weights["age"].numpy()
    assert set(of_images) == {1.0, 2.0}
    expected = np.where(targets["mask"].numpy() == 1, 5.0, 1.0) * of_images[:, None, None]
    np.testing.assert_allclose(weights["mask"].numpy(), expected)


def test_a_class_id_without_an_output_is_named_with_its_target(dataset, manifest):
    task = task_of(manifest, "label", "fine")
    few = replace(task, heads={**task.heads, "fine": replace(task.heads["fine"], num_classes=2)})
    with pytest.raises(DatasetError, match=r"train, fine, has class ids outside its 2 classes \(0 to 1\):\n  2"):
        check_targets(dataset, choose_targets(manifest, ["label", "fine"]), few, FitOptions(**OPTIONS))


def test_logs_have_the_scores_of_each_target_and_their_mean(dataset, manifest):
    chosen = choose_targets(manifest, TARGETS)
    options = FitOptions(**OPTIONS)
    task = fit_task(dataset, chosen, make_task(chosen), options)
    model = compile_model(task.make_model(options), task, options, steps=3)
    batches, _ = load_train(dataset, chosen, task, options, TrainingState())
    logs = model.evaluate(batches, return_dict=True, verbose=0)
    assert {"label_accuracy", "age_mae", "age_rmse", "age_r2", "mask_foreground_iou", "fine_mean_iou"} <= set(logs)
    assert {"loss", "label_loss", "age_loss", "mask_loss", "fine_loss"} <= set(logs)
    judged = [logs[name] for name in ("label_accuracy", "age_r2", "mask_foreground_iou", "fine_mean_iou")]
    assert logs["score"] == pytest.approx(np.mean([max(0.0, float(score)) for score in judged]), abs=1e-6)


# Runs


@pytest.fixture(scope="module")
def run(dataset, tmp_path_factory):
    folder, lines = tmp_path_factory.mktemp("run") / "run", []
    options = FitOptions(**OPTIONS, class_weights="balanced", loss_weights="label=1 mask=0.5")
    result = fit(dataset, run=folder, options=options, say=lines.append)
    assert sum("loss" in line and "score" in line for line in lines) == 2
    assert any(line.startswith("weights     fine: ground ") for line in lines)
    assert result.metrics["judged_by"] == "score" and result.table[0] == "label:"
    assert [path.name for path in result.pictures if path.read_bytes().startswith(b"\x89PNG")] == [
        f"{picture}-{name}.png" for picture in ("predictions", "scores") for name in TARGETS
    ]
    return folder


@pytest.mark.slow
def test_scores_are_those_of_each_target(run, dataset):
    found = evaluate(run)
    scores = json.loads((run / "metrics.json").read_bytes())["scores"]
    assert found.summary["targets"] == scores["targets"] and list(scores["targets"]) == TARGETS
    means = [scores["targets"][name] for name in TARGETS]
    judged = [means[0]["accuracy"], means[1]["r2"], means[2]["foreground_iou"], means[3]["mean_iou"]]
    assert scores["score"] == pytest.approx(np.mean([max(0.0, score) for score in judged]))
    with (run / "history.csv").open(newline="") as file:
        entry = next(csv.DictReader(file))
    assert float(entry["val_score"]) > 0 and {"label_loss", "val_fine_mean_iou", "val_age_r2"} <= set(entry)
    assert set(json.loads((run / "class_weights.json").read_bytes())) == {"label", "mask", "fine"}


@pytest.mark.slow
def test_a_run_of_several_targets_goes_on_as_if_it_had_never_stopped(dataset, tmp_path):
    options = OPTIONS | {"target": ["age", "mask"], "schedule": "constant", "deterministic": True}
    whole = fit(dataset, run=tmp_path / "whole", options=FitOptions(**options))
    for epochs in (1, 2):
        parts = fit(dataset, run=tmp_path / "parts", options=FitOptions(**options | {"epochs": epochs}))
    models = [keras.models.load_model(result.folder.model("last")) for result in (whole, parts)]
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(SettingsError, match=r"--target: \['age', 'mask'\] in the run, None now"):
        fit(dataset, run=tmp_path / "parts", options=FitOptions(**options | {"target": None}))


@pytest.mark.slow
def test_a_run_that_knew_no_choice_of_targets_is_read_as_before(tmp_path):
    data = write_classes(tmp_path / "data")
    run = make_run(tmp_path / "run", data)
    content = json.loads((run / "options.json").read_bytes())
    assert (content["options"].pop("target"), content["options"].pop("loss_weights")) == (None, None)
    (run / "options.json").write_text(json.dumps(content))
    assert evaluate(run).summary["num_images"] == 9
    (run / "checkpoint.npz").touch()
    RunFolder(run).check(RunSettings.of(data, Manifest.load(data), FitOptions()))


@pytest.mark.slow
def test_another_dataset_has_to_have_the_same_targets(run, dataset, tmp_path):
    facts = RunFolder(run).load_settings().facts
    assert facts["target"] == "several" and facts["targets"]["label"] == {"target": "class", "classes": CLASSES}
    task = task_of(Manifest.load(dataset), "label", "mask")
    shapes = {"label": (None, 4), "mask": (None, SIZE, SIZE, 2)}
    of_run = {"targets": {"label": {"classes": []}, "mask": {"classes": []}}}
    assert task.misfits(of_run, shapes) == ["label: number of classes: 4 in the run, 3 there"]
    assert task.misfits(facts, shapes) == ["targets: label, age, mask, fine in the run, label, mask there"]


@pytest.mark.slow
def test_predictions_are_columns_and_files_of_each_target(run, tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (3, SIZE, SIZE, 3), dtype=np.uint8)
    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    options = PredictOptions(batch_size=2, pipeline=str(tmp_path / "pipeline.py"), draw=True)
    out = tmp_path / "out"
    found = predict(run, [tmp_path / f"{number}.png" for number in range(3)], output=out, options=options)
    with (out / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = keras.models.load_model(run / "best.keras").predict(images, verbose=0)
    assert {"file", "label_class", "age", "mask", "mask_share of background", "fine_mask"} <= set(rows[0])
    assert [row["label_class"] for row in rows] == [CLASSES[c] for c in expected["label"].argmax(axis=-1)]
    np.testing.assert_allclose([float(row["age"]) for row in rows], expected["age"][:, 0], rtol=1e-6)
    for number, row in enumerate(rows):
        fine = np.asarray(Image.open(out / row["fine_mask"]))
        np.testing.assert_array_equal(fine, expected["fine"][number].argmax(axis=-1))
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == ["fine", "fine_drawn", "mask", "mask_drawn"]
    assert list(found.summary["targets"]) == TARGETS
    assert (out / "predictions.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_exports_name_the_outputs_of_each_target(run, tmp_path):
    served = export(run, output=tmp_path / "served")
    kept = export(run, output=tmp_path / "model.keras", options=ExportOptions(format="keras"))
    assert served.gives.startswith("label_logits, label_probabilities, label_class_ids, age, mask_logits")
    assert kept.gives == "label: logits; age: numbers [B, 1]: age; mask: logits; fine: logits"
    assert (tmp_path / "served" / "labels-label.txt").read_text().split() == CLASSES
    images = np.random.default_rng(0).integers(0, 255, (3, SIZE, SIZE, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['train', 'precompute']))\n"
        "import numpy as np, tensorflow as tf\n"
        "served = tf.saved_model.load(sys.argv[2]).signatures['serving_default'](images=np.load(sys.argv[1]))\n"
        "np.savez(sys.argv[3], **{name: value.numpy() for name, value in served.items()})\n"
    )
    files = [tmp_path / name for name in ("images.npy", "served", "found.npz")]
    subprocess.run([sys.executable, "-c", program, *map(str, files)], check=True, capture_output=True, cwd=tmp_path)
    found, model = np.load(files[-1]), keras.models.load_model(tmp_path / "model.keras")
    expected = model.predict(images, verbose=0)
    np.testing.assert_allclose(found["age"], expected["age"][:, 0], rtol=1e-5)
    np.testing.assert_allclose(found["fine_logits"], expected["fine"], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found["mask_class_ids"], found["mask_logits"].argmax(axis=-1))
