"""Where pipelines come from, and every way in which that can go wrong."""

from __future__ import annotations

import functools
import json
import textwrap
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
import yaml

import precompute
from precompute.errors import PipelineError
from precompute.pipelines.load import PRESETS, load_pipelines
from precompute.pipelines.pipeline import Pipeline, prepare
from precompute.preflight.probe import probe
from tests.helpers.decoded_sources import SPEC, put_through, some_sources
from tests.helpers.small_datasets import SIZE, draw_pairs, options, save


def write(path: Path, text: str) -> Path:
    path.write_text(textwrap.dedent(text))
    return path


def apply(compose: Any, height: int = 24, width: int = 20, variant: int = 0) -> Any:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    pipeline = Pipeline(prepare(compose, "train").pickled)
    return put_through(pipeline, image, None, seed=0, key="k", variant=variant, copy=0)[0]


def refusal(given: Any, image_size: tuple[int, int] | None = None) -> str:
    with pytest.raises(PipelineError) as caught:
        load_pipelines(given, image_size)
    return str(caught.value)


# Python files.

THREE_SPLITS = """
    import albumentations as A

    train = A.Compose([A.HorizontalFlip(p=0.5), A.Resize(16, 12)])
    validation = A.Resize(16, 12)

    def test(height, width):
        return A.Compose([A.Resize(height, width)])
"""


def test_python_file(tmp_path: Path) -> None:
    path = write(tmp_path / "pipelines.py", THREE_SPLITS)
    for given in (path, str(path)):
        found = load_pipelines(given, (16, 12))
        assert list(found) == ["train", "validation", "test"]
        assert {apply(pipeline).shape for pipeline in found.values()} == {(16, 12, 3)}


def test_a_function_may_take_the_size_as_two_numbers_or_as_one_pair(tmp_path: Path) -> None:
    path = write(
        tmp_path / "p.py",
        """
        import albumentations as A

        def train(size, p=0.5):
            return A.Compose([A.RandomResizedCrop(size), A.HorizontalFlip(p=p)])

        def validation(height=8, width=8):
            return A.Resize(height, width)

        def test():
            return A.Resize(16, 12)
        """,
    )
    found = load_pipelines(path, (16, 12))
    assert {apply(pipeline).shape for pipeline in found.values()} == {(16, 12, 3)}
    assert "p.py: train is a function of the image size: give --image-size" in refusal(path)


def test_a_function_with_defaults_needs_no_size() -> None:
    def train(height: int = 8, width: int = 6) -> Any:
        return A.Resize(height, width)

    assert apply(load_pipelines({"train": train}, None)["train"]).shape == (8, 6, 3)
    assert apply(load_pipelines({"train": train}, (9, 5))["train"]).shape == (9, 5, 3)
    partial = functools.partial(train, width=4)
    assert apply(load_pipelines({"train": partial}, None)["train"]).shape == (8, 4, 3)


def test_a_function_that_raises() -> None:
    def train(size: Any) -> Any:
        return A.Resize(size, size)

    message = refusal({"train": train}, (16, 12))
    assert message.startswith("pipeline: train: train((16, 12)) raised ValueError: ")


def test_missing_file(tmp_path: Path) -> None:
    message = refusal(tmp_path / "none.py")
    assert message.startswith(f"{tmp_path / 'none.py'}: there is no such file; expected a .py, .yaml or .json file")
    assert message.endswith("or a preset: light, medium, heavy.")
    assert "there is no such file" in refusal("hevy")
    assert "there is no such file" in refusal(tmp_path)


def test_other_kinds_of_files(tmp_path: Path) -> None:
    assert "p.txt: expected a file that ends in .py, .yaml, .yml, .json" in refusal(write(tmp_path / "p.txt", "x"))


def test_syntax_error_tells_file_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "p.py", "import albumentations\n\ntrain = (\n\n")
    assert refusal(path) == f"{path}, line 3: SyntaxError: '(' was never closed"
    monkeypatch.chdir(tmp_path)
    assert f"{path}, line 3" in refusal("p.py")


def test_exception_tells_file_and_line(tmp_path: Path) -> None:
    text = "import albumentations as A\n\ndef flip():\n    return A.HorizontalFlop(p=0.5)\n\ntrain = flip()\n"
    path = write(tmp_path / "p.py", text)
    assert f"{path}, line 4: AttributeError: " in refusal(path) and "HorizontalFlop" in refusal(path)
    path.write_text("import sys\nsys.exit(3)\n")
    assert refusal(path) == f"{path}, line 2: SystemExit: 3"
    path.write_text("import albumentations as A\ntrain = A.Rotate(limit='much')\n")
    assert f"{path}, line 2: ValueError: " in refusal(path)


def test_no_pipelines_in_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "p.py", "import albumentations as A\ntransform = A.Resize(8, 8)\n")
    assert "defines none of train, validation, test; expected `train = albumentations.Compose(…)`" in refusal(path)
    path.write_text("import albumentations as A\nvalidation = A.Resize(8, 8)\n")
    assert "there is no pipeline for train; expected a name `train`" in refusal(path)


