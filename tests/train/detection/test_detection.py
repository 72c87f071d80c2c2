"""Detection without training: truth to cells and back, the loss, overlaps, matching, scores, refusals."""

from __future__ import annotations

import builtins
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from precompute.dataset.manifest import Target
from precompute.errors import DatasetError, PrecomputeError, UsageError
from precompute.fields.skeleton import Skeleton
from tests.helpers.schemas import schema_of
from tests.helpers.trainer_datasets import IMAGE
from train.detection.coco import coco_scores, require_pycocotools
from train.detection.decode import MAX_BOXES, Detections, decode
from train.detection.grid import Grid, generalized_iou, pairwise_iou
from train.detection.loss import BoxLoss, assign
from train.detection.matching import match
from train.detection.scores import BoxScores
from train.detection.truth import COUNTED, CROWD, DIFFICULT, pack
from train.options import FitOptions
from train.pictures.sheets import draw_predictions, lay_boxes, show_boxes
from train.samples import Sample
from train.tasks import make_task
from train.tasks.detect import Detect

CLASSES = 3
TASK = Detect(shape=(48, 64, 3), num_classes=CLASSES, class_names=("a", "b", "c"), normalize=None)
SIZES = [(48, 64), (45, 61), (64, 50), (390, 386)]  # of the last, cells are 8×8


def rows_of(*objects, room=None):
    """Return one image's truth [1, room, 7] of (x0, y0, x1, y1, label[, kind[, weight]])."""
    rows = [[*row, *(0, 1)[len(row) - 5 :]] for row in objects]
    rows += [[0, 0, 0, 0, -1, 0, 0]] * ((room or max(1, len(rows))) - len(rows))
    return np.array([rows], np.float32)


@st.composite
def scenes(draw, *, kinds=(COUNTED,)):
    """Return a size and objects on it, no two with their middles in one cell, no two of a class much the same."""
    height, width = draw(st.sampled_from(SIZES))
    grid = Grid(height, width)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    objects, cells = [], set()
    for _ in range(draw(st.integers(0, 8))):
        sides = rng.uniform(2 * grid.stride, [width / 2, height / 2])
        corner = rng.uniform(0, [width, height] - sides)
        row = (*corner, *(corner + sides), int(rng.integers(CLASSES)), int(rng.choice(kinds)))
        cell = tuple(np.floor((corner + sides / 2) / grid.stride))
        same = [other for other in objects if other[4] == row[4] and overlap(other, row) > 0.5]
        if cell not in cells and not same:
            cells.add(cell)
            objects.append(row)
    return (height, width), objects, rng


def overlap(a, b):
    return float(pairwise_iou(np.array([a[:4]], np.float32), np.array([b[:4]], np.float32))[0, 0])


def outputs_for(truth, grid, *, sure=20.0):
    """Return what a perfect detector gives for truth [B, N, 7]."""
    assigned = assign(truth, grid)
    heat = np.asarray(assigned.heat)
    wanted = np.eye(CLASSES)[np.asarray(assigned.labels)] * heat[..., None]
    logits = np.where(wanted == 1, sure, -sure + 10 * wanted).astype(np.float32)
    return np.concatenate([logits, np.asarray(grid.sides(assigned.boxes))], axis=-1)


# Cells.


@pytest.mark.slow
@settings(max_examples=12)
@given(scenes())
def test_truth_made_outputs_and_decoded_is_the_truth_again(scene):
    size, objects, _ = scene
    grid = Grid(*size)
    found = decode(outputs_for(rows_of(*objects, room=10), grid), grid)
    boxes, scores, labels = (np.asarray(part[0]) for part in found)
    sure = scores > 0.5
    assert boxes.shape == (MAX_BOXES, 4) and sure.sum() == len(objects)
    decoded = sorted((int(label), *box) for label, box in zip(labels[sure], boxes[sure].tolist(), strict=True))
    expected = sorted((row[4], *row[:4]) for row in objects)
    np.testing.assert_allclose(np.array(decoded), np.array(expected), atol=2e-2)


