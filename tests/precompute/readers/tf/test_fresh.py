"""The fresh last step: what moves, how far, and that masks and boxes move along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import UsageError
from precompute.readers.tf.fresh import Moves, draw_moves
from tests.helpers.small_datasets import draw_pairs, options

HEIGHT, WIDTH = 12, 17


def moves(mirror_x: Any, mirror_y: Any, shift_x: Any, shift_y: Any) -> Moves:
    flags = {"mirror_x": tf.constant([mirror_x]), "mirror_y": tf.constant([mirror_y])}
    shifts = {"shift_x": tf.constant([shift_x]), "shift_y": tf.constant([shift_y])}
    return Moves(**flags, **shifts, height=HEIGHT, width=WIDTH)


@settings(max_examples=30)
@given(st.booleans(), st.booleans(), st.integers(-5, 5), st.integers(-5, 5), st.integers(0, 9))
def test_pixels_go_where_numpy_puts_them(mirror_x: bool, mirror_y: bool, dx: int, dy: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    flipped = image[:: -1 if mirror_y else 1, :: -1 if mirror_x else 1]
    padded = np.pad(flipped, ((5, 5), (5, 5), (0, 0)), mode="reflect")
    expected = padded[5 - dy : 5 - dy + HEIGHT, 5 - dx : 5 - dx + WIDTH]
    drawn = moves(mirror_x, mirror_y, dx, dy)
    np.testing.assert_array_equal(drawn.pixels(tf.constant(image[None]))[0], expected)
    np.testing.assert_array_equal(drawn.pixels(tf.constant(image[None, ..., 0]))[0], expected[..., 0])


@settings(max_examples=30)
@given(st.booleans(), st.booleans(), st.integers(-3, 3), st.integers(-3, 3), st.data())
def test_boxes_stay_around_what_they_were_around(mirror_x: bool, mirror_y: bool, dx: int, dy: int, data: Any) -> None:
    y, x = data.draw(st.integers(4, HEIGHT - 6)), data.draw(st.integers(4, WIDTH - 7))
    mask = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    mask[0, y : y + 2, x : x + 3] = 1
    drawn = moves(mirror_x, mirror_y, dx, dy)
    rows, columns = np.nonzero(drawn.pixels(tf.constant(mask))[0].numpy())
    around = [max(0, rows.min()), max(0, columns.min()), rows.max() + 1, columns.max() + 1]
    box = drawn.boxes(tf.constant([[[y, x, y + 2, x + 3]]], tf.float32))[0, 0]
    # Reflection may show a piece again at the border; the object itself is far enough from it.
    assert box.numpy().tolist() == around


def test_boxes_are_clipped_to_the_image() -> None:
    box = moves(False, False, -5, 4).boxes(tf.constant([[[0.0, 1.0, 10.0, 8.0]]]))
    assert box.numpy().tolist() == [[[4.0, 0.0, 12.0, 3.0]]]


def test_draws_are_decided_by_the_key_and_differ_within_a_batch() -> None:
    def drawn(key: int, steps: Any = ("horizontal", "vertical", "shift")) -> list[list[int]]:
        found = draw_moves(steps, batch_size=64, shape=(32, 64), key=tf.constant([key, 7], tf.int64))
        return [
            np.asarray(v).astype(int).tolist() for v in (found.mirror_x, found.mirror_y, found.shift_x, found.shift_y)
        ]

    assert drawn(1) == drawn(1) != drawn(2)
    mirror_x, mirror_y, shift_x, shift_y = drawn(3)
    assert 16 < sum(mirror_x) < 48 > sum(mirror_y) > 16
    assert set(shift_x) == set(range(-4, 5))  # 1/16 of 64
    assert set(shift_y) == {-2, -1, 0, 1, 2}
    assert mirror_x != mirror_y
    only_shift = drawn(3, ("shift",))
    assert only_shift[:2] == [[0] * 64] * 2
    assert any(only_shift[2])


# In the reader


def build(folder: Path, *transforms: Any, **changes: Any) -> Path:
    """Build a mask dataset whose images hold their mask in the red channel."""
    draw_pairs(folder / "sources")
    pipeline = {"train": A.Compose([*transforms, A.Resize(32, 32)])}
    given = options(pipeline=pipeline, image_format="png", variants=2, include_original=True, **changes)
    precompute.build(folder / "sources", folder / "out", **given)
    return folder / "out"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("fresh"), A.HorizontalFlip(p=0.5))


def pixels(dataset: Any) -> list[tuple[bytes, Any, Any]]:
    return sorted(
        (k, x, y)
        for xs, ys, ks in dataset.as_numpy_iterator()
        for k, x, y in zip(ks, xs.tolist(), ys.tolist(), strict=True)
    )


@pytest.mark.slow
def test_each_reading_of_a_row_is_another_and_masks_go_along(out: Path) -> None:
    given = {"rows": [0], "with_keys": True, "batch_size": 4}
    plain, fresh = precompute.load(out, **given), precompute.load(out, fresh="auto", **given)
    first, second = pixels(fresh), pixels(fresh)
    assert first != second
    stored = {key: (np.array(image), np.array(mask)) for key, image, mask in pixels(plain)}
    changed = 0
    for key, image, mask in [*first, *second]:
        before, mask_before = stored[key]
        # Colours and ids that belonged together still do: a mask that went another way would pair them anew.
        together = {
            (*color, i) for color, i in zip(before.reshape(-1, 3).tolist(), mask_before.ravel().tolist(), strict=True)
        }
        now = {
            (*color, i)
            for color, i in zip(np.array(image).reshape(-1, 3).tolist(), np.ravel(mask).tolist(), strict=True)
        }
        assert now <= {tuple(t) for t in together}
        changed += not np.array_equal(before, image)
    assert changed > len(stored)


@pytest.mark.slow
def test_the_same_epoch_and_seed_give_the_same_draws_wherever_it_is_entered(out: Path) -> None:
    given = {"fresh": "auto", "with_keys": True, "batch_size": 2, "shuffle_seed": 5}
    whole = [images.tolist() for images, _, _ in precompute.load(out, **given).as_numpy_iterator()]
    rest = [images.tolist() for images, _, _ in precompute.load(out, start_batch=2, **given).as_numpy_iterator()]
    assert rest == whole[2:]


@pytest.mark.slow
def test_clean_epochs_are_left_as_they_are(out: Path) -> None:
    given = {"with_keys": True, "rows": [1]}
    clean = precompute.load(out, fresh="auto", clean_from=0, **given)
    (original,) = [row.row for row in Manifest.load(out).splits["train"].rows if row.original]
    assert pixels(clean) == pixels(precompute.load(out, with_keys=True, rows=[original]))


@pytest.mark.slow
def test_mirroring_is_done_where_the_manifest_allows_it(tmp_path: Path, out: Path) -> None:
    forbidden = build(tmp_path, A.HorizontalFlip(p=0.5), no_mirroring=True)
    for dataset, allowed in ((out, ["horizontal"]), (forbidden, [])):
        assert Manifest.load(dataset).mirroring == allowed
        for step in ("horizontal", "vertical"):
            if step in allowed:
                precompute.load(dataset, fresh=[step])
                continue
            with pytest.raises(UsageError, match=rf"the dataset does not allow {step} flips.*--no-mirroring"):
                precompute.load(dataset, fresh=[step])


@pytest.mark.parametrize("fresh", ["on", ["flip"]])
def test_other_words_are_refused(out: Path, fresh: Any) -> None:
    with pytest.raises(UsageError, match=r"fresh: expected .*horizontal, vertical, shift, got"):
        precompute.load(out, fresh=fresh)


# Weights


@pytest.mark.slow
def test_class_weights_reach_every_pixel(out: Path) -> None:
    for _, masks, weights in precompute.load(out, class_weights=[0.5, 2, 7], fresh="auto"):
        np.testing.assert_array_equal(weights, np.array([0.5, 2, 7], np.float32)[masks.numpy()])


@pytest.mark.slow
def test_the_ignore_class_weighs_nothing(tmp_path: Path) -> None:
    out = build(tmp_path, mask_map={2: 255}, ignore_class=255, num_classes=2)
    found = {
        (int(i), float(w))
        for _, masks, weights in precompute.load(out, class_weights=[1, 3])
        for i, w in zip(np.ravel(masks), np.ravel(weights), strict=True)
    }
    assert found == {(0, 1.0), (1, 3.0), (255, 0.0)}


@pytest.mark.parametrize("weights", [[1, 2], [1, 2, -1]])
def test_weights_that_do_not_fit_are_refused(out: Path, weights: Any) -> None:
    with pytest.raises(UsageError, match=r"class_weights: expected 3 numbers, one a class, none below 0; got"):
        precompute.load(out, class_weights=weights)
