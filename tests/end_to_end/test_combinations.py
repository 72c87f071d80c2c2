"""Features that were made apart from each other, together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
from PIL import Image

import precompute
from precompute.building.change_rows import listed_generation, plan_from_manifest
from precompute.building.make_plan import spec_of_plan
from precompute.dataset.manifest import Manifest
from precompute.errors import BadSourcesError, SourceError, UsageError
from precompute.options.build_options import BuildOptions
from precompute.options.running import RunOptions
from precompute.rendering.rebuild import stored_spec
from precompute.sources.find import find
from tests.helpers.box_datasets import NAMES, draw_boxed
from tests.helpers.small_datasets import draw_classes, options, shard_hashes
from train.checkpoint import TrainingState
from train.data import load_train
from train.detection.truth import LABEL, WEIGHT
from train.options import FitOptions
from train.tasks import make_task


def deep_images(folder: Path, num: int = 4) -> Path:
    """Write grey images of 16 bits, in two classes."""
    rng = np.random.default_rng(0)
    for i in range(num):
        path = folder / f"c{i % 2}" / f"n{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 4096, (24, 20), dtype=np.uint16)).save(path)
    return folder


@pytest.mark.parametrize("mode", ["grayscale", "rgba"])
def test_later_rows_have_the_colors_and_the_scale_of_the_first(mode: str, tmp_path: Path) -> None:
    data, out = deep_images(tmp_path / "data"), tmp_path / "out"
    given = {"color_mode": mode, "scale": "0:4095", "image_format": "png", "max_source_size": 16}
    precompute.build(
        data, out, **options(pipeline=A.Compose([A.Resize(8, 8)]), variants=1, validation_split=0.0, **given)
    )
    before = {example["key"]: example["image"] for example in precompute.read(out)}
    build_plan = plan_from_manifest(*listed_generation(out), out, "train", RunOptions(jobs=1))
    manifest = Manifest.load(out)
    assert spec_of_plan(build_plan.stored.plan, build_plan.sources) == stored_spec(manifest)
    precompute.regenerate(out, seed=5, jobs=1)
    after = {example["key"]: example["image"] for example in precompute.read(out)}
    assert after.keys() == before.keys()
    for key, image in after.items():
        np.testing.assert_array_equal(image, before[key])
    assert precompute.verify(out, sources=4, jobs=1).problems == []


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("rgb", []),
        ("grayscale", ["--color-mode", "grayscale"]),
        ("rgba", ["--color-mode", "rgba", "--image-format", "png"]),
    ],
)
def test_an_export_says_how_its_colors_are_kept(mode: str, expected: list[str], tmp_path: Path) -> None:
    draw_classes(tmp_path / "classes", 2)
    truth = draw_boxed(tmp_path / "boxes", 4)
    images = [tmp_path / f"boxes/{name}.png" for name in truth]
    given = options(pipeline=A.Compose([A.Crop(0, 0, 20, 16)]), variants=1, validation_split=0.0, color_mode=mode)
    precompute.build(tmp_path / "classes", tmp_path / "a", **given)
    precompute.build(images=images, boxes=list(truth.values()), output=tmp_path / "b", **given)
    for name, form in (("a", "files"), ("b", "voc")):
        exported = precompute.export(tmp_path / name, tmp_path / f"{name}-files", format=form)
        assert exported.build_options[2 * (form == "voc") :] == expected  # its classes come first
        precompute.build(tmp_path / f"{name}-files", tmp_path / f"{name}-again", **given)
        again = {example["key"].split("/")[-1]: example for example in precompute.read(tmp_path / f"{name}-again")}
        assert len(again) == 4
        for example in precompute.read(tmp_path / name):
            np.testing.assert_array_equal(example["image"], again[example["key"].split("/")[-1]]["image"])


HEADERS = {
    "image,nose_x,nose_y,nose_v": "table of keypoints (nose), .*folder of the images as the source, .*--annotations",
    "filename,width,height,class,xmin,ymin,xmax,ymax": "table of boxes, .*as the source, .*--annotations",
}


@pytest.mark.parametrize("header", HEADERS)
def test_tables_of_objects_are_told_from_tables_of_images(header: str, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(f"{header}\na.jpg{',1' * header.count(',')}\n")
    with pytest.raises(UsageError, match=HEADERS[header].replace("(nose)", r"\(nose\)")):
        find(table, BuildOptions())
    with pytest.raises(SourceError, match="cannot be found|not there"):
        find(table, BuildOptions(target="none"))


@pytest.mark.parametrize("at_once", [True, False])
def test_a_damaged_image_with_boxes_is_fixed(at_once: bool, tmp_path: Path) -> None:
    truth = draw_boxed(tmp_path / "drawn", 4)
    images = [tmp_path / f"drawn/{name}.png" for name in truth]
    content = images[1].read_bytes()
    given = options(pipeline=A.Compose([A.Crop(0, 0, 40, 30)]), variants=2, validation_split=0.0)

    def build(out: str, **more: Any) -> Path:
        precompute.build(images=images, boxes=list(truth.values()), output=tmp_path / out, **given, **more)
        return tmp_path / out

    images[1].write_bytes(b"damaged")
    if at_once:
        with pytest.raises(BadSourcesError):
            build("out")
    else:
        build("out", skip_bad="1")
    images[1].write_bytes(content)
    out = build("out", **({} if at_once else {"skip_bad": "1", "retry_bad": True}))
    assert list(shard_hashes(out).values())[-2:] == list(shard_hashes(build("whole")).values())
    assert precompute.verify(out, sources=4, jobs=1).problems == []
    precompute.regenerate(out, seed=5, jobs=1)


@pytest.mark.slow
@pytest.mark.parametrize("class_weights", [None, [2.0, 3.0, 4.0]])
def test_a_detector_learns_from_images_with_weights(class_weights: list[float] | None, tmp_path: Path) -> None:
    truth = draw_boxed(tmp_path / "drawn", 8)
    images = [tmp_path / f"drawn/{name}.png" for name in truth]
    given = options(pipeline=A.Compose([A.Resize(32, 40)]), variants=1, validation_split=0.0, class_names=NAMES)
    weights = [float(i) for i in range(8)]
    precompute.build(images=images, boxes=list(truth.values()), weights=weights, output=tmp_path / "out", **given)
    manifest = Manifest.load(tmp_path / "out")
    fit = FitOptions(batch_size=8, fresh="off")
    task = make_task(manifest)
    batches, _ = load_train(tmp_path / "out", manifest, task, fit, TrainingState(), class_weights=class_weights)
    _, objects, of_images = next(iter(batches))
    assert sorted(of_images.numpy().tolist()) == weights
    labels, of_objects = objects.numpy()[..., LABEL].astype(int), objects.numpy()[..., WEIGHT]
    expected = np.ones_like(of_objects) if class_weights is None else np.array([*class_weights, 0.0])[labels]
    np.testing.assert_array_equal(of_objects, expected)
