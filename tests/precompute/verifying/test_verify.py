"""`precompute.verify`: whatever is altered, it finds it."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError, PipelineError, RejectedSource, VerificationError
from precompute.records.example import decode_example
from precompute.records.tfrecord import frame, read_records
from precompute.rendering.rebuild import RecordRebuilder
from precompute.verifying import reproduced
from precompute.verifying.verify import VerifyReport, verify
from tests.helpers.small_datasets import draw_classes, draw_pairs, options, save, shard_hashes


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sources, and a dataset of 8 × 8 pixels with two rows."""
    folder = tmp_path_factory.mktemp("tiny")
    draw_pairs(folder / "sources", 24)
    size = A.Compose([A.HorizontalFlip(p=0.5), A.RandomBrightnessContrast(p=1), A.Resize(8, 8)])
    precompute.build(folder / "sources", folder / "out", **options(pipeline=size, variants=2, include_original=True))
    return folder


@pytest.fixture
def out(tiny: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    shutil.copytree(tiny / "out", tmp_path / "out")
    return tmp_path / "out"


def shards_of(out: Path, split: str = "train", row: int = 0) -> list[Path]:
    return sorted((out / "data").rglob(f"*-{split}_r{row:04d}.tfrecord-*"))


def found(report: VerifyReport) -> list[tuple[str, str]]:
    return [(problem.path.name, problem.kind) for problem in report.problems]


@contextmanager
def edited(path: Path) -> Iterator[Any]:
    content = json.loads(path.read_text())
    yield content
    path.write_text(json.dumps(content))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_whole_dataset_has_no_problems(tiny: Path) -> None:
    seen: list[Path] = []
    report = verify(tiny / "out", on_shard=lambda check: seen.append(check.path))
    assert report.problems == []
    assert sorted(seen) == sorted((tiny / "out" / "data").rglob("*.tfrecord-*"))
    assert (report.num_shards, report.num_records) == (len(seen), 3 * 18 + 6)
    assert report.num_bytes == sum(path.stat().st_size for path in seen)
    assert report.summary() == "7 shards, 60 records decoded: all as written"
    report.raise_for_problems()


@pytest.mark.slow
@settings(max_examples=100)
@given(data=st.data())
def test_a_flipped_bit_anywhere_is_found(tiny: Path, data: st.DataObject) -> None:
    files = sorted(path for path in (tiny / "out" / "data").rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(files))
    whole = path.read_bytes()
    position = data.draw(st.integers(0, len(whole) - 1))
    altered = bytearray(whole)
    altered[position] ^= 1 << data.draw(st.integers(0, 7))
    try:
        path.write_bytes(bytes(altered))
        report = verify(tiny / "out", jobs=1)
    finally:
        path.write_bytes(whole)
    assert [problem.path for problem in report.problems] == [path]


@pytest.mark.slow
@settings(max_examples=40)
@given(data=st.data())
def test_a_shard_cut_anywhere_is_found(tiny: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(shards_of(tiny / "out")))
    whole = path.read_bytes()
    ends = [sum(len(frame(r)) for r in list(read_records(path))[:n]) for n in range(len(list(read_records(path))))]
    length = data.draw(st.one_of(st.sampled_from(ends), st.integers(0, len(whole) - 1)))
    try:
        path.write_bytes(whole[:length])
        report = verify(tiny / "out", jobs=1)
    finally:
        path.write_bytes(whole)
    assert found(report) == [(path.name, "shard")]
    assert f"{length:,} bytes, expected {len(whole):,}" in report.problems[0].why


def test_a_cut_between_records_says_how_many_are_left(out: Path) -> None:
    shard = shards_of(out)[0]
    shard.write_bytes(b"".join(map(frame, list(read_records(shard))[:-2])))
    (problem,) = verify(out).problems
    assert problem.why.endswith("; 7 records, expected 9")


def test_two_swapped_shards_are_both_found(out: Path) -> None:
    first, second = shards_of(out)[:2]
    meanwhile = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(meanwhile)
    assert found(verify(out)) == [(first.name, "shard"), (second.name, "shard")]


def test_shards_swapped_with_their_hashes_are_found_by_their_records(out: Path) -> None:
    """All sums agree: only keys and draws tell."""
    paths = [next((out / "data").rglob(f"train_r{row:04d}.json")) for row in (1, 2)]
    swapped = [json.loads(path.read_text())["shards"] for path in reversed(paths)]
    with edited(out / "manifest.json") as manifest:
        for path, shards, row in zip(paths, swapped, manifest["splits"]["train"]["rows"][1:], strict=True):
            with edited(path) as content:
                content["shards"] = shards
            row["sha256"], row["num_bytes"] = sha256(path), sum(shard["num_bytes"] for shard in shards)
    for one, other in zip(shards_of(out, row=1), shards_of(out, row=2), strict=True):
        meanwhile = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(meanwhile)
    report = verify(out)
    assert found(report) == [(path.name, "record") for row in (1, 2) for path in shards_of(out, row=row)]
    assert "has seed 0, variant 1; row 1 has seed 0, variant 0" in report.problems[0].why


def test_records_in_another_order_are_found(out: Path) -> None:
    """Even when every hash was made to fit."""
    shard = shards_of(out, row=1)[0]
    shard.write_bytes(b"".join(map(frame, reversed(list(read_records(shard))))))
    row_path = next((out / "data").rglob("train_r0001.json"))
    with edited(row_path) as row:
        row["shards"][0]["sha256"] = sha256(shard)
    with edited(out / "manifest.json") as manifest:
        manifest["splits"]["train"]["rows"][1]["sha256"] = sha256(row_path)
    (problem,) = verify(out).problems
    assert problem.path == shard
    assert "record 0: is '" in problem.why


def test_a_missing_shard_is_found(out: Path) -> None:
    shard = shards_of(out)[1]
    shard.unlink()
    (problem,) = verify(out).problems
    assert str(problem) == f"{shard}: missing"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("row", 7),
        ("seed", 5),
        ("variant", 1),
        ("original", False),
        ("num_records", 3),
        ("num_bytes", 3),
        ("sha256", "0"),
    ],
)
def test_an_edited_row_of_the_manifest_is_found(out: Path, name: str, value: Any) -> None:
    with edited(out / "manifest.json") as manifest:
        manifest["splits"]["train"]["rows"][0][name] = value
    assert {kind for _, kind in found(verify(out))} >= {"list"}


