"""Which samples are chosen, and that pictures of any number of classes can be read."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from precompute.pictures.palette import IGNORED
from train.measure import measure
from train.pictures.charts import _most_confused, draw_class_scores, draw_confusion
from train.pictures.sheets import (
    class_colors,
    draw_classes,
    draw_masks,
    draw_predictions,
    lay_boxes,
    lay_over,
    show_boxes,
    show_mask,
    show_words,
)
from train.predictions import resize_nearest
from train.samples import STANDINGS, Sample, choose_samples
from train.scores import image_ious, to_probabilities
from train.tasks import Task
from train.tasks.classify import Classify
from train.tasks.segment import Segment

NAMES = ["a", "a name that is much longer than any picture has room for, even across", "c"]


def names_of(num_classes):
    return [f"{NAMES[c % 3]} {c}" for c in range(num_classes)]


def opened(png):
    """Return the pixels of a PNG; it holds more than paper."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    assert (pixels != 255).any()
    assert max(pixels.shape) <= 4000
    return pixels


def holds(pixels, color):
    """Tell whether some pixels have just this colour, 0 to 1."""
    wanted = np.round(np.array(color) * 255)
    return (np.abs(pixels - wanted).max(axis=-1) <= 1).any()


# Choosing


@settings(max_examples=200)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(1, 24))
def test_best_median_and_worst_are_what_they_say(scores, num_samples):
    chosen = choose_samples(scores, num_samples)
    by_standing = {name: [scores[p] for p in chosen if chosen[p] == name] for name in STANDINGS}
    rest = sorted(scores)
    best, worst = by_standing["best"], by_standing["worst"]
    assert best == rest[::-1][: len(best)]
    assert worst == rest[: len(worst)][::-1]
    assert len(chosen) <= max(3, num_samples)
    if len(scores) >= 3:
        each = max(1, min(num_samples, len(scores)) // 3)
        assert [len(group) for group in by_standing.values()] == [each] * 3
        below = sum(score < min(by_standing["median"]) for score in scores)
        above = sum(score > max(by_standing["median"]) for score in scores)
        assert max(below, above) <= (len(scores) - each + 1) // 2


def test_few_images_and_images_without_a_score():
    assert choose_samples([0.5], 6) == {0: "best"}
    assert choose_samples([0.1, 0.9], 6) == {1: "best", 0: "worst"}
    nan = math.nan
    assert choose_samples([nan, 0.2, nan, 0.1, 0.3], 3) == {4: "best", 1: "median", 3: "worst"}
    assert choose_samples([nan, nan], 3) == {0: "best", 1: "worst"}


def test_iou_of_single_images_by_hand():
    truth = np.array([[[0, 1, 1, 1]], [[0, 0, 0, 0]], [[0, 0, 1, 1]], [[255, 255, 255, 255]]])
    predicted = np.array([[[0, 0, 1, 1]], [[0, 0, 0, 0]], [[1, 1, 0, 0]], [[0, 1, 0, 1]]])
    assert image_ious(truth, predicted, num_classes=2, ignore_class=255) == pytest.approx(
        [2 / 3, 1.0, 0.0, math.nan], nan_ok=True
    )
    assert image_ious(truth[:1], predicted[:1], num_classes=3) == pytest.approx([(1 / 2 + 2 / 3) / 2])


def task_of(kind: type[Task], num_classes, shape=(8, 8, 3)):
    return kind(shape=shape, num_classes=num_classes, class_names=tuple(names_of(num_classes)), normalize=None)


class PixelsAreLogits:
    """A model that sees class 1 the more, the brighter the image."""

    def __init__(self):
        self.num_batches = 0

    def predict_on_batch(self, images):
        self.num_batches += 1
        bright = np.asarray(images, np.float32).mean(axis=(1, 2, 3)) / 32
        return np.stack([np.zeros_like(bright), bright], axis=-1)


def test_measure_brings_the_samples_in_their_order_from_a_second_pass():
    brightness = np.array([10, 200, 60, 90, 40, 120, 250, 30, 5, 70])
    images = np.broadcast_to(brightness[:, None, None, None], (10, 8, 8, 3)).astype(np.uint8)
    batches = [(images[i : i + 4], np.ones(len(images[i : i + 4]), np.int64)) for i in (0, 4, 8)]
    model = PixelsAreLogits()
    found = measure(model, task_of(Classify, 2), batches, where="test")[""]
    assert found.counts["confusion"].tolist() == [[0, 0], [0, 10]]
    assert [int(s.image[0, 0, 0]) for s in found.samples] == [250, 200, 120, 90, 70, 60, 30, 10, 5]
    assert [s.standing for s in found.samples] == ["best"] * 3 + ["median"] * 3 + ["worst"] * 3
    for sample in found.samples:
        bright = float(sample.image[0, 0, 0]) / 32
        assert sample.score == pytest.approx(1 / (1 + math.exp(-bright)), abs=1e-5)
        assert sample.predicted == sample.truth == 1
    few = measure(PixelsAreLogits(), task_of(Classify, 2), batches[:1], where="test")[""]
    assert [s.standing for s in few.samples] == ["best", "median", "worst"]


# Drawing


@pytest.mark.parametrize("num_classes", [1, 2, 12, 40])
@pytest.mark.slow
def test_pictures_of_any_number_of_classes(num_classes):
    generator, names = np.random.default_rng(0), names_of(num_classes)
    image = generator.integers(0, 255, (16, 24, 3), dtype=np.uint8)
    mask = np.arange(16 * 24).reshape(16, 24) % num_classes
    some = {"image": image, "confidence": 0.5, "score": 0.25}
    masks = [Sample(truth=mask, predicted=mask[::-1], standing=s, **some) for s in STANDINGS]
    classes = [Sample(truth=mask[0, 0], predicted=mask[0, c], standing=s, **some) for s in STANDINGS for c in range(2)]
    drawn = opened(draw_masks(masks, names))
    for color in class_colors(num_classes)[:12]:
        assert holds(drawn, color)
    opened(draw_classes(classes, names))
    files = ["folder/" * 9 + name for name in names[:5]]
    opened(draw_predictions([show_mask(name, image, mask, names) for name in files]))
    opened(draw_predictions([show_words(name, image, names[0]) for name in files]))
    confusion = generator.integers(0, 50, (num_classes, num_classes))
    opened(draw_confusion(confusion, names))
    ious = [None if c % 5 == 4 else c / num_classes for c in range(num_classes)]
    rows = [{"name": name, "iou": iou, "number": 1} for name, iou in zip(names, ious, strict=True)]
    opened(draw_class_scores(rows, "iou", "number", mean=0.5, title="IoU", share="of pixels"))


def test_grey_and_ignored_pixels_are_drawn():
    truth = np.full((8, 8), 255)
    sample = Sample(
        image=np.zeros((8, 8, 1), np.uint8),
        truth=truth,
        predicted=truth * 0,
        confidence=1.0,
        standing="best",
        score=math.nan,
    )
    drawn = opened(draw_masks([sample], ["a", "b"], ignore_class=255))
    assert holds(drawn, np.array(IGNORED) / 255)
    assert not holds(drawn, (0.85, 0.1, 0.1))  # what is ignored is not wrong


def test_of_many_classes_the_most_confused_are_shown():
    confusion = np.diag(np.full(40, 100))
    confusion[[3, 17, 39], [4, 2, 0]] = 5
    shown = _most_confused(confusion)
    assert len(shown) == 30
    assert shown == sorted(shown)
    assert {3, 4, 17, 2, 39, 0} <= set(shown)


def test_colours_tell_classes_apart():
    for num_classes in (2, 12, 21, 40, 256):
        colors = class_colors(num_classes)
        assert colors.shape == (num_classes, 3)
        assert colors.min() >= 0 and colors.max() <= 1
        assert len({tuple(c) for c in (colors * 255).round().astype(int)}) == num_classes


def test_a_mask_laid_over_leaves_class_0_as_it_is():
    image = np.full((2, 2, 3), 100, np.uint8)
    drawn = lay_over(image, np.array([[0, 1], [1, 0]]))
    assert drawn.dtype == np.uint8
    np.testing.assert_array_equal(drawn[[0, 1], [0, 1]], 100)
    expected = (100 + class_colors(2)[1] * 255) / 2
    np.testing.assert_allclose(drawn[0, 1], expected, atol=0.5)


@settings(max_examples=100)
@given(*[st.integers(1, 30)] * 4)
def test_nearest_pixels_are_those_under_the_middle(height, width, new_height, new_width):
    mask = np.arange(height * width).reshape(height, width)
    resized = resize_nearest(mask, new_height, new_width)
    assert resized.shape == (new_height, new_width)
    assert (resize_nearest(mask, height, width) == mask).all()
    if new_height % height == 0 and new_width % width == 0:
        blocks = np.ones((new_height // height, new_width // width), int)
        np.testing.assert_array_equal(resized, np.kron(mask, blocks))


def test_probabilities():
    logits = np.array([[1.0, 2.0, 3.0], [1000.0, 0.0, -1000.0]], np.float32)
    softmax = to_probabilities(logits, "softmax")
    assert softmax.sum(axis=-1) == pytest.approx([1, 1])
    assert softmax[1].tolist() == [1, 0, 0]
    np.testing.assert_allclose(to_probabilities(logits, "sigmoid")[0], 1 / (1 + np.exp(-logits[0])), rtol=1e-6)
    assert to_probabilities(logits, "sigmoid")[1] == pytest.approx([1, 0.5, 0])


def test_each_task_draws_its_scores():
    confusion = np.array([[5, 1], [0, 6]])
    for kind in (Classify, Segment):
        task = task_of(kind, 2)
        opened(task.draw_scores(task.summarize({"confusion": confusion})))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_predictions_are_drawn_over_images_of_any_color_mode(channels):
    image, mask = np.full((12, 10, channels), 200, np.uint8), np.eye(12, 10, dtype=np.uint8)
    boxes = np.array([[1, 1, 6, 6, 0.9, 0]])
    drawn = lay_over(image, mask)
    assert drawn.shape == (12, 10, 3) and len({tuple(pixel) for pixel in drawn[mask == 1]}) == 1
    assert lay_boxes(image, boxes).shape == (12, 10, 3)
    shown = (
        show_words("a", image, "found"),
        show_mask("a", image, mask, NAMES),
        show_boxes("a", image, boxes, NAMES, "found"),
    )
    for prediction in shown:
        opened(draw_predictions([prediction]))
