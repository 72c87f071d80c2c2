"""Reports of datasets: what they say, of what, and what happens where sources or pipelines are gone."""

from __future__ import annotations

import contextlib
import html
import inspect
import json
import shutil
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest

import precompute
from precompute.cli import main, make_parser
from precompute.dataset.paths import DatasetPaths
from precompute.errors import DatasetError, PipelineError, PrecomputeError, UsageError
from precompute.reporting.result import Report
from precompute.storage.paths import as_path
from tests.helpers.small_datasets import SIZE, draw_classes, draw_pairs, options, save


def build(source: Any, out: Path, **changes: Any) -> Path:
    precompute.build(source, out, **options(**changes))
    return out


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of masks; its sources lie beside it."""
    folder = tmp_path_factory.mktemp("pairs")
    return build(draw_pairs(folder / "sources"), folder / "out", variants=4)


@pytest.fixture(scope="module")
def report(pairs: Path) -> Report:
    return precompute.report(pairs)


def test_facts_are_those_of_the_manifest(report: Report, pairs: Path) -> None:
    facts = report.facts
    assert [(split.name, split.num_sources, split.num_rows) for split in facts.splits] == [
        ("train", 9, 4),
        ("validation", 3, 1),
    ]
    assert facts.generations[0].is_current
    assert facts.generations[0].num_bytes > sum(split.num_bytes for split in facts.splits)
    assert str(pairs) in facts.command
    assert 'image-format = "png"' in facts.options
    assert any("HorizontalFlip" in line for line in facts.pipelines["train"])
    assert facts.num_held == 0


def test_each_sample_has_its_variants_with_pictures_and_transforms(report: Report) -> None:
    assert len(report.samples) == 12
    for sample in report.samples:
        assert sample.picture is not None
        assert sample.picture.plain.dtype == np.uint8
        assert sample.picture.overlay is not None and sample.picture.overlay[..., 3].any()
        assert len(sample.variants) == (4 if sample.split == "train" else 1)
        for variant in sample.variants:
            assert variant.fired is not None
            assert variant.fired[-1].name == "Resize"
            assert variant.picture.plain.ndim == 3


def test_a_notebook_shows_the_findings_and_a_few_sources(report: Report) -> None:
    assert repr(report) == report.text()
    shown = report._repr_html_()
    assert report.text().splitlines()[0] in html.unescape(shown)
    assert shown.count("<img") == 4 * (1 + 4) and len(shown) < 200_000


def test_transforms_are_counted_in_records_that_came_out_again(report: Report) -> None:
    train = report.transforms[0]
    assert (train.split, train.num_records, train.num_same) == ("train", 36, 36)
    rates = {rate.name: rate for rate in train.rates}
    assert rates["Resize"].num_fired == 36
    assert rates["HorizontalFlip"].expected == 0.5
    assert 0 < rates["HorizontalFlip"].num_fired < 36
    assert all(rate.is_likely for rate in train.rates)
    assert {parameter.name for parameter in rates["RandomBrightnessContrast"].parameters} == {"alpha", "beta"}


def test_effects_compare_with_the_sources(report: Report) -> None:
    train = report.effects[0]
    assert {effect.name for effect in train.images} == {"brightness", "contrast", "sharpness", "colour"}
    assert [sum(effect.before) for effect in train.images] == [9] * 4
    assert [sum(effect.after) for effect in train.images] == [36] * 4
    assert [one.class_name for one in train.classes] == ["0", "1", "2"]
    assert sum(one.after for one in train.classes) == pytest.approx(1)
    assert train.fill is not None
    assert 0 < train.fill.share < 0.5


def test_costs_say_from_when_on_records_pay(report: Report) -> None:
    train = report.cost.splits[0]
    assert train.decode_ms is not None
    assert train.transforms
    assert train.row_bytes > 0


def test_nothing_of_the_dataset_is_changed(pairs: Path) -> None:
    def content() -> dict[str, bytes]:
        files = (path for path in pairs.rglob("*") if path.is_file() and ".build" not in path.parts)
        return {str(path): path.read_bytes() for path in files}

    before = content()
    precompute.report(pairs)
    assert content() == before


def test_json_has_all_but_pictures(pairs: Path, tmp_path: Path) -> None:
    found = precompute.report(pairs, json=tmp_path / "below" / "report.json")
    told = json.loads((tmp_path / "below" / "report.json").read_text())
    assert told.keys() == {*vars(found)} - {"legend", "damages"}
    assert told["facts"]["name"] == found.facts.name
    assert "picture" not in told["samples"][0]
    assert told["findings"] == [vars(finding) | {"examples": list(finding.examples)} for finding in found.findings]


@pytest.mark.slow
def test_two_reports_say_the_same_but_for_times(pairs: Path, report: Report) -> None:
    def said(found: Report) -> Any:
        told = json.loads(found.json())
        return {name: value for name, value in told.items() if name not in ("made", "cost")}

    assert said(precompute.report(pairs)) == said(report)


# What the command line does


@pytest.mark.slow
def test_strict_ends_with_6_if_there_is_anything_to_mend(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    few = ["--num-sources", "2"]
    assert main(["report", str(pairs), "--strict", *few]) == 0
    out = build(draw_pairs(tmp_path / "sources", 6), tmp_path / "out", validation_split=0)
    assert main(["report", str(out), *few]) == 0
    assert main(["report", str(out), "--strict", *few]) == 6
    assert (tmp_path / "report.html").exists()


@pytest.mark.slow
def test_the_command_says_findings_and_writes_page_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "below" / "page.html"
    out = build(draw_pairs(tmp_path / "sources", 6), tmp_path / "out", validation_split=0)
    assert (
        main(["report", str(out), "--json", str(tmp_path / "r.json"), "--num-sources", "2", "--output", str(page)]) == 0
    )
    said = capsys.readouterr().out
    assert "warning: There is no validation split." in said
    assert said.splitlines()[-1] == str(page)
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert json.loads((tmp_path / "r.json").read_text())["effects"][0]["num_sources"] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_sources": 0}, "num_sources: expected 1 or more, got 0"),
        ({"output": "report.pdf"}, "output: expected a file that ends with .html or .htm, got 'report.pdf'"),
        ({"num_rows": 0}, "num_rows: expected 1 or more, got 0"),
        ({"near_duplicates": "yes"}, "near_duplicates: expected one of auto, always, never, got 'yes'"),
        ({"json": "."}, "json: . is a folder; expected a file"),
        ({"near_duplicates": "never", "jobs": 2}, r"jobs \(--jobs\): is for sources that look alike"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(pairs: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        precompute.report(pairs, **changes)


def test_defaults_of_the_command_are_those_of_the_function() -> None:
    parsed = vars(make_parser().parse_args(["report", "OUT"]))
    signature = inspect.signature(precompute.report)
    shared = signature.parameters.keys() & parsed.keys() - {"output"}  # the command always writes a page
    assert {name: parsed[name] for name in shared} == {name: signature.parameters[name].default for name in shared}


# Where something is gone


@pytest.fixture
def copied(pairs: Path, tmp_path: Path) -> Path:
    """The dataset, with sources of its own."""
    shutil.copytree(pairs.parent, tmp_path / "copied")
    manifest = tmp_path / "copied" / "out" / "manifest.json"
    manifest.write_text(manifest.read_text().replace(str(pairs.parent), str(tmp_path / "copied")))
    DatasetPaths(tmp_path / "copied" / "out").perceptual_hashes.unlink(missing_ok=True)
    return tmp_path / "copied" / "out"


def test_sources_that_are_gone_are_said_and_records_are_told_of(copied: Path) -> None:
    shutil.rmtree(copied.parent / "sources")
    found = precompute.report(copied)
    assert any("12 sources" in note and "--source DIR" in note for note in found.notes)
    assert found.transforms == ()
    assert {(sample.picture, sample.variants[0].fired) for sample in found.samples} == {(None, None)}
    assert found.effects[0].baseline == ""
    assert found.effects[0].classes[0].before is None
    assert found.trust.near is not None
    assert found.trust.near.num_sources == found.trust.near.num_missing == 12


@pytest.mark.slow
def test_sources_that_have_moved_are_found_by_their_new_folder(copied: Path) -> None:
    moved = copied.parent / "sources"
    moved.rename(copied.parent / "moved")
    found = precompute.report(copied, source=copied.parent / "moved")
    assert found.notes == ()
    assert found.transforms[0].num_same == 36


@pytest.mark.slow
def test_a_source_that_has_changed_is_not_compared(copied: Path) -> None:
    changed = next((copied.parent / "sources" / "images").iterdir())
    save(changed, np.zeros((20, 18, 3), np.uint8))
    found = precompute.report(copied)
    assert any("changed" in note for note in found.notes)
    assert found.trust.near is not None
    assert found.trust.near.num_missing == 1


@pytest.mark.slow
def test_the_original_row_serves_where_sources_are_gone(tmp_path: Path) -> None:
    out = build(draw_pairs(tmp_path / "sources"), tmp_path / "out", include_original=True)
    shutil.rmtree(tmp_path / "sources")
    found = precompute.report(out)
    assert found.effects[0].baseline == "the stored original row"
    assert found.variants[0].num_equal_original is not None


class Brighter(A.ImageOnlyTransform):
    """A user's own transform."""

    def apply(self, img: Any, **_: Any) -> Any:
        return np.clip(img.astype(np.int16) + 20, 0, 255).astype(np.uint8)


