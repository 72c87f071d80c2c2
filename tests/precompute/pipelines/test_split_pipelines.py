"""Which pipeline a split gets that has none of its own: validation and test share one, else a resize and no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
import yaml

import precompute
from precompute.cli import main
from precompute.dataset.manifest import Manifest
from precompute.errors import PipelineError
from precompute.fields.image import ImageField
from precompute.pipelines.load import complete_pipelines
from precompute.pipelines.pipeline import Pipeline, Prepared, check_moves, prepare
from tests.helpers.growing_datasets import lay_out, restore, run_build
from tests.helpers.small_datasets import options, save

PADDED = A.Compose([A.LongestMaxSize(16, interpolation=0), A.PadIfNeeded(16, 16, border_mode=0)])
TRAIN = A.Compose([A.Resize(16, 16)])
FILE = """import albumentations as A

train = A.Compose([A.Resize(16, 16)])
{split} = A.Compose([A.LongestMaxSize(16, interpolation=0), A.PadIfNeeded(16, 16, border_mode=0)])
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """White images, twice as wide as they are high: padding is black, a resize has none."""
    for split in ("train", "val", "test"):
        save(tmp_path / "data" / split / "cat" / f"{split}.png", np.full((16, 32, 3), 255, np.uint8))
    return tmp_path / "data"


def padded(out: Path, split: str) -> bool:
    (example,) = precompute.read(out, split=split)
    return bool((example["image"] == 0).any())


def built(data: Path, **given: Any) -> Path:
    precompute.build(data, data.parent / "out", **given)
    return data.parent / "out"


def _file(folder: Path, split: str) -> Path:
    (folder / "p.py").write_text(FILE.format(split=split))
    return folder / "p.py"


def _functions(folder: Path, split: str) -> Path:
    text = FILE.replace("train = A", "def train(height, width):\n    return A")
    text = text.replace("{split} = A", "def {split}(height, width):\n    return A")
    (folder / "p.py").write_text(text.format(split=split))
    return folder / "p.py"


def _yaml(folder: Path, split: str) -> Path:
    content = {name: pipeline.to_dict() for name, pipeline in (("train", TRAIN), (split, PADDED))}
    (folder / "p.yaml").write_text(yaml.dump(content))
    return folder / "p.yaml"


def _mapping(folder: Path, split: str) -> dict[str, Any]:
    return {"train": TRAIN, split: PADDED}


def _mapping_of_functions(folder: Path, split: str) -> dict[str, Any]:
    return {"train": lambda height, width: TRAIN, split: lambda height, width: PADDED}


@pytest.mark.parametrize("given", [_file, _functions, _yaml, _mapping, _mapping_of_functions])
@pytest.mark.parametrize(("split", "other"), [("validation", "test"), ("test", "validation")])
def test_validation_and_test_share_the_one_pipeline(given: Any, split: str, other: str, data: Path) -> None:
    pipeline = given(data.parent, split)
    out = built(data, **options(validation_split=0, pipeline=pipeline, image_size=16, variants=1))
    assert [padded(out, name) for name in ("train", split, other)] == [False, True, True]
    stored = Manifest.load(out).settings["pixels"]["pipelines"]
    assert stored[other] == stored[split]


def test_a_normalize_at_its_end_is_shared_too(data: Path) -> None:
    ends = A.Compose([A.Resize(16, 16), A.Normalize()])
    out = built(data, **options(validation_split=0, pipeline={"train": ends, "validation": ends}))
    numbers = Manifest.load(out).normalize
    assert numbers["test"] == numbers["validation"] is not None


def test_each_keeps_its_own(data: Path) -> None:
    pipelines = {"train": TRAIN, "validation": PADDED, "test": TRAIN}
    out = built(data, **options(validation_split=0, pipeline=pipelines))
    assert (padded(out, "validation"), padded(out, "test")) == (True, False)


