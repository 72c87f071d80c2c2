"""A type of field that tests alone know goes the whole way: built, verified, read, drawn, grown."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
from PIL import Image

import precompute
from precompute.dataset.manifest import Manifest
from precompute.dataset.paths import DatasetPaths
from precompute.errors import SettingsError
from precompute.fields.column import columns_by_name
from precompute.fields.file_column import PathColumn
from precompute.fields.label_column import LabelColumn
from precompute.inspecting.inspect import inspect
from precompute.inspecting.preview import preview_sheet
from precompute.inspecting.sample_renderer import make_sample_renderer
from precompute.options.build_options import BuildOptions
from precompute.pictures.sheet import save_sheet
from precompute.pictures.stored_sheet import draw_stored
from precompute.records.example import decode_example, encode_example
from precompute.records.tfrecord import frame, read_records
from precompute.rendering.rebuild import RecordRebuilder
from precompute.table.listing_file import read_listing
from precompute.table.sources import Sources
from tests.helpers import angle_tensors  # noqa: F401  # registers its twin
from tests.helpers.angles import MOST, AngleColumn, AngleField, write_angles
from tests.helpers.small_datasets import save

NUM = 8
ANGLES = [[float(10 * i + j) for j in range(i % (MOST + 1))] for i in range(NUM)]
PIPELINE = {"train": A.Compose([A.HorizontalFlip(p=0.5)]), "validation": A.Compose([A.NoOp()])}
OPTIONS: dict[str, Any] = {"pipeline": PIPELINE, "variants": 2, "jobs": 2, "quiet": True, "image_format": "png"}


def draw_sources(folder: Path) -> Sources:
    """Write images whose left half is bright, and a mask and a file of angles beside each."""
    for i in range(NUM):
        pixels = np.random.default_rng(i).integers(0, 60, (12, 16, 3), dtype=np.uint8)
        pixels[:, :8] += 90
        save(folder / f"{i}.png", pixels)
        save(folder / f"{i}-mask.png", (pixels[..., 0] > 75).astype(np.uint8))
        write_angles(folder / f"{i}.angles", ANGLES[i])
    return sources_of(folder)


def sources_of(folder: Path) -> Sources:
    """The sources of what `draw_sources` wrote, as it is now."""
    columns = [
        LabelColumn(values=[i % 2 for i in range(NUM)]),
        PathColumn(values=[f"{i}-mask.png" for i in range(NUM)]),
        AngleColumn(values=[f"{i}.angles" for i in range(NUM)]),
    ]
    return Sources(
        root=folder,
        keys=[str(i) for i in range(NUM)],
        images=[f"{i}.png" for i in range(NUM)],
        columns=columns_by_name(*columns),
        splits=["validation" if i == NUM - 1 else "train" for i in range(NUM)],
        num_bytes=[sum(path.stat().st_size for path in folder.glob(f"{i}[.-]*")) for i in range(NUM)],
        names_by_field={column.name: ["cat", "dog"] for column in columns},
    )


def build(folder: Path, sources: Sources, **changes: Any) -> precompute.BuildResult:
    """Build, or go on with, the dataset in `folder` from sources that no layout finds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("precompute.building.build.find", lambda *_: sources)
        return precompute.build(None, folder / "out", **OPTIONS | changes)


def is_mirrored(image: Any) -> bool:
    return bool(image[:, 8:].mean() > image[:, :8].mean())


