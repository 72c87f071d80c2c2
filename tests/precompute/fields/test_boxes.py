"""Boxes, from Python to records and what readers hand out: they land where the pixels went."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import BadSourcesError, PipelineError, SettingsError, SourceError, UsageError
from precompute.fields.objects import BOX_KEY
from precompute.inspecting import preview
from precompute.inspecting.inspect import inspect
from precompute.options.build_options import BuildOptions
from precompute.pictures import stored_sheet
from precompute.records.example import decode_example
from precompute.records.tfrecord import read_records
from tests.helpers.box_datasets import (
    NAMES,
    check_pixels_under_boxes,
    draw_boxed,
    examples_of,
    identity,
    stored_boxes,
    turning,
)
from tests.helpers.small_datasets import options, save, shard_hashes


def lists_of(folder: Path, truth: dict[str, Any]) -> dict[str, Any]:
    return {"images": [folder / f"{name}.png" for name in truth], "boxes": list(truth.values())}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("boxed")
    return folder, draw_boxed(folder)


@pytest.fixture(scope="module")
def out(drawn: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "turned"
    precompute.build(output=folder, **lists_of(*drawn), **options(pipeline=turning(), variants=4))
    return folder


def test_identity_keeps_every_side(drawn: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, truth = drawn
    unmoved = {"train": identity(), "validation": identity()}
    precompute.build(output=tmp_path / "out", **lists_of(folder, truth), **options(pipeline=unmoved, variants=1))
    seen = 0
    for example in examples_of(tmp_path / "out"):
        assert [tuple(box) for box in example["boxes"].round(3).tolist()] == [row[:4] for row in truth[example["key"]]]
        assert example["class_names"] == [row[4] for row in truth[example["key"]]]
        seen += len(example["labels"])
    manifest = Manifest.load(tmp_path / "out")
    assert (manifest.target.kind, manifest.target.class_names) == ("boxes", NAMES)
    assert seen == sum(map(len, truth.values()))
    assert check_pixels_under_boxes(tmp_path / "out") == seen


def test_records_hold_shares_of_width_and_height(drawn: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, truth = drawn
    given = options(pipeline={"train": identity(40, 56), "validation": identity(40, 56)}, variants=1)
    precompute.build(output=tmp_path / "out", **lists_of(folder, truth), **given)
    (shard, *_) = sorted((tmp_path / "out" / "data").rglob("*.tfrecord-*"))
    for record in read_records(shard):
        features = decode_example(record)
        rows = truth[features["augment/key"][0].decode()]
        for side, place, size in (("xmin", 0, 56), ("xmax", 2, 56), ("ymin", 1, 40), ("ymax", 3, 40)):
            shares = [min(row[place], size) / size for row in rows]
            np.testing.assert_allclose(features[f"{BOX_KEY}{side}"], shares, atol=1e-7)
        assert features["image/object/class/text"] == [row[4].encode() for row in rows]
        assert features["image/object/is_crowd"] == [0] * len(rows)
        areas = [(row[2] - row[0]) * (min(row[3], 40) - row[1]) for row in rows]
        np.testing.assert_allclose(features["image/object/area"], areas, rtol=1e-4)


def test_flips_and_turns_take_boxes_where_the_pixels_go(out: Path) -> None:
    validation = {example["key"] for example in precompute.read(out, split="validation")}
    moved = [example for example in examples_of(out) if example["key"] not in validation]
    assert len({tuple(example["boxes"].ravel().tolist()) for example in moved}) > 12
    assert _compare_train(out) > 30


def _compare_train(out: Path) -> int:
    from tests.helpers.box_datasets import seen_boxes

    compared = 0
    for row in range(4):
        for example in precompute.read(out, split="train", row=row):
            seen, found = seen_boxes(example["image"]), stored_boxes(example)
            assert seen.keys() == found.keys()
            for name in found:
                np.testing.assert_allclose(found[name], seen[name], atol=1e-3)
                compared += 1
    return compared


def test_crops_drop_boxes_with_their_pixels(drawn: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    crop = {"train": A.Compose([A.RandomCrop(14, 14)]), "validation": A.Compose([A.CenterCrop(14, 14)])}
    precompute.build(output=tmp_path / "out", **lists_of(*drawn), **options(pipeline=crop, variants=6))
    assert check_pixels_under_boxes(tmp_path / "out") > 10
    row = Manifest.load(tmp_path / "out").splits["train"].rows[0]
    counts = [len(e["labels"]) for e in precompute.read(tmp_path / "out", split="train", row=0)]
    assert row.boxes is not None
    assert (row.boxes.num_boxes, row.boxes.most_boxes) == (sum(counts), max(counts))
    assert row.boxes.num_empty == counts.count(0) > 0
    assert row.num_records == len(counts) == 9  # an image whose boxes all fell out keeps its record
    assert precompute.verify(tmp_path / "out", sources=20).problems == []


@pytest.mark.slow
def test_min_area_and_min_visibility_decide_what_stays(drawn: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    crop = {"train": A.Compose([A.RandomCrop(14, 14)]), "validation": A.Compose([A.CenterCrop(14, 14)])}
    fingerprints = set()
    for name, rule in {"all": {}, "area": {"min_area": 39.5}, "share": {"min_visibility": 0.9}}.items():
        given = options(pipeline=crop, variants=6, **rule)
        precompute.build(output=tmp_path / name, **lists_of(*drawn), **given)
        fingerprints.add(Manifest.load(tmp_path / name).fingerprint)
        assert [key for key in Manifest.load(tmp_path / name).settings["pixels"] if key.startswith("min_")] == [*rule]
        assert precompute.verify(tmp_path / name, sources=5).problems == []
    assert len(fingerprints) == 3
    areas = {
        name: [
            float(a) for e in examples_of(tmp_path / name) for a in np.prod(e["boxes"][:, 2:] - e["boxes"][:, :2], 1)
        ]
        for name in ("all", "area", "share")
    }
    assert min(areas["area"]) >= 39.5
    assert sorted(map(round, areas["area"])) == sorted(round(a) for a in areas["all"] if a >= 39.5)
    assert 0 < len(areas["share"]) < len(areas["all"])
    with pytest.raises(SettingsError, match="pixels.min_area: 39.5 in the dataset, none now"):
        precompute.build(output=tmp_path / "area", **lists_of(*drawn), **options(pipeline=crop, variants=6))


@pytest.mark.parametrize("jobs", [1, 3])
def test_same_bytes_for_any_jobs_and_resumed(
    drawn: tuple[Path, dict[str, Any]], out: Path, tmp_path: Path, jobs: int
) -> None:
    first = options(pipeline=turning(), variants=2, jobs=jobs, backend="threading")
    precompute.build(output=tmp_path / "turned", **lists_of(*drawn), **first)
    precompute.build(output=tmp_path / "turned", **lists_of(*drawn), **{**first, "variants": 4})
    assert shard_hashes(tmp_path / "turned") == shard_hashes(out)
    again = precompute.build(output=tmp_path / "turned", **lists_of(*drawn), **{**first, "variants": 4})
    assert "nothing to do" in again.summary()


def test_other_boxes_are_other_sources(drawn: tuple[Path, dict[str, Any]], out: Path) -> None:
    folder, truth = drawn
    changed = {**truth, "i001": [(0, 0, 5, 5, "disc")]}
    with pytest.raises(SettingsError, match="i001: boxes changed"):
        precompute.build(output=out, **lists_of(folder, changed), **options(pipeline=turning(), variants=4))


def test_rows_are_made_again_from_the_listing(out: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(out, tmp_path / "turned")
    precompute.regenerate(tmp_path / "turned", seed=3, jobs=1, backend="sequential")
    assert precompute.verify(tmp_path / "turned", sources=10).problems == []
    assert _rows(tmp_path / "turned") == [4, 5, 6, 7]


def _rows(out: Path) -> list[int]:
    return [row.row for row in Manifest.load(out).splits["train"].rows]


def test_flags_travel_along(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.zeros((20, 30, 3), np.uint8))
    rows = [(1, 2, 5, 6, 0), (3, 3, 20, 9, 1, "crowd"), (10, 10, 30, 20, 0, ["difficult", "truncated"])]
    given = options(pipeline=A.Compose([A.HorizontalFlip(p=1)]), variants=1, validation_split=0)
    precompute.build(output=tmp_path / "out", images=[tmp_path / "a.png"], boxes=[rows], **given)
    (example,) = precompute.read(tmp_path / "out")
    assert example["boxes"].round(3).tolist() == [[25, 2, 29, 6], [10, 3, 27, 9], [0, 10, 20, 20]]
    assert example["labels"].tolist() == [0, 1, 0] and example["labels"].dtype == np.int64
    assert [example[name].tolist() for name in ("crowd", "difficult", "truncated")] == [
        [False, True, False],
        [False, False, True],
        [False, False, True],
    ]


# What the user's own bbox_params become


def test_own_thresholds_are_kept_with_a_note(
    drawn: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = A.BboxParams("coco", label_fields=["category"], min_area=40)
    crop = {
        "train": A.Compose([A.RandomCrop(14, 14)], bbox_params=own),
        "validation": A.Compose([A.CenterCrop(14, 14)]),
    }
    precompute.build(output=tmp_path / "own", **lists_of(*drawn), **options(pipeline=crop, variants=6, quiet=False))
    said = capsys.readouterr().err
    assert (
        "pipeline of train: of its bbox_params the thresholds count; format='coco', label_fields=['category']" in said
    )
    areas = [
        float(a)
        for row in range(6)
        for e in precompute.read(tmp_path / "own", row=row)
        for a in np.prod(e["boxes"][:, 2:] - e["boxes"][:, :2], 1)
    ]
    assert min(areas) >= 39.9
    with pytest.raises(PipelineError, match=r"bbox_params have min_area=40, --min-area is 20"):
        precompute.build(output=tmp_path / "b", **lists_of(*drawn), **options(pipeline=crop, min_area=20))


def test_what_cannot_move_boxes_is_refused(drawn: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="pipeline of train: OverlayElements cannot move boxes"):
        pipeline = A.Compose([A.OverlayElements(), A.Resize(16, 16)])
        precompute.build(output=tmp_path / "out", **lists_of(*drawn), **options(pipeline=pipeline))


# What is refused, and what is said


def test_boxes_are_clipped_counted_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b", "c"):
        save(tmp_path / f"{name}.png", np.zeros((20, 30, 3), np.uint8))
    boxes = [[(-3, 2, 40, 6, "x"), (4, 4, 4, 9, "x")], [(31, 2, 35, 5, "x"), (9, 5, 3, 9, "y")], [(0, 0, 30, 20, "x")]]
    images = [tmp_path / f"{name}.png" for name in ("a", "b", "c")]
    given = options(pipeline=A.Compose([A.NoOp()]), variants=1, validation_split=0, quiet=False)
    result = precompute.build(output=tmp_path / "out", images=images, boxes=boxes, **given)
    said = capsys.readouterr().err
    assert "2 boxes in 3 images; 1 of them has none, and is kept (--drop-empty leaves them out)" in said
    assert "1 box that reached beyond their images were clipped" in said
    assert "2 boxes without area (x_min ≥ x_max or y_min ≥ y_max) left out:\n  a: 4, 4, 4, 9\n  b: 9, 5, 3, 9" in said
    assert "1 box outside of their images left out:\n  b: 31, 2, 35, 5" in said
    assert "none of y\n" in said
    assert "2 boxes; 1 record without any" in result.summary()
    found = {e["key"]: e["boxes"].tolist() for e in precompute.read(tmp_path / "out")}
    assert found == {"a": [[0, 2, 30, 6]], "b": [], "c": [[0, 0, 30, 20]]}
    precompute.build(output=tmp_path / "less", images=images, boxes=boxes, drop_empty=True, **given)
    assert "left out      images without boxes (--drop-empty): 1\n" in capsys.readouterr().err
    assert sorted(e["key"] for e in precompute.read(tmp_path / "less")) == ["a", "c"]


BAD = [
    ([[(1, 2, 3, 4)]], UsageError, r"expected \(x_min, y_min, x_max, y_max, class\) in pixels"),
    ([[(1, 2, 3, "x", 0)]], UsageError, "expected four numbers"),
    ([[(1, 2, 3, 4, 0, "crowded")]], UsageError, "expected 'crowd', 'difficult' or 'truncated', got 'crowded'"),
    ([[(1, 2, 3, float("nan"), 0)]], SourceError, "boxes whose sides are no numbers:\n  a: 1, 2, 3, nan"),
    ([[]], SourceError, "empty lists for all 1"),
    ([[(1, 1, 1, 1, 0)]], SourceError, "not one of 1 box has an area inside its image"),
    ([5], UsageError, "expected a list of boxes, which may be empty, got 5"),
]


@pytest.mark.parametrize(("boxes", "error", "message"), BAD)
def test_mistakes_are_named(tmp_path: Path, boxes: Any, error: type[Exception], message: str) -> None:
    save(tmp_path / "a.png", np.zeros((20, 30, 3), np.uint8))
    with pytest.raises(error, match=message):
        precompute.build(output=tmp_path / "out", images=[tmp_path / "a.png"], boxes=boxes, **options())


def test_boxes_need_boxes(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.zeros((20, 30, 3), np.uint8))
    image = [tmp_path / "a.png"]
    for given in ({"min_area": 4}, {"drop_empty": True}):
        with pytest.raises(UsageError, match=f"{next(iter(given))}.*these sources have no boxes"):
            precompute.build(output=tmp_path / "out", images=image, labels=["x"], **options(**given))
    with pytest.raises(UsageError, match="min_visibility: expected a number from 0 to 1, got 2"):
        BuildOptions.make(min_visibility=2)
    with pytest.raises(UsageError, match="balance: expected sources with a class each, these have boxes"):
        precompute.build(
            output=tmp_path / "out",
            images=image,
            boxes=[[(1, 1, 5, 5, 0)]],
            balance=True,
            **options(validation_split=0),
        )


def test_an_image_of_another_size_is_a_bad_source(tmp_path: Path) -> None:
    from precompute.errors import RejectedSource
    from precompute.fields.boxes import Boxes
    from precompute.fields.objects import ObjectsField
    from precompute.rendering.decode import decode_source
    from tests.helpers.decoded_sources import spec_of

    save(tmp_path / "a.png", np.zeros((20, 30, 3), np.uint8))
    spec = spec_of(ObjectsField(name="objects", num_classes=1, class_names=["a"]))
    boxes = Boxes.of_rows([(1, 1, 5, 5, 0, 0)], (20, 30))
    with pytest.raises(RejectedSource, match=r"is 30×20 pixels .*, but its boxes are meant for 20×30: was it turned"):
        decode_source("a", tmp_path / "a.png", {"objects": boxes}, spec)


def test_boxes_of_shrunk_sources_stay_where_they_are(tmp_path: Path) -> None:
    image = np.zeros((80, 120, 3), np.uint8)
    image[8:40, 16:64] = (250, 20, 20)
    save(tmp_path / "a.png", image)
    given = options(pipeline=A.Compose([A.NoOp()]), variants=1, validation_split=0, max_source_size=60)
    precompute.build(output=tmp_path / "out", images=[tmp_path / "a.png"], boxes=[[(16, 8, 64, 40, "bar")]], **given)
    (example,) = precompute.read(tmp_path / "out")
    assert example["image"].shape == (40, 60, 3)
    np.testing.assert_allclose(example["boxes"], [[8, 4, 32, 20]], atol=1e-4)
    assert (example["image"][5:19, 9:31] == (250, 20, 20)).all()


def test_a_damaged_image_is_said_when_it_is_decoded(drawn: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, truth = drawn
    given = lists_of(folder, truth)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG no")
    given["images"].append(tmp_path / "broken.png")
    given["boxes"].append([(1, 1, 5, 5, "bar")])
    keys = [*truth, "broken"]
    with pytest.raises(BadSourcesError, match=r"broken\.png"):
        precompute.build(output=tmp_path / "out", keys=keys, **given, **options(pipeline=turning()))


# Looking


def test_inspect_counts_boxes(out: Path) -> None:
    found = inspect(out)
    train = found.splits["train"]
    assert train.boxes is not None and train.num_without == 2
    assert train.boxes.num_boxes == 4 * sum(train.class_counts)
    text = found.text()
    assert "boxes of 3 classes, at most 3 an image" in text
    assert f"{train.boxes.num_boxes} boxes in 36 records, 8 of them without any; 2 sources without boxes" in text


def test_boxes_are_drawn(out: Path, drawn: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    sheet = stored_sheet.draw_stored(out, tmp_path / "stored.png")
    assert sheet.exists()
    path = preview.draw_preview(
        None,
        options=BuildOptions.make(pipeline=turning(), variants=2, image_format="png"),
        output=tmp_path / "sheet.png",
        lists=lists_of(*drawn),
    ).path
    from PIL import Image

    from precompute.pictures.palette import class_color

    for picture in (sheet, path):
        pixels = np.asarray(Image.open(picture))
        for color in map(class_color, (1, 2, 3)):
            assert (pixels == np.array(color)).all(axis=2).sum() > 40


def test_listing_is_plain_json(out: Path, drawn: tuple[Path, dict[str, Any]]) -> None:
    lines = (out / "data" / "g0001" / "sources-train.jsonl").read_text().splitlines()
    for entry in map(json.loads, lines):
        rows = drawn[1][entry["key"]]
        assert entry["boxes"] == [[*row[:4], NAMES.index(row[4]), 0] for row in rows]
        assert len(entry["boxes_size"]) == 2


def test_export_says_in_which_formats_boxes_go(out: Path, tmp_path: Path) -> None:
    from precompute.exporting.export import export

    with pytest.raises(UsageError, match="files has no place for the boxes of turned; expected coco, yolo, voc"):
        export(out, output=tmp_path / "plain")


def test_equal_images_with_other_boxes_are_reported(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        save(tmp_path / f"{name}.png", np.full((20, 30, 3), 9 if name == "c" else 0, np.uint8))
    images = [tmp_path / f"{name}.png" for name in ("a", "b", "c")]
    boxes = [[(1, 1, 9, 9, "x")], [(1, 1, 9, 8, "x")], [(1, 1, 9, 9, "x")]]
    given = options(pipeline=A.Compose([A.NoOp()]), variants=1, validation_split=0)
    result = precompute.build(output=tmp_path / "out", images=images, boxes=boxes, **given)
    assert any("another one with other boxes, e.g. a = b" in warning for warning in result.warnings())


def test_a_listing_without_some_boxes_is_refused(out: Path, tmp_path: Path) -> None:
    from precompute.errors import DatasetError
    from precompute.table.listing_file import read_listing

    lines = (out / "data" / "g0001" / "sources-train.jsonl").read_text().splitlines()
    first = {name: value for name, value in json.loads(lines[0]).items() if not name.startswith("boxes")}
    for changed, message in (
        (first, r"boxes: expected them for each source \(9\), got 8"),
        ({**json.loads(lines[0]), "boxes": [[1, 2, 3, 4, 0]]}, "boxes: expected a list of four sides"),
        ({**json.loads(lines[0]), "boxes_size": [0, 2]}, "boxes_size: expected width and height"),
    ):
        (tmp_path / "list.jsonl").write_text("\n".join([json.dumps(changed), *lines[1:]]) + "\n")
        with pytest.raises(DatasetError, match=message):
            read_listing(tmp_path / "list.jsonl")


def test_counts_are_of_the_sources_that_are_used(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows = [[(1, 1, 9, 9, "cat")] * (i + 1) for i in range(4)]
    images = [str(tmp_path / f"{i}.png") for i in range(4)]
    for i, path in enumerate(images):
        save(Path(path), np.full((20, 20, 3), i, np.uint8))
    given = options(pipeline=identity(20, 20), validation_split=0.0, quiet=False, limit=2)
    result = precompute.build(output=tmp_path / "out", images=images, boxes=rows, **given)
    number = sum(result.class_counts["train"])
    assert 3 <= number <= 7
    assert f"note: {number} boxes in 2 images." in capfd.readouterr().err