@pytest.mark.parametrize(
    ("split_field", "value"),
    [("num_places", 17), ("num_records", 17), ("num_blocks", 3), ("sources_sha256", "0"), ("next_row", 2)],
)
def test_an_edited_split_of_the_manifest_is_found(out: Path, split_field: str, value: Any) -> None:
    with edited(out / "manifest.json") as manifest:
        split = manifest["splits"]["train"]
        (split["segments"][0] if split_field in split["segments"][0] else split)[split_field] = value
    assert {kind for _, kind in found(verify(out))} >= {"list"}


def test_a_row_listed_twice_and_altered_settings_are_found(out: Path) -> None:
    with edited(out / "manifest.json") as manifest:
        rows = manifest["splits"]["train"]["rows"]
        rows.append(copy.deepcopy(rows[1]))
        manifest["settings"]["pixels"]["quality"] = 20
    why = [problem.why for problem in verify(out).problems]
    assert "settings.pixels is not what the fingerprint was taken of" in why
    assert "train: row 1 is listed 2 times" in why


def test_an_edited_row_file_is_found(out: Path) -> None:
    path = next((out / "data").rglob("train_r0001.json"))
    with edited(path) as row:
        row["shards"][0]["num_records"] += 1
    (problem,) = verify(out).problems
    assert (problem.path, problem.kind) == (path, "list")
    assert "not the row file that the manifest names" in problem.why


def test_a_record_that_the_list_of_sources_labels_otherwise_is_found(tmp_path: Path) -> None:
    precompute.build(draw_classes(tmp_path / "sources"), tmp_path / "out", **options(variants=1))
    path = tmp_path / "out" / "data" / "g0001" / "sources-train.jsonl"
    lines = path.read_text().splitlines()
    lines[0] = lines[0].replace('"label": 0', '"label": 1')
    path.write_text("\n".join(lines) + "\n")
    with edited(tmp_path / "out" / "manifest.json") as manifest:
        manifest["splits"]["train"]["sources_sha256"] = sha256(path)
    (problem,) = verify(tmp_path / "out").problems
    assert "has class 0, the list of sources 1" in problem.why