def own_pipeline() -> A.Compose:
    return A.Compose([Brighter(p=0.5), A.Resize(SIZE, SIZE)])


@pytest.mark.slow
def test_a_pipeline_of_own_code_is_asked_for_and_taken(tmp_path: Path) -> None:
    out = build(draw_pairs(tmp_path / "sources"), tmp_path / "out", pipeline=own_pipeline())
    found = precompute.report(out)
    assert any("--pipeline FILE" in note for note in found.notes)
    assert found.transforms == ()
    assert found.samples
    again = precompute.report(out, pipeline=own_pipeline())
    assert [rate.name for rate in again.transforms[0].rates] == ["Brighter", "Resize"]
    with pytest.raises(PipelineError, match="not the one that the dataset was made with"):
        precompute.report(out, pipeline=A.Compose([A.Resize(SIZE, SIZE)]))


class Rolled(A.DualTransform):
    """A user's own transform that draws for each target anew: a mask beside the image would change later draws."""

    def apply(self, img: Any, **_: Any) -> Any:
        return np.roll(img, self.py_random.randint(1, 9), axis=1)


@pytest.mark.slow
def test_where_a_mask_of_the_source_would_change_draws_none_is_handed_over(tmp_path: Path) -> None:
    pipeline = A.Compose([Rolled(p=1), A.HorizontalFlip(p=0.5), A.Resize(SIZE, SIZE)])
    out = build(draw_classes(tmp_path / "sources"), tmp_path / "out", pipeline=pipeline)
    found = precompute.report(out, pipeline=pipeline)
    train, fill = found.transforms[0], found.effects[0].fill
    assert train.num_same == train.num_records > 0
    assert fill is None or fill.num_records < train.num_records


