"""Keypoints, from Python to records: they land where the pixels went, and left and right change places."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
from hypothesis import given, strategies

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError, PipelineError, SettingsError, SourceError, UsageError
from precompute.fields.boxes import Boxes
from precompute.fields.skeleton import Skeleton, left_right_pairs, make_skeleton
from precompute.pipelines.box_rules import BoxRules
from precompute.pipelines.pipeline import Pipeline, prepare
from precompute.records.example import decode_example
from precompute.records.tfrecord import read_records
from tests.helpers.box_datasets import identity, turning
from tests.helpers.decoded_sources import put_through
from tests.helpers.keypoint_datasets import (
    COLORS,
    EDGES,
    NAMES,
    PAIRS,
    SWAPPED,
    check_pixels_under_points,
    draw_pointed,
    examples_of,
    lists_of,
    seen_points,
)
from tests.helpers.small_datasets import options, shard_hashes
from tests.helpers.source_columns import boxes_of

POINTS = BoxRules(points=True)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("pointed")
    return folder, draw_pointed(folder)


@pytest.fixture(scope="module")
def out(drawn: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "turned"
    skeleton = [[NAMES[a], NAMES[b]] for a, b in EDGES]
    given = options(pipeline=turning(), variants=4, validation_split=0)
    precompute.build(output=folder, **lists_of(*drawn), flip_pairs=PAIRS, skeleton=skeleton, **given)
    return folder


def test_identity_keeps_every_coordinate(drawn: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, truth = drawn
    given = options(pipeline=identity(48, 48), variants=1, validation_split=0)
    result = precompute.build(output=tmp_path / "out", **lists_of(folder, truth), **given)
    assert "    9 objects; 4 records without any" in result.summary()
    for example in examples_of(tmp_path / "out"):
        boxes, points = truth[example["key"]]
        expected = np.array(points, np.float64).reshape(-1, len(NAMES), 3)
        np.testing.assert_allclose(example["keypoints"], expected[..., :2], atol=1e-5)
        assert example["visibility"].tolist() == expected[..., 2].tolist()
        assert [tuple(box) for box in example["boxes"].round(3).tolist()] == [row[:4] for row in boxes]
        assert example["class_names"] == [row[4] for row in boxes]
        assert example["keypoint_names"] == NAMES
    target = Manifest.load(tmp_path / "out").target
    assert (target.kind, target.keypoints) == ("keypoints", Skeleton(names=NAMES))
    compared, swapped = check_pixels_under_points(tmp_path / "out")
    assert compared == sum(v > 0 for _, points in truth.values() for one in points for *_, v in one) > 20
    assert swapped == 0


def test_a_flip_mirrors_every_coordinate_and_swaps_pairs(drawn: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    flip = A.Compose([A.PadIfNeeded(48, 48, border_mode=0, position="top_left"), A.HorizontalFlip(p=1)])
    given = options(pipeline={"train": flip, "validation": identity(48, 48)}, variants=1, validation_split=0)
    precompute.build(output=tmp_path / "out", **lists_of(*drawn), flip_pairs="auto", **given)
    for example in examples_of(tmp_path / "out"):
        points = np.array(drawn[1][example["key"]][1], np.float64).reshape(-1, len(NAMES), 3)[:, SWAPPED]
        there = points[..., 2] > 0
        mirrored = np.where(there[..., None], np.stack([48 - points[..., 0], points[..., 1]], axis=-1), 0)
        np.testing.assert_allclose(example["keypoints"], mirrored, atol=1e-5)
        assert example["visibility"].tolist() == points[..., 2].tolist()


def test_points_go_where_the_pixels_go(out: Path) -> None:
    compared, swapped = check_pixels_under_points(out)
    assert compared > 100 and 8 < swapped < 32
    assert precompute.verify(out, sources=20).problems == []
    skeleton = Manifest.load(out).target.keypoints
    assert skeleton == Skeleton(names=NAMES, edges=[list(e) for e in EDGES], flip_pairs=[[1, 2], [3, 4]])


@pytest.mark.slow
def test_without_boxes_no_object_falls_out(drawn: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    crop = {"train": A.Compose([A.RandomCrop(12, 12)]), "validation": A.Compose([A.CenterCrop(12, 12)])}
    given = options(pipeline=crop, variants=4, validation_split=0)
    counts = {}
    for boxed in (True, False):
        folder = tmp_path / f"boxed-{boxed}"
        precompute.build(output=folder, **lists_of(*drawn, has_boxes=boxed), **given)
        assert precompute.verify(folder, sources=5).problems == []
        counts[boxed] = [len(example["labels"]) for example in examples_of(folder)]
        assert any((example["visibility"] == 0).all() for example in examples_of(folder) if len(example["labels"]))
    assert sum(counts[True]) < sum(counts[False]) == 4 * sum(len(points) for _, points in drawn[1].values())
    example = next(iter(examples_of(tmp_path / "boxed-False")))
    assert "boxes" not in example and Manifest.load(tmp_path / "boxed-False").target.class_names == ["object"]
    (shard, *_) = sorted((tmp_path / "boxed-False" / "data").rglob("*.tfrecord-*"))
    features = decode_example(next(read_records(shard)))
    assert not [name for name in features if "bbox" in name or "area" in name]


def test_records_hold_what_tensorflows_readers_look_for(out: Path) -> None:
    seen = 0
    for shard in sorted((out / "data").rglob("*.tfrecord-*")):
        for record in read_records(shard):
            features = decode_example(record)
            lists = {name: list(features[f"image/object/keypoint/{name}"]) for name in ("x", "y", "visibility", "text")}
            num = len(features["image/object/class/label"])
            assert {len(values) for values in lists.values()} == {num * len(NAMES)}
            assert lists["text"] == [name.encode() for name in NAMES] * num
            labelled = np.array(lists["visibility"], int).reshape(num, len(NAMES)) > 0
            assert list(features["image/object/keypoint/num"]) == labelled.sum(axis=1).tolist()
            assert all(0 <= share <= 1 for share in (*lists["x"], *lists["y"]))
            seen += num
    assert seen == Manifest.load(out).splits["train"].rows[0].boxes.num_boxes * 4  # type: ignore[union-attr]


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_same_bytes_for_any_number_of_jobs(
    out: Path, drawn: tuple[Path, dict[str, Any]], tmp_path: Path, jobs: int
) -> None:
    given = options(pipeline=turning(), variants=4, validation_split=0, jobs=jobs, backend="loky")
    given |= {"backend": "threading"} if jobs == 1 else {}
    skeleton = [[NAMES[a], NAMES[b]] for a, b in EDGES]
    precompute.build(output=tmp_path / "turned", **lists_of(*drawn), flip_pairs=PAIRS, skeleton=skeleton, **given)
    assert shard_hashes(tmp_path / "turned") == shard_hashes(out)


def test_more_rows_come_from_the_manifest(out: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(out, tmp_path / "turned")
    precompute.regenerate(tmp_path / "turned", seed=9, jobs=1, backend="sequential", quiet=True)
    compared, swapped = check_pixels_under_points(tmp_path / "turned")
    assert compared > 100 and swapped > 8


def test_other_pairs_or_names_are_other_settings(out: Path, drawn: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    given = options(pipeline=turning(), variants=4, validation_split=0)
    skeleton = [[NAMES[a], NAMES[b]] for a, b in EDGES]
    with pytest.raises(
        SettingsError, match=r"pixels.flip_pairs: \['left_eye:right_eye', .*\] in the dataset, \[\] now"
    ):
        precompute.build(output=out, **lists_of(*drawn), skeleton=skeleton, flip_pairs="none", **given)


# Pipelines

BIG = 131, 97


def discs(places: list[tuple[float, float]]) -> np.ndarray[Any, Any]:
    """Return an image whose channels show a soft disc each, around these places by edges."""
    yy, xx = np.mgrid[: BIG[1], : BIG[0]]
    channels = [np.exp(-((xx + 0.5 - x) ** 2 + (yy + 0.5 - y) ** 2) / 18) for x, y in places]
    return (np.stack(channels, axis=-1) * 255).round().astype(np.uint8)


def middle(channel: np.ndarray[Any, Any]) -> tuple[float, float]:
    weight = np.where(channel < 8, 0, channel).astype(float)
    yy, xx = np.mgrid[: channel.shape[0], : channel.shape[1]] + 0.5
    return float((weight * xx).sum() / weight.sum()), float((weight * yy).sum() / weight.sum())


PLACES = [(40.5, 30.5), (80.5, 40.5), (60.5, 65.5)]
MOVING = {
    "smaller": A.Resize(40, 50),
    "larger": A.Resize(300, 280),
    "longest": A.LongestMaxSize(64),
    "shortest": A.SmallestMaxSize(40),
    "scaled": A.RandomScale((-0.53, -0.53), p=1),
    "random crop, resized": A.RandomResizedCrop((64, 64), scale=(0.9, 0.95)),
    "crop and pad": A.CropAndPad(px=8),
    "pad": A.Pad(10),
    "crop": A.CenterCrop(80, 100),
    "turned": A.Rotate((30, 30), p=1),
    "turned, reflecting": A.Rotate((10, 10), border_mode=4, p=1),
    "turned over": A.Affine(rotate=(180, 180), p=1),
    "shrunk": A.Affine(scale=0.6, rotate=20, fit_output=True, p=1),
    "seen from aside": A.Perspective((0.1, 0.1), p=1),
    "dihedral": A.D4(p=1),
}


@pytest.mark.parametrize("name", MOVING)
def test_drawn_discs_are_found_under_their_points(name: str) -> None:
    image, half = discs(PLACES), [[n for x, y in PLACES for n in (x, y, 2)]]
    boxes = Boxes.of_rows([[20, 20, 110, 90, 0, 0]], BIG, half)
    pipeline = Pipeline(prepare(MOVING[name], "train", box_rules=POINTS).pickled)
    for variant in range(3):
        pixels, moved = put_through(pipeline, image, boxes, seed=0, key="a", variant=variant, copy=0)
        assert moved.points.shape == (1, 3, 3) and (moved.points[..., 2] == 2).all()
        found = moved.points[0, :, :2] * [pixels.shape[1], pixels.shape[0]]
        near = 0.3 if name == "seen from aside" else 0.1  # a disc seen so has its middle beside that of its picture
        np.testing.assert_allclose(found, [middle(pixels[..., c]) for c in range(3)], atol=near)


def test_reflected_borders_make_no_copies() -> None:
    boxes = Boxes.of_rows([[20, 20, 110, 90, 0, 0]], BIG, [[n for x, y in PLACES for n in (x, y, 2)]])
    pad = A.PadIfNeeded(200, 200, border_mode=4)
    _, moved = put_through(
        Pipeline(prepare(pad, "train", box_rules=POINTS).pickled),
        discs(PLACES),
        boxes,
        seed=0,
        key="a",
        variant=0,
        copy=0,
    )
    left, top = (200 - 131) // 2, (200 - 97) // 2
    assert len(moved) == 1
    np.testing.assert_allclose(moved.points[0, :, :2] * 200, [(x + left, y + top) for x, y in PLACES], atol=1.01)
    np.testing.assert_allclose(moved.corners * 200, [[20 + left, 20 + top, 110 + left, 90 + top]], atol=1.01)


@pytest.mark.parametrize("back", [A.Pad(10), A.Affine(scale=0.4, p=1), A.Compose([A.OneOf([A.Pad(10)], p=1)])])
def test_what_left_the_image_does_not_come_back(back: Any) -> None:
    boxes = Boxes.of_rows([[2, 2, 29, 19, 0, 0]], (30, 20), [[15, 10, 2, 5, 10, 1, 26, 10, 2]])
    nested = A.Sequential([A.CenterCrop(10, 10)], p=1)
    pipeline = Pipeline(prepare(A.Compose([nested, back]), "train", box_rules=POINTS).pickled)
    _, moved = put_through(pipeline, np.zeros((20, 30, 3), np.uint8), boxes, seed=0, key="a", variant=0, copy=0)
    assert moved.points[0, :, 2].tolist() == [2, 0, 0]


def test_params_that_remove_points_do_not_count() -> None:
    own = A.KeypointParams("yx", remove_invisible=True)
    cut = A.Compose([A.Crop(0, 0, 4, 4), A.HorizontalFlip(p=1)], keypoint_params=own)
    boxes = Boxes.of_rows([[0, 0, 9, 9, 0, 0]], (30, 20), [[1, 1, 2, 9, 9, 2]])
    _, moved = put_through(
        Pipeline(prepare(cut, "train", box_rules=POINTS).pickled),
        np.zeros((20, 30, 3), np.uint8),
        boxes,
        seed=0,
        key="a",
        variant=0,
        copy=0,
    )
    assert moved.mirrored
    np.testing.assert_allclose(moved.points[0], [[0.75, 0.25, 2], [0, 0, 0]], atol=1e-6)


def test_shrunk_sources_keep_their_points(tmp_path: Path) -> None:
    from tests.helpers.small_datasets import save

    save(tmp_path / "a.png", discs(PLACES))
    given = options(pipeline=A.Compose([A.NoOp()]), variants=1, validation_split=0, max_source_size=64)
    precompute.build(output=tmp_path / "out", images=[tmp_path / "a.png"], keypoints=[[PLACES]], **given)
    (example,) = precompute.read(tmp_path / "out")
    assert example["image"].shape == (47, 64, 3)
    np.testing.assert_allclose(example["keypoints"][0], [middle(example["image"][..., c]) for c in range(3)], atol=0.1)


def test_points_outside_an_image_of_unknown_size_never_come_in() -> None:
    """As of images in an object store, whose headers are not read beforehand."""
    boxes = Boxes.of_rows([[2, 2, 9, 9, 0, 0]], (20, 20), [[5, 5, 2, 22, 5, 2]])
    pad = Pipeline(prepare(A.Pad(10), "train", box_rules=POINTS).pickled)
    _, moved = put_through(pad, np.zeros((20, 20, 3), np.uint8), boxes, seed=0, key="a", variant=0, copy=0)
    assert moved.points[0, :, 2].tolist() == [2, 0]


@pytest.mark.parametrize(
    ("transform", "mirrors"),
    [
        (A.HorizontalFlip(p=1), True),
        (A.VerticalFlip(p=1), True),
        (A.Transpose(p=1), True),
        (A.RandomRotate90(p=1), False),
        (A.Compose([A.HorizontalFlip(p=1), A.VerticalFlip(p=1)]), False),
        (A.Compose([A.Rotate((45, 45), p=1), A.OneOf([A.HorizontalFlip(p=1)], p=1), A.Resize(20, 20)]), True),
        (A.RandomGridShuffle((2, 2), p=1), False),
        (A.Affine(rotate=(180, 180), p=1), False),
        (A.CoarseDropout(p=1), False),
    ],
)
def test_whether_an_image_was_mirrored(transform: Any, mirrors: bool) -> None:
    boxes = Boxes.of_rows([[1, 1, 9, 9, 0, 0]], (30, 20), [[5, 5, 2]])
    _, moved = put_through(
        Pipeline(prepare(transform, "train", box_rules=POINTS).pickled),
        np.zeros((20, 30, 3), np.uint8),
        boxes,
        seed=0,
        key="a",
        variant=0,
        copy=0,
    )
    assert moved.mirrored is mirrors


class Unable(A.DualTransform):
    def apply(self, img: Any, **params: Any) -> Any:
        return img[:, ::-1]

    def apply_to_bboxes(self, bboxes: Any, **params: Any) -> Any:
        return bboxes


def test_what_cannot_move_keypoints_is_refused(drawn: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"pipeline of train: Unable cannot move keypoints; leave it out, or give"):
        precompute.build(
            output=tmp_path / "out", **lists_of(*drawn), **options(pipeline=A.Compose([Unable(p=1), A.Resize(9, 9)]))
        )


def test_params_of_the_pipeline_are_said_not_to_count() -> None:
    own = A.Compose([A.HorizontalFlip()], keypoint_params=A.KeypointParams("yx", remove_invisible=True))
    (note,) = prepare(own, "train", box_rules=POINTS).notes
    assert "its keypoint_params (format='yx', remove_invisible=True) are not needed here" in note
    (note,) = prepare(A.Compose([A.OpticalDistortion(p=1)]), "train", box_rules=POINTS).notes
    assert "OpticalDistortion moves keypoints by an approximation" in note


@pytest.mark.parametrize(
    ("given", "warned"),
    [({}, True), ({"flip_pairs": "none"}, False), ({"flip_pairs": "auto"}, False), ({"pipeline": identity()}, False)],
)
def test_mirroring_without_pairs_is_warned_about(
    drawn: tuple[Path, dict[str, Any]], tmp_path: Path, capfd: pytest.CaptureFixture[str], given: Any, warned: bool
) -> None:
    chosen = options(**{"pipeline": turning(), "quiet": False, "dry_run": True, **given})
    precompute.build(output=tmp_path / "out", **lists_of(*drawn), **chosen)
    said = capfd.readouterr().err
    expected = "warning: pipeline of train: HorizontalFlip, VerticalFlip, Transpose mirror images, and keypoints are"
    assert (expected in said) is warned
    assert ("Give --flip-pairs auto (that is left_eye:right_eye,left_hand:right_hand)" in said) is warned


# Names and pairs


def test_pairs_are_found_by_names() -> None:
    assert left_right_pairs(["nose", "left_eye", "right_eye"]) == [[1, 2]]
    assert left_right_pairs(["LeftEye", "Nose", "RightEye"]) == [[0, 2]]
    assert left_right_pairs(["l_hip", "r_hip", "l_knee"]) == [[0, 1]]
    assert left_right_pairs(["LHip", "RHip", "hand.R", "hand.L"]) == [[0, 1], [2, 3]]
    assert left_right_pairs(["eye-left", "eye-right", "bright", "cleft"]) == [[0, 1]]
    assert left_right_pairs(["leftear", "rightear", "nose", "EARRIGHT", "EARLEFT"]) == [[0, 1], [3, 4]]
    assert left_right_pairs(["upperleftarm", "left_eye", "upperrightarm", "right_eye"]) == [[0, 2], [1, 3]]
    assert left_right_pairs(["rank", "rhip", "lip", "lhip", "lank"]) == [[0, 4], [1, 3]]
    assert left_right_pairs(["hipl", "hipr", "kneer", "kneel"]) == [[0, 1], [2, 3]]
    assert left_right_pairs(["lip", "rip", "nose", "bright", "bleft2", "light"]) == []


@given(strategies.lists(strategies.text("LRlrleftrigh_ ", max_size=8), unique=True))
def test_sided_pairs_of_any_names_hold_each_keypoint_once(names: list[str]) -> None:
    indices = [index for pair in left_right_pairs(names) for index in pair]
    assert len(indices) == len(set(indices))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ["a", "b", "a"]}, r"different names, but these appear again:\n  a"),
        ({"flip_pairs": "auto", "names": ["a", "b"]}, "auto finds no names with left and right"),
        ({"flip_pairs": [["left_eye", "right_ear"]]}, "flip_pairs .*: there is no keypoint 'right_ear'; the names are"),
        ({"flip_pairs": [["nose", "left_eye"], ["left_eye", "right_eye"]]}, "these appear again: left_eye"),
    ],
)
def test_skeletons_that_are_none(changes: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_skeleton(**{"names": NAMES, **changes})


@pytest.mark.parametrize("name", ["flip_pairs", "skeleton"])
def test_pairs_are_written_with_colons(name: str) -> None:
    from precompute.options.build_options import BuildOptions

    assert getattr(BuildOptions.make(**{name: "a:b, c:d"}), name) == [["a", "b"], ["c", "d"]]
    for wrong in ("a-b", [1, 2], 5):
        with pytest.raises(UsageError, match=f"{name}: expected pairs of names"):
            BuildOptions.make(**{name: wrong})


# Python's usual mistakes


@pytest.mark.parametrize(
    ("keypoints", "changes", "message"),
    [
        ([[[(1, 2)]], [[(1, 2), (3, 4)]]], {}, "keypoints of 'p01': expected 1 keypoint, of each object; got 2"),
        ([[[(1, 2)]], []], {"keypoint_names": ["a", "b"]}, "expected 2 keypoints, as keypoint_names has"),
        ([[[(1, 2, 3, 4)]], []], {}, r"expected \(x, y\) or \(x, y, visibility\)"),
        ([[[("1", 2)]], []], {}, r"expected \(x, y\) or \(x, y, visibility\)"),
        (["nose", []], {}, "expected a list of objects"),
        ([[3], []], {}, "expected a list of keypoints an object"),
        ([[], []], {}, "got empty lists for 2 images"),
        ([[[(1, 2, 7)]], []], {}, "visibility other than 0"),
        (
            [[[(99, 2)]], [[None]]],
            {},
            r"not one of 2 objects has a labelled keypoint inside its image:\n  p00: 0 at 99",
        ),
        ([[[(1, 2)]], []], {"boxes": [[], []]}, "expected those of 0 objects, as it has boxes; got 1"),
        ([[[(1, 2)]], []], {"instances": [[], []]}, "Expected one kind of objects, got both keypoints and instances"),
        ([[[(1, 2)]], []], {"class_names": ["a", "b"]}, "without boxes all objects are of one class"),
        ([[[(1, 2)]], []], {"min_area": 4}, "these objects have keypoints alone"),
        ([[[(1, 2)]], []], {"target": "boxes"}, "expected boxes, but these sources have a target of kind keypoints"),
    ],
)
def test_mistakes_in_python(
    drawn: tuple[Path, dict[str, Any]], tmp_path: Path, keypoints: Any, changes: Any, message: str
) -> None:
    images = [drawn[0] / "p00.png", drawn[0] / "p01.png"]
    with pytest.raises((UsageError, SourceError), match=message):
        precompute.build(
            output=tmp_path / "out", images=images, keypoints=keypoints, **options(validation_split=0, **changes)
        )


def test_options_for_keypoints_are_refused_without(drawn: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    images, labels = [drawn[0] / "p00.png", drawn[0] / "p01.png"], ["a", "b"]
    with pytest.raises(UsageError, match=r"flip_pairs \(--flip-pairs\): is for keypoints; these sources have none"):
        precompute.build(output=tmp_path / "out", images=images, labels=labels, **options(flip_pairs="auto"))


def test_sources_with_keypoints(drawn: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """One object as an array, points that are not labelled in each way, one outside; told how many."""
    array = np.array([(4.5, 5.5), (np.nan, np.nan), (60, 2)])
    sources = [
        precompute.Source(key="a", image=drawn[0] / "p00.png", keypoints=array),
        precompute.Source(key="b", image=drawn[0] / "p01.png", keypoints=[[None, (1, 2, 0), (3, 4, 1)]]),
    ]
    from precompute.options.build_options import BuildOptions
    from precompute.sources.find import find

    found = find(sources, BuildOptions.make(keypoint_names=["a", "b", "c"]))
    assert found.skeleton is not None and found.kind == "keypoints"
    assert boxes_of(found)[0].point_rows() == [[4.5, 5.5, 2, 0, 0, 0, 0, 0, 0]]
    assert boxes_of(found)[1].point_rows() == [[0, 0, 0, 0, 0, 0, 3, 4, 1]]
    assert found.notes == [
        "2 labelled keypoints of 2 objects with 3 each.",
        "1 keypoint outside of the image: taken as not labelled, visibility 0:\n  a: c at 60, 2, visibility 2",
        "Keypoints that are never labelled:\n  b",
    ]
    with pytest.raises(UsageError, match=r"the same targets for all .* labels \(1, such as of 'c'\) and keypoints \(2"):
        find([*sources, precompute.Source(key="c", image=drawn[0] / "p02.png", label="x")], BuildOptions())


# What lies on the disk


def test_listing_is_plain_json(out: Path, drawn: tuple[Path, dict[str, Any]]) -> None:
    lines = (out / "data" / "g0001" / "sources-train.jsonl").read_text().splitlines()
    for entry in map(json.loads, lines):
        assert entry["keypoints"] == [[n for point in one for n in point] for one in drawn[1][entry["key"]][1]]


def test_listings_that_no_build_writes(out: Path, tmp_path: Path) -> None:
    from precompute.table.listing_file import read_listing

    lines = (out / "data" / "g0001" / "sources-train.jsonl").read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if json.loads(line)["boxes"])
    entry = json.loads(lines[at])
    for changed in ([], [[1, 2]], [[1, 2, 3]], [["1", 2, 0]], 5):
        lines[at] = json.dumps({**entry, "keypoints": changed})
        (tmp_path / "list.jsonl").write_text("\n".join(lines) + "\n")
        with pytest.raises(DatasetError, match="keypoints: expected for each box as many numbers"):
            read_listing(tmp_path / "list.jsonl")
    lines[at] = json.dumps({name: value for name, value in entry.items() if name != "keypoints"})
    (tmp_path / "list.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(DatasetError, match="not a list of sources"):
        read_listing(tmp_path / "list.jsonl")


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("x", [2.0] * 5, "shares from 0 to 1"),
        ("x", [0.5] * 4, r"expected as many of each for each object \(1\)"),
        ("visibility", [3] * 5, "visibility from 0 to 2"),
        ("visibility", [0] * 5, "expected 0, 0 where visibility is 0"),
        ("num", [9], "is not how many points are labelled"),
        ("text", [b"\xff"] * 5, "UTF-8"),
    ],
)
def test_records_that_no_build_writes(out: Path, name: str, values: list[Any], message: str) -> None:
    records = (decode_example(r) for shard in (out / "data").rglob("*.tfrecord-*") for r in read_records(shard))
    features = next(f for f in records if len(f["image/object/class/label"]) == 1)
    objects = Manifest.load(out).schema["objects"]
    assert objects.decode(features, (60, 60))["keypoints"].shape == (1, 5, 2)
    with pytest.raises(DatasetError, match=message):
        objects.decode({**features, f"image/object/keypoint/{name}": values}, (60, 60))


def test_a_manifest_with_another_skeleton_is_refused(out: Path, tmp_path: Path) -> None:
    content = json.loads((out / "manifest.json").read_text())
    for changes in (
        {"flip_pairs": [[0, 9]]},
        {"names": ["a", "a"]},
        {"flip_pairs": [[1, 2], [2, 3]]},
        {"edges": [[1]]},
    ):
        content["schema"]["objects"]["keypoints"] |= changes
        (tmp_path / "manifest.json").write_text(json.dumps(content))
        with pytest.raises(DatasetError, match="schema: objects: keypoints: .* is not what precompute writes"):
            Manifest.load(tmp_path)


def test_export_has_no_place_for_them(out: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="keypoints of turned"):
        precompute.export(out, output=tmp_path / "plain")


def test_points_and_lines_are_drawn(out: Path, drawn: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    from PIL import Image

    from precompute.inspecting import preview
    from precompute.options.build_options import BuildOptions
    from precompute.pictures import stored_sheet
    from precompute.pictures.drawing import LEFT, RIGHT

    given = {"pipeline": turning(), "variants": 2, "image_format": "png", "flip_pairs": "auto", "keypoint_names": NAMES}
    lists = lists_of(*drawn)
    lists.pop("keypoint_names")
    pictures = [
        stored_sheet.draw_stored(out, tmp_path / "stored.png"),
        preview.draw_preview(None, options=BuildOptions.make(**given), output=tmp_path / "sheet.png", lists=lists).path,
    ]
    for picture in pictures:
        pixels = np.asarray(Image.open(picture))
        for color in (LEFT, RIGHT):
            assert (pixels == np.array(color)).all(axis=2).sum() > 100
    assert precompute.inspect(out).text().count("5 keypoints each, 2 flip pairs (left_eye:right_eye …)") == 1


def test_colors_are_told_apart() -> None:
    image = np.zeros((4, 9, 3), np.uint8)
    image[1, 2] = COLORS[1, 3]
    assert seen_points(image) == {(1, 3): (2.5, 1.5)}
