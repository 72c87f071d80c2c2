"""Further images: moved as the image or as a mask, true to the pixel, and without loss where they keep values."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import pytest
from PIL import Image

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import PrecomputeError
from precompute.fields.extra_image import ExtraImageField
from precompute.plan.blocks import place_order
from tests.helpers.small_datasets import options, save, shard_hashes

NUM, HEIGHT, WIDTH, CROP = 8, 14, 18, 10
MOVES = {"depth": "mask", "range": "mask", "normals": "mask", "clean": "image"}
# Name → what belongs to the pixels [H, W, 3] of an image, wherever these come to lie.
TRUTH: dict[str, Callable[[Any], Any]] = {
    "depth": lambda pixels: pixels[..., :1].astype(np.uint16) * 256 + pixels[..., 1:2],
    "range": lambda pixels: pixels[..., :1].astype(np.float32) / 7 - 3,
    "normals": lambda pixels: np.concatenate([pixels, 255 - pixels[..., :1]], axis=-1),
    "clean": lambda pixels: 255 - pixels,
}
STORED = {
    "depth": (np.uint16, 1, "png"),
    "range": (np.float32, 1, "raw"),
    "normals": (np.uint8, 4, "png"),
    "clean": (np.uint8, 3, "png"),
}


def moved(**targets: str) -> A.Compose:
    return A.Compose([A.RandomCrop(CROP, CROP), A.HorizontalFlip(p=0.5)], additional_targets=targets or MOVES)


def write(path: Path, pixels: Any) -> Path:
    """Write pixels as PNG; fractions as NumPy's array."""
    if pixels.dtype != np.float32:
        save(path.with_suffix(".png"), pixels.squeeze())
        return path.with_suffix(".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path.with_suffix(".npy"), pixels)
    return path.with_suffix(".npy")


def draw(i: int) -> Any:
    return np.random.default_rng([7, i]).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def lists_of(folder: Path, truth: Mapping[str, Callable[[Any], Any]] = TRUTH, num: int = NUM) -> dict[str, Any]:
    """Write images and their further images; return lists of them."""
    drawn = {str(i): draw(i) for i in range(num)}
    return {
        "images": [write(folder / "images" / key, pixels) for key, pixels in drawn.items()],
        "extra_images": {
            name: [write(folder / name / key, make(pixels)) for key, pixels in drawn.items()]
            for name, make in truth.items()
        },
    }


def build(out: Path, lists: Mapping[str, Any], **changes: Any) -> Any:
    given = {"pipeline": {"train": moved(), "validation": moved()}, **changes}
    return precompute.build(output=out, **options(**lists, **given))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sources and a dataset of them; tests do not change it."""
    folder = tmp_path_factory.mktemp("extra_images")
    build(folder / "out", lists_of(folder / "sources"))
    return folder


def check(example: Mapping[str, Any], names: Any = TRUTH) -> None:
    for name in names:
        np.testing.assert_array_equal(example[name], TRUTH[name](example["image"]))


def test_they_are_true_to_the_pixel_wherever_the_pipeline_moves_them(folder: Path) -> None:
    places = set()
    for row in range(3):
        for example in precompute.read(folder / "out", row=row):
            check(example)
            found = {name: (example[name].dtype, example[name].shape[2]) for name in TRUTH}
            assert found == {name: (np.dtype(dtype), channels) for name, (dtype, channels, _) in STORED.items()}
            places.add(example["image"].tobytes())
    assert len(places) > NUM  # they were moved


def test_the_schema_says_how_they_are_stored_and_move(folder: Path) -> None:
    schema = Manifest.load(folder / "out").schema
    for name, (dtype, channels, encoding) in STORED.items():
        expected = {"channels": channels, "dtype": np.dtype(dtype).name, "encoding": encoding, "moves_as": MOVES[name]}
        assert schema[name] == ExtraImageField(name=name, **expected)  # type: ignore[arg-type]
    assert {"extra_image/depth/encoded", "extra_image/depth/format"} <= schema.features.keys()
    assert not schema.targets


@pytest.mark.parametrize("cache", [True, False])
def test_fresh_moves_move_all_of_them_alike(folder: Path, cache: bool) -> None:
    images = set()
    dataset = precompute.load(
        folder / "out", batch_size=3, inputs=["image", "depth"], targets=["range"], extra=["normals", "clean"],
        fresh=["horizontal", "shift"], cache=cache,
    )  # fmt: skip
    for seen, learnt, others in dataset.repeat(2):
        values = {**seen, "range": learnt, **others}
        for i in range(len(seen["image"])):
            example = {name: of_batch[i].numpy() for name, of_batch in values.items()}
            check(example)
            images.add(example["image"].tobytes())
    stored = {example["image"].tobytes() for row in range(3) for example in precompute.read(folder / "out", row=row)}
    assert images - stored


def test_tensorflow_datasets_has_them(folder: Path) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    examples = list(tfds.as_numpy(tfds.builder_from_directory(folder / "out").as_dataset(split="train_r0001")))
    for example in examples:
        check({"image": example["image/encoded"]} | {name: example[f"extra_image/{name}/encoded"] for name in TRUTH})
    assert len(examples) == 6


def test_an_inspection_names_them(folder: Path) -> None:
    text = precompute.inspect(folder / "out").text()
    assert "depth (further image, uint16, 1 channel, png, moves as a mask)" in text
    assert "clean (further image, uint8, 3 channels, png, moves as an image)" in text


def test_it_is_verified_grown_and_made_anew(folder: Path, tmp_path: Path) -> None:
    out = shutil.copytree(folder / "out", tmp_path / "out", copy_function=shutil.copy2)
    lists = lists_from(folder / "sources")
    before = shard_hashes(out)
    build(out, lists, variants=4)
    assert before.items() < shard_hashes(out).items()
    assert precompute.verify(out, sources=4 * NUM).problems == []
    shard = next((out / "data").rglob("*train_r0001.tfrecord-*"))
    shard.write_bytes(shard.read_bytes()[:-1])
    build(out, lists, variants=4)  # puts it back
    assert before.items() < shard_hashes(out).items()
    precompute.regenerate(out, seed=5, backend="sequential", quiet=True)
    for example in precompute.read(out, row=Manifest.load(out).splits["train"].rows[-1].row):
        check(example)
    assert precompute.verify(out, sources=NUM).problems == []


def test_rows_come_and_go_beside_readers_and_a_limit_takes_some(folder: Path, tmp_path: Path) -> None:
    build(tmp_path / "out", lists_from(folder / "sources"), limit=5, variants=2)
    precompute.follow(tmp_path / "out", keep=4, rows=2, backend="sequential", jobs=1, quiet=True)
    split = Manifest.load(tmp_path / "out").splits["train"]
    assert split.num_records == 4 and len(split.rows) == 4
    for row in split.rows:
        for example in precompute.read(tmp_path / "out", row=row.row):
            check(example)
    assert precompute.verify(tmp_path / "out", sources=NUM).problems == []


def lists_from(folder: Path) -> dict[str, Any]:
    """The lists of what `lists_of` has written."""

    def of(name: str) -> list[Path]:
        return sorted((folder / name).iterdir())

    return {"images": of("images"), "extra_images": {name: of(name) for name in TRUTH}}


def test_a_file_that_changed_is_named(folder: Path, tmp_path: Path) -> None:
    sources = shutil.copytree(folder / "sources", tmp_path / "sources")
    lists = lists_from(sources)
    build(tmp_path / "out", lists)
    write(sources / "depth" / "3", TRUTH["depth"](draw(3)) // 2 * 2 + 1)
    with pytest.raises(PrecomputeError, match=r"3: (num_bytes changed|the content of .*depth/3\.png changed)"):
        build(tmp_path / "out", lists, variants=4)


# As an image: colour and noise too; as a mask: geometry alone


def test_only_what_moves_as_an_image_gets_its_noise_and_colour(tmp_path: Path) -> None:
    lists = lists_of(tmp_path, {"twin": lambda pixels: pixels, "as_mask": lambda pixels: pixels}, num=4)
    steps = [A.HorizontalFlip(p=0.5), A.RandomBrightnessContrast(p=1), A.GaussNoise(p=1)]
    pipeline = {"train": A.Compose(steps, additional_targets={"twin": "image", "as_mask": "mask"})}
    build(tmp_path / "out", lists, pipeline=pipeline, validation_split=0)
    for example in precompute.read(tmp_path / "out"):
        np.testing.assert_array_equal(example["twin"], example["image"])
        source = draw(int(example["key"]))
        assert any(np.array_equal(example["as_mask"], way) for way in (source, source[:, ::-1]))
        assert not any(np.array_equal(example["image"], way) for way in (source, source[:, ::-1]))


def test_values_may_be_blended_where_no_classes_are(tmp_path: Path) -> None:
    blending = A.Compose(
        [A.Rotate(limit=(20, 40), border_mode=cv2.BORDER_REFLECT_101, p=1)],
        additional_targets={"range": "mask"},
        mask_interpolation=cv2.INTER_LINEAR,
    )
    lists = lists_of(tmp_path, {"range": TRUTH["range"]}, num=4)
    build(tmp_path / "out", lists, pipeline=blending, validation_split=0)
    for example in precompute.read(tmp_path / "out"):
        source = TRUTH["range"](draw(int(example["key"])))
        assert not np.isin(example["range"], source).all()
        assert source.min() <= example["range"].min() and example["range"].max() <= source.max()
    masks = [write(tmp_path / "masks" / str(i), np.full((HEIGHT, WIDTH), i, np.uint8)) for i in range(4)]
    with pytest.raises(PrecomputeError, match="Rotate would blend class ids"):
        build(tmp_path / "other", {**lists, "masks": masks}, pipeline=blending, validation_split=0)


def test_what_keeps_its_values_is_stored_without_loss_beside_jpeg(tmp_path: Path) -> None:
    build(tmp_path / "out", lists_of(tmp_path, num=4), image_format="jpeg")
    manifest = Manifest.load(tmp_path / "out")
    encodings = {name: manifest.schema[name].encoding for name in TRUTH}  # type: ignore[attr-defined]
    assert encodings == {"depth": "png", "range": "raw", "normals": "png", "clean": "jpeg"}
    (example, *_) = precompute.read(tmp_path / "out", split="validation")
    assert np.abs(example["clean"].astype(int) - 255 + example["image"]).mean() < 60  # noise in JPEG
    assert precompute.verify(tmp_path / "out", sources=4).problems == []


@pytest.mark.parametrize("image_format", ["raw", "png"])
def test_what_moves_as_an_image_has_its_format_and_the_rest_has_none_that_loses(
    tmp_path: Path, image_format: str
) -> None:
    build(tmp_path / "out", lists_of(tmp_path, num=3), image_format=image_format)
    schema = Manifest.load(tmp_path / "out").schema
    found = {name: schema[name].encoding for name in TRUTH}  # type: ignore[attr-defined]
    assert found == {"depth": "png", "range": "raw", "normals": "png", "clean": image_format}
    for example in precompute.read(tmp_path / "out"):
        check(example)


# Where there is no pipeline for a split, shrinking, orientation, channels


def test_a_split_without_a_pipeline_is_resized_with_them(tmp_path: Path) -> None:
    build(tmp_path / "out", lists_of(tmp_path, num=6), pipeline=moved(), validation_split=0.5)
    for example in precompute.read(tmp_path / "out", split="validation"):
        assert {example[name].shape[:2] for name in TRUTH} == {(CROP, CROP)}
        source = TRUTH["depth"](draw(int(example["key"])))
        assert np.isin(example["depth"], source).all()  # nearest: no value is new


def test_shrunk_sources_have_shrunk_further_images(tmp_path: Path) -> None:
    def halves(pixels: Any) -> Any:
        return np.kron(pixels, np.ones((4, 4, 1), np.uint8))

    lists = lists_of(tmp_path, {name: lambda pixels, make=make: make(halves(pixels)) for name, make in TRUTH.items()})
    for path in lists["images"]:
        save(path, halves(np.asarray(Image.open(path))))
    plain = A.Compose([A.NoOp()], additional_targets=MOVES)
    build(tmp_path / "out", lists, pipeline=plain, max_source_size=WIDTH, validation_split=0)
    for example in precompute.read(tmp_path / "out"):
        assert example["image"].shape == (HEIGHT, WIDTH, 3)
        np.testing.assert_array_equal(example["depth"], TRUTH["depth"](draw(int(example["key"]))))
        assert np.abs(example["clean"].astype(int) - TRUTH["clean"](example["image"])).max() <= 2  # rounded twice


def test_files_are_turned_upright_each_by_its_own_orientation(tmp_path: Path) -> None:
    lists = lists_of(tmp_path, num=3)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying; shown turned by 90 degrees to the right
    for path in lists["images"]:
        Image.fromarray(np.rot90(np.asarray(Image.open(path)))).save(path, exif=exif)
    build(tmp_path / "out", lists)
    for example in precompute.read(tmp_path / "out"):
        check(example)


def test_a_grey_image_may_have_a_coloured_one_beside_it(tmp_path: Path) -> None:
    lists = lists_of(tmp_path, {"color": lambda pixels: pixels}, num=4)
    pipeline = A.Compose([A.HorizontalFlip(p=0.5)], additional_targets={"color": "image"})
    build(tmp_path / "out", lists, pipeline=pipeline, color_mode="grayscale", validation_split=0)
    for example in precompute.read(tmp_path / "out"):
        grey = np.asarray(Image.fromarray(example["color"]).convert("L"))[..., None]
        np.testing.assert_array_equal(example["image"], grey)


def test_files_of_fewer_channels_or_bits_become_like_the_others(tmp_path: Path) -> None:
    lists = lists_of(tmp_path, {"clean": TRUTH["clean"], "depth": TRUTH["depth"]}, num=3)
    save(lists["extra_images"]["clean"][0], TRUTH["clean"](draw(0))[..., 0])
    save(lists["extra_images"]["clean"][1], np.concatenate([draw(1), draw(1)[..., :1] // 2], axis=-1))
    save(lists["extra_images"]["depth"][2], draw(2)[..., 0])
    pipeline = A.Compose([A.NoOp()], additional_targets=MOVES)
    build(tmp_path / "out", lists, pipeline=pipeline, validation_split=0)
    found = {example["key"]: example for example in precompute.read(tmp_path / "out")}
    assert found["0"]["clean"].shape == (HEIGHT, WIDTH, 4)
    np.testing.assert_array_equal(found["0"]["clean"][..., 1], TRUTH["clean"](draw(0))[..., 0])
    assert (found["0"]["clean"][..., 3] == 255).all() and (found["1"]["clean"][..., 3] < 128).all()
    assert found["2"]["depth"].dtype == np.uint16
    np.testing.assert_array_equal(found["2"]["depth"][..., 0], draw(2)[..., 0])


def test_a_preview_shows_them_beside_the_image(tmp_path: Path) -> None:
    lists = lists_of(tmp_path)
    given = options(pipeline={"train": moved()})
    precompute.preview(output=tmp_path / "plain.png", **given, images=lists["images"])
    precompute.preview(output=tmp_path / "shown.png", **given, **lists)
    plain, shown = (Image.open(tmp_path / name) for name in ("plain.png", "shown.png"))
    assert shown.height > 3 * plain.height


def test_a_profile_has_stages_of_their_own(folder: Path) -> None:
    given = {name: of for name, of in options(pipeline={"train": moved()}).items() if name != "quiet"}
    found = precompute.profile(lists=lists_from(folder / "sources"), num_sources=2, num_variants=2, **given)
    assert {"decode further images", "encode further images"} <= {stage.name for stage in found.stages}


# What is refused


def spoil(name: str, pixels: Any, lists: Mapping[str, Any], i: int = 1) -> None:
    """Write other pixels into one of the further images."""
    path = Path(lists["extra_images"][name][i])
    path.write_bytes(pixels) if isinstance(pixels, bytes) else write(path, pixels)


@pytest.mark.parametrize(
    ("name", "pixels", "message"),
    [
        ("depth", np.zeros((HEIGHT, 19), np.uint16), r"depth/1\.png: is 19×14 pixels, but its image .*1\.png is 18×14"),
        ("clean", np.zeros((HEIGHT + 1, WIDTH, 3), np.uint8), r"clean/1\.png: is 18×15 pixels, but its image"),
        ("range", np.full((HEIGHT, WIDTH), np.nan, np.float32), r"range/1\.npy: holds 252 values that are not finite"),
        ("clean", np.zeros((HEIGHT, WIDTH), np.uint16), r"clean/1\.png: has 16 bits a channel"),
        ("depth", b"damaged", r"depth/1\.png: is damaged"),
    ],
)  # fmt: skip
def test_a_bad_file_is_named_and_can_be_left_out(tmp_path: Path, name: str, pixels: Any, message: str) -> None:
    lists = lists_of(tmp_path)
    spoil(name, pixels, lists)
    with pytest.raises(PrecomputeError, match=message):
        build(tmp_path / "out", lists)
    result = build(tmp_path / "out", lists, skip_bad=1)
    assert [skipped["key"] for skipped in result.manifest.skipped] == ["1"]


def test_a_file_of_another_kind_than_the_first_ones_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("precompute.preflight.sample.SAMPLE_SIZE", 1)
    first = place_order(map(str, range(NUM))).sources[0]
    lists = lists_of(tmp_path, {"depth": lambda pixels: pixels[..., :1]})
    for i in range(NUM):
        spoil("depth", draw(i)[..., :1] if i == first else draw(i), lists, i)
    with pytest.raises(
        PrecomputeError, match="holds 3 channels of uint8, and records have 1 channel of uint8 for depth"
    ):
        build(tmp_path / "out", lists, pipeline=moved(depth="mask"), validation_split=0, seed=1)


def _lists(tmp_path: Path, truth: Mapping[str, Callable[[Any], Any]], **more: Any) -> dict[str, Any]:
    return lists_of(tmp_path, truth, num=3) | more


@pytest.mark.parametrize(
    ("truth", "changes", "message"),
    [
        ({"depth": TRUTH["depth"]}, {"pipeline": A.Compose([A.NoOp()])}, "it does not say how depth moves; say it"),
        ({"depth": TRUTH["depth"]}, {"pipeline": "light", "image_size": [8, 8]}, "Presets do not know these names"),
        (
            {"depth": TRUTH["depth"]},
            {"pipeline": {"train": moved(depth="mask"), "validation": moved(depth="image")}},
            "pipelines differ in how depth moves: as mask in train, as image in validation",
        ),
        ({"bad name": TRUTH["depth"]}, {}, "extra_images: expected a name of letters, digits and _"),
        ({"mask": TRUTH["depth"]}, {}, "extra_images: mask means something else"),
        ({"depth": TRUTH["depth"]}, {"extra": {"depth": [1, 2, 3]}}, "depth: two things beside the images have this"),
        ({"clean": TRUTH["normals"]}, {"image_format": "jpeg"}, "JPEG holds no alpha channel, and clean has one"),
        ({"key": TRUTH["clean"]}, {"pipeline": moved(key="image")}, "key: another field of the schema gives examples"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_the_job(
    tmp_path: Path, truth: Mapping[str, Callable[[Any], Any]], changes: Any, message: str
) -> None:
    with pytest.raises(PrecomputeError) as error:
        build(tmp_path / "out", _lists(tmp_path, truth), **changes)
    assert message in str(error.value)
    assert not (tmp_path / "out/data").exists()


def test_kinds_that_no_type_holds_are_refused(tmp_path: Path) -> None:
    lists = lists_of(tmp_path, {"depth": TRUTH["depth"]}, num=3)
    spoil("depth", draw(1), lists)
    with pytest.raises(PrecomputeError, match="depth: its files hold 1 channel of uint16 and 3 channels of uint8"):
        build(tmp_path / "out", lists, pipeline=moved(depth="mask"))


def test_a_transform_that_changes_its_type_is_named(tmp_path: Path) -> None:
    def to_float(mask: Any, **_: Any) -> Any:
        return mask.astype(np.float32)

    pipeline = A.Compose([A.Lambda(name="wide", mask=to_float)], additional_targets={"depth": "mask"})
    lists = lists_of(tmp_path, {"depth": TRUTH["depth"]}, num=3)
    with pytest.raises(PrecomputeError, match=r"depth of shape \(14, 18, 1\) and type float32 where .* uint16"):
        build(tmp_path / "out", lists, pipeline=pipeline)


@pytest.mark.parametrize(("p", "message"), [(1, "What goes wrong begins with GaussNoise"), (1e-9, "GaussNoise: ")])
def test_noise_that_needs_equal_channels_is_named(p: float, message: str, tmp_path: Path) -> None:
    pipeline = A.Compose([A.GaussNoise(p=p)], additional_targets={"grey": "image"})
    lists = lists_of(tmp_path, {"grey": lambda pixels: pixels[..., :1]}, num=3)
    with pytest.raises(PrecomputeError) as error:
        build(tmp_path / "out", lists, pipeline=pipeline)
    assert message in str(error.value)
    assert "grey has 1 channel, and its image 3: transforms that change noise or colour mostly need" in str(error.value)


def test_sources_may_be_objects(tmp_path: Path) -> None:
    lists = lists_of(tmp_path, {"depth": TRUTH["depth"]}, num=3)
    pairs = zip(lists["images"], lists["extra_images"]["depth"], strict=True)
    sources = [
        precompute.Source(key=str(i), image=image, extra_images={"depth": depth})
        for i, (image, depth) in enumerate(pairs)
    ]
    precompute.build(sources, tmp_path / "out", **options(pipeline=moved(depth="mask"), validation_split=0))
    for example in precompute.read(tmp_path / "out"):
        check(example, ["depth"])


def test_float_tiffs_are_read(tmp_path: Path) -> None:
    lists = lists_of(tmp_path, {"range": TRUTH["range"]}, num=3)
    paths = [tmp_path / f"{i}.tiff" for i in range(3)]
    for i, path in enumerate(paths):
        assert cv2.imwrite(str(path), TRUTH["range"](draw(i)))
    build(tmp_path / "out", {**lists, "extra_images": {"range": paths}}, pipeline=moved(range="mask"))
    for example in precompute.read(tmp_path / "out"):
        check(example, ["range"])


class NoiseOnDepth(A.ImageOnlyTransform):
    """Noise for one further image, and for nothing else, as the guide has it."""

    @property
    def targets(self) -> dict[str, Any]:
        return {"range": self.apply}

    def apply(self, img: Any, **params: Any) -> Any:
        return img + self.random_generator.normal(0, 1, img.shape).astype(img.dtype)


def test_a_transform_may_change_one_of_them_alone(tmp_path: Path) -> None:
    pipeline = A.Compose([A.HorizontalFlip(p=0.5), NoiseOnDepth(p=1)], additional_targets={"range": "mask"})
    build(tmp_path / "out", lists_of(tmp_path, {"range": TRUTH["range"]}, num=3), pipeline=pipeline, validation_split=0)
    for example in precompute.read(tmp_path / "out"):
        source = draw(int(example["key"]))
        assert any(np.array_equal(example["image"], way) for way in (source, source[:, ::-1]))
        assert 0.5 < (example["range"] - TRUTH["range"](example["image"])).std() < 1.5
    assert precompute.verify(tmp_path / "out", sources=9, pipeline=pipeline).problems == []