def test_a_name_that_is_nearly_right_is_not_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path / "p.py", "import albumentations as A\ntrain = A.Resize(8, 8)\nval = A.Resize(8, 8)\n")
    assert "defines val; pipelines are looked for under train, validation, test" in refusal(path)
    path.write_text(path.read_text() + "validation = val\n")
    assert list(load_pipelines(path, None)) == ["train", "validation"]


def test_not_a_compose(tmp_path: Path) -> None:
    path = write(tmp_path / "p.py", "train = 3\n")
    with pytest.raises(PipelineError, match=r"pipeline of train: expected an albumentations.Compose, got int \(3\)"):
        prepare(load_pipelines(path, None)["train"], "train")


def test_two_files_of_one_name_do_not_mix(tmp_path: Path) -> None:
    text = """
        import albumentations as A
        VALUE = {value}

        class Fill(A.ImageOnlyTransform):
            def apply(self, img, **params):
                return img * 0 + VALUE

        train = A.Compose([Fill(p=1)])
    """
    paths = []
    for value in (3, 7):
        (tmp_path / str(value)).mkdir()
        paths.append(write(tmp_path / str(value) / "p.py", text.format(value=value)))
    pipelines = [prepare(load_pipelines(path, None)["train"], "train") for path in paths]
    assert [apply(load_pipelines(path, None)["train"]).max() for path in paths] == [3, 7]
    assert pipelines[0].description != pipelines[1].description


# Files that Albumentations wrote.


@pytest.mark.parametrize("kind", ["json", "yaml"])
def test_saved_by_albumentations(tmp_path: Path, kind: Any) -> None:
    compose = A.Compose([A.Rotate(limit=15, p=0.5), A.OneOf([A.HorizontalFlip(), A.VerticalFlip()]), A.Resize(8, 6)])
    path = tmp_path / f"p.{kind}"
    A.save(compose, path, data_format=kind)
    found = load_pipelines(path, None)
    assert list(found) == ["train"]
    for variant in range(4):
        np.testing.assert_array_equal(apply(found["train"], variant=variant), apply(compose, variant=variant))
    assert prepare(found["train"], "train").description == prepare(compose, "train").description