def test_the_smaller_of_two_objects_in_one_cell_has_it_whatever_their_order():
    objects = [(8, 8, 40, 40, 0), (20, 20, 28, 28, 1)]
    for order in (objects, objects[::-1]):
        assigned = assign(rows_of(*order), Grid(48, 64))
        (cell,) = np.flatnonzero(np.asarray(assigned.heat)[0] == 1)
        assert np.asarray(assigned.labels)[0, cell] == 1
        assert np.asarray(assigned.boxes)[0, cell].tolist() == [20, 20, 28, 28]


def test_packed_truth_keeps_padding_kind_and_weight():
    flags = {"crowd": [[True, False, False]], "difficult": [[True, True, False]], "mask": [[True, True, False]]}
    targets = {"boxes": tf.ones((1, 3, 4)), "labels": tf.constant([[2, 0, -1]], tf.int64)}
    targets |= {name: tf.constant(values) for name, values in flags.items()}
    packed = pack(targets, tf.constant([[3.0, 1, 0]])).numpy()
    assert packed[0, :, 4:].tolist() == [[2, CROWD, 3], [0, DIFFICULT, 1], [-1, COUNTED, 0]]


# The loss.


def loss_of(truth, outputs, size=(48, 64)):
    return np.asarray(BoxLoss(height=size[0], width=size[1], num_classes=CLASSES).call(truth, outputs))


@pytest.mark.slow
@settings(max_examples=8)
@given(scenes(kinds=(COUNTED, COUNTED, DIFFICULT, CROWD)))
def test_the_loss_is_nothing_for_the_truth_and_more_for_anything_else(scene):
    size, objects, rng = scene
    truth, grid = rows_of(*objects, room=10), Grid(*size)
    perfect = outputs_for(truth, grid)
    best = loss_of(truth, perfect, size)
    assert best.shape == (1,) and 0 <= best[0] < 1e-2
    worse = perfect + rng.normal(0, 3, perfect.shape).astype(np.float32)
    counted = [row for row in objects if row[5] == COUNTED]
    if counted:
        assert loss_of(truth, worse, size)[0] > best[0]
    shuffled = truth[:, rng.permutation(10)]
    np.testing.assert_allclose(loss_of(shuffled, worse, size), loss_of(truth, worse, size), rtol=1e-4)
    more_room = np.concatenate([truth, rows_of(room=4)], axis=1)
    np.testing.assert_allclose(loss_of(more_room, worse, size), loss_of(truth, worse, size), rtol=1e-5)


@pytest.mark.parametrize("kind", [DIFFICULT, CROWD])
def test_what_is_found_in_an_object_that_does_not_count_costs_nothing(kind):
    truth, grid = rows_of((16, 16, 40, 40, 0, kind)), Grid(48, 64)
    quiet = np.full((1, grid.num_cells, CLASSES + 4), -20, np.float32)
    found, outside = quiet.copy(), quiet.copy()
    inside = np.all((grid.centers > 16) & (grid.centers < 40), axis=1)
    found[0, inside, 0] = 5
    outside[0, ~inside, 0] = 5
    assert loss_of(truth, found) == pytest.approx(loss_of(truth, quiet), abs=1e-6)
    assert loss_of(truth, outside)[0] > 1


def test_weights_scale_what_is_lost_at_their_objects():
    outputs = np.full((1, Grid(48, 64).num_cells, CLASSES + 4), -1, np.float32)
    nothing = loss_of(rows_of((16, 16, 40, 40, 0, 0, 0)), outputs)
    once, twice = (loss_of(rows_of((16, 16, 40, 40, 0, 0, weight)), outputs) for weight in (1, 2))
    np.testing.assert_allclose(twice - once, once - nothing, rtol=1e-4)
    assert (once > nothing).all()