def test_command_says_what_splits_without_a_pipeline_get(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["build", str(data), str(data.parent / "out"), "--variants", "1", "--backend", "sequential"]
    assert main([*words, "--pipeline", str(_file(data.parent, "validation"))]) == 0
    assert "note: test: without a pipeline of its own, it takes that of validation." in capfd.readouterr().err
    (data.parent / "q.py").write_text(FILE.split("{")[0])
    words[2] = str(data.parent / "plain")
    assert main([*words, "--pipeline", str(data.parent / "q.py")]) == 0
    assert "validation and test: without a pipeline of its own, only resized to 16×16" in capfd.readouterr().err


def test_verify_and_regenerate_take_the_same(data: Path) -> None:
    pipeline = _file(data.parent, "validation")
    out = built(data, **options(validation_split=0, pipeline=pipeline, variants=1))
    found = precompute.verify(out, sources=3, pipeline=pipeline)
    assert (found.problems, found.num_remade) == ([], 3)
    precompute.regenerate(out, split="test", seed=3, pipeline=pipeline, backend="sequential", quiet=True)
    assert padded(out, "test")


@pytest.mark.parametrize(("kind", "split"), [("splits", "test"), ("colors", "validation")])
def test_earlier_dataset_keeps_its_resize_and_is_told(
    kind: str, split: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given, out = lay_out(kind, tmp_path), restore(kind, tmp_path)
    before = Manifest.load(out).settings["pixels"]["pipelines"]
    run_build(tmp_path, given, variants=1, quiet=False, dry_run=True)
    assert f"note: {split}: stays resized to 16×16 and no more, as it was built" in capfd.readouterr().err
    assert before[split] == Manifest.load(out).settings["pixels"]["pipelines"][split]
    found = precompute.verify(out, sources=5, pipeline=given["pipeline"])
    assert [problem for problem in found.problems if problem.kind == "pipeline"] == []


def test_earlier_dataset_keeps_its_pairs_and_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given, _ = lay_out("keypoints", tmp_path), restore("keypoints", tmp_path)
    run_build(tmp_path, given, variants=1, quiet=False, dry_run=True)
    said = capfd.readouterr().err
    assert (
        "note: flip_pairs: this dataset keeps the pairs that auto found when it was built, left_eye:right_eye" in said
    )
    assert "would also have leftear:rightear" in said


# Targets that Albumentations does not know by name


def test_a_resize_moves_the_further_targets_too() -> None:
    prepared = {"train": prepare(TRAIN, "train", further_targets={"fine": "mask"})}
    image = ImageField(height=16, width=16, channels=3, encoding="png")
    resized = complete_pipelines(prepared, ["train", "validation"], image)["validation"]
    handed = {"fine": np.ones((8, 8), np.uint8)}
    pixels = np.zeros((8, 8, 3), np.uint8)
    made = Pipeline(resized.pickled).apply(pixels, handed, seed=0, key="a", variant=0, copy=0)
    assert made["fine"].shape == (16, 16)


def test_a_pipeline_says_itself_how_some_targets_move() -> None:
    pipeline = A.Compose([A.NoOp()], additional_targets={"depth": "mask", "clean": "image", "other": "image"})
    assert prepare(pipeline, "train", declared_targets=["depth", "clean"]).further_targets == {
        "depth": "mask",
        "clean": "image",
    }


@pytest.mark.parametrize("given", [TRAIN, A.Compose([A.NoOp()], additional_targets={"depth": "keypoints"})])
def test_a_pipeline_that_does_not_say_it_is_refused(given: Any) -> None:
    with pytest.raises(PipelineError) as error:
        prepare(given, "train", declared_targets=["depth"])
    assert "it does not say how depth moves" in str(error.value)
    assert 'albumentations.Compose([…], additional_targets={"depth": "mask"})' in str(error.value)


def test_pipelines_agree_on_how_targets_move() -> None:
    def prepared(known: str) -> Prepared:
        pipeline = A.Compose([A.NoOp()], additional_targets={"depth": known})
        return prepare(pipeline, "train", declared_targets=["depth"])

    check_moves({"train": prepared("mask"), "validation": prepared("mask")})
    with pytest.raises(PipelineError, match="pipelines differ in how depth moves: as mask in train, as image in test"):
        check_moves({"train": prepared("mask"), "test": prepared("image")})
