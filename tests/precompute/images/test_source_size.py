"""--max-source-size: large sources are shrunk while decoding, masks under their images, whatever the command."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
from PIL import ExifTags, Image

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import RejectedSource, SettingsError, UsageError
from precompute.images.decode import decode_shrunk
from precompute.images.shrink import shrink_mask, shrunk_size
from precompute.inspecting.preview import draw_preview
from precompute.options.build_options import BuildOptions
from precompute.rendering.decode import decode_source
from precompute.rendering.spec import RecordSpec
from tests.helpers.decoded_sources import SPEC, mask_spec, random_pixels, saved, smooth
from tests.helpers.decoding import decode_image
from tests.helpers.small_datasets import draw_pairs, options, shard_hashes


def limited(size: int) -> RecordSpec:
    return mask_spec(max_source_size=size)


@pytest.mark.parametrize(
    ("size", "limit", "expected"),
    [
        ((4000, 3000), 1024, (1024, 768)),
        ((3000, 4000), 1024, (768, 1024)),
        ((1024, 3), 1024, (1024, 3)),
        ((1025, 1024), 1024, (1024, 1023)),
        ((9000, 1), 16, (16, 1)),
        ((641, 481), 64, (64, 48)),
        ((50, 40), None, (50, 40)),
    ],
)
def test_the_longer_side_is_brought_to_the_limit(
    size: tuple[int, int], limit: int | None, expected: tuple[int, int]
) -> None:
    assert shrunk_size(size, limit) == expected


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "PPM", "GIF"])
@pytest.mark.parametrize("limit", [16, 31, 50, 63])
def test_sizes_are_exact_and_pixels_those_of_the_picture(file_format: str, limit: int) -> None:
    content = saved(smooth(48, 64), file_format)
    pixels, full, _ = decode_shrunk(content, limit)
    assert full == (48, 64) and pixels.shape == (*shrunk_size((48, 64), limit), 3)
    assert not pixels.flags.writeable
    whole = Image.fromarray(decode_image(content)).resize(pixels.shape[1::-1], Image.Resampling.BOX)
    assert np.abs(pixels.astype(int) - np.asarray(whole)).mean() < 6
    np.testing.assert_array_equal(pixels, decode_shrunk(content, limit)[0])


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK"])
def test_other_kinds_of_colour(mode: str) -> None:
    content = saved(smooth(48, 64), "TIFF", mode=mode)
    pixels, *_ = decode_shrunk(content, 20)
    assert pixels.shape == (15, 20, 3)
    whole = Image.fromarray(decode_image(content)).resize((20, 15), Image.Resampling.BOX)
    assert np.abs(pixels.astype(int) - np.asarray(whole)).mean() < 20


def test_small_sources_are_not_touched(tmp_path: Path) -> None:
    for file_format in ("JPEG", "PNG"):
        content = saved(smooth(48, 64), file_format)
        np.testing.assert_array_equal(decode_shrunk(content, 64)[0], decode_image(content))
    image, mask = tmp_path / "i.png", tmp_path / "m.png"
    image.write_bytes(saved(smooth(48, 64)))
    mask.write_bytes(saved(random_pixels(48, 64, high=4)))
    plain, small = (decode_source("k", image, {"mask": str(mask)}, spec) for spec in (SPEC, limited(64)))
    assert small.full_size is None
    np.testing.assert_array_equal(plain.image, small.image)
    np.testing.assert_array_equal(plain.values["mask"], small.values["mask"])


def marked(height: int, width: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """An image with two white discs and the mask that outlines them, with ids 1 and 7."""
    y, x = np.mgrid[:height, :width]
    mask = np.zeros((height, width), np.uint8)
    for number, (cy, cx) in {1: (0.3, 0.35), 7: (0.68, 0.74)}.items():
        mask[(y - cy * height) ** 2 + (x - cx * width) ** 2 < (0.17 * min(height, width)) ** 2] = number
    return np.repeat((mask > 0)[..., None] * np.uint8(255), 3, axis=2), mask


def middle(weights: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the centre of what has weight, from the upper left corner of the picture."""
    return np.array([np.average(axis + 0.5, weights=weights) for axis in np.indices(weights.shape)])


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("size", [(603, 805), (800, 601)])
@pytest.mark.parametrize(
    "limit", [790, 301, *(pytest.param(limit, marks=pytest.mark.slow) for limit in (402, 203, 100, 64))]
)
def test_masks_stay_under_their_images(tmp_path: Path, suffix: str, size: tuple[int, int], limit: int) -> None:
    image, mask = marked(*size)
    paths = tmp_path / f"i.{suffix}", tmp_path / "m.png"
    Image.fromarray(image).save(paths[0], **({"quality": 95} if suffix == "jpg" else {}))
    Image.fromarray(mask).save(paths[1])
    source = decode_source("k", paths[0], {"mask": str(paths[1])}, limited(limit))
    assert source.full_size == size
    assert source.image.shape[:2] == source.values["mask"].shape == shrunk_size(size, limit)
    assert set(np.unique(source.values["mask"])) == {0, 1, 7}
    scale = np.array(size) / source.values["mask"].shape
    for number in (1, 7):
        true = middle(mask == number)
        near = np.linalg.norm(np.moveaxis(np.indices(source.values["mask"].shape), 0, -1) + 0.5 - true / scale, axis=-1)
        drawn = source.image[..., 0] * (near < 0.25 * min(source.values["mask"].shape))
        assert np.abs(middle(drawn) - true / scale).max() < 0.02  # of the new pixels
        # The nearest pixel of the file is up to half of one off, and edges have steps; under the corner it would be
        # off by half a new pixel.
        assert np.abs(middle(source.values["mask"] == number) * scale - true).max() < max(0.5, 0.12 * scale.max())