def test_class_ids_beyond_the_classes_are_found(tmp_path: Path) -> None:
    """Here the manifest was edited: a build counts what its pipeline fills masks with."""
    draw_pairs(tmp_path / "sources")
    fill = A.Compose([A.Affine(translate_px=8, fill_mask=9, p=1), A.Resize(16, 16)])
    precompute.build(tmp_path / "sources", tmp_path / "out", **options(pipeline=fill, variants=1))
    assert verify(tmp_path / "out").problems == []
    with edited(tmp_path / "out" / "manifest.json") as manifest:
        manifest["schema"]["mask"]["num_classes"] = 3
    report = verify(tmp_path / "out")
    assert "its mask holds the class id 9, expected ids up to 2" in report.problems[0].why
    with pytest.raises(
        VerificationError, match="are whole, but their records are not what the manifest says"
    ) as caught:
        report.raise_for_problems()
    assert "--check full" not in str(caught.value)  # it would find nothing to do
    given = options(pipeline=fill, variants=1, ignore_class=9)
    precompute.build(tmp_path / "sources", tmp_path / "ignored", **given)
    assert verify(tmp_path / "ignored").problems == []


def test_the_error_names_the_first_ones_all_of_them_counted_and_the_way_out(out: Path) -> None:
    for row in range(3):
        for shard in shards_of(out, row=row):
            shard.write_bytes(b"")
    report = verify(out)
    with pytest.raises(VerificationError) as caught:
        report.raise_for_problems()
    text = str(caught.value)
    assert caught.value.exit_code == 4
    assert text.startswith(f"{out}: 7 shards, 6 records decoded: 6 problems:\n  6 × 0 bytes, expected …")
    assert f"\n    {shards_of(out)[0]}: 0 bytes, expected " in text
    assert "… and 1 more (6 in total)" in text
    assert "--check full" in text.splitlines()[-1]


def test_what_the_error_advises_puts_every_byte_back(tiny: Path, tmp_path: Path) -> None:
    given = options(variants=2)
    precompute.build(tiny / "sources", tmp_path / "out", **given)
    before = shard_hashes(tmp_path / "out")
    shards = shards_of(tmp_path / "out")
    altered = bytearray(shards[0].read_bytes())
    altered[len(altered) // 2] ^= 1
    shards[0].write_bytes(bytes(altered))
    shards[1].unlink()
    assert found(verify(tmp_path / "out")) == [(path.name, "shard") for path in shards[:2]]
    precompute.build(tiny / "sources", tmp_path / "out", **given, check="full")
    assert verify(tmp_path / "out").problems == []
    assert shard_hashes(tmp_path / "out") == before


def test_a_dataset_that_is_not_there_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="build the dataset first"):
        verify(tmp_path)


# Records made again from their sources.


def test_every_record_comes_out_again(tiny: Path) -> None:
    report = verify(tiny / "out", sources=1000)
    assert (report.problems, report.notes, report.num_remade) == ([], [], 60)
    assert report.summary() == "7 shards, 60 records decoded, 60 records made again from their sources: all as written"


def test_a_record_made_alone_equals_the_stored_one(tiny: Path) -> None:
    out = tiny / "out"
    manifest = Manifest.load(out)
    for row in manifest.splits["train"].rows:
        for shard in shards_of(out, row=row.row):
            for record in read_records(shard):
                key = key_of(record)
                assert RecordRebuilder(out, manifest).record("train", row, key) == record


def key_of(record: bytes) -> str:
    return decode_example(record)["augment/key"][0].decode()  # type: ignore[union-attr]


