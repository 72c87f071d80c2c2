"""Every colour mode with every kind of target through every command: it works, or is refused in one sentence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import albumentations as A
import numpy as np
import pytest
from PIL import Image

import precompute
from precompute.cli import main as run_precompute
from tests.helpers.instance_datasets import make_truth, write_classes
from tests.helpers.keypoint_datasets import write_coco
from tests.helpers.small_datasets import draw_classes, draw_pairs
from train.cli import main as run_train

SIZE = 32
CHANNELS = {"grayscale": 1, "rgb": 3, "rgba": 4}
FILE_MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
TARGETS = ("class", "multilabel", "mask", "boxes", "keypoints", "instances", "none")
MODES = tuple(CHANNELS)
FAST = {(MODES[i % 3], target) for i, target in enumerate(TARGETS)}  # each target, and each mode twice or more
CELLS = [
    pytest.param(mode, target, marks=[] if (mode, target) in FAST else pytest.mark.slow)
    for mode in CHANNELS
    for target in TARGETS
]
FORMATS = ("files", "coco", "yolo", "voc")
EXPORTED = {("class", "files"), ("mask", "files"), *(("boxes", form) for form in FORMATS[1:])}  # at the least
TRAINED = ("class", "multilabel", "mask", "boxes")  # what train has models for


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("matrix")
    A.save(A.Compose([A.Resize(SIZE, SIZE)]), path / "pipeline.json")
    return path


def lay_out(target: str, folder: Path) -> tuple[Path, list[str]]:
    """Draw sources; return what a build is given, and its options."""
    if target == "class":
        return draw_classes(folder, 4), []
    if target == "none":
        return draw_classes(folder, 4), ["--target", "none"]
    if target == "multilabel":
        draw_classes(folder, 4)
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
        labels = ["red", "red|round", "round", ""] * 2
        lines = ["image,labels", *(f"{name},{label}" for name, label in zip(names, labels, strict=True))]
        (folder / "t.csv").write_text("\n".join(lines) + "\n")
        return folder / "t.csv", ["--label-separator", "|"]
    if target == "mask":
        return draw_pairs(folder, 8), []
    if target == "instances":
        write_classes(folder, make_truth(8))
        return folder, ["--target", "instances"]
    write_coco(folder)
    return folder, ["--target", target]


def recolor(folder: Path, mode: str) -> None:
    """Make images, not masks, what a colour mode is for: grey ones, or ones with an alpha that says something."""
    for path in folder.rglob("*.png"):
        if "masks" in path.relative_to(folder).parts:
            continue
        image = Image.open(path).convert(FILE_MODES[mode])
        if mode == "rgba":
            ramp = np.linspace(0, 255, image.width, dtype=np.uint8)
            image.putalpha(Image.fromarray(np.tile(ramp, (image.height, 1))))
        image.save(path)


class Cell:
    """Sources and dataset of a colour mode and a kind of target."""

    def __init__(self, folder: Path, mode: str, target: str) -> None:
        self.mode, self.target, self.folder = mode, target, folder / f"{mode}-{target}"
        self.source, given = lay_out(target, self.folder / "sources")
        recolor(self.folder / "sources", mode)
        self.out = self.folder / "out"
        pipeline = ["--pipeline", str(folder / "pipeline.json")]
        colors = ["--color-mode", mode, "--image-format", "png", "--validation-split", "0.25"]
        self.given = [str(self.source), *pipeline, *colors, *given]

    def build(self) -> list[str]:
        source, *given = self.given
        return ["build", source, str(self.out), *given, "--variants", "2", *QUICK]


QUICK = ["--jobs", "1", "--backend", "sequential"]


@pytest.fixture(scope="module")
def cells(folder: Path) -> Callable[[str, str], Cell]:
    """Return a cell; its dataset is built once."""
    made: dict[tuple[str, str], Cell] = {}

    def cell(mode: str, target: str) -> Cell:
        if (mode, target) not in made:
            made[mode, target] = Cell(folder, mode, target)
            assert run_precompute(made[mode, target].build()) == 0
        return made[mode, target]

    return cell


def refused(code: int, stderr: str) -> None:
    assert code != 0
    errors = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "Traceback" not in stderr, stderr


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


@pytest.mark.parametrize(("mode", "target"), CELLS)
def test_records_are_read_and_loaded_with_the_channels_of_the_mode(cells, mode, target) -> None:
    cell, channels = cells(mode, target), CHANNELS[mode]
    for split in ("train", "validation"):
        shapes = {example["image"].shape for example in precompute.read(cell.out, split=split)}
        assert shapes == {(SIZE, SIZE, channels)}
    batch = next(iter(precompute.load(cell.out, batch_size=2, cache=False)))
    image = batch[0] if isinstance(batch, tuple) else batch["image"] if isinstance(batch, dict) else batch
    assert tuple(image.shape) == (2, SIZE, SIZE, channels)


@pytest.mark.parametrize(("mode", "target"), CELLS)
def test_sheets_are_drawn(cells, mode, target, tmp_path: Path, capsys) -> None:
    cell = cells(mode, target)
    for name, command in (
        ("preview", ["preview", *cell.given, "--num-sources", "2", "--num-variants", "1"]),
        ("inspect", ["inspect", str(cell.out)]),
    ):
        assert run_precompute([*command, "--output", str(tmp_path / f"{name}.png")]) == 0, capsys.readouterr().err
        sheet = np.asarray(opened(tmp_path / f"{name}.png").convert("RGB"))
        assert sheet.shape[2] == 3 and len(np.unique(sheet)) > 8


@pytest.mark.parametrize(("mode", "target"), CELLS)
def test_datasets_are_profiled_verified_and_regenerated(cells, mode, target, tmp_path: Path, capsys) -> None:
    cell = cells(mode, target)
    out = str(shutil.copytree(cell.out, tmp_path / "out"))
    for command in (
        ["profile", *cell.given, "--num-sources", "2", "--num-variants", "1", *QUICK],
        ["regenerate", out, "--seed", "5", *QUICK],
        ["verify", out, "--sources", "4"],
        ["dali-index", out],
    ):
        assert run_precompute(command) == 0, capsys.readouterr().err


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("mode", "target"), CELLS)
def test_exports_keep_the_mode_or_are_refused(cells, mode, target, form, tmp_path: Path, capsys) -> None:
    cell, exported = cells(mode, target), tmp_path / "exported"
    capsys.readouterr()
    code = run_precompute(["export", str(cell.out), "--output", str(exported), "--format", form])
    stderr = capsys.readouterr().err
    if code:
        assert (target, form) not in EXPORTED
        refused(code, stderr)
        assert not exported.exists()
        return
    images = [path for path in exported.rglob("*.png") if "masks" not in path.parts]
    assert {opened(path).mode for path in images} == {FILE_MODES[mode]}
    assert len(images) == precompute.inspect(cell.out).manifest.splits["train"].num_records


@pytest.mark.parametrize("mode", CHANNELS)
@pytest.mark.parametrize("target", [target for target in TARGETS if target not in TRAINED])
def test_what_is_not_trained_is_refused_before_anything_is_written(cells, mode, target, tmp_path, capsys) -> None:
    cell, run = cells(mode, target), tmp_path / "run"
    capsys.readouterr()
    refused(run_train(["fit", str(cell.out), "--run", str(run), "--epochs", "1"]), capsys.readouterr().err)
    assert not run.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "target"),
    [("rgba", "mask"), ("grayscale", "boxes"), ("rgba", "multilabel"), ("rgb", "class")],  # each mode, each target
)
def test_models_learn_are_scored_and_predict(cells, mode, target, tmp_path: Path, capsys) -> None:
    cell, run = cells(mode, target), tmp_path / "run"
    images = str(next(path for path in (cell.folder / "sources").rglob("*.png") if "masks" not in path.parts).parent)
    fit = ["fit", str(cell.out), "--run", str(run), "--epochs", "1", "--batch-size", "2", "--base-channels", "2"]
    assert run_train([*fit, "--allow-leak"]) == 0, capsys.readouterr().err
    assert run_train(["evaluate", str(run), "--allow-leak"]) == 0, capsys.readouterr().err
    model = ["export", str(run), "--format", "keras", "--output", str(tmp_path / "model.keras")]
    capsys.readouterr()
    code, stderr = run_train(model), capsys.readouterr().err
    if target == "boxes":
        refused(code, stderr)
    else:
        assert code == 0, stderr
    predict = ["predict", str(run), images, "--output"]
    code, drawn = run_train([*predict, str(tmp_path / "drawn"), "--draw"]), tmp_path / "drawn"
    if target in ("mask", "boxes"):
        assert code == 0, capsys.readouterr().err
        assert {opened(path).mode for path in (drawn / "drawn").iterdir()} == {"RGB"}
        return
    refused(code, capsys.readouterr().err)
    assert not drawn.exists()
    assert run_train([*predict, str(tmp_path / "plain")]) == 0, capsys.readouterr().err
