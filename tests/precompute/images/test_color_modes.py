"""Grey and RGBA records, other kinds of image files, and more than 8 bits a channel: from files to tensors."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import precompute
from precompute.errors import PipelineError, RejectedSource, UsageError
from precompute.images.color_modes import CHANNELS, Scale, parse_scale
from precompute.images.decode import decode_shrunk
from precompute.images.scaling import scaled
from precompute.options.build_options import BuildOptions
from tests.helpers.decoded_sources import random_pixels, saved
from tests.helpers.decoding import decode_image
from tests.helpers.small_datasets import draw_pairs, options

GREY = np.array([0.299, 0.587, 0.114])
UNMOVED, FLIP = A.Compose([A.NoOp()]), A.Compose([A.HorizontalFlip(p=1)])


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def pictures(folder: Path, channels: int, num: int = 4) -> dict[str, Any]:
    """Write images of noise; returns name → pixels, uint8 [12, 10, channels]."""
    found = {}
    for i in range(num):
        pixels = random_pixels(12, 10, channels, seed=i)
        write(folder / f"c{i % 2}/n{i}.png", saved(pixels[..., 0] if channels == 1 else pixels))
        found[f"c{i % 2}/n{i}"] = pixels
    return found


# Modes.


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["png", "raw"])
@pytest.mark.parametrize(("mode", "channels"), [("grayscale", 1), ("rgba", 4)])
def test_from_files_to_tensors(mode: str, channels: int, encoding: str, tmp_path: Path) -> None:
    truth = pictures(tmp_path / "data", channels)
    for name, pipeline in (("unmoved", UNMOVED), ("flipped", FLIP)):
        given = options(pipeline=pipeline, variants=1, color_mode=mode, image_format=encoding, validation_split=0.0)
        precompute.build(tmp_path / "data", tmp_path / name, **given)
        expected = {key: pixels[:, ::-1] if name == "flipped" else pixels for key, pixels in truth.items()}
        stored = list(precompute.read(tmp_path / name))
        assert len(stored) == 4 and precompute.inspect(tmp_path / name).manifest.image.channels == channels
        for example in stored:
            np.testing.assert_array_equal(example["image"], expected[example["key"]])
        dataset = precompute.load(tmp_path / name, batch_size=3, with_keys=True, cache=False)
        assert dataset.element_spec[0].shape == (None, 12, 10, channels)
        for images, _, keys in dataset:
            for image, key in zip(images.numpy(), keys.numpy(), strict=True):
                np.testing.assert_array_equal(image, expected[key.decode()])
        assert precompute.verify(tmp_path / name, sources=4, jobs=1).problems == []


@pytest.mark.slow
def test_grey_jpeg(tmp_path: Path) -> None:
    y, x = np.mgrid[:32, :40]
    write(tmp_path / "data/a/1.png", saved(np.dstack([x * 5, y * 6, x + y]).astype(np.uint8)))
    given = options(pipeline=UNMOVED, variants=1, color_mode="grayscale", image_format="jpeg", validation_split=0.0)
    precompute.build(tmp_path / "data", tmp_path / "out", **given)
    expected = np.dstack([x * 5, y * 6, x + y]) @ GREY
    stored = next(iter(precompute.read(tmp_path / "out")))["image"]
    loaded = next(iter(precompute.load(tmp_path / "out", cache=False)))[0].numpy()[0]
    for image in (stored, loaded):
        assert image.shape == (32, 40, 1) and np.abs(image[..., 0] - expected).mean() < 1.5


def test_masks_and_boxes_beside_grey(tmp_path: Path) -> None:
    given = options(variants=2, color_mode="grayscale", pipeline=A.Compose([A.Resize(16, 16), A.VerticalFlip(p=1)]))
    precompute.build(draw_pairs(tmp_path / "data"), tmp_path / "out", **given)
    image, mask = next(iter(precompute.load(tmp_path / "out", batch_size=2, fresh=["vertical", "shift"])))
    assert image.shape == (2, 16, 16, 1) and mask.shape == (2, 16, 16)


@pytest.mark.parametrize(("mode", "channels"), CHANNELS.items())
def test_any_file_in_any_mode(mode: str, channels: int) -> None:
    grey, colours = random_pixels(6, 5), random_pixels(6, 5, 3)
    alpha = np.dstack([colours, grey])
    luminance = np.asarray(Image.fromarray(colours).convert("L"))
    opaque = np.full((6, 5, 1), 255, np.uint8)
    of_grey = {"grayscale": grey[..., None], "rgb": np.dstack([grey] * 3), "rgba": np.dstack([grey] * 3 + [opaque])}
    of_colours = {"grayscale": luminance[..., None], "rgb": colours, "rgba": np.dstack([colours, opaque])}
    np.testing.assert_array_equal(decode_image(saved(grey), mode), of_grey[mode])
    np.testing.assert_array_equal(decode_image(saved(colours), mode), of_colours[mode])
    assert np.abs(luminance - colours @ GREY).max() <= 1
    if mode == "rgba":
        np.testing.assert_array_equal(decode_image(saved(alpha), mode), alpha)
        with_key = decode_image(saved(Image.fromarray(grey).convert("P"), "GIF", transparency=int(grey[0, 0])), mode)
        assert with_key[0, 0, 3] == 0 and (with_key[..., 3] == np.where(grey == grey[0, 0], 0, 255)).all()
    else:
        with pytest.raises(RejectedSource, match="keep it with --color-mode rgba"):
            decode_image(saved(alpha), mode)
    small, full, _ = decode_shrunk(saved(colours), 3, mode)
    assert small.shape == (3, 2, channels) or small.shape == (3, 3, channels)
    assert full == (6, 5)


@pytest.mark.parametrize(
    ("file_format", "suffix", "given"),
    [
        ("WEBP", ".webp", {"lossless": True}),
        ("BMP", ".bmp", {}),
        ("TIFF", ".tif", {}),
        ("TIFF", ".tiff", {"compression": "tiff_lzw"}),
        ("GIF", ".gif", {}),
        ("PNG", ".png", {}),
    ],
)
def test_kinds_of_files_become_the_same_records(file_format: str, suffix: str, given: Any, tmp_path: Path) -> None:
    for i in range(4):
        palette = Image.fromarray(random_pixels(12, 10, 3, seed=i, high=6) * np.uint8(40)).quantize(200)
        write(tmp_path / f"data/c{i % 2}/n{i}{suffix}", saved(palette.convert("RGB"), file_format, **given))
        np.testing.assert_array_equal(
            decode_image((tmp_path / f"data/c{i % 2}/n{i}{suffix}").read_bytes()), np.asarray(palette.convert("RGB"))
        )
    precompute.build(tmp_path / "data", tmp_path / "out", **options(pipeline=FLIP, variants=1, validation_split=0.0))
    for example in precompute.read(tmp_path / "out"):
        source = decode_image((tmp_path / "data" / f"{example['key']}{suffix}").read_bytes())
        np.testing.assert_array_equal(example["image"], source[:, ::-1])


def test_a_gif_that_moves_gives_its_first_picture(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (10, 12), color) for color in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.n_frames == 3
    assert (decode_image(content) == (250, 0, 0)).all()


# What a mode refuses.


def test_jpeg_has_no_alpha(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="JPEG holds no alpha channel; give --image-format png, or raw"):
        BuildOptions.make(color_mode="rgba")
    with pytest.raises(UsageError, match="color_mode: expected one of grayscale, rgb, rgba, got 'gray'"):
        BuildOptions.make(color_mode="gray")


@pytest.mark.parametrize(
    ("mode", "transform", "message"),
    [
        ("grayscale", A.ToRGB(p=0.5), "do not take grayscale images:\n  ToRGB: it gives 3 channels\nLeave"),
        ("grayscale", A.PlanckianJitter(p=0.01), "  PlanckianJitter: "),
        ("rgba", A.HueSaturationValue(p=0.01), "do not take RGBA images:\n  HueSaturationValue: "),
        ("rgba", A.OneOf([A.ToGray(p=0.3), A.NoOp()]), "do not take RGBA images:\n  ToGray: "),
    ],
)
def test_transforms_that_need_rgb_are_named(mode: str, transform: Any, message: str, tmp_path: Path) -> None:
    pictures(tmp_path / "data", CHANNELS[mode])
    given = options(pipeline=A.Compose([transform, A.HorizontalFlip()]), color_mode=mode, validation_split=0.0)
    with pytest.raises(PipelineError, match=message) as caught:
        precompute.build(tmp_path / "data", tmp_path / "out", **given)
    assert "HorizontalFlip" not in str(caught.value) and "--color-mode rgb" in str(caught.value)


def test_what_fails_with_rgb_too_is_not_blamed_on_grey(tmp_path: Path) -> None:
    pictures(tmp_path / "data", 1)
    given = options(pipeline=A.Compose([A.RandomCrop(50, 50)]), color_mode="grayscale", validation_split=0.0)
    with pytest.raises(PipelineError, match="it failed on all of the first"):
        precompute.build(tmp_path / "data", tmp_path / "out", **given)


def test_normalize_fits_the_channels(tmp_path: Path) -> None:
    pictures(tmp_path / "data", 1)
    given = options(variants=1, color_mode="grayscale", validation_split=0.0)
    with pytest.raises(PipelineError, match="images have 1 channel; give it as many numbers, or one"):
        precompute.build(tmp_path / "data", tmp_path / "out", **given | {"pipeline": A.Compose([A.Normalize()])})
    one = A.Compose([A.Normalize(mean=(0.5,), std=(0.25,))])
    precompute.build(tmp_path / "data", tmp_path / "out", **given | {"pipeline": one})
    images, _ = next(iter(precompute.load(tmp_path / "out", normalize=True, cache=False)))
    assert images.shape == (4, 12, 10, 1) and images.dtype == tf.float32


def test_another_mode_or_scale_needs_replace(tmp_path: Path) -> None:
    pictures(tmp_path / "data", 3)
    given = options(pipeline=UNMOVED, variants=1)
    precompute.build(tmp_path / "data", tmp_path / "out", **given)
    for changes, line in (
        ({"color_mode": "grayscale"}, "pixels.color_mode: none in the dataset, 'grayscale' now"),
        ({"scale": "0:4095"}, "pixels.scale: none in the dataset, '0:4095' now"),
    ):
        with pytest.raises(precompute.PrecomputeError, match=line):
            precompute.build(tmp_path / "data", tmp_path / "out", **given, **changes)
    precompute.build(tmp_path / "data", tmp_path / "out", **given, color_mode="grayscale", replace=True)
    assert next(iter(precompute.read(tmp_path / "out")))["image"].shape == (12, 10, 1)
    assert "grayscale, png" in precompute.inspect(tmp_path / "out").text()


# More than 8 bits.


def deep_files() -> dict[str, tuple[bytes, Any]]:
    """Name → file, and its values as they are in it."""
    grey = random_pixels(6, 5, high=4096, dtype=np.uint16)
    colours = random_pixels(6, 5, 3, high=65_536, dtype=np.uint16)
    alpha = np.dstack([colours, random_pixels(6, 5, high=65_536, dtype=np.uint16, seed=3)])
    fractions = random_pixels(6, 5, high=1000).astype(np.float32) / np.float32(1000)

    def by_opencv(suffix: str, pixels: Any) -> bytes:
        order = [2, 1, 0, 3][: pixels.shape[2]]
        return bytes(cv2.imencode(suffix, pixels[..., order])[1].tobytes())

    return {
        "grey PNG": (saved(grey), grey),
        "grey TIFF": (saved(grey, "TIFF"), grey),
        "RGB PNG": (by_opencv(".png", colours), colours),
        "RGB TIFF": (by_opencv(".tiff", colours), colours),
        "RGBA PNG": (by_opencv(".png", alpha), alpha),
        "fractions TIFF": (saved(fractions, "TIFF"), fractions),
        "int32 TIFF": (saved(grey.astype(np.int32) * 7 - 9, "TIFF"), grey.astype(np.int32) * 7 - 9),
    }


DEEP = deep_files()


def by_hand(values: Any, low: float, high: float) -> Any:
    return np.rint(np.clip((values.astype(np.float64) - low) / (high - low), 0, 1) * 255)


@pytest.mark.parametrize("name", DEEP)
@pytest.mark.parametrize("spelled", ["0:4095", "-1.5:2e3", "minmax", "percentile:1:99"])
def test_scales(name: str, spelled: str) -> None:
    content, values = DEEP[name]
    colours = values if values.ndim == 2 else values[..., :3]
    low, high = {
        "minmax": (colours.min(), colours.max()),
        "percentile:1:99": tuple(np.percentile(colours.astype(np.float64), (1, 99))),
    }.get(spelled) or map(float, spelled.split(":"))
    mode = {2: "grayscale", 3: {3: "rgb", 4: "rgba"}.get(values.shape[-1])}[values.ndim]
    found = decode_image(content, str(mode), parse_scale(spelled))
    expected = by_hand(colours, float(low), float(high))
    np.testing.assert_array_equal(found[..., 0] if values.ndim == 2 else found[..., :3], expected)
    if values.ndim == 3 and values.shape[2] == 4:
        np.testing.assert_array_equal(found[..., 3], values[..., 3] // 257)
    with pytest.raises(RejectedSource, match="or say with --scale how: a range such as 0:4095, minmax"):
        decode_image(content, str(mode))


def test_files_of_8_bits_stay_as_they_are() -> None:
    colours = random_pixels(6, 5, 3)
    np.testing.assert_array_equal(decode_image(saved(colours), "rgb", parse_scale("minmax")), colours)


def test_orientation_and_shrinking_of_deep_files() -> None:
    values = np.zeros((40, 20, 3), np.uint16)
    values[:10, :, 0] = 4095
    buffer = io.BytesIO(cv2.imencode(".png", values[..., ::-1])[1].tobytes())
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned to the right: what is above goes to the right
    plain = Image.open(buffer)
    assert plain.mode == "RGB"
    content = _with_exif(buffer.getvalue(), exif.tobytes())
    found = decode_image(content, "rgb", parse_scale("0:4095"))
    assert found.shape == (20, 40, 3) and (found[:, 30:, 0] == 255).all() and not found[:, :30].any()
    small, full, _ = decode_shrunk(content, 20, "rgb", parse_scale("0:4095"))
    assert small.shape == (10, 20, 3) and full == (20, 40) and (small[:, 16:, 0] > 250).all()


def _with_exif(png: bytes, exif: bytes) -> bytes:
    body = b"eXIf" + exif.removeprefix(b"Exif\0\0")
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    return png[:33] + chunk + png[33:]


def test_values_that_are_no_numbers() -> None:
    values = np.ones((4, 4), np.float32)
    values[1, 2] = np.nan
    with pytest.raises(RejectedSource, match="no finite numbers"):
        decode_image(saved(values, "TIFF"), "rgb", parse_scale("minmax"))


def test_from_deep_files_to_tensors(tmp_path: Path) -> None:
    truth = {}
    for i in range(4):
        values = random_pixels(12, 10, high=4096, dtype=np.uint16, seed=i)
        write(tmp_path / f"data/c{i % 2}/n{i}.png", saved(values))
        truth[f"c{i % 2}/n{i}"] = by_hand(values, 0, 4095)[:, ::-1, None]
    given = options(pipeline=FLIP, variants=1, color_mode="grayscale", validation_split=0.0)
    with pytest.raises(precompute.PrecomputeError, match="or say with --scale how"):
        precompute.build(tmp_path / "data", tmp_path / "out", **given)
    precompute.build(tmp_path / "data", tmp_path / "out", **given, scale="0:4095")
    for images, _, keys in precompute.load(tmp_path / "out", batch_size=3, with_keys=True):
        for image, key in zip(images.numpy(), keys.numpy(), strict=True):
            np.testing.assert_array_equal(image, truth[key.decode()])
    assert precompute.verify(tmp_path / "out", sources=4, jobs=1).problems == []
    assert precompute.inspect(tmp_path / "out").manifest.settings["pixels"]["scale"] == "0:4095"


NO_SCALES = [
    "",
    "0",
    "5:5",
    "9:1",
    "minmax:1",
    "percentile:1",
    "percentile:-1:99",
    "percentile:1:101",
    "a:b",
    "0:nan",
    7,
]


@pytest.mark.parametrize("text", [*NO_SCALES, "0:1e999"])
def test_scales_that_make_no_sense(text: Any) -> None:
    with pytest.raises(UsageError, match=r"scale \(--scale\): expected a range such as 0:4095"):
        BuildOptions.make(scale=text)


NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False)


@given(low=NUMBERS, high=NUMBERS, kind=st.sampled_from(["range", "percentile"]))
def test_any_scale_is_spelled_as_it_is_read(low: float, high: float, kind: str) -> None:
    if kind == "percentile":
        low, high = abs(low) / 1e4, abs(high) / 1e4
    if low < high:
        assert parse_scale(str(Scale(kind, low, high))) == Scale(kind, low, high)
    assert str(parse_scale("minmax")) == "minmax"


@settings(max_examples=50)
@given(values=st.lists(NUMBERS, min_size=1, max_size=20), low=st.floats(0, 40), high=st.floats(60, 100))
def test_any_values_keep_their_order(values: list[float], low: float, high: float) -> None:
    for scale in (Scale("minmax", 0, 100), Scale("percentile", low, high), Scale("range", -5.0, 5.0)):
        order = np.argsort(values, kind="stable")
        found = scaled(np.array(values), scale)
        assert found.dtype == np.uint8 and (np.diff(found[order].astype(int)) >= 0).all()


# Pictures.


@pytest.mark.parametrize("mode", ["grayscale", "rgba"])
def test_sheets_are_drawn(mode: str, tmp_path: Path) -> None:
    from precompute.cli import main

    pictures(tmp_path / "data", CHANNELS[mode])
    (tmp_path / "p.py").write_text("import albumentations as A\ntrain = A.Compose([A.HorizontalFlip(p=1)])\n")
    given = ["--pipeline", str(tmp_path / "p.py"), "--color-mode", mode]
    more = ["--image-format", "png", "--variants", "1", "--backend", "sequential", "--quiet"]
    assert main(["build", str(tmp_path / "data"), str(tmp_path / "out"), *given, *more]) == 0
    assert main(["inspect", str(tmp_path / "out"), "--output", str(tmp_path / "stored.png")]) == 0
    shown = ["--image-format", "png", "--output", str(tmp_path / "sheet.png")]
    assert main(["preview", str(tmp_path / "data"), *given, *shown]) == 0
    sheet = np.asarray(Image.open(tmp_path / "stored.png"))
    assert sheet.shape[2] == 3 and len(np.unique(sheet)) > 50
