"""A run knows what it was trained on: what was trained on is not scored as if it were new, and changes are told."""

from __future__ import annotations

import json
import shutil

import albumentations as A
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import precompute
from precompute.dataset.manifest import Manifest
from precompute.dataset.paths import DatasetPaths
from precompute.errors import DatasetError, PrecomputeError, SettingsError, UsageError
from precompute.table.listing import Listing
from precompute.table.listing_file import read_listing
from tests.helpers.runs_without_training import make_run
from tests.helpers.small_datasets import SIZE, draw_classes, draw_pairs, options, save
from train.balance import class_weights_of_run
from train.cli import main
from train.evaluate import evaluate
from train.export import export
from train.files import write_json
from train.fit import fit
from train.options import EvaluateOptions, ExportOptions, FitOptions
from train.predict import predict
from train.run_folder import RunFolder
from train.tasks import make_task
from train.trained_on import TrainedOn, record_sources

NAMES = ("blue", "green", "red")


def build(sources, out, **changes):
    shutil.rmtree(out, ignore_errors=True)  # a build that replaces keeps each source in its split
    precompute.build(sources, out, **options(**{"variants": 1, "validation_split": 0.25} | changes))
    return out


def sources_of(dataset, split):
    manifest = Manifest.load(dataset)
    return read_listing(DatasetPaths(dataset).sources(manifest.generation, split))


@pytest.fixture(scope="module", autouse=True)
def no_pictures():
    """Drawing takes most of the time of an evaluation; here nobody looks at what it draws."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matplotlib.backends.backend_agg.FigureCanvasAgg.print_png", lambda canvas, file: None)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Sources, a dataset of them and a run on it."""
    folder = tmp_path_factory.mktemp("made")
    sources = draw_classes(folder / "sources", 8, NAMES)
    return make_run(folder / "run", build(sources, folder / "data"))


@pytest.fixture
def run(made, tmp_path):
    """The run, and its dataset to change, which lies where the run knows it."""
    for name in ("sources", "data", "run"):
        shutil.copytree(made.with_name(name), tmp_path / name)
    folder = RunFolder(tmp_path / "run")
    settings = json.loads(folder.options.read_bytes())
    write_json(folder.options, settings | {"dataset": str(tmp_path / "data")})
    return folder.path


@pytest.mark.slow
def test_images_that_became_validation_after_the_run_are_not_scored(run, tmp_path, capsys):
    trained_on = set(sources_of(tmp_path / "data", "train"))
    assert main(["evaluate", str(run)]) == 0
    assert capsys.readouterr().err == ""
    build(tmp_path / "sources", tmp_path / "data", validation_split=0.5)
    listing = sources_of(tmp_path / "data", "validation")
    both = sorted(trained_on & set(listing))
    assert both and set(listing) - trained_on
    assert main(["evaluate", str(run)]) == 1
    said = capsys.readouterr().err
    assert f"{run} was trained on {len(both)} of {len(listing)} sources of validation" in said
    assert all(f"\n  {key}\n" in said for key in both[:5]) and "--allow-leak" in said
    assert main(["evaluate", str(run), "--allow-leak"]) == 0
    assert main(["evaluate", str(run), "--split", "train"]) == 0  # nobody takes that for a score on new images


def test_content_tells_where_keys_and_folders_are_others(run, tmp_path):
    for i, path in enumerate(sorted((tmp_path / "sources").rglob("*.png"))):
        new = tmp_path / "other" / path.parent.name / f"new{i}.png"
        new.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, new)
    other = build(tmp_path / "other", tmp_path / "other data")
    with pytest.raises(DatasetError, match="was trained on . of . sources of validation"):
        evaluate(run, EvaluateOptions(dataset=str(other)))


def test_equal_keys_of_another_folder_are_no_sign(tmp_path):
    draw_classes(tmp_path / "sources", 8, NAMES)
    run = make_run(tmp_path / "run", build(tmp_path / "sources", tmp_path / "data"))
    for path in (tmp_path / "sources").rglob("*.png"):
        pixels = np.random.default_rng(list(path.name.encode())).integers(0, 255, (20, 20, 3), dtype=np.uint8)
        save(tmp_path / "other" / path.relative_to(tmp_path / "sources"), pixels)
    other = build(tmp_path / "other", tmp_path / "other data")
    assert evaluate(run, EvaluateOptions(dataset=str(other))).notes == []
    for path in (tmp_path / "other").rglob("*.png"):  # in the same folder they are: sources that were fixed
        shutil.copyfile(path, tmp_path / "sources" / path.relative_to(tmp_path / "other"))
    build(tmp_path / "sources", tmp_path / "data", validation_split=0.5)
    with pytest.raises(DatasetError, match="was trained on"):
        evaluate(run)


