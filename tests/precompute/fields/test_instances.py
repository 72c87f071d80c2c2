"""Objects with a mask each, from files, COCO and Python to records: all lie where the pixels are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import pytest
from PIL import Image

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import (
    BadSourcesError,
    DatasetError,
    PipelineError,
    PrecomputeError,
    SettingsError,
    SourceError,
    UsageError,
)
from precompute.images.instance_masks import shrink_mask
from precompute.inspecting import preview
from precompute.inspecting.inspect import inspect
from precompute.options.build_options import BuildOptions
from precompute.pictures.palette import class_color
from precompute.pictures.stored_sheet import draw_stored
from precompute.records.example import decode_example
from precompute.records.tfrecord import read_records
from precompute.sources.find import find
from precompute.table.listing_file import read_listing
from tests.helpers.instance_datasets import (
    NAMES,
    SIDE,
    WRITERS,
    Truth,
    check_objects,
    coco_of,
    compressed,
    examples_of,
    identity,
    lists_of,
    make_truth,
    masks_of,
    name_of,
    polygons,
    size_of,
    turning,
    write_classes,
    write_coco,
    write_files,
)
from tests.helpers.small_datasets import options, save, shard_hashes
from tests.helpers.source_columns import boxes_of

TRUTH = make_truth()
MOVED = {"pipeline": {"train": turning(), "validation": identity()}}
STILL = {"pipeline": {"train": identity(), "validation": identity()}, "variants": 1}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("instanced")
    write_classes(folder, TRUTH)
    return folder


@pytest.fixture(scope="module")
def out(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "turned"
    precompute.build(output=folder, **lists_of(drawn, TRUTH), **options(**MOVED, variants=4))
    return folder


@pytest.mark.parametrize(
    "layout", [w if i < 2 else pytest.param(w, marks=pytest.mark.slow) for i, w in enumerate(WRITERS)]
)
def test_layouts_from_files_to_records(layout: str, tmp_path: Path) -> None:
    given = WRITERS[layout](tmp_path / "data", TRUTH)
    precompute.build(tmp_path / "data", tmp_path / "out", **options(**MOVED, variants=2), **given)
    manifest = Manifest.load(tmp_path / "out")
    coco, several = layout.startswith("coco"), layout not in ("files", "bowl")
    names = ["bar", "disc", "frame"] if several else given.get("class_names", ["object"])
    assert (manifest.target.kind, manifest.target.class_names) == ("instances", names)
    compared = check_objects(tmp_path / "out", TRUTH, classes=several, crowd=coco)
    assert compared["train"] > 15 and compared["validation"] > 2
    assert precompute.verify(tmp_path / "out", sources=4).problems == []


def test_lists_of_python(out: Path, drawn: Path) -> None:
    compared = check_objects(out, TRUTH)
    assert compared["train"] > 30
    assert precompute.verify(out, sources=5).problems == []
    key = "i004"
    source = precompute.Source(key, drawn / "images" / f"{key}.png", instances=lists_of(drawn, TRUTH)["instances"][4])
    sources = find([source], BuildOptions())
    assert len(boxes_of(sources).labels) == 4


def test_same_bytes_in_any_order_and_layout_of_work(out: Path, drawn: Path, tmp_path: Path) -> None:
    for variants in (1, 4):  # grown, where the other was built at once
        given = options(**MOVED, variants=variants)
        precompute.build(output=tmp_path / "turned", **lists_of(drawn, TRUTH), **given)
    assert shard_hashes(tmp_path / "turned") == shard_hashes(out)


@pytest.mark.slow
def test_same_bytes_for_any_number_of_jobs(out: Path, drawn: Path, tmp_path: Path) -> None:
    given = options(**MOVED, variants=4) | {"jobs": 2, "backend": "loky"}
    precompute.build(output=tmp_path / "turned", **lists_of(drawn, TRUTH), **given)
    assert shard_hashes(tmp_path / "turned") == shard_hashes(out)


def test_records_are_those_of_the_object_detection_api(out: Path) -> None:
    seen = set()
    for shard in sorted((out / "data").rglob("*.tfrecord-*")):
        for record in read_records(shard):
            features = decode_example(record)
            masks = [cv2.imdecode(np.frombuffer(png, np.uint8), 0) > 0 for png in features["image/object/mask"]]
            assert [mask.sum() for mask in masks] == features["image/object/area"]
            assert len(masks) == len(features["image/object/class/label"])
            seen.add(len(masks))
    assert 0 in seen and 4 in seen  # an image without objects has its lists, empty


def test_rows_are_made_anew(out: Path, drawn: Path, tmp_path: Path) -> None:
    precompute.build(output=tmp_path / "out", **lists_of(drawn, TRUTH), **options(**MOVED, variants=2))
    from precompute.building.change_rows import regenerate

    regenerate(tmp_path / "out", seed=3, jobs=1, backend="sequential")
    assert check_objects(tmp_path / "out", TRUTH)["train"] > 15


# What becomes of the masks.


def expected_ids(key: str, names: list[str], ignore: int | None = None) -> np.ndarray[Any, Any]:
    """Larger objects below smaller ones, crowds below all others."""
    ids = np.zeros(size_of(list(TRUTH).index(key)), np.uint8)
    objects = list(zip(masks_of(TRUTH, key), (name for _, name in TRUTH[key]), strict=True))
    for mask, name in sorted(objects, key=lambda pair: (pair[1] != "frame", -pair[0].sum())):
        ids[mask] = ignore if name == "frame" and ignore is not None else names.index(name)
    return ids


@pytest.mark.parametrize("ignore", [None, 255])
@pytest.mark.parametrize("layout", ["coco", "python"])
def test_merged_into_class_ids(layout: str, ignore: int | None, drawn: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = options(**STILL, ignore_class=ignore, target="mask")
    if layout == "coco":
        write_coco(tmp_path / "data", TRUTH)
        result = precompute.build(tmp_path / "data", tmp_path / "out", **given)
    else:
        result = precompute.build(output=tmp_path / "out", **lists_of(drawn, TRUTH), **given)
    target = Manifest.load(tmp_path / "out").target
    assert (target.kind, target.class_names, target.num_classes) == ("mask", ["background", *NAMES], 4)
    for _, example in examples_of(tmp_path / "out"):
        ids = expected_ids(example["key"], target.class_names, ignore)[:SIDE, :SIDE]
        assert np.array_equal(example["mask"][: ids.shape[0], : ids.shape[1]], ids), example["key"]
    overlap = sum(int((sum(m.astype(int) for m in masks_of(TRUTH, key)) > 1).sum()) for key in TRUTH if TRUTH[key])
    assert Manifest.load(tmp_path / "out").counters["overlap"]["number"] == overlap > 0
    assert f"{overlap:,} pixels belong to several objects" in "\n".join(result.warnings())
    assert f"{overlap:,} pixels belong to several objects" in inspect(tmp_path / "out").text()
    assert precompute.verify(tmp_path / "out", sources=4).problems == []


def test_boxes_around_masks(tmp_path: Path) -> None:
    write_files(tmp_path / "data", TRUTH)
    precompute.build(tmp_path / "data", tmp_path / "out", **options(**STILL, target="boxes"))
    for _, example in examples_of(tmp_path / "out"):
        assert "masks" not in example
        rectangles = [parts for parts, _ in TRUTH[example["key"]]]
        around = [[*np.min(parts, axis=0)[:2], *np.max(parts, axis=0)[2:]] for parts in rectangles]
        np.testing.assert_allclose(example["boxes"], np.reshape(around, (-1, 4)), atol=1e-3)
    assert Manifest.load(tmp_path / "out").target.kind == "boxes"


def test_coco_stays_boxes_unless_told(tmp_path: Path) -> None:
    write_coco(tmp_path, TRUTH)
    assert find(tmp_path, BuildOptions()).kind == "boxes"
    assert find(tmp_path, BuildOptions(target="instances")).kind == "instances"


def test_another_target_is_another_dataset(tmp_path: Path) -> None:
    write_files(tmp_path / "data", TRUTH)
    precompute.build(tmp_path / "data", tmp_path / "out", **options(**STILL))
    with pytest.raises(SettingsError, match=r"target"):
        precompute.build(tmp_path / "data", tmp_path / "out", **options(**STILL, target="boxes"))


def test_a_mask_that_changes_is_noticed(tmp_path: Path) -> None:
    write_files(tmp_path / "data", TRUTH)
    precompute.build(tmp_path / "data", tmp_path / "out", **options(**STILL))
    changed = tmp_path / "data" / "masks" / "i004" / "1.png"
    before = changed.read_bytes()
    changed.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))  # as many bytes, and not in a place that is decoded
    with pytest.raises(SettingsError, match=r"i004: the masks of its objects changed"):
        precompute.build(tmp_path / "data", tmp_path / "out", **options(**STILL))


@pytest.mark.parametrize("other", [False, True])
def test_equal_images_with_other_objects_are_reported(other: bool, tmp_path: Path) -> None:
    truth: Truth = {key: TRUTH[key] for key in ("i002", "i003", "i004")}
    write_classes(tmp_path / "data", truth)
    save(tmp_path / "data" / "images" / "twin.png", np.asarray(Image.open(tmp_path / "data" / "images" / "i004.png")))
    for path in sorted((tmp_path / "data" / "masks" / "i004").rglob("*.png"))[int(other) :]:
        copy = tmp_path / "data" / "masks" / "twin" / path.parent.name / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    result = precompute.build(tmp_path / "data", tmp_path / "out", **options(**STILL) | {"validation_split": 0})
    assert Manifest.load(tmp_path / "out").conflicts.get("examples", []) == ([["i004", "twin"]] if other else [])
    assert ("another one with other objects" in "\n".join(result.warnings())) == other


def test_small_remains_fall_out_and_are_counted(drawn: Path, tmp_path: Path) -> None:
    given = options(**MOVED, variants=3)
    precompute.build(output=tmp_path / "all", **lists_of(drawn, TRUTH), **given)
    precompute.build(output=tmp_path / "some", **lists_of(drawn, TRUTH), **given, min_area=60)
    kept, before = 0, 0
    for (_, example), (_, whole) in zip(examples_of(tmp_path / "some"), examples_of(tmp_path / "all"), strict=True):
        large = [mask for mask in whole["masks"] if mask.sum() >= 60]
        assert np.array_equal(example["masks"], np.reshape(large, (-1, SIDE, SIDE)))
        kept, before = kept + len(large), before + len(whole["masks"])
    assert 0 < kept < before
    found = inspect(tmp_path / "some")
    in_sources = sum(sum(split.class_counts) * split.num_rows for split in found.splits.values())
    assert sum(split.num_lost for split in found.splits.values()) == in_sources - kept
    assert "objects cut off, too small or empty" in found.text()
    assert precompute.verify(tmp_path / "some", sources=5).problems == []


def test_what_is_hardly_visible_falls_out(tmp_path: Path) -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    masks = [np.zeros((40, 40), np.uint8) for _ in range(2)]
    masks[0][10:20, 15:25], masks[1][25:35, 18:28] = 1, 1  # half, and a fifth of it, in the right half
    masks[1] = np.roll(masks[1], -6, axis=1)
    save(tmp_path / "images" / "a.png", image)
    for i, mask in enumerate(masks):
        save(tmp_path / "masks" / "a" / f"{i}.png", mask)
    right = A.Compose([A.Crop(20, 0, 40, 40)])
    given = options(pipeline={"train": right, "validation": right}, validation_split=0, variants=1)
    for visible, number in ((0.0, 2), (0.3, 1), (0.6, 0)):
        out = tmp_path / f"out{number}"
        precompute.build(tmp_path, out, **given, min_visibility=visible)
        (example,) = precompute.read(out)
        assert len(example["masks"]) == number == len(example["boxes"])
        assert precompute.verify(out, sources=1).problems == []


def test_larger_sources_are_shrunk_with_their_masks(drawn: Path, tmp_path: Path) -> None:
    corner = A.Compose([A.PadIfNeeded(24, 28, border_mode=0, position="top_left")])
    given = options(pipeline={"train": corner, "validation": corner}, variants=1, max_source_size=28)
    precompute.build(output=tmp_path / "out", **lists_of(drawn, TRUTH), **given)
    seen = 0
    for _, example in examples_of(tmp_path / "out"):
        height, width = size_of(list(TRUTH).index(example["key"]))
        if width == 56:  # exactly twice as large
            masks = [mask.astype(np.uint8) for mask in masks_of(TRUTH, example["key"])]
            small = [shrink_mask(mask, (height // 2, 28)) > 0 for mask in masks]
            assert np.array_equal(example["masks"][:, : height // 2], np.reshape(small, (-1, height // 2, 28)))
            assert not example["masks"][:, height // 2 :].any()
            seen += len(small)
    assert seen > 3


def test_images_without_objects_can_be_left_out(tmp_path: Path) -> None:
    write_files(tmp_path, TRUTH)
    empty = sum(not objects for objects in TRUTH.values())
    assert len(find(tmp_path, BuildOptions(drop_empty=True))) == len(TRUTH) - empty


def test_pictures_show_each_object(drawn: Path, out: Path, tmp_path: Path) -> None:
    given = BuildOptions(pipeline=identity(), variants=1, image_format="png")
    preview.draw_preview(None, options=given, output=tmp_path / "a.png", num_sources=4, lists=lists_of(drawn, TRUTH))
    draw_stored(out, tmp_path / "b.png")
    for name in ("a.png", "b.png"):
        colors = np.asarray(Image.open(tmp_path / name)).reshape(-1, 3)
        for color in map(class_color, (1, 2, 3)):  # of the first objects of an image
            assert (colors == color).all(axis=1).sum() > 20


# Pipelines.


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (A.Rotate(mask_interpolation=cv2.INTER_LINEAR), "Rotate would blend the masks of neighbouring objects"),
        (A.MaskDropout(), "MaskDropout cannot move masks; leave it out"),
        (A.Rotate(fill_mask=3), "Rotate fills masks with 3; what is filled belongs to none of the objects"),
    ],
    ids=["blending", "one mask", "filling"],
)
def test_pipelines_that_spoil_masks(transform: Any, message: str, drawn: Path, tmp_path: Path) -> None:
    given = options(pipeline=A.Compose([transform, A.Resize(20, 20)]))
    with pytest.raises(PipelineError, match=message):
        precompute.build(output=tmp_path / "out", **lists_of(drawn, TRUTH), **given)


def test_crops_around_boxes_find_them(drawn: Path, tmp_path: Path) -> None:
    crop = {"train": A.Compose([A.AtLeastOneBBoxRandomCrop(24, 24), identity()]), "validation": identity()}
    precompute.build(output=tmp_path / "out", **lists_of(drawn, TRUTH), **options(pipeline=crop, variants=4))
    assert check_objects(tmp_path / "out", TRUTH)["train"] > 15
    for split, example in examples_of(tmp_path / "out"):
        assert split != "train" or not TRUTH[example["key"]] or len(example["masks"])


class Doubling(A.DualTransform):
    def apply(self, img: Any, **params: Any) -> Any:
        return img

    def apply_to_mask(self, mask: Any, **params: Any) -> Any:
        return mask * 2


def test_a_custom_transform_that_changes_values(drawn: Path, tmp_path: Path) -> None:
    given = options(pipeline=A.Compose([Doubling(p=1), A.Resize(20, 20)]))
    with pytest.raises(PrecomputeError, match=r"made values in masks that they do not hold"):
        precompute.build(output=tmp_path / "out", **lists_of(drawn, TRUTH), **given)


class Erasing(A.DualTransform):
    """Writes into what it is given."""

    def apply(self, img: Any, **params: Any) -> Any:
        img[:10] = 0
        return img

    def apply_to_mask(self, mask: Any, **params: Any) -> Any:
        mask[:10] = 0
        return mask


def test_a_custom_transform_that_writes_into_its_input(drawn: Path, tmp_path: Path) -> None:
    erasing = A.Compose([identity(), Erasing(p=0.5)])
    given = options(pipeline={"train": erasing, "validation": identity()}, variants=4)
    precompute.build(output=tmp_path / "out", **lists_of(drawn, TRUTH), **given)
    assert check_objects(tmp_path / "out", TRUTH)["train"] > 30


# The usual mistakes.


def break_files(folder: Path, what: str) -> dict[str, Any]:
    """Write a folder with one thing wrong."""
    write_files(folder, TRUTH)
    masks = folder / "masks" / "i004"
    shape = size_of(4)
    if what == "no folder":
        for path in masks.iterdir():
            path.unlink()
        masks.rmdir()
    elif what == "no image":
        (folder / "images" / "i004.png").unlink()
    elif what == "another size":
        save(masks / "1.png", np.ones((9, 8), np.uint8))
    elif what == "several values":
        mixed = np.zeros(shape, np.uint8)
        mixed[3:6], mixed[8:9] = 128, 255
        save(masks / "1.png", mixed)
    elif what == "empty file":
        (masks / "1.png").write_bytes(b"")
    elif what == "beside classes":
        save(masks / "cell" / "9.png", np.ones(shape, np.uint8))
    elif what == "lossy":
        Image.fromarray(np.ones(shape, np.uint8)).save(masks / "8.jpg")
    elif what == "names":
        return {"class_names": ["a", "b"]}
    return {}


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no folder", r"Images without a folder of masks \(1\):\n.*i004.png\n.*an empty folder where there are none"),
        ("no image", r"Folders of masks without an image \(1\):\n.*masks/i004"),
        ("another size", r"masks/i004/1.png: is 8×9 pixels, but its image .*i004.png is 60×44; both must have one"),
        ("several values", r"masks/i004/1.png: holds the values 128, 255 besides 0; expected the mask of one object"),
        ("empty file", r"masks/i004/1.png: is empty \(0 bytes\)"),
        ("beside classes", r"masks outside of the folders of classes \(cell\)"),
        ("lossy", r"masks/i004/8.jpg: is a JPEG: lossy compression"),
        ("names", r"--class-names gives 2 names, but masks lie in no folders of classes"),
    ],
)
def test_mistakes_in_files(what: str, message: str, tmp_path: Path) -> None:
    given = break_files(tmp_path / "data", what)
    with pytest.raises((SourceError, BadSourcesError), match=message):
        precompute.build(tmp_path / "data", tmp_path / "out", **options(**STILL), **given)


def test_masks_without_a_pixel_are_left_out_and_counted(tmp_path: Path) -> None:
    write_files(tmp_path / "data", TRUTH)
    save(tmp_path / "data" / "masks" / "i004" / "1.png", np.zeros(size_of(4), np.uint8))
    save(tmp_path / "data" / "masks" / "i005" / "0.png", np.zeros(size_of(5), np.uint8))
    result = precompute.build(tmp_path / "data", tmp_path / "out", **options(**STILL))
    said = "2 objects whose masks hold no pixel were left out, of 2 sources, e.g. i004, i005"
    assert said in "\n".join(result.warnings())
    assert "2 objects whose masks hold no pixel were left out" in inspect(tmp_path / "out").text()
    lengths = {example["key"]: len(example["masks"]) for _, example in examples_of(tmp_path / "out")}
    assert (lengths["i004"], lengths["i005"], lengths["i003"]) == (3, 0, 3)
    assert precompute.verify(tmp_path / "out", sources=4).problems == []


def broken_coco(what: str) -> dict[str, Any]:
    content = coco_of(TRUTH, compressed if "code" in what else polygons)
    first = content["annotations"][0]
    if what == "odd":
        first["segmentation"] = [[1, 2, 3, 4, 5, 6, 7]]
    elif what == "a number":
        first["segmentation"] = 7
    elif what == "far away":
        first["segmentation"] = [[1, 2, 3e9, 4, 5, 6]]
    elif what == "text":
        first["segmentation"] = [["a", 2, 3, 4, 5, 6]]
    elif what == "code of another size":
        first["segmentation"]["size"] = [7, 9]
    elif what == "code that is cut":
        first["segmentation"]["counts"] = first["segmentation"]["counts"][:-1]
    elif what == "no code":
        first["segmentation"]["counts"] = "é?"
    elif what == "runs":
        first["segmentation"] = {"size": list(size_of(1)), "counts": [5, 5]}
    elif what == "category":
        first["category_id"] = 4
    elif what == "image twice":
        content["images"].append(dict(content["images"][0]))
    elif what == "size":
        content["images"][1]["width"] += 1
    return content


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (
            "odd",
            r"that cannot be read \(1\):\n  instances_all.json: annotation 1: a polygon has 7 numbers; x and y come in",
        ),
        ("a number", r"annotation 1: expected polygons or a run-length code, got 7"),
        ("far away", r"annotation 1: a polygon reaches 3e\+09, far outside of its image"),
        ("text", r"annotation 1: expected polygons, lists of x and y in turn"),
        ("code of another size", r"annotation 1: its run-length code is made for \[7, 9\] .* image is 46×60"),
        ("code that is cut", r"annotation 1: (its runs are|it ends within)"),
        ("no code", r"annotation 1: it is no compressed run-length code"),
        ("runs", r"annotation 1: its runs are 10 pixels long together, 46×60 are 2,760"),
        ("category", r"Annotations of unknown categories \(1\):\n.*category_id 4"),
        ("image twice", r"Images of one id"),
        ("size", r"i001.png: is 60×46 pixels .* its masks are meant for 61×46"),
    ],
)
def test_mistakes_in_coco(what: str, message: str, tmp_path: Path) -> None:
    write_coco(tmp_path / "data", TRUTH)
    (tmp_path / "data" / "annotations" / "instances_all.json").write_text(json.dumps(broken_coco(what)))
    with pytest.raises((SourceError, BadSourcesError), match=message):
        precompute.build(tmp_path / "data", tmp_path / "out", **options(**STILL, target="instances"))


def test_coco_masks_without_a_pixel_are_named(tmp_path: Path) -> None:
    content = coco_of(TRUTH, polygons)
    content["annotations"][0]["segmentation"] = [[500, 500, 510, 500, 510, 510]]
    write_coco(tmp_path, TRUTH)
    (tmp_path / "annotations" / "instances_all.json").write_text(json.dumps(content))
    sources = find(tmp_path, BuildOptions(target="instances"))
    said = "1 object without a mask, or whose mask holds no pixel, left out:\n  i001: annotation 1"
    assert said in "\n".join(sources.notes)


NO_AREA: dict[str, Any] = {"none": None, "empty": [], "no numbers": [[]], "a point": [[1, 2]], "a line": [[1, 2, 3, 4]]}


@pytest.mark.parametrize("target", ["instances", "mask"])
@pytest.mark.parametrize("segmentation", NO_AREA.values(), ids=NO_AREA)
def test_objects_known_by_a_box_alone_are_left_out_and_named(tmp_path: Path, segmentation: Any, target: str) -> None:
    write_coco(tmp_path, TRUTH)
    file = tmp_path / "annotations" / "instances_all.json"
    content = coco_of(TRUTH, polygons)
    num = len(content["annotations"])
    for i in (0, 2):
        content["annotations"][i]["segmentation"] = segmentation
    del content["annotations"][2]["bbox"]  # masks need none
    file.write_text(json.dumps(content))
    sources = find(tmp_path, BuildOptions(target=target))
    assert len(sources.targets[0].labels) == num - 2 and len(sources) == len(TRUTH)  # type: ignore[attr-defined]
    said = (
        "2 objects without masks, or whose mask holds no pixel, left out:\n  i001: annotation 1\n  i002: annotation 3"
    )
    assert said in "\n".join(sources.notes)
    for annotation in content["annotations"]:
        annotation["segmentation"] = segmentation
    file.write_text(json.dumps(content))
    with pytest.raises(SourceError, match=f"not one of {num} objects in 12 images has a mask under 'segmentation'"):
        find(tmp_path, BuildOptions(target=target))


def test_a_part_without_area_changes_no_mask(tmp_path: Path) -> None:
    shapes = []
    for part in ([], [[5, 5, 9, 9]]):
        folder = tmp_path / f"with{len(part)}"
        write_coco(folder, TRUTH)
        content = coco_of(TRUTH, polygons)
        content["annotations"][0]["segmentation"] += part
        (folder / "annotations" / "instances_all.json").write_text(json.dumps(content))
        shapes.append(list(find(folder, BuildOptions(target="instances")).columns["objects"].shapes))  # type: ignore[attr-defined]
    assert shapes[0] == shapes[1]


def test_without_pycocotools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    write_coco(tmp_path, TRUTH)
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(UsageError, match=r"masks of COCO need pycocotools: pip install 'augment-once\[coco\]'"):
        find(tmp_path, BuildOptions(target="instances"))
    assert find(tmp_path, BuildOptions()).kind == "boxes"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"instances": [[("nowhere.png", "a")]]}, r"1 of 2 files cannot be found"),
        ({"instances": [[("i001.png",)]]}, r"instances of 'i001': expected \(path of the file with its mask, class\)"),
        ({"instances": ["i001.png"]}, r"instances of 'i001': expected a list of objects"),
        ({"instances": [[(np.ones((4, 4)), "a")]]}, r"expected the path of a mask file for 'i001', got an array"),
        ({"instances": [[("i001.png", "a"), ("i001.png", "a")]]}, r"named again for one image:\n.*i001"),
        ({"instances": [[("i001.png", "a", "odd")]]}, r"expected 'crowd', 'difficult' or 'truncated', got 'odd'"),
        ({"instances": [[]]}, r"expected objects for some of the images, got empty lists for all 1"),
        (
            {"instances": [[]], "boxes": [[]]},
            r"Expected one kind of objects, got both boxes and instances: boxes, keypoints",
        ),
    ],
)
def test_mistakes_from_python(
    changes: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "i001.png", np.ones((4, 4), np.uint8))
    monkeypatch.chdir(tmp_path)
    with pytest.raises((UsageError, SourceError), match=message):
        find(None, BuildOptions(), {"images": ["i001.png"], "keys": ["i001"], **changes})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"target": "labels"}, r"target: expected"),
        ({"target": "mask", "ignore_class": 2}, r"ignore_class: 2 is the class 'disc'; expected 4 or more"),
    ],
)
def test_options_that_make_no_sense(given: dict[str, Any], message: str, drawn: Path) -> None:
    with pytest.raises(UsageError, match=message):
        find(None, BuildOptions(**given), lists_of(drawn, TRUTH))


def test_target_of_other_sources(tmp_path: Path) -> None:
    from tests.helpers.small_datasets import draw_pairs

    draw_pairs(tmp_path)
    with pytest.raises(UsageError, match=r"target: instances needs masks of single objects, and .* one mask an image"):
        find(tmp_path, BuildOptions(target="instances"))
    assert find(tmp_path, BuildOptions(target="mask")).kind == "mask"


def test_masks_beside_annotations(tmp_path: Path) -> None:
    write_coco(tmp_path, TRUTH)
    save(tmp_path / "masks" / "i001" / "0.png", np.ones(size_of(1), np.uint8))
    with pytest.raises(SourceError, match=r"mask files of single objects, and annotations as well \(COCO\)"):
        find(tmp_path, BuildOptions())
    assert find(tmp_path, BuildOptions(annotations="annotations")).kind == "boxes"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("instances", [["a.png", 0]], r"line 1: instances: expected a list of shape, class index and flags each"),
        ("instances", [["", 0, 0]], r"line 1: instances: expected a list of shape"),
        ("instances_size", [0, 3], r"line 1: instances_size: expected width and height"),
        ("boxes", [[0, 0, 1, 1, 0, 0]], r"some sources have boxes and others instances"),
    ],
)
def test_lists_that_no_build_writes(field: str, value: Any, message: str, out: Path, tmp_path: Path) -> None:
    first, *others = (out / "data" / "g0001" / "sources-train.jsonl").read_text().splitlines()
    entry = json.loads(first)
    if field == "boxes":
        del entry["instances"]
    (tmp_path / "list.jsonl").write_text("\n".join([json.dumps({**entry, field: value}), *others]))
    with pytest.raises(DatasetError, match=message):
        read_listing(tmp_path / "list.jsonl")


@pytest.mark.parametrize("remark", [3, {"number": "x"}, {"number": 1, "num_sources": 1, "examples": [1]}])
def test_remarks_that_no_build_writes(remark: Any, out: Path, tmp_path: Path) -> None:
    content = json.loads((out / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**content, "counters": {"empty": remark}}))
    with pytest.raises(DatasetError, match=r"counters: empty: .* is not what precompute writes"):
        Manifest.load(tmp_path)


def test_pairs_of_one_image_stay_masks(tmp_path: Path) -> None:
    """A folder an image with one mask of its name is a mask of classes, not of objects."""
    for name in ("a", "b"):
        save(tmp_path / name / "images" / f"{name}.png", np.zeros((8, 8, 3), np.uint8))
        save(tmp_path / name / "masks" / f"{name}.png", np.ones((8, 8), np.uint8))
    assert find(tmp_path, BuildOptions()).kind == "mask"


@pytest.mark.parametrize("above", [True, False])
def test_splits_by_folders(above: bool, tmp_path: Path) -> None:
    truth: Truth = {key: TRUTH[key] for key in ("i001", "i002", "i003", "i004")}
    for key in truth:
        split = "val" if key == "i003" else "train"
        images, masks = (tmp_path / (f"{split}/{role}" if above else f"{role}/{split}") for role in ("images", "masks"))
        save(images / f"{key}.png", np.zeros((*size_of(0), 3), np.uint8))
        for k in range(2):
            save(masks / key / f"{k}.png", np.ones(size_of(0), np.uint8))
    sources = find(tmp_path, BuildOptions())
    assert sources.kind == "instances" and list(sources.keys) == list(truth)
    assert sources.splits == ["train", "train", "validation", "train"]
    assert boxes_of(sources).counts.tolist() == [2] * 4


def test_names_of_keys(tmp_path: Path) -> None:
    WRITERS["bowl"](tmp_path, TRUTH)
    assert {name_of(key) for key in find(tmp_path, BuildOptions()).keys} == set(TRUTH)


def test_nuclei_are_the_components_of_their_masks(real_data: Path, tmp_path: Path) -> None:
    """The set's masks are merged; each component becomes an object, as the competition had them."""
    components = {}
    for path in sorted((real_data / "nuclei" / "masks").glob("*.png"))[:12]:
        number, found = cv2.connectedComponents((np.asarray(Image.open(path)) > 0).astype(np.uint8))
        folder = tmp_path / "data" / path.stem
        save(folder / "images" / path.name, np.asarray(Image.open(real_data / "nuclei" / "images" / path.name)))
        for i in range(1, number):
            save(folder / "masks" / f"{i:03d}.png", (found == i).astype(np.uint8) * 255)
        components[path.stem] = [found == i for i in range(1, number)]
    flipped = {"train": A.Compose([A.HorizontalFlip(p=1), A.CenterCrop(256, 256)])}
    given = options(pipeline={**flipped, "validation": A.Compose([A.CenterCrop(256, 256)])}, variants=1)
    precompute.build(tmp_path / "data", tmp_path / "out", class_names=["nucleus"], **given)
    seen = 0
    for split, example in examples_of(tmp_path / "out"):
        center = A.CenterCrop(256, 256)
        every = [center(image=m.astype(np.uint8))["image"] > 0 for m in components[name_of(example["key"])]]
        every = [m[:, ::-1] if split == "train" else m for m in every]
        assert np.array_equal(example["masks"], [m for m in every if m.any()])
        seen += len(example["masks"])
    assert seen > 150
    merged = {"class_names": ["nucleus"], "target": "mask"}
    precompute.build(tmp_path / "data", tmp_path / "merged", **merged, **given)
    masks = {(split, e["key"]): e["mask"] for split, e in examples_of(tmp_path / "merged")}
    for split, example in examples_of(tmp_path / "out"):
        assert np.array_equal(masks[split, example["key"]], np.any(example["masks"], axis=0))