def expected_angles(key: str, image: Any) -> list[float]:
    """The angles that belong to an image of a source, moved or not."""
    return [-angle if is_mirrored(image) else angle for angle in ANGLES[int(key)]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sources, and a dataset of them that loky workers made; tests do not change it."""
    folder = tmp_path_factory.mktemp("any_field")
    build(folder, draw_sources(folder / "sources"), backend="loky")
    return folder


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Iterator[Path]:
    """The dataset and its sources, to be changed; they lie where they were built."""
    shutil.copytree(folder, tmp_path / "kept", copy_function=shutil.copy2)
    yield folder
    for name in ("out", "sources"):
        shutil.rmtree(folder / name)
        shutil.copytree(tmp_path / "kept" / name, folder / name, copy_function=shutil.copy2)


def test_manifest_and_list_say_it(folder: Path) -> None:
    manifest = Manifest.load(folder / "out")
    assert manifest.schema["angles"] == AngleField(name="angles")
    assert list(manifest.schema.targets) == ["label", "mask", "angles"]
    listing = read_listing(DatasetPaths(folder / "out").sources(manifest.generation, "train"))
    assert [listing[key]["angles"] for key in listing] == [f"{key}.angles" for key in listing]
    assert all(len(listing[key]["mask_sha256"]) == 64 for key in listing)


def test_both_readers_hand_it_out(folder: Path) -> None:
    seen = set()
    for row in range(2):
        for example in precompute.read(folder / "out", row=row):
            assert example["angles"].tolist() == expected_angles(example["key"], example["image"])
            seen.add(is_mirrored(example["image"]))
    assert seen == {True, False}
    for cache in (True, False):
        loaded = precompute.load(folder / "out", batch_size=4, fresh=["horizontal"], with_keys=True, cache=cache)
        for images, targets, keys in loaded.repeat(3):
            assert list(targets) == ["label", "mask", "angles"] and targets["angles"].shape[1] == MOST
            for image, angles, key in zip(images.numpy(), targets["angles"].numpy(), keys.numpy(), strict=True):
                assert angles[~np.isnan(angles)].tolist() == expected_angles(key.decode(), image)


def test_a_report_shows_it(folder: Path) -> None:
    found = precompute.report(folder / "out")
    assert [field.name for field in found.facts.fields if field.is_target] == ["label", "mask", "angles"]
    assert found.transforms[0].num_same == found.transforms[0].num_records
    texts = {text for sample in found.samples for variant in sample.variants for text in variant.texts}
    assert any(text.startswith("angles: [") for text in texts)


def test_a_difference_names_it(folder: Path, copied: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "out", tmp_path / "before")
    assert precompute.diff(folder / "out", against_installed=True).are_equal
    write_angles(copied / "sources/3.angles", [1.5])
    build(copied, sources_of(copied / "sources"), replace=True)
    found = precompute.diff(tmp_path / "before", copied / "out")
    assert found.sources.changed == {"3": ["files"]}
    assert [value.name for value in found.sample.values] == ["angles"] and len(found.sample.pairs) == 2


def test_tensorflow_datasets_opens_it(folder: Path) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    builder = tfds.builder_from_directory(folder / "out")
    examples = list(tfds.as_numpy(builder.as_dataset(split="train_r0001")))
    assert len(examples) == NUM - 1
    for example in examples:
        expected = expected_angles(example["augment/key"].decode(), example["image/encoded"])
        assert example["angles/angles"].tolist() == expected


def test_it_is_verified_against_sources(folder: Path) -> None:
    report = precompute.verify(folder / "out", sources=NUM)
    assert report.problems == [] and report.num_remade == NUM


def test_an_altered_value_is_found(copied: Path) -> None:
    for shard in sorted((copied / "out/data").rglob("*train_r0000.tfrecord-*")):
        records = [_altered(record, "angles/angles", [math.pi]) for record in read_records(shard)]
        shard.write_bytes(b"".join(map(frame, records)))
    texts = " ".join(problem.why for problem in precompute.verify(copied / "out", sources=2 * NUM).problems)
    assert "angles is" in texts and "its source now gives" in texts


def test_a_value_that_no_field_holds_is_found(copied: Path) -> None:
    shard = next((copied / "out/data").rglob("*train_r0000.tfrecord-*"))
    records = [_altered(record, "angles/angles", [720.0]) for record in read_records(shard)]
    shard.write_bytes(b"".join(map(frame, records)))
    assert any("its angles go up to 720" in problem.why for problem in precompute.verify(copied / "out").problems)


def _altered(record: bytes, key: str, value: Any) -> bytes:
    return encode_example({**decode_example(record), key: np.array(value, np.float32)})


def test_an_inspection_names_it(folder: Path) -> None:
    text = inspect(folder / "out").text()
    assert "label: class, 2 of them" in text and "angles (angles)" in text


def test_pictures_show_it(folder: Path, tmp_path: Path) -> None:
    sources = draw_sources(tmp_path / "sources")
    renderer = make_sample_renderer(sources, BuildOptions.make(**OPTIONS), "train", lambda _: None)
    sheet = preview_sheet(renderer, num_sources=2, num_variants=2)
    for line in sheet.lines:
        for cell in line.cells:
            expected = np.array(expected_angles(line.caption, cell.image), np.float32)
            assert cell.caption == f"angles: {expected}" and "mask" in cell.layers
    assert Image.open(save_sheet(sheet, tmp_path / "preview.png")).width > 100
    assert Image.open(draw_stored(folder / "out", output=tmp_path / "stored.png")).width > 100


def test_it_grows_and_is_made_anew(copied: Path) -> None:
    sources = sources_of(copied / "sources")
    first = {row: _angles(copied, row) for row in range(2)}
    (copied / "sources/1.angles").touch()  # younger than what was written, and the same
    build(copied, sources, variants=3)
    assert {row: _angles(copied, row) for row in range(2)} == first
    assert len(Manifest.load(copied / "out").splits["train"].rows) == 3
    precompute.regenerate(copied / "out", seed=9, backend="sequential", quiet=True)
    assert precompute.verify(copied / "out", sources=NUM).problems == []


def _angles(folder: Path, row: int) -> list[tuple[str, list[float]]]:
    return [(example["key"], example["angles"].tolist()) for example in precompute.read(folder / "out", row=row)]


def test_one_record_is_made_again(folder: Path) -> None:
    manifest = Manifest.load(folder / "out")
    row = manifest.splits["train"].rows[1]
    for block in range(manifest.splits["train"].num_blocks):
        for record in read_records(manifest.shard_path(folder / "out", "train", row.row, block)):
            key: Any = decode_example(record)["augment/key"]
            assert RecordRebuilder(folder / "out", manifest).record("train", row, key[0].decode()) == record


def test_a_file_that_changed_is_noticed(copied: Path) -> None:
    path = copied / "sources" / "3.angles"
    write_angles(path, [31.0, 32.0, 30.0])
    sources = sources_of(copied / "sources")
    with pytest.raises(SettingsError, match=f"3: the content of {path} changed"):
        build(copied, sources, variants=3)


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    sources = draw_sources(tmp_path / "sources")
    (tmp_path / "sources/2.angles").write_text("steep")
    result = build(tmp_path, sources, skip_bad=1)
    (skipped,) = result.manifest.skipped
    assert skipped["key"] == "2" and "2.angles: expected an angle a line" in json.dumps(skipped)