@pytest.mark.slow
def test_a_run_that_has_not_kept_it_says_so_where_it_matters(run, tmp_path, capsys):
    RunFolder(run).sources.unlink()
    assert evaluate(run).notes == []  # the splits are still those of its training
    build(tmp_path / "sources", tmp_path / "data", validation_split=0.5)
    assert main(["evaluate", str(run)]) == 0
    words = f"note: whether the run was trained on images of validation cannot be known: {run} has no list"
    assert words in capsys.readouterr().err
    RunFolder(run).sources.write_bytes(b"spoilt")
    with pytest.raises(PrecomputeError, match="cannot be read as the list of what the run was trained on"):
        evaluate(run)


def stop(line):
    raise KeyboardInterrupt


@pytest.mark.slow
def test_weights_bring_along_what_they_were_trained_on(run, tmp_path):
    build(tmp_path / "sources", tmp_path / "data", validation_split=0.5)
    weights = str(run / "best.keras")
    with pytest.raises(DatasetError, match=f"{run} was trained on"):
        fit(tmp_path / "data", run=tmp_path / "next", options=FitOptions(weights=weights))
    assert not (tmp_path / "next").exists()
    data = tmp_path / "data"
    record_sources(RunFolder(tmp_path / "next"), data, Manifest.load(data), weights)
    kept = TrainedOn.load(tmp_path / "next" / "sources.npz")
    assert (len(kept.contents), len(kept.keys)) == (18, 18 + 12)  # of both trainings, whose folders have two names
    RunFolder(run).sources.unlink()
    lines = []
    with pytest.raises(PrecomputeError):
        fit(tmp_path / "data", run=tmp_path / "third", options=FitOptions(weights=weights), say=lines.append)
    assert lines[0].startswith("NOTE: whether the run was trained on images of validation cannot be known")


def test_predictions_for_images_of_the_training_say_how_many_they_are(run, tmp_path):
    notes = []
    found = predict(run, [tmp_path / "sources"], output=tmp_path / "out", say=notes.append)
    number = len(sources_of(tmp_path / "data", "train"))
    assert found.summary["num_trained_on"] == number
    assert notes == [
        f"the run was trained on {number} of these images: what it sees in them says little about new ones."
    ]


def other_pipeline():
    return {"train": A.Compose([A.HorizontalFlip(p=0.5), A.Resize(SIZE, SIZE)]), "validation": A.CenterCrop(SIZE, SIZE)}


def test_a_new_generation_is_told_setting_by_setting_with_the_ways_on(run, tmp_path, capsys):
    (run / "checkpoint.npz").touch()  # an epoch is done: there is something to protect
    build(tmp_path / "sources", tmp_path / "data", quality=70, validation_split=0.5, image_format="jpeg")
    with pytest.raises(SettingsError) as error:
        fit(tmp_path / "data", run=run)
    said = str(error.value)
    assert f"--run {run}: the dataset is not the one that this run was begun with:" in said
    assert "\n  dataset.validation_split: 0.25 in the run, 0.5 now\n" in said
    assert "\n  pixels.quality: none in the run, 70 now\n" in said
    assert "\n  train sources: 18 in the run, 12 now, not the same ones\n" in said
    assert "fingerprint" not in said and "seed" not in said
    for way in ("built with the settings of then", f"--like {run}", f"--weights {run / 'best.keras'}", "--restart"):
        assert way in said
    settings = json.loads((run / "options.json").read_bytes())
    del settings["dataset_made"]  # as earlier versions wrote it
    (run / "options.json").write_text(json.dumps(settings))
    with pytest.raises(SettingsError, match="in which, this run of an earlier version does not tell") as error:
        fit(tmp_path / "data", run=run)
    assert "train sources: some in the run, 12 now" in str(error.value)
    assert main(["evaluate", str(run), "--allow-leak"]) == 0


