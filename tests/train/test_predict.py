"""`train predict`: new image files to masks and classes, by a model whose answers are known."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import albumentations as A
import numpy as np
import pytest
from PIL import Image

import precompute
from precompute.errors import PipelineError, UsageError
from precompute.images.decode import decode_mask
from tests.helpers.runs_without_training import make_run
from tests.helpers.small_datasets import draw_classes, draw_pairs, options, save
from train.cli import main
from train.options import PredictOptions
from train.predict import predict

SIZE = 16


def build(folder, draw, name="data", **changes):
    return precompute.build(draw(folder / f"{name} sources"), folder / name, **options(**changes)) and folder / name


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("predict")


@pytest.fixture(scope="module")
def mask_run(folder):
    return make_run(folder / "mask run", build(folder, draw_pairs, "masks"))


@pytest.fixture(scope="module")
def class_run(folder):
    def draw(sources):
        return draw_classes(sources, names=("blue one", "green one", "red one"))

    return make_run(folder / "class run", build(folder, draw, "classes"))


def paint(height, width, seed=0):
    """Return an image in blocks of pure red, green and blue."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 3, (-(-height // 4), -(-width // 4)))
    classes = np.kron(blocks, np.ones((4, 4), int))[:height, :width]
    return (np.eye(3)[classes] * 255).astype(np.uint8)


def resized_like_the_model(image):
    return A.Resize(SIZE, SIZE)(image=image)["image"].argmax(axis=-1)


def read_mask(path):
    return decode_mask(path.read_bytes())


def test_masks_come_out_at_the_size_of_the_images(mask_run, tmp_path):
    images = {"a/one": paint(40, 24), "a/two": paint(16, 16, seed=1), "b/one": paint(9, 50, seed=2)}
    for key, image in images.items():
        save(tmp_path / "new" / f"{key}.png", image)
    found = predict(mask_run, [tmp_path / "new"], output=tmp_path / "out", options=PredictOptions(batch_size=2))
    assert found.num_images == 3 and found.failed == {}
    for key, image in images.items():
        mask = resized_like_the_model(image)
        rows, columns = ((np.arange(size) + 0.5) * SIZE / size for size in image.shape[:2])  # the middle of each pixel
        np.testing.assert_array_equal(
            read_mask(tmp_path / "out" / "masks" / f"{key}.png"), mask[np.ix_(rows.astype(int), columns.astype(int))]
        )
    with Image.open(tmp_path / "out" / "masks" / "a" / "two.png") as picture:
        assert picture.mode == "P"  # can be looked at, and is class ids
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["mask"] for line in lines] == ["masks/a/one.png", "masks/a/two.png", "masks/b/one.png"]
    shares = [float(lines[1][f"share of class {c}"]) for c in range(3)]
    expected = np.bincount(images["a/two"].argmax(axis=-1).ravel(), minlength=3) / SIZE**2
    assert shares == pytest.approx(expected.tolist(), abs=1e-5)
    assert json.loads((tmp_path / "out" / "predictions.json").read_bytes())["mask_size"] == "of each image"
    assert (tmp_path / "out" / "predictions.png").read_bytes().startswith(b"\x89PNG")


def test_masks_at_the_model_s_size_and_drawn(mask_run, tmp_path):
    image = paint(40, 24)
    save(tmp_path / "new.png", image)
    chosen = PredictOptions(model_size=True, draw=True)
    found = predict(mask_run, [tmp_path / "new.png"], output=tmp_path / "out", options=chosen)
    mask = read_mask(tmp_path / "out" / "masks" / "new.png")
    np.testing.assert_array_equal(mask, resized_like_the_model(image))
    assert found.summary["mask_size"] == "16×16, of the model"
    drawn = np.asarray(Image.open(tmp_path / "out" / "drawn" / "new.png"))
    assert drawn.shape == (SIZE, SIZE, 3)
    seen = A.Resize(SIZE, SIZE)(image=image)["image"]
    np.testing.assert_array_equal(drawn[mask == 0], seen[mask == 0])  # class 0 is left as it is
    assert (drawn[mask == 1] != seen[mask == 1]).any(axis=-1).all()


def test_where_pixels_move_masks_keep_the_model_s_size(tmp_path):
    cropped = {"train": A.Compose([A.CenterCrop(SIZE, SIZE)]), "validation": A.Compose([A.CenterCrop(SIZE, SIZE)])}
    run = make_run(tmp_path / "run", build(tmp_path, draw_pairs, pipeline=cropped))
    image = paint(40, 24)
    save(tmp_path / "new.png", image)
    found = predict(run, [tmp_path / "new.png"], output=tmp_path / "out")
    assert found.summary["mask_size"] == "16×16, of the model"
    expected = image[12:28, 4:20].argmax(axis=-1)
    np.testing.assert_array_equal(read_mask(tmp_path / "out" / "masks" / "new.png"), expected)