def test_a_mask_is_sampled_at_the_middles_of_pixels() -> None:
    ids = np.arange(35, dtype=np.uint16).reshape(5, 7) * 300
    expected = ids[np.ix_([0, 2, 4], [0, 2, 4, 6])]  # middles at 0.83, 2.5, 4.17 and 0.875, 2.625, 4.375, 6.125
    np.testing.assert_array_equal(shrink_mask(ids, (3, 4)), expected)


def test_orientation_comes_after_and_does_not_matter(tmp_path: Path) -> None:
    picture = Image.fromarray(smooth(90, 121))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        content = io.BytesIO()
        picture.save(content, "JPEG", quality=95, exif=exif)
        pixels, full, _ = decode_shrunk(content.getvalue(), 60)
        whole = decode_image(content.getvalue())
        assert full == whole.shape[:2] == ((121, 90) if orientation >= 5 else (90, 121))
        assert pixels.shape[:2] == shrunk_size(full, 60)
        small = Image.fromarray(whole).resize(pixels.shape[1::-1], Image.Resampling.BOX)
        assert np.abs(pixels.astype(int) - np.asarray(small)).mean() < 5, orientation


def test_masks_of_nearly_the_same_size_are_refused_as_before(tmp_path: Path) -> None:
    image, mask = tmp_path / "i.png", tmp_path / "m.png"
    image.write_bytes(saved(smooth(300, 400)))
    mask.write_bytes(saved(random_pixels(300, 401, high=2)))  # both become 24×32
    with pytest.raises(RejectedSource, match=r"m\.png: is 401×300 pixels, but its image .*i\.png is 400×300"):
        decode_source("k", image, {"mask": str(mask)}, limited(32))