def test_generalized_iou_of_boxes_known_by_hand():
    a = np.array([[0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 1, 1]], np.float32)
    b = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [3, 0, 4, 1]], np.float32)
    np.testing.assert_allclose(generalized_iou(a, b), [1, 1 / 3, -0.5], atol=1e-6)


# Overlaps.


@settings(max_examples=12)
@given(st.integers(0, 2**32 - 1))
def test_overlaps_are_taken_away_as_by_going_through_the_boxes(seed):
    rng = np.random.default_rng(seed)
    grid = Grid(48, 64)
    outputs = rng.normal(0, 2, (1, grid.num_cells, CLASSES + 4)).astype(np.float32)
    outputs[..., CLASSES:] *= 0.3  # boxes of much the same size: many overlap
    boxes, scores, labels = (np.asarray(part[0]) for part in decode(outputs, grid))
    kept = scores > 0
    assert (np.diff(scores) <= 0).all()
    overlaps = np.asarray(pairwise_iou(boxes, boxes))
    for i in np.flatnonzero(kept):
        others = kept & (labels == labels[i]) & (np.arange(MAX_BOXES) != i)
        assert overlaps[i, others].max(initial=0) <= 0.6


def test_chains_of_overlaps_end_as_one_by_one():
    """A takes B away, and so C, which only B overlaps, stays."""
    from train.detection.decode import _kept

    boxes = np.array([[[0, 0, 10, 10], [2, 0, 12, 10], [4, 0, 14, 10]]], np.float32)
    assert np.asarray(_kept(boxes, np.zeros((1, 3), np.int32))).tolist() == [[True, False, True]]
    assert np.asarray(_kept(boxes, np.array([[0, 1, 1]], np.int32))).tolist() == [[True, True, False]]


# Matching and scores.


def detections(*found):
    """Return one image's detections of (x0, y0, x1, y1, score, label), the best first."""
    rows = np.array([*found, *[[0, 0, 0, 0, 0, 0]] * (5 - len(found))], np.float32)
    return Detections(rows[None, :, :4], rows[None, :, 4], rows[None, :, 5].astype(np.int32))


