"""Any fields together in one dataset: built from columns, listed, verified, read, drawn, told, grown."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import precompute
from precompute.dataset.manifest import Manifest
from precompute.dataset.paths import DatasetPaths
from precompute.errors import UsageError
from precompute.fields.box_column import BoxColumn
from precompute.fields.boxes import Boxes, Instances
from precompute.fields.column import Column, columns_by_name
from precompute.fields.field import Field
from precompute.fields.file_column import ExtraImageColumn, mask_column
from precompute.fields.instance_column import InstanceColumn
from precompute.fields.label_column import LabelColumn, LabelSetColumn
from precompute.fields.skeleton import Skeleton
from precompute.fields.value_column import ValueColumn
from precompute.inspecting.inspect import inspect
from precompute.inspecting.preview import preview_sheet
from precompute.inspecting.sample_renderer import make_sample_renderer
from precompute.options.build_options import BuildOptions
from precompute.pictures.sheet import save_sheet
from precompute.records.example import decode_example, encode_example
from precompute.records.tfrecord import frame, read_records
from precompute.table.listing_file import read_listing
from precompute.table.sources import Sources
from tests.helpers.angle_tensors import AngleTensors  # noqa: F401  # registers itself
from tests.helpers.angles import AngleColumn, write_angles
from tests.helpers.small_datasets import options, save, shard_hashes

tfds = pytest.importorskip("tensorflow_datasets")

NUM, HEIGHT, WIDTH = 6, 12, 16
NAMES = ["a", "b", "c"]
MOVES = {"depth": "mask", "clean": "image"}
FLIP = {
    "train": A.Compose([A.HorizontalFlip(p=0.5)], additional_targets=MOVES),
    "validation": A.Compose([A.NoOp()], additional_targets=MOVES),
}
OPTIONS = options(pipeline=FLIP, variants=1, validation_split=0.0)
# At most one column of each row; records of objects and of several labels an image both call something labels.
LABELS, OBJECTS = ("label", "labels"), ("boxes", "keypoints", "instances")
OTHERS = ("mask", "fine", "coarse", "angles", "depth", "clean", "age", "site", "dose", "turn", "weight")


def draw(i: int) -> dict[str, Any]:
    """Return what belongs to a source, by names of `LABELS`, `OTHERS` and parts of objects."""
    rng = np.random.default_rng([4, i])
    boxes = np.array([[2 + 3 * k, 1 + i % 3, 4 + 3 * k, 6 + k] for k in range(i % 3)], np.float32).reshape(-1, 4)
    inside = [[[x0 + 0.5, y0 + 0.5], [x1 - 0.5, y1 - 0.5]] for x0, y0, x1, y1 in boxes]
    return {
        "image": rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8),
        "label": i % 3,
        "labels": tuple(range(i % 4)),
        "mask": rng.integers(0, 3, (HEIGHT, WIDTH), dtype=np.uint8),
        "fine": np.random.default_rng([5, i]).integers(0, 3, (HEIGHT, WIDTH), dtype=np.uint8),
        "coarse": np.random.default_rng([6, i]).integers(0, 3, (HEIGHT, WIDTH), dtype=np.uint8),
        "angles": [float(i + j) for j in range(i % 4)],
        "depth": rng.integers(0, 2**16, (HEIGHT, WIDTH, 1), dtype=np.uint16),
        "clean": rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8),
        "age": i,
        "site": f"söte {i}",
        "dose": i / 4,
        "turn": i / 8,
        "weight": i / 2,
        "boxes": boxes,
        "keypoints": np.array(inside, np.float32).reshape(-1, 2, 2),
        "classes": [(i + k) % 3 for k in range(i % 3)],
    }


DRAWN = [draw(i) for i in range(NUM)]


def column_of(name: str, folder: Path) -> Column:
    """Return a column of all sources, with the files that it names."""
    values = [drawn[name] for drawn in DRAWN if name in drawn]
    match name:
        case "label":
            return LabelColumn(values=values)
        case "labels":
            return LabelSetColumn(values=values)
        case "mask" | "fine" | "coarse":
            for i, mask in enumerate(values):
                save(folder / f"{i}-{name}.png", mask)
            return mask_column(name, [f"{i}-{name}.png" for i in range(NUM)])
        case "angles":
            return AngleColumn(values=[write_angles(folder / f"{i}.txt", values[i]).name for i in range(NUM)])
        case "depth" | "clean":
            for i, pixels in enumerate(values):
                save(folder / f"{i}-{name}.png", pixels.squeeze())
            return ExtraImageColumn(name=name, values=[f"{i}-{name}.png" for i in range(NUM)])
        case "boxes" | "keypoints":
            column = BoxColumn.of_images(boxes_of(drawn, pointed=name == "keypoints") for drawn in DRAWN)
            return replace(column, skeleton=Skeleton(names=["head", "tail"])) if name == "keypoints" else column
        case "instances":
            return InstanceColumn.of_instances(
                Instances.of_shapes(shapes_of(i, drawn, folder), None) for i, drawn in enumerate(DRAWN)
            )
    of_type = {"age": "int", "site": "text"}.get(name, "float")
    learnt = {"is_target": name in ("dose", "turn"), "mirror_negates": name == "turn"}
    return replace(ValueColumn.of(name, of_type, values), **learnt)


def boxes_of(drawn: Mapping[str, Any], *, pointed: bool) -> Boxes:
    rows = [[*box, label, 0] for box, label in zip(drawn["boxes"].tolist(), drawn["classes"], strict=True)]
    points = [[number for point in of_box for number in (*point, 2)] for of_box in drawn["keypoints"].tolist()]
    return Boxes.of_rows(rows, (WIDTH, HEIGHT), points if pointed else None)


def shapes_of(i: int, drawn: Mapping[str, Any], folder: Path) -> list[tuple[str, int, int]]:
    names = [f"{i}-{k}.png" for k in range(len(drawn["classes"]))]
    for name, mask in zip(names, object_masks(drawn), strict=True):
        save(folder / name, mask.astype(np.uint8) * 255)
    return [(name, label, 0) for name, label in zip(names, drawn["classes"], strict=True)]


def object_masks(drawn: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    masks = np.zeros((len(drawn["boxes"]), HEIGHT, WIDTH), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, drawn["boxes"].astype(int), strict=True):
        mask[y0:y1, x0:x1] = True
    return masks


def make_sources(folder: Path, chosen: list[str]) -> Sources:
    for i, drawn in enumerate(DRAWN):
        save(folder / f"{i}.png", drawn["image"])
    columns = columns_by_name(*(column_of(name, folder) for name in chosen))
    sources = Sources(
        root=folder,
        keys=[str(i) for i in range(NUM)],
        images=[f"{i}.png" for i in range(NUM)],
        columns=columns,
        splits=["train"] * NUM,
        names_by_field=dict.fromkeys(columns, NAMES),
    )
    num_bytes = [sum(p.stat().st_size for p in (folder / f"{i}.png", *sources.files(i))) for i in range(NUM)]
    return replace(sources, num_bytes=num_bytes)


def expected(key: str, image: Any) -> dict[str, Any]:
    """Return all that belongs to an image, which shows whether it was mirrored."""
    drawn = DRAWN[int(key)]
    masks = object_masks(drawn)
    if np.array_equal(image, drawn["image"]):
        return {**drawn, "masks": masks}
    np.testing.assert_array_equal(image, drawn["image"][:, ::-1])
    return {
        **drawn,
        **{name: drawn[name][:, ::-1] for name in ("mask", "fine", "coarse", "depth", "clean")},
        "angles": [-angle for angle in drawn["angles"]],
        "turn": -drawn["turn"],
        "boxes": np.array([WIDTH, 0, WIDTH, 0], np.float32) + drawn["boxes"][:, [2, 1, 0, 3]] * [-1, 1, -1, 1],
        "keypoints": np.array([WIDTH, 0], np.float32) + drawn["keypoints"] * [-1, 1],
        "masks": masks[:, :, ::-1],
    }


def check_objects(name: str, found: Mapping[str, Any], truth: Mapping[str, Any]) -> None:
    """Check objects; what is padded holds more of them than there are."""
    number = len(truth["classes"])
    assert list(found["labels"][:number]) == truth["classes"]
    np.testing.assert_allclose(found["boxes"][:number], truth["boxes"], atol=1e-4)
    if name == "keypoints":
        np.testing.assert_allclose(found["keypoints"][:number], truth["keypoints"], atol=1e-4)
    if name == "instances":
        np.testing.assert_array_equal(found["masks"][:number], truth["masks"])


def check_read(out: Path, chosen: list[str]) -> None:
    for example in precompute.read(out):
        truth = expected(example["key"], example["image"])
        flat = {**example, **example.get("extra", {}), **example.get("values", {})}
        for name in chosen:
            if name in OBJECTS:
                check_objects(name, example, truth)
            else:
                np.testing.assert_array_equal(flat[name], truth[name])


def check_loaded(out: Path, chosen: list[str], schema: Mapping[str, Field]) -> None:
    targets, extra = (
        list(Manifest.load(out).schema.targets),
        [name for name in ("age", "site", "depth", "clean") if name in chosen],
    )
    seen = 0
    for batch in precompute.load(out, batch_size=4, fresh=["horizontal"], extra=extra, with_keys=True):
        images, *others, keys = batch
        values: dict[str, Any] = dict(others[-1]) if extra else {}
        if targets:
            values |= others[0] if len(targets) > 1 else {targets[0]: others[0]}
        assert set(values) == {*targets, *extra}
        for i, key in enumerate(keys.numpy()):
            check_loaded_example(images[i].numpy(), {name: _at(of, i) for name, of in values.items()}, key, chosen)
            seen += 1
    assert seen == NUM


def check_loaded_example(image: Any, values: Mapping[str, Any], key: bytes, chosen: list[str]) -> None:
    truth = expected(key.decode(), image)
    truth["labels"] = np.isin(range(len(NAMES)), truth["labels"])
    truth["site"] = truth["site"].encode()
    for name, found in values.items():
        if name == "objects":
            check_objects(next(name for name in chosen if name in OBJECTS), found, truth)
        elif name == "angles":
            assert found[~np.isnan(found)].tolist() == truth[name]
        else:
            np.testing.assert_array_equal(found, truth[name])


def _at(value: Any, i: int) -> Any:
    return {name: part[i].numpy() for name, part in value.items()} if isinstance(value, dict) else value[i].numpy()


def check_altered(out: Path, field: Field) -> None:
    """Let two records exchange what they hold of a field: this must be found."""
    (shard,) = (out / "data").rglob("*train_r0000.tfrecord-*")
    content = shard.read_bytes()
    records = [dict(decode_example(record)) for record in read_records(shard)]
    a, b = next((a, b) for a in records for b in records if any(a[key] != b[key] for key in field.features))
    exchanged = [({key: of[key] for key in field.features}) for of in (b, a)]
    for record, values in zip((a, b), exchanged, strict=True):
        record.update(values)
    shard.write_bytes(b"".join(frame(encode_example(record)) for record in records))
    assert precompute.verify(out, sources=NUM, jobs=1).problems
    shard.write_bytes(content)


def check_told(folder: Path, sources: Sources, schema: Mapping[str, Field], chosen: list[str]) -> None:
    text = inspect(folder / "out").text()
    pixels = Manifest.load(folder / "out").settings["pixels"]
    for name, field in schema.items():
        if name != "image":
            assert field.describe(pixels, 2) in text
    renderer = make_sample_renderer(sources, BuildOptions.make(**OPTIONS), "train", lambda _: None)
    sheet = preview_sheet(renderer, num_sources=3, num_variants=1)
    for line in sheet.lines:
        truth = DRAWN[int(line.caption)]
        for name in ("mask", "fine", "coarse"):
            assert (name in chosen) == bool(line.cells[0].layers.get(name))
        assert all(f"{name} {truth[name]:g}" in line.remark for name in ("age", "dose", "weight") if name in chosen)
        assert all(("angles: " in cell.caption) == ("angles" in chosen) for cell in line.cells)
    assert Image.open(save_sheet(sheet, folder / "preview.png")).width > 100


def check_opened(out: Path, schema: Any) -> None:
    examples = list(tfds.as_numpy(tfds.builder_from_directory(out).as_dataset(split="train_r0000")))
    stored = {example["key"]: example["image"] for example in precompute.read(out)}
    assert len(examples) == NUM
    for example in examples:
        assert example.keys() == schema.features.keys()
        np.testing.assert_array_equal(example["image/encoded"], stored[example["augment/key"].decode()])


def build(sources: Sources, out: Path, **changes: Any) -> None:
    """Build, or go on with, a dataset from sources that no layout finds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("precompute.building.build.find", lambda *_: sources)
        precompute.build(None, out, **OPTIONS | changes)