def test_damaged_files_are_refused_as_before() -> None:
    content = saved(smooth(300, 400), "JPEG")
    with pytest.raises(RejectedSource, match="damaged or cut short"):
        decode_shrunk(content[: len(content) // 2], 32)


# A dataset made with it.


def build(source: Path, out: Path, **changes: Any) -> precompute.verify:
    return precompute.build(source, out, **options(max_source_size=16, **changes))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_pairs(tmp_path_factory.mktemp("pairs"), 12)  # 20 to 22 by 18 to 22 pixels


def test_the_manifest_names_it_where_it_was_set(pairs: Path, tmp_path: Path) -> None:
    build(pairs, tmp_path / "out")
    precompute.build(pairs, tmp_path / "plain", **options())
    shrunk, plain = (Manifest.load(tmp_path / name) for name in ("out", "plain"))
    assert shrunk.settings["pixels"]["max_source_size"] == 16
    assert "max_source_size" not in plain.settings["pixels"]
    assert shrunk.fingerprint != plain.fingerprint
    assert list(shard_hashes(tmp_path / "out").values()) != list(shard_hashes(tmp_path / "plain").values())


def test_verification_and_new_rows_see_it(pairs: Path, tmp_path: Path) -> None:
    build(pairs, tmp_path / "out", variants=2)
    assert precompute.verify(tmp_path / "out", sources=12).problems == []
    precompute.regenerate(tmp_path / "out", seed=5, backend="sequential", quiet=True)
    build(pairs, tmp_path / "other", variants=2, seed=5)
    mine, other = (_rows(tmp_path / name) for name in ("out", "other"))
    assert mine == other
    precompute.follow(tmp_path / "out", rows=1, backend="sequential", quiet=True)
    assert precompute.verify(tmp_path / "out", sources=12).problems == []


def _rows(out: Path) -> dict[tuple[str, int], bytes]:
    return {
        (e["key"], e["variant"]): e["image"].tobytes() + e["mask"].tobytes()
        for row in Manifest.load(out).splits["train"].rows
        for e in precompute.read(out, split="train", row=row.row)
    }


def test_another_limit_is_refused_by_name(pairs: Path, tmp_path: Path) -> None:
    build(pairs, tmp_path / "out")
    before = shard_hashes(tmp_path / "out")
    for given, shown in ((None, "none"), (17, "17")):
        with pytest.raises(SettingsError, match=rf"max_source_size: 16 in the dataset, {shown} now"):
            precompute.build(pairs, tmp_path / "out", **options(max_source_size=given))
    precompute.build(pairs, tmp_path / "plain", **options())
    with pytest.raises(SettingsError, match="max_source_size: none in the dataset, 16 now"):
        build(pairs, tmp_path / "plain")
    assert shard_hashes(tmp_path / "out") == before


def test_a_limit_that_no_source_reaches_changes_no_record(pairs: Path, tmp_path: Path) -> None:
    precompute.build(pairs, tmp_path / "a" / "out", **options(max_source_size=22))
    precompute.build(pairs, tmp_path / "b" / "out", **options())
    assert shard_hashes(tmp_path / "a" / "out") == shard_hashes(tmp_path / "b" / "out")


def test_preview_shows_what_is_left_and_prediction_gets_full_sources(pairs: Path, tmp_path: Path) -> None:
    chosen = BuildOptions.make(**options(max_source_size=16))
    assert draw_preview(pairs, options=chosen, output=tmp_path / "sheet.png").sheet.lines
    build(pairs, tmp_path / "out", pipeline=A.Compose([A.Resize(12, 12)]))
    stored = {e["key"]: e["image"] for e in precompute.read(tmp_path / "out", split="validation", row=0)}
    for item in precompute.prepare_images(tmp_path / "out", [pairs / "images"]):
        assert item.source is not None
        np.testing.assert_array_equal(item.source, decode_image(item.path.read_bytes()))
        if item.key in stored:
            np.testing.assert_array_equal(item.image, stored[item.key])


def test_values_that_make_no_sense_are_refused() -> None:
    for value in (0, 15, -4, 2.5, "many"):
        with pytest.raises(
            UsageError, match=re.escape(f"max_source_size: expected an integer of 16 or more, got {value!r}")
        ):
            BuildOptions.make(max_source_size=value)


def test_real_photos_with_orientation(real_data: Path) -> None:
    paths = sorted((real_data / "odd" / "exif").glob("*.jpg"))
    assert len(paths) > 10
    for path in paths:
        whole = decode_image(path.read_bytes())
        pixels, full, _ = decode_shrunk(path.read_bytes(), 100)
        assert full == whole.shape[:2] and pixels.shape[:2] == shrunk_size(full, 100)
        small = Image.fromarray(whole).resize(pixels.shape[1::-1], Image.Resampling.BOX)
        assert np.abs(pixels.astype(int) - np.asarray(small)).mean() < 6, path.name
