"""Detection from files to boxes: a drawn set learnt by heart, its scores, files, pictures, and the exported model."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import albumentations as A
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import precompute
from precompute.errors import UsageError
from precompute.options.build_options import BuildOptions
from precompute.sources.find import find
from tests.helpers.box_datasets import COLORS, NAMES, seen_boxes
from tests.helpers.small_datasets import options as build_options
from tests.helpers.small_datasets import save
from train.cli import main
from train.compiled import compile_model, make_network
from train.detection.decode import decode
from train.detection.grid import pairwise_iou
from train.detection.truth import pack
from train.export import export
from train.fit import fit
from train.options import ExportOptions, FitOptions, PredictOptions
from train.predict import predict
from train.tasks.detect import Detect

HEIGHT, WIDTH = 60, 76  # no multiples of the network's coarsest cell
OPTIONS = FitOptions(epochs=45, batch_size=8, base_channels=6, learning_rate=0.01, fresh="off", checkpoint_every="0")


def draw_scenes(folder: Path, num: int, *, seed: int) -> dict[str, list]:
    """Write images with up to three objects of different classes; returns name → boxes."""
    truth = {}
    for i in range(num):
        rng = np.random.default_rng([seed, i])
        image = rng.integers(60, 100, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        rows = []
        for place, label in enumerate(rng.permutation(3)[: 1 + i % 3]):
            width, height = (int(size) for size in rng.integers(10, 22, 2))
            left, top = 2 + 25 * place, int(rng.integers(0, HEIGHT - height))
            image[top : top + height, left : left + width] = COLORS[label]
            rows.append((left, top, left + width, top + height, NAMES[label]))
        save(folder / f"{'t' if seed else 'v'}{i:03d}.png", image)
        truth[f"{'t' if seed else 'v'}{i:03d}"] = rows
    return truth


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detection")
    sources = []
    for split, num, seed in (("train", 24, 1), ("validation", 9, 0)):
        for name, rows in draw_scenes(folder / "images", num, seed=seed).items():
            path = folder / "images" / f"{name}.png"
            sources.append(precompute.Source(name, path, boxes=rows, split=split))
    same = A.Compose([A.Resize(HEIGHT, WIDTH)])
    given = build_options(pipeline={"train": same, "validation": same}, variants=1, validation_split=0)
    precompute.build(sources, folder / "shards", **given, class_names=NAMES)
    run, lines = folder / "run", []
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("train.recorder.Recorder.write_derived", stop_after(20))
        fit(folder / "shards", run=run, options=OPTIONS)
    result = fit(folder / "shards", run=run, options=OPTIONS, say=lines.append)
    return SimpleNamespace(folder=folder, run=run, dataset=folder / "shards", lines=lines, result=result)


def stop_after(epochs):
    from train.recorder import Recorder

    write = Recorder.write_derived

    def stop(self):
        write(self)
        if len(self._state.history) == epochs:
            raise KeyboardInterrupt

    return stop


@pytest.mark.slow
def test_a_drawn_set_is_learnt_also_across_an_interruption(trained):
    scores = trained.result.metrics["scores"]
    assert scores["ap50"] > 0.9 and scores["map"] > 0.4
    assert [row["name"] for row in scores["classes"]] == NAMES
    assert scores["map"] == pytest.approx(trained.result.metrics["best_score"], abs=0.05)
    assert any("after epoch 20" in line for line in trained.lines)
    assert any("boxes, 3 classes, 60×76" in line for line in trained.lines)
    assert trained.result.table[-1].startswith("mAP@[.5:.95] ")
    for name in ("predictions.png", "scores.png", "curves.png"):
        assert (trained.run / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_evaluate_gives_the_scores_of_the_end(trained, capsys):
    assert main(["evaluate", str(trained.run), "--batch-size", "4"]) == 0
    assert "mAP@.5" in capsys.readouterr().out
    found = json.loads((trained.run / "evaluate-validation.json").read_bytes())
    for name in ("map", "ap50", "ap75"):
        assert found[name] == pytest.approx(trained.result.metrics["scores"][name], abs=1e-4)
    assert found["num_images"] == 9


@pytest.mark.slow
def test_predicted_boxes_lie_where_the_colours_are_in_images_of_any_size(trained, tmp_path):
    truth = draw_scenes(tmp_path / "new", 4, seed=0)
    for path in sorted((tmp_path / "new").glob("*.png")):
        with Image.open(path) as picture:
            picture.resize((2 * WIDTH, 3 * HEIGHT), Image.Resampling.NEAREST).save(path)
    found = predict(trained.run, [tmp_path / "new"], output=tmp_path / "out", options=PredictOptions(draw=True))
    assert found.num_images == 4 and found.summary["box_size"] == "of each image"
    with (tmp_path / "out/predictions.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if float(row["score"]) > 0.3]
    right = 0
    for name in truth:
        with Image.open(tmp_path / f"new/{name}.png") as picture:
            seen = seen_boxes(np.asarray(picture))
        for row in rows:
            if Path(row["file"]).stem == name and row["class"] in seen:
                box = np.array([[float(row[side]) for side in ("x_min", "y_min", "x_max", "y_max")]], np.float32)
                iou = pairwise_iou(box, np.array([seen[row["class"]]], np.float32))
                right += float(iou[0, 0]) > 0.5
        with Image.open(tmp_path / f"out/drawn/{name}.png") as picture:
            assert picture.size == (2 * WIDTH, 3 * HEIGHT)
    assert right >= 0.8 * sum(map(len, truth.values()))
    coco = json.loads((tmp_path / "out/boxes.coco.json").read_bytes())
    assert [category["name"] for category in coco["categories"]] == NAMES and len(coco["images"]) == 4
    assert {"bbox", "score", "category_id", "image_id"} <= coco["annotations"][0].keys()
    assert predict(trained.run, [tmp_path / "new"], output=tmp_path / "out").num_images == 4  # its own files, again
    chosen = BuildOptions(pipeline="light", annotations=str(tmp_path / "out/boxes.coco.json"))
    again = find(tmp_path / "new", chosen)  # what was predicted can be built from, as a start of annotations
    assert len(again.keys) == 4 and again.class_names == NAMES


@pytest.mark.slow
def test_the_exported_model_gives_the_boxes_of_the_run(trained, tmp_path):
    exported = export(trained.run, output=tmp_path / "model")
    assert exported.gives == "boxes, scores, class_ids" and exported.labels_paths[0].read_text().split() == NAMES
    images = np.stack([example["image"] for example in precompute.read(trained.dataset, split="validation")])
    served = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"](tf.constant(images))
    assert {name: tuple(value.shape) for name, value in served.items()} == {
        "boxes": (9, 100, 4),
        "scores": (9, 100),
        "class_ids": (9, 100),
    }
    model = keras.models.load_model(trained.run / "best.keras", compile=False)
    task = Detect(shape=(HEIGHT, WIDTH, 3), num_classes=3, class_names=tuple(NAMES), normalize=None)
    found = decode(model(images, training=False), task.grid)
    for name, value in zip(("boxes", "scores", "class_ids"), found, strict=True):
        np.testing.assert_allclose(served[name], value, atol=1e-3)
    with pytest.raises(UsageError, match="a .keras file cannot hold what makes boxes"):
        export(trained.run, output=tmp_path / "model.keras", options=ExportOptions(format="keras"))


# Networks and steps, without a dataset.


def task_of(height, width, **changes):
    return Detect(shape=(height, width, 3), num_classes=2, class_names=("a", "b"), normalize=None, **changes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "changes"),
    [((45, 61), {"jit": "on"}), ((400, 390), {"precision": "mixed_float16"}), ((32, 32), {"deterministic": True})],
    ids=str,
)
def test_a_step_in_every_precision_and_compiled(size, changes):
    task, options = task_of(*size), FitOptions(base_channels=2, **changes)
    network = make_network(task, options, started=False)
    assert network.output_shape == (None, *task.output_shape) and network.output.dtype == "float32"
    model = compile_model(network, task, options, steps=2)
    boxes = tf.constant([[[4.0, 4, 20, 28]] * 3] * 4)
    mask = tf.constant([[True, True, False]] * 4)
    targets = {"boxes": boxes, "mask": mask, "crowd": ~mask, "difficult": ~mask}
    targets["labels"] = tf.where(mask, 1, -1)
    images = np.random.default_rng(0).integers(0, 255, (4, *size, 3), dtype=np.uint8)
    logs = model.fit(images, pack(targets), batch_size=2, epochs=1, verbose=0).history
    assert np.isfinite(logs["loss"]).all() and logs.keys() == {"loss", "map", "ap50"}


@pytest.mark.slow
def test_a_backbone_as_the_way_down():
    task, options = task_of(64, 96), FitOptions(model="detector-MobileNetV3Small", base_channels=4, freeze_epochs=0)
    task.check_options(options)
    network = make_network(task, options, started=False)
    assert network.name == "detector-MobileNetV3Small" and network.output_shape == (None, 16 * 24, 6)


@pytest.mark.slow
def test_compiled_and_eager_boxes_are_equal():
    task = task_of(32, 32)
    outputs = np.random.default_rng(0).normal(0, 2, (2, *task.output_shape)).astype(np.float32)
    in_graph = tf.function(lambda values: tuple(decode(values, task.grid)))(outputs)
    for one, other in zip(in_graph, decode(tf.constant(outputs), task.grid), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