def test_images_that_are_prepared_otherwise_than_for_the_run_are_noted(run, tmp_path, capsys):
    build(tmp_path / "sources", tmp_path / "data", pipeline=other_pipeline())
    words = "prepares images otherwise than it did for the run:\n  pipeline of validation: "
    [note] = evaluate(run).notes
    assert words in note and "CenterCrop" in note and "pipeline of train" not in note
    save(tmp_path / "new.png", np.zeros((20, 20, 3), np.uint8))
    assert main(["predict", str(run), str(tmp_path / "new.png"), "--output", str(tmp_path / "out")]) == 0
    assert words in capsys.readouterr().err


def test_a_fit_keeps_what_it_trains_on(tmp_path):
    data = build(draw_pairs(tmp_path / "sources"), tmp_path / "data")
    with pytest.raises(KeyboardInterrupt):
        fit(data, run=tmp_path / "run", options=FitOptions(base_channels=1), say=stop)
    kept = TrainedOn.load(tmp_path / "run" / "sources.npz")
    assert kept.among(sources_of(data, "train"), "") == list(sources_of(data, "train"))
    assert kept.among(sources_of(data, "validation"), str(tmp_path / "sources")) == []
    assert RunFolder(tmp_path / "run").load_settings().made["num_sources"] == {"train": 9, "validation": 3}


digests = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=8),
    st.one_of(st.none(), st.integers(1, 30).map(lambda n: f"{n:064x}"[::-1])),
    min_size=1,
    max_size=20,
)


def listing_of(sources):
    listing = Listing()
    keys = sorted(sources)
    columns = {"key": keys, "image": keys, "num_bytes": [1] * len(keys), "sha256": [sources[key] for key in keys]}
    listing.add(columns, len(keys))
    return listing


@given(digests, digests, st.sampled_from(["", "here", "there"]))
def test_what_is_among_the_sources_is_what_has_their_content_or_their_place(trained, scored, root):
    contents = {sha256 for sha256 in trained.values() if sha256 is not None}
    expected = [k for k in sorted(scored) if scored[k] in contents or (root == "here" and k in trained)]
    found = TrainedOn.of(listing_of(trained), "here")
    assert found.among(listing_of(scored), root) == expected
    assert all(found.holds(sha256) for sha256 in contents)


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"dataset": 5}', '{"dataset": 5, "dataset_facts": [], "options": []}'], ids=repr
)
def test_options_that_are_spoilt_are_told(run, capsys, content):
    (run / "options.json").write_text(content)
    for command in ("evaluate", "export"):
        assert main([command, str(run), *(["--output", str(run / "new")] if command == "export" else [])]) == 1
        assert f"{run / 'options.json'}: cannot be read as a run's options" in capsys.readouterr().err


def test_an_export_that_cannot_know_its_classes_is_refused(run, tmp_path):
    (run / "options.json").write_text('{"dataset": "data", "dataset_facts": {}, "options": {}}')
    with pytest.raises(SettingsError, match="does not tell the target and the classes"):
        export(run, output=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_labels_of_others_are_not_replaced(run, tmp_path):
    (tmp_path / "model.labels.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"model\.labels\.txt exists already"):
        export(run, output=tmp_path / "model.keras", options=ExportOptions(format="keras"))
    assert (tmp_path / "model.labels.txt").read_text() == "mine"


@pytest.mark.parametrize("content", ["x", "[]", "{}", '{"blue": "many"}'])
def test_class_weights_that_are_spoilt_are_told(run, tmp_path, content):
    folder, data = RunFolder(run), tmp_path / "data"
    folder.class_weights.write_text(content)
    manifest = Manifest.load(data)
    chosen = data, manifest, make_task(manifest), folder, FitOptions(class_weights="blue=3")
    with pytest.raises(PrecomputeError, match="cannot be read as the weights of the classes.*--restart"):
        class_weights_of_run(*chosen, is_new=False)
    assert class_weights_of_run(*chosen, is_new=True) == [3, 1, 1]


def test_a_single_path_is_one_image(run, tmp_path):
    save(tmp_path / "new.png", np.zeros((20, 20, 3), np.uint8))
    assert predict(run, str(tmp_path / "new.png"), output=tmp_path / "out").num_images == 1