def check_whole_way(folder: Path, chosen: list[str]) -> None:
    sources, out = make_sources(folder / "sources", chosen), folder / "out"
    build(sources, out)
    manifest = Manifest.load(out)
    assert set(manifest.schema) == {"image", *sources.columns}
    listing = read_listing(DatasetPaths(out).sources(manifest.generation, "train"))
    assert {name: list(column) for name, column in listing.columns.items()} == {
        name: list(column) for name, column in sources.columns.items()
    }
    assert precompute.verify(out, sources=NUM, jobs=1).problems == []
    check_read(out, chosen)
    check_loaded(out, chosen, manifest.schema)
    check_told(folder, sources, manifest.schema, chosen)
    check_opened(out, manifest.schema)
    for name, field in manifest.schema.items():
        if name != "image":
            check_altered(out, field)
    before = shard_hashes(out)
    build(sources, out, variants=2)
    assert before.items() < shard_hashes(out).items()
    assert precompute.verify(out, sources=2 * NUM, jobs=1).problems == []


@st.composite
def combinations(draw: st.DrawFn) -> list[str]:
    """Return names of columns that one dataset may have."""
    objects = draw(st.sampled_from([None, *OBJECTS]))
    label = draw(st.sampled_from([None, *LABELS[: 1 if objects else 2]]))
    others = [name for name in OTHERS if draw(st.booleans())]
    return [name for name in (label, objects, *others) if name is not None]


def test_a_label_a_mask_keypoints_and_values_go_the_whole_way(tmp_path: Path) -> None:
    check_whole_way(tmp_path, ["label", "keypoints", *OTHERS])


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (
            ["label", "labels"],
            "label, labels: one dataset cannot hold them together: labels: another field has",
        ),
        (["labels", "boxes"], "labels, objects: .* another field of the schema gives examples 'labels', too"),
    ],
)
def test_fields_that_exclude_one_another_are_refused(tmp_path: Path, chosen: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(make_sources(tmp_path / "sources", chosen), tmp_path / "out")
    assert not (tmp_path / "out/data").exists()


@pytest.mark.slow
@settings(max_examples=6)
@given(chosen=combinations())
def test_any_combination_goes_the_whole_way(chosen: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        check_whole_way(Path(name), chosen)