BOX, FAR = (0, 0, 10, 10), (30, 30, 40, 40)
CASES = {  # truth, found → right and counted at an overlap of 0.5
    "right": ([(*BOX, 0)], [(*BOX, 0.9, 0)], [True], [True]),
    "another class": ([(*BOX, 1)], [(*BOX, 0.9, 0)], [False], [True]),
    "twice": ([(*BOX, 0)], [(*BOX, 0.9, 0), (*BOX, 0.8, 0)], [True, False], [True, True]),
    "too far": ([(*BOX, 0)], [(*FAR, 0.9, 0)], [False], [True]),
    "difficult": ([(*BOX, 0, DIFFICULT)], [(*BOX, 0.9, 0)], [False], [False]),
    "in a crowd": ([(0, 0, 40, 40, 0, CROWD)], [(*BOX, 0.9, 0), (*FAR, 0.8, 0)], [False, False], [False, False]),
    "no objects": ([], [(*BOX, 0.9, 0)], [False], [True]),
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_which_detections_are_right_and_which_count(case):
    truth, found, right, counts = CASES[case]
    answers = match(ops.convert_to_tensor(rows_of(*truth)), detections(*found))
    expected = [right + [False] * (5 - len(right)), counts + [False] * (5 - len(counts))]
    assert [np.asarray(answer)[0, :, 0].tolist() for answer in answers] == expected


def count_all(truths, found):
    """Return the counts of images, each with its truth and detections, as the task adds them up."""
    counts = {}
    for truth, (boxes, scores, labels) in zip(truths, found, strict=True):
        rows = np.concatenate([boxes[0], scores[0][:, None], labels[0][:, None]], axis=1)[scores[0] > 0]
        one = {
            "truth": np.concatenate([np.zeros((truth.shape[1], 1)), truth[0]], axis=1)[truth[0, :, 4] >= 0],
            "found": np.concatenate([np.zeros((len(rows), 1)), rows], axis=1),
            "images": np.array(1),
        }
        counts = TASK.add_counts(counts, one)
    return counts


def test_cocos_scores_of_cases_known_by_hand():
    truths = [rows_of(*case[0]) for case in CASES.values()]
    found = [detections(*case[1]) for case in CASES.values()]
    summary = TASK.summarize(count_all(truths, found))
    # Class a: 3 objects count; right, wrong (another class), right, wrong …, all of score 0.9 but two.
    assert [row["num_objects"] for row in summary["classes"]] == [3, 1, 0]
    assert summary["classes"][1]["ap50"] == 0.0 and summary["classes"][2]["ap50"] is None
    assert 0.2 < summary["classes"][0]["ap50"] < 0.7
    only_ignored = [rows_of(*CASES[name][0]) for name in ("difficult", "in a crowd", "right")]
    found = [detections(*CASES[name][1]) for name in ("difficult", "in a crowd", "right")]
    summary = TASK.summarize(count_all(only_ignored, found))
    assert (summary["map"], summary["ap50"], summary["num_images"]) == pytest.approx((1, 1, 3))
    assert TASK.summarize(count_all([rows_of()], [detections()]))["map"] == 0.0


@pytest.mark.slow
@settings(max_examples=5)
@given(st.integers(0, 2**32 - 1))
def test_the_metric_of_fit_is_near_to_cocos_scores(seed):
    rng = np.random.default_rng(seed)
    grid, metric, counts = Grid(48, 64), BoxScores(height=48, width=64, num_classes=CLASSES), {}
    for _ in range(4):
        corners = rng.uniform(0, [44, 28], (6, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(8, 20, (6, 2))], axis=1)
        truth = rows_of(*[(*box, int(rng.integers(CLASSES)), int(rng.choice([0, 0, 0, 1, 2]))) for box in boxes])
        outputs = outputs_for(truth, grid, sure=3.0)
        outputs += rng.normal(0, [1.5] * CLASSES + [0.15] * 4, outputs.shape).astype(np.float32)
        metric.update_state(truth, outputs)
        counts = TASK.add_counts(counts, TASK.count(truth, outputs))
    found, expected = metric.result(), TASK.summarize(counts)
    assert float(found["ap50"]) == pytest.approx(expected["ap50"], abs=0.12)
    assert float(found["map"]) == pytest.approx(expected["map"], abs=0.12)


def test_each_image_is_scored_by_itself():
    grid = TASK.grid
    truth = np.concatenate([rows_of((8, 8, 24, 24, 0)), rows_of()])
    outputs = np.concatenate([outputs_for(rows_of((8, 8, 24, 24, 0)), grid), outputs_for(rows_of(), grid)])
    assert TASK.score_images(truth, outputs) == [1.0, 1.0]
    assert TASK.score_images(truth, outputs[::-1]) == [0.0, 0.0]
    assert TASK.confidence(outputs[0]) > 0.99 and TASK.confidence(outputs[1]) == 0.0


def test_balanced_weights_count_objects_that_count():
    truth = rows_of((*BOX, 0), (*BOX, 0), (*BOX, 0), (*BOX, 1), (*BOX, 1, DIFFICULT), room=8)
    weights = TASK.balanced_weights([truth])
    assert weights[1] == pytest.approx(3 * weights[0])


# Refusals.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mixup": 0.2}, "--mixup: it is not for boxes"),
        ({"cutmix": 0.2}, "--cutmix: it is not for boxes"),
        ({"label_smoothing": 0.1}, "--label-smoothing: it is not for boxes"),
        ({"ignore_class": 2}, "--ignore-class: this is for masks"),
        ({"model": "unet"}, "detector- with a backbone"),
        ({"model": "mine:make"}, "in a loop of your own"),
        ({"model": "detector-NoSuchNet"}, "expected small, module:function"),
        ({"weights": "imagenet"}, "no imagenet weights for detector"),
        ({"freeze_epochs": 2}, "detector has no backbone"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_options_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        TASK.check_options(FitOptions(**changes))


def test_a_label_without_an_output_is_refused():
    with pytest.raises(DatasetError, match=r"class ids outside its 3 classes \(0 to 2\)"):
        TASK.check_targets(np.array([0.0, 3]), "data: train")


def test_without_pycocotools_the_way_to_it_is_said(monkeypatch):
    load = builtins.__import__

    def refuse(name, *rest):
        if name.startswith("pycocotools"):
            raise ImportError(f"No module named {name!r}")
        return load(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(PrecomputeError, match=r"pip install 'augment-once\[coco\]'"):
        require_pycocotools()


def test_coco_scores_of_nothing():
    scores = coco_scores(np.zeros((0, 8)), np.zeros((0, 7)), num_images=2, num_classes=2)
    assert scores["map"] == 0.0 and scores["classes"][0] == {"num_objects": 0, "ap": None, "ap50": None}


@pytest.mark.parametrize("kind", ["keypoints", "instances", "image"])
def test_targets_that_are_not_learnt_are_named(kind):
    target = Target(
        kind=kind, num_classes=2, class_names=[], keypoints=Skeleton(names=["tip"]) if kind == "keypoints" else None
    )
    manifest = SimpleNamespace(name="data", target=target, schema=schema_of(target, **IMAGE))
    named = "images alone" if kind == "image" else kind
    with pytest.raises(
        DatasetError, match=f"learns classes, labels, masks, boxes, numbers and further images; the dataset has {named}"
    ):
        make_task(manifest)


# Pictures.


def test_frames_are_drawn_on_the_outermost_pixels_of_a_box():
    image = np.zeros((30, 40, 3), np.uint8)
    drawn = lay_boxes(image, np.array([[5, 6, 15, 12, 0.9, 1]]))
    y, x = np.nonzero(drawn.any(axis=2))
    assert (x.min(), y.min(), x.max(), y.max()) == (5, 6, 14, 11)  # the last pixels inside
    assert not drawn[7:11, 6:14].any() and not image.any()
    assert len({tuple(lay_boxes(image, np.array([[0, 0, 9, 9, 1, c]]))[0, 0]) for c in range(3)}) == 3


@pytest.mark.parametrize("found", [True, False])
def test_pictures_of_samples_with_and_without_boxes(found):
    boxes = np.array([[5, 6, 15, 12, 0.9, 1]] if found else np.zeros((0, 6)))
    truth = rows_of((5, 6, 15, 12, 1), (20, 20, 30, 28, 0, CROWD))[0] if found else rows_of()[0]
    image = np.full((48, 64, 1 if found else 3), 90, np.uint8)
    samples = [
        Sample(image=image, truth=truth, predicted=boxes, confidence=0.9, standing=standing, score=1.0)
        for standing in ("best", "worst")
    ]
    assert TASK.draw(samples).startswith(b"\x89PNG")
    prediction = show_boxes("a", image, boxes, TASK.class_names, "1 found")
    assert draw_predictions([prediction] * 4).startswith(b"\x89PNG")


def test_what_is_summarized_is_described_class_by_class():
    truth, found = rows_of((*BOX, 0), (*FAR, 1)), detections((*BOX, 0.9, 0))
    summary = TASK.summarize(count_all([truth], [found]))
    lines = TASK.describe(summary)
    assert lines[1].split() == ["a", "1", "1.000", "1.000"] and lines[3].split() == ["c", "0", "–", "–"]
    assert lines[-1] == "mAP@[.5:.95] 0.500, mAP@.5 0.500, mAP@.75 0.500"
    assert TASK.draw_scores(summary).startswith(b"\x89PNG")