def test_classes_in_a_table_with_their_probabilities(class_run, tmp_path):
    for c, name in enumerate(("red", "green", "blue")):
        image = np.full((20, 30, 3), 100, np.uint8)
        image[..., c] += 16  # one more in the logits
        save(tmp_path / "new" / f"{name}.png", image)
    found = predict(class_run, [str(tmp_path / "new" / "*.png")], output=tmp_path / "out")
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {Path(line["file"]).stem: line["class"] for line in lines} == {
        "blue": "red one",  # classes are numbered by name, channels are red, green, blue
        "green": "green one",
        "red": "blue one",
    }
    others = 1 / (np.e + 2)
    assert [float(lines[0][name]) for name in ("probability", "probability_2", "probability_3")] == pytest.approx(
        [np.e * others, others, others], abs=1e-5
    )
    assert found.paths[1].read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match="--draw: there are no masks"):
        predict(class_run, [tmp_path / "new"], output=tmp_path / "out", options=PredictOptions(draw=True))


def test_bad_files_are_listed_and_the_others_written(mask_run, tmp_path, capsys):
    save(tmp_path / "new" / "good.png", paint(20, 20))
    (tmp_path / "new" / "cut.png").write_bytes((tmp_path / "new" / "good.png").read_bytes()[:60])
    (tmp_path / "new" / "words.jpg").write_text("no image")
    code = main(["predict", str(mask_run), str(tmp_path / "new"), "--output", str(tmp_path / "out")])
    assert code == 3
    said = capsys.readouterr()
    assert "images predicted: 1; masks have the size of each image" in said.out
    assert "files that could not be used (2):" in said.err
    assert f"{tmp_path / 'new' / 'words.jpg'}: is damaged, or no image" in said.err
    assert [path.name for path in (tmp_path / "out" / "masks").iterdir()] == ["good.png"]
    failed = json.loads((tmp_path / "out" / "predictions.json").read_bytes())["failed"]
    assert sorted(failed) == ["cut", "words"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
@pytest.mark.parametrize("given", ["", "*", "each"], ids=["folder", "pattern", "files"])
def test_what_cannot_be_read_is_listed_and_the_rest_predicted(class_run, tmp_path, capsys, given):
    new = tmp_path / "new"
    save(new / "good.png", paint(20, 20))
    (new / "lost.png").symlink_to(tmp_path / "nowhere.png")
    (new / "loop.png").symlink_to(new / "loop.png")
    os.mkfifo(new / "pipe.png")  # reading it would take for ever
    chosen = sorted(map(str, new.iterdir())) if given == "each" else [str(new / given)]
    assert main(["predict", str(class_run), *chosen, "--output", str(tmp_path / "out")]) == 3
    said = capsys.readouterr()
    assert "images predicted: 1" in said.out
    for name in ("lost.png", "loop.png"):
        assert f"{new / name}: is a link that leads nowhere" in said.err
    failed = json.loads((tmp_path / "out" / "predictions.json").read_bytes())["failed"]
    assert failed.keys() == {"lost", "loop", "pipe"}
    assert failed["pipe"] == f"{new / 'pipe.png'}: is no regular file"


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_in_a_circle_is_listed_as_well(class_run, tmp_path):
    save(tmp_path / "new" / "deep" / "good.png", paint(20, 20))
    (tmp_path / "new" / "deep" / "again").symlink_to(tmp_path / "new")
    found = predict(class_run, [tmp_path / "new"], output=tmp_path / "out")
    assert found.num_images == 1
    assert list(found.failed.values()) == [f"{tmp_path / 'new' / 'deep' / 'again'}: is a link that leads in a circle"]


def test_names_that_are_no_text_are_written_so_that_they_can_be_read(class_run, tmp_path):
    name = "caf\udce9, \n“one”.png"  # Latin-1 bytes on a disk that does not mind
    try:
        save(tmp_path / "new" / name, paint(20, 20))
    except OSError:
        pytest.skip("this file system takes text alone")
    found = predict(class_run, [tmp_path / "new"], output=tmp_path / "out")
    assert found.num_images == 1
    with (tmp_path / "out" / "predictions.csv").open(newline="", encoding="utf-8") as file:
        [line] = csv.DictReader(file)
    assert line["file"].endswith("caf\\udce9, \n“one”.png")
    summary = json.loads((tmp_path / "out" / "predictions.json").read_text(encoding="utf-8"))
    assert summary["num_images"] == 1


def test_images_that_cannot_be_brought_to_the_model_s_size_are_told_in_words_of_predictions(tmp_path, capsys):
    plain = {"train": A.Compose([A.HorizontalFlip(p=0.5)]), "validation": A.Compose([A.NoOp()])}
    sources = tmp_path / "sources"
    for name in ("a", "b", "c"):
        for i in range(4):
            save(sources / name / f"{name}{i}.png", paint(SIZE, SIZE, seed=i))
    precompute.build(sources, tmp_path / "data", **options(pipeline=plain))
    run = make_run(tmp_path / "run", tmp_path / "data")
    save(tmp_path / "new" / "large.png", paint(40, 24))
    save(tmp_path / "new" / "right.png", paint(SIZE, SIZE))
    assert main(["predict", str(run), str(tmp_path / "new"), "--output", str(tmp_path / "out")]) == 3
    said = capsys.readouterr()
    assert "images predicted: 1" in said.out
    assert (
        f"{tmp_path / 'new' / 'large.png'}: is 40×24 pixels (height × width), and the pipeline of validation"
        in said.err
    )
    assert "gave 40×24 pixels where 16×16 (height × width) are expected" in said.err
    assert "--pipeline FILE, one that ends with a Resize" in said.err
    assert "variant" not in said.err and "seed" not in said.err


def test_a_pipeline_that_fails_is_told_in_words_of_predictions(tmp_path):
    crop = A.Compose([A.CenterCrop(SIZE, SIZE)])
    run = make_run(tmp_path / "run", build(tmp_path, draw_pairs, pipeline={"train": crop, "validation": crop}))
    save(tmp_path / "small.png", paint(9, 30))
    found = predict(run, [tmp_path / "small.png"], output=tmp_path / "out")
    [problem] = found.failed.values()
    assert problem.startswith(f"{tmp_path / 'small.png'}: is 9×30 pixels") and "failed: " in problem
    assert "variant" not in problem


def test_options_of_a_build_are_told_as_such(class_run, tmp_path):
    pixels = np.zeros((8, 8), np.uint16)
    Image.fromarray(pixels).save(tmp_path / "deep.png")
    [problem] = predict(class_run, [tmp_path / "deep.png"], output=tmp_path / "out").failed.values()
    assert "say with --scale how" in problem and "(options of `precompute build`" in problem


def test_without_a_good_file_there_is_no_picture(mask_run, tmp_path):
    (tmp_path / "words.jpg").write_text("no image")
    found = predict(mask_run, [tmp_path / "words.jpg"], output=tmp_path / "out")
    assert (found.num_images, sorted(found.failed)) == (0, ["words"])
    assert not (tmp_path / "out" / "predictions.png").exists()
    assert len((tmp_path / "out" / "predictions.csv").read_text().splitlines()) == 1


def test_files_of_others_are_not_overwritten(mask_run, tmp_path):
    save(tmp_path / "new.png", paint(20, 20))
    out = tmp_path / "out"
    save(out / "masks" / "new.png", np.zeros((5, 5), np.uint8))
    before = (out / "masks" / "new.png").read_bytes()
    with pytest.raises(UsageError, match="not written by this command") as error:
        predict(mask_run, [tmp_path / "new.png"], output=out)
    assert str(out / "masks" / "new.png") in str(error.value)
    assert (out / "masks" / "new.png").read_bytes() == before
    assert [path.name for path in out.iterdir()] == ["masks"]
    predict(mask_run, [tmp_path / "new.png"], output=out, options=PredictOptions(overwrite=True))
    predict(mask_run, [tmp_path / "new.png"], output=out)  # its own it may replace
    assert read_mask(out / "masks" / "new.png").shape == (20, 20)
    (out / "predictions.json").unlink()
    with pytest.raises(UsageError, match="not written by this command"):
        predict(mask_run, [tmp_path / "new.png"], output=out)


def test_the_output_folder_is_no_input(mask_run, tmp_path):
    save(tmp_path / "new.png", paint(20, 20))
    for _ in range(2):
        found = predict(mask_run, [tmp_path], output=tmp_path / "out")
        assert found.num_images == 1


@pytest.mark.slow
def test_code_that_the_manifest_cannot_hold_comes_from_a_file(tmp_path):
    file = tmp_path / "pipelines.py"
    file.write_text(
        "import albumentations as A\n"
        "def darker(image, **kwargs):\n    return image // 2\n"
        "train = A.Compose([A.Resize(16, 16)])\n"
        "validation = A.Compose([A.Resize(16, 16), A.Lambda(image=darker, p=1)])\n"
    )
    data = build(tmp_path, draw_pairs, pipeline=file)
    run = make_run(tmp_path / "run", data)
    save(tmp_path / "new.png", paint(20, 20))
    with pytest.raises(PipelineError, match="--pipeline FILE"):
        predict(run, [tmp_path / "new.png"], output=tmp_path / "out")
    shutil.move(data, tmp_path / "moved")
    notes: list[str] = []
    chosen = PredictOptions(pipeline=str(file), dataset=str(tmp_path / "moved"))
    found = predict(run, [tmp_path / "new.png"], output=tmp_path / "out", options=chosen, say=notes.append)
    assert (found.num_images, notes) == (1, [])
    assert found.summary["mask_size"] == "16×16, of the model"  # what own code does to places is not known
    other = PredictOptions(pipeline="light", dataset=str(tmp_path / "moved"))
    predict(run, [tmp_path / "new.png"], output=tmp_path / "out", options=other, say=notes.append)
    assert notes == [
        "the pipeline of validation is not the one that the dataset was made with: predictions may be worse."
    ]