def test_what_albumentations_writes_and_then_does_not_know(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    # Its files name parameters of base classes, which from_dict calls unknown and warns about.
    compose = A.Compose([A.PadIfNeeded(32, 32), A.OneOf([A.SafeRotate(p=1), A.RGBShift(p=1)])])
    path = tmp_path / "p.json"
    A.save(compose, path)
    found = load_pipelines(path, None)["train"]
    assert prepare(found, "train").description == prepare(compose, "train").description
    assert not recwarn.list


@pytest.mark.parametrize("kind", ["json", "yml"])
def test_one_file_for_several_splits(tmp_path: Path, kind: str) -> None:
    content = {"train": A.to_dict(A.Compose([A.HorizontalFlip()])), "validation": A.to_dict(A.NoOp())}
    path = tmp_path / f"p.{kind}"
    path.write_text(json.dumps(content) if kind == "json" else yaml.safe_dump(json.loads(json.dumps(content))))
    assert list(load_pipelines(path, None)) == ["train", "validation"]


def test_serialized_files_that_are_wrong(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    whole = A.to_dict(A.Compose([A.HorizontalFlip()]))
    whole["transform"]["transforms"][0]["__class_fullname__"] = "HorizontalFlop"
    outside = {"__class_fullname__": "Lambda", "__name__": "noise"}
    for content, expected in (
        ("{", "p.json: not valid JSON: Expecting property name"),
        ("[]", "expected what albumentations.save writes, got list"),
        ("{}", "expected what albumentations.save writes, or that under train, validation, test"),
        (json.dumps({"train": A.to_dict(A.NoOp()), "val": {}}), "expected the keys train, validation, test, got val"),
        (json.dumps({"train": 3}), "p.json: train: expected what albumentations.save writes, got 3"),
        (json.dumps(whole), "Albumentations does not know a transform 'HorizontalFlop'"),
        (json.dumps({"transform": outside}), "Albumentations cannot rebuild it: To deserialize a non-serializable"),
    ):
        path.write_text(content)
        assert expected in refusal(path)
    yaml_path = write(tmp_path / "p.yaml", "train: [\n")
    assert "p.yaml: not valid YAML: while parsing" in refusal(yaml_path)
    yaml_path.write_bytes(b"# \xe4\n")
    assert "p.yaml: line 1: byte 0xe4 is no UTF-8" in refusal(yaml_path)


def test_unknown_arguments_in_a_file_are_errors_not_warnings(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    saved = A.to_dict(A.Compose([A.ElasticTransform(p=0.5)]))
    saved["transform"]["transforms"][0]["alpha_affine"] = 50
    as_json = tmp_path / "p.json"
    as_json.write_text(json.dumps(saved))
    as_python = write(
        tmp_path / "p.py",
        """
        import albumentations as A
        train = A.Compose([A.ElasticTransform(alpha_affine=50), A.Lambda(lambda x, **k: x)])
        """,
    )
    for path in (as_json, as_python):
        with pytest.raises(PipelineError, match="ElasticTransform does not know the argument alpha_affine"):
            prepare(load_pipelines(path, None)["train"], "train")
    assert not recwarn.list


# Presets and objects.


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_presets(preset: str) -> None:
    found = load_pipelines(preset, (24, 16))
    assert list(found) == ["train"]
    prepared = prepare(found["train"], "train")
    assert prepared.notes == [] and prepared.normalize is None
    sources = some_sources(3, 40, 30)
    probe(prepared.pickled, sources, SPEC, "train")
    pipeline = Pipeline(prepared.pickled)
    outcomes = set()
    for variant in range(30):
        for source in sources:
            image, mask = put_through(
                pipeline, source.image, source.values["mask"], seed=0, key=source.key, variant=variant, copy=0
            )
            assert (image.shape, image.dtype, mask.shape, mask.dtype) == ((24, 16, 3), np.uint8, (24, 16), np.uint8)
            assert set(np.unique(mask)) <= {0, 1, 2}
            outcomes.add(image.tobytes())
    assert len(outcomes) > 50


def test_presets_need_a_size() -> None:
    assert refusal("light") == "preset light: give its size with --image-size."


def test_objects() -> None:
    flip = A.HorizontalFlip()
    assert load_pipelines(flip, None) == {"train": flip}
    assert list(load_pipelines({"test": flip, "train": flip}, None)) == ["train", "test"]
    assert "expected the keys train, validation, test, got val" in refusal({"train": flip, "val": flip})


# The three pipelines that this tool was made for, end to end.


def build(tmp_path: Path, **changes: Any) -> Any:
    return precompute.build(draw_pairs(tmp_path / "data", 4), tmp_path / "out", **options(variants=2, **changes))


def sizes(manifest: Any) -> tuple[int, int]:
    return manifest.image.height, manifest.image.width


def test_classification_example(tmp_path: Path) -> None:
    compose = A.Compose([A.HorizontalFlip(p=0.5), A.Rotate(limit=15, p=0.5), A.Resize(224, 224)])
    assert sizes(build(tmp_path, pipeline=compose).manifest) == (224, 224)


def elastic(**old: Any) -> A.Compose:
    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.Rotate(limit=15, p=0.5),
            A.ElasticTransform(alpha=1, sigma=50, p=0.5, **old),
            A.Resize(256, 256),
        ]
    )


def test_segmentation_example(tmp_path: Path) -> None:
    manifest = build(tmp_path, pipeline=elastic()).manifest
    assert sizes(manifest) == (256, 256) and manifest.target.kind == "mask"


@pytest.mark.filterwarnings("ignore:Argument")
def test_segmentation_example_as_in_old_tutorials(tmp_path: Path) -> None:
    with pytest.raises(PipelineError) as caught:
        build(tmp_path, pipeline=elastic(alpha_affine=50))
    assert "pipeline of train: ElasticTransform does not know the argument alpha_affine" in str(caught.value)
    assert "ElasticTransform knows: alpha, sigma, " in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_training_and_validation_example(tmp_path: Path) -> None:
    pipelines = {
        "train": A.Compose([A.RandomBrightnessContrast(p=0.3), A.Resize(224, 224)]),
        "validation": A.Compose([A.Resize(224, 224)]),
    }
    manifest = build(tmp_path, pipeline=pipelines).manifest
    assert sizes(manifest) == (224, 224)
    assert [len(manifest.splits[split].rows) for split in ("train", "validation")] == [2, 1]


def test_sizes_of_splits_must_agree(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"pipeline of validation: gives 8×16 .* the one of train 16×16"):
        build(tmp_path, pipeline={"train": A.Resize(SIZE, SIZE), "validation": A.Resize(8, SIZE)})


def test_no_pipeline_at_all(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="pipeline: none given; expected --pipeline with a file, or a preset"):
        build(tmp_path, pipeline=None)


@pytest.mark.slow
def test_a_file_may_import_its_neighbours(tmp_path: Path) -> None:
    save(tmp_path / "data" / "only" / "1.png", np.zeros((20, 20, 3), np.uint8))
    (tmp_path / "my_transforms.py").write_text(
        "import albumentations as A\n"
        "class Brighter(A.ImageOnlyTransform):\n"
        "    def apply(self, img, **params):\n"
        "        return img + 40\n"
    )
    (tmp_path / "pipelines.py").write_text(
        "import albumentations as A\nfrom my_transforms import Brighter\n"
        "train = A.Compose([Brighter(p=1), A.Resize(8, 8)])\n"
    )
    given = options(pipeline=tmp_path / "pipelines.py", backend="loky", jobs=2, validation_split=0.0)
    precompute.build(tmp_path / "data", tmp_path / "out", **given)
    assert all((example["image"] == 40).all() for example in precompute.read(tmp_path / "out"))