# Near duplicates, which are looked for among all sources

FEW: dict[str, Any] = {"num_sources": 1, "num_rows": 1}


@pytest.mark.slow
def test_hashes_are_kept_by_content_and_made_once(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = precompute.report(copied, **FEW).trust.near
    assert DatasetPaths(copied).perceptual_hashes.exists()

    def nobody(*_: Any) -> None:
        raise AssertionError("hashed again")

    monkeypatch.setattr("precompute.reporting.source_hashes.perceptual_hash", nobody)
    assert precompute.report(copied, **FEW).trust.near == first


@pytest.mark.slow
def test_a_cut_file_of_hashes_is_made_again(copied: Path) -> None:
    path = DatasetPaths(copied).perceptual_hashes
    first = precompute.report(copied, **FEW).trust.near
    path.write_bytes(path.read_bytes()[:40])
    assert precompute.report(copied, **FEW).trust.near == first


@pytest.mark.slow
def test_near_duplicates_are_only_looked_for_when_asked(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert precompute.report(pairs, near_duplicates="never", **FEW).trust.near is None
    monkeypatch.setattr("precompute.reporting.report.MAX_HASHED", 5)
    found = precompute.report(pairs, **FEW)
    assert found.trust.near is None
    assert any("--near-duplicates always" in note for note in found.notes)
    assert precompute.report(pairs, near_duplicates="always", **FEW).trust.near is not None


# Elsewhere


@pytest.mark.slow
def test_a_dataset_in_an_object_store_is_reported_on(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = f"memory://bucket/{request.node.name}/out"
    sources = draw_pairs(tmp_path / "sources")
    precompute.build(sources, url, **options())
    found = precompute.report(url)
    assert found.transforms[0].num_same == 27
    assert found.facts.generations == ()
    assert found.trust.near is not None
    assert DatasetPaths(as_path(url)).perceptual_hashes.exists()


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_to_is_reported_on(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise OSError("read-only")

    monkeypatch.setattr("precompute.reporting.source_hashes.write_whole", refused)
    assert precompute.report(copied, **FEW).trust.near is not None
    assert not DatasetPaths(copied).perceptual_hashes.exists()


def test_what_is_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no such file"):
        precompute.report(tmp_path)


@pytest.mark.slow
def test_a_file_of_figures_that_cannot_be_written_is_named(pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        precompute.report(pairs, json=tmp_path / "file" / "r.json", **FEW)


# A manifest that was altered

PIPELINES = ("settings", "pixels", "pipelines")
ALTERED: list[tuple[tuple[str | int, ...], Any]] = [
    ((*PIPELINES, "train", "transform"), "x"),
    ((*PIPELINES, "train", "transform", "transforms"), 3),
    ((*PIPELINES, "train", "transform", "transforms", 1), []),
    ((*PIPELINES, "validation", "transform", "p"), {}),
    ((*PIPELINES, "validation"), {"a": 1}),
    (PIPELINES, {}),
    (("settings", "dataset", "masks"), [["a"]]),
    (("settings", "dataset", "images"), -1),
    (("splits",), {}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("path", "value"), ALTERED, ids=lambda one: str(one)[:60])
def test_a_manifest_that_was_altered_ends_in_a_report_or_an_error(
    path: tuple[str | int, ...], value: Any, copied: Path
) -> None:
    manifest = json.loads((copied / "manifest.json").read_text())
    altered = manifest
    for name in path[:-1]:
        altered = altered[name]
    altered[path[-1]] = value
    (copied / "manifest.json").write_text(json.dumps(manifest))
    with contextlib.suppress(PrecomputeError):
        assert precompute.report(copied, near_duplicates="never", **FEW).facts.name == "out"