def test_which_records_are_made_again_follows_from_the_seed(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(
        RecordRebuilder, "record", lambda self, *place: asked.append((place[0], place[1].row, *place[2:])) or b""
    )
    verify(tiny / "out", sources=5, seed=1)
    verify(tiny / "out", sources=5, seed=1)
    verify(tiny / "out", sources=5, seed=2)
    assert asked[:5] == asked[5:10] != asked[10:]
    assert len(set(asked[:5])) == 5


def test_a_source_that_changed_is_named(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny / "sources", tmp_path / "sources")
    moved = tmp_path / "sources"
    assert verify(tiny / "out", sources=10, source=moved).problems == []
    for path in (moved / "images").iterdir():
        save(path, np.zeros((20, 18, 3), np.uint8))
    for path in (moved / "masks").iterdir():
        save(path, np.zeros((20, 18), np.uint8))
    report = verify(tiny / "out", sources=4, source=moved)
    assert {problem.kind for problem in report.problems} == {"source"}
    assert len(report.problems) == 4
    assert "its content has changed since records were made from it" in report.problems[0].why
    with pytest.raises(VerificationError, match="have sources or package versions changed since"):
        report.raise_for_problems()


def test_a_source_that_is_gone_is_named(tiny: Path, tmp_path: Path) -> None:
    why = verify(tiny / "out", sources=1, source=tmp_path).problems[0].why
    assert "cannot be read: No such file or directory" in why


class Brighter(A.ImageOnlyTransform):
    """A user's own transform: it cannot be rebuilt from JSON."""

    def apply(self, img: Any, **params: Any) -> Any:
        return np.minimum(img, 250) + np.uint8(5)


def test_a_pipeline_with_code_has_to_be_given(tmp_path: Path) -> None:
    own = A.Compose([Brighter(p=1), A.HorizontalFlip(p=0.5), A.Resize(16, 16)])
    precompute.build(draw_classes(tmp_path / "sources"), tmp_path / "out", **options(pipeline=own, variants=1))
    report = verify(tmp_path / "out", sources=3)
    assert report.num_remade == 0
    assert "pipeline of train: it cannot be rebuilt from the manifest" in report.problems[0].why
    assert verify(tmp_path / "out", sources=3, pipeline=own).num_remade == 3
    other = A.Compose([Brighter(p=1), A.Resize(16, 16)])
    (problem,) = verify(tmp_path / "out", sources=3, pipeline=other).problems
    assert "no record could be made again: pipeline of train: this is not the one that the dataset was" in problem.why
    with pytest.raises(PipelineError, match="--pipeline"):
        RecordRebuilder(tmp_path / "out", Manifest.load(tmp_path / "out"))


def test_another_processor_may_round_otherwise(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated: one grey level more in what is made now."""
    encode = precompute.rendering.render.encode_image

    def rounded(image: Any, *how: Any) -> bytes:
        near = image.copy()
        near[0, 0, 0] ^= 1
        return bytes(encode(near, *how))

    monkeypatch.setattr("precompute.rendering.render.encode_image", rounded)
    same = verify(tiny / "out", sources=3)
    assert len(same.problems) == 3
    assert "its source now gives other pixels, by up to 1 grey level" in same.problems[0].why
    monkeypatch.setattr(reproduced.cv2, "getCPUFeaturesLine", lambda: "another")
    other = verify(tiny / "out", sources=3)
    assert other.problems == []
    assert "this processor has other features" in other.notes[0]
    assert cv2.getCPUFeaturesLine() == "another"


def test_other_versions_are_said(out: Path) -> None:
    with edited(out / "manifest.json") as manifest:
        manifest["settings"]["pixels"]["versions"]["numpy"] = "1.0"
    assert any(note.startswith("written with numpy 1.0, installed is ") for note in verify(out, sources=1).notes)


def test_a_place_that_the_dataset_does_not_have_is_refused(tiny: Path) -> None:
    manifest = Manifest.load(tiny / "out")
    with pytest.raises(DatasetError, match="train has no source 'nobody'"):
        RecordRebuilder(tiny / "out", manifest).record("train", manifest.splits["train"].rows[0], "nobody")
    with pytest.raises(RejectedSource, match="No such file"):
        key = key_of(next(read_records(shards_of(tiny / "out")[0])))
        RecordRebuilder(tiny / "out", manifest, source="/nowhere").record(
            "train", manifest.splits["train"].rows[0], key
        )


@pytest.mark.slow
def test_real_pairs(real_data: Path, tmp_path: Path) -> None:
    given = {"pipeline": "medium", "image_size": 96, "mask_map": {255: 1}, "validation_split": 0.2, "variants": 2}
    precompute.build(real_data / "nuclei", tmp_path / "out", **options(**given, image_format="jpeg"))
    report = verify(tmp_path / "out", sources=60)
    assert (report.problems, report.num_remade) == ([], 60)
