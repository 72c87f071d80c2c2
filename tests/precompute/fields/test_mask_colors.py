"""Masks whose classes are colours, and ids that an offset moves."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
from PIL import Image

import precompute
from precompute.cli import main
from precompute.dataset.manifest import Manifest
from precompute.errors import BadSourcesError, RejectedSource, SourceError, UsageError
from precompute.fields.colors import MaskColors, read_mask_colors
from precompute.images.decode import decode_colors
from precompute.images.mask_files import UnlistedColors, changed_ids, ids_of_colors, packed_colors
from precompute.options.build_options import BuildOptions
from tests.helpers.decoded_sources import random_pixels, saved
from tests.helpers.small_datasets import options, save

COLORS = np.array([[60, 16, 152], [132, 41, 246], [110, 193, 228]], np.uint8)
NAMED = {"#3c1098": "building", "#8429f6": "land", "#6ec1e4": "road"}
IDENTITY = A.Compose([A.Resize(24, 20, interpolation=0)])


def ids_of(i: int) -> np.ndarray[Any, Any]:
    ids = np.full((24, 20), i % 3, np.uint8)
    ids[2:9, 3:12] = 1
    ids[15:, 10:] = 2
    return ids


def draw(folder: Path, num: int = 12, *, palette: bool = True) -> Path:
    """Write images, and masks in colours: in RGB, in a palette, in RGB with an opaque alpha channel."""
    for i in range(num):
        save(folder / "images" / f"{i:02d}.png", random_pixels(24, 20, 3, seed=i))
        picture = Image.fromarray(COLORS[ids_of(i)])
        if palette and i % 3 == 1:
            picture = picture.quantize(3)
            assert picture.mode == "P" and (np.asarray(picture.convert("RGB")) == COLORS[ids_of(i)]).all()
        path = folder / "masks" / f"{i:02d}.png"
        path.parent.mkdir(exist_ok=True)
        (picture.convert("RGBA") if palette and i % 3 == 2 else picture).save(path)
    return folder


def build(source: Path, out: Path, **changes: Any) -> Manifest:
    manifest = precompute.build(source, out, **options(**{"pipeline": {"train": IDENTITY}, **changes})).manifest
    assert manifest is not None
    return manifest


# From files to records.


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("image_format", ["png", "raw"])
def test_colours_become_ids_and_stay_on_their_pixels(tmp_path: Path, flip: bool, image_format: str) -> None:
    source = draw(tmp_path / "data")
    pipeline = A.Compose([A.HorizontalFlip(p=1), A.Resize(24, 20, interpolation=0)]) if flip else IDENTITY
    colors = {tuple(map(int, color)): name for color, name in zip(COLORS, NAMED.values(), strict=True)}
    given = {"pipeline": {"train": pipeline}, "variants": 1, "image_format": image_format, "mask_colors": colors}
    manifest = build(source, tmp_path / "out", **given)
    assert manifest.target.class_names == ["building", "land", "road"] and manifest.target.num_classes == 3
    assert manifest.settings["pixels"]["mask_colors"] == {"#3c1098": 0, "#8429f6": 1, "#6ec1e4": 2}
    seen = 0
    for example in precompute.read(tmp_path / "out"):
        expected = ids_of(int(example["key"]))
        np.testing.assert_array_equal(example["mask"], expected[:, ::-1] if flip else expected)
        seen += 1
    assert seen == manifest.splits["train"].num_records == 9
    assert precompute.verify(tmp_path / "out", sources=4, jobs=1).problems == []


def test_rows_are_added_without_the_file(tmp_path: Path) -> None:
    legend = tmp_path / "legend.json"
    legend.write_text(json.dumps(NAMED))
    build(draw(tmp_path / "data"), tmp_path / "out", mask_colors=legend)
    legend.unlink()
    precompute.regenerate(tmp_path / "out", seed=5, jobs=1, backend="sequential", quiet=True)
    example = next(precompute.read(tmp_path / "out"))
    np.testing.assert_array_equal(example["mask"], ids_of(int(example["key"])))


def test_another_colour_file_is_another_setting(tmp_path: Path) -> None:
    source = draw(tmp_path / "data")
    build(source, tmp_path / "out", mask_colors={color: i for i, color in enumerate(NAMED)})
    with pytest.raises(precompute.PrecomputeError, match=r"mask_colors › #3c1098: 0 in the dataset, 2 now"):
        build(source, tmp_path / "out", mask_colors={color: 2 - i for i, color in enumerate(NAMED)})


def test_settings_without_colours_are_as_they_were(tmp_path: Path) -> None:
    for i in range(8):
        save(tmp_path / "data/images" / f"{i:02d}.png", random_pixels(24, 20, 3, seed=i))
        save(tmp_path / "data/masks" / f"{i:02d}.png", ids_of(i))
    pixels = build(tmp_path / "data", tmp_path / "out").settings["pixels"]
    assert not {"mask_offset", "mask_colors"} & set(pixels)  # so that fingerprints stay


# Colours without a class.


def test_unlisted_colours_are_counted_at_once(tmp_path: Path) -> None:
    source = draw(tmp_path / "data")
    wrong = {color: name for color, name in NAMED.items() if name != "land"}
    with pytest.raises(SourceError) as caught:
        build(source, tmp_path / "out", mask_colors=wrong, validation_split=0)
    pixels = sum(int((ids_of(i) == 1).sum()) for i in range(12))
    assert f"#8429f6: {pixels:,} pixels in 12 masks" in str(caught.value)
    assert "masks hold 1 colour that --mask-colors does not list (12 of 12 masks" in str(caught.value)
    assert "precompute mask-colors SOURCE --output FILE" in str(caught.value)


def test_masks_with_unlisted_colours_can_be_left_out(tmp_path: Path) -> None:
    source = draw(tmp_path / "data", palette=False)
    odd = COLORS[ids_of(5)]
    odd[0, :3] = 0
    save(source / "masks/05.png", odd)
    with pytest.raises(SourceError, match="#000000: 3 pixels in 1 mask"):
        build(source, tmp_path / "none", mask_colors=NAMED)
    manifest = build(source, tmp_path / "out", mask_colors=NAMED, skip_bad="1")
    assert [s["key"] for s in manifest.skipped] == ["05"]
    assert (
        "05.png: holds 1 colour that --mask-colors does not list: #000000 (3 pixels)" in manifest.skipped[0]["reason"]
    )


def test_ids_of_colours_name_what_is_unlisted() -> None:
    table = packed_colors({"#3c1098": 7, "#8429f6": 300})
    assert ids_of_colors(COLORS[:2][None], table).tolist() == [[7, 300]]
    with pytest.raises(UnlistedColors) as caught:
        ids_of_colors(COLORS[[0, 2, 2, 1]][None], table)
    assert caught.value.counts == {0x6EC1E4: 2}
    with pytest.raises(UnlistedColors, match=r"holds 300 colours .*#0000\w\w \(1 pixel\) …"):
        ids_of_colors(
            np.stack([np.arange(300) * 0, np.arange(300) // 256, np.arange(300) % 256], -1).astype(np.uint8)[None],
            table,
        )


def test_what_holds_no_colours_is_refused() -> None:
    rgba = np.dstack([random_pixels(4, 4, 3), np.full((4, 4), 255, np.uint8)])
    np.testing.assert_array_equal(decode_colors(saved(rgba, mode="RGBA")), rgba[..., :3])
    rgba[0, 0, 3] = 0
    for content, message in (
        (saved(rgba, mode="RGBA"), "transparent pixels"),
        (saved(random_pixels(4, 4, 3), "JPEG"), "is a JPEG: lossy compression changes colours"),
        (saved(random_pixels(4, 4, high=60_000, dtype=np.uint16)), "has 16 bits a channel"),
    ):
        with pytest.raises(RejectedSource, match=message):
            decode_colors(content)


# The file of colours.


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", json.dumps(NAMED)),
        ("a.json", '{"60,16,152": "building", "(132, 41, 246)": "land", "110 193 228": "road"}'),
        ("a.json", json.dumps([{"colour": [60, 16, 152], "name": "building"}, {"color": "8429F6", "class": "land"}])),
        (
            "a.json",
            json.dumps({"classes": [{"title": v, "color": k, "shape": "any"} for k, v in NAMED.items()], "tags": []}),
        ),
        ("a.csv", "color,class\n#3c1098,building\n#8429f6, land\n\n"),
        ("a.csv", '\ufeffname,rgb\r\nbuilding,"60,16,152"\r\nland,"132,41,246"\r\n'),
        ("a.CSV", "name, r, g, b\nbuilding, 60, 16, 152\nland, 132, 41, 246\n"),
    ],
)
def test_forms_of_the_file(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    colors = read_mask_colors(tmp_path / name, class_names=None, ignore_class=None)
    assert list(colors.ids.items())[:2] == [("#3c1098", 0), ("#8429f6", 1)]
    assert colors.names is not None and colors.names[:2] == ["building", "land"]


def test_names_ids_and_the_ignore_class() -> None:
    several = {"#000000": "void", "#3c1098": "building", "#9b9b9b": "void"}
    assert read_mask_colors(several, class_names=None, ignore_class=None) == MaskColors(
        ids={"#000000": 0, "#3c1098": 1, "#9b9b9b": 0}, names=["void", "building"]
    )
    assert read_mask_colors(several, class_names=["building", "void"], ignore_class=None).ids["#3c1098"] == 0
    assert read_mask_colors({"#000000": 255, "#3c1098": "b"}, class_names=None, ignore_class=255) == MaskColors(
        ids={"#000000": 255, "#3c1098": 0}, names=["b"]
    )
    assert read_mask_colors({(0, 0, 0): "3", "#ffffff": 7}, class_names=None, ignore_class=None).names is None


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "not valid JSON"),
        ("a.json", "[1, 2]", "neither an object of colours nor a list"),
        ("a.json", "{}", "holds no colours"),
        ("a.json", '{"#3c10": "building"}', "expected a colour such as #3c1098"),
        ("a.json", '{"300,0,0": "building"}', "0 to 255 each"),
        ("a.json", '{"#000000": "a", "#000000": "b"}', "gives #000000 twice, as 'a' and as 'b'"),
        ("a.json", '{"#000000": "a", "#ffffff": 1}', "names to some colours and numbers to others"),
        ("a.json", '{"#000000": 70000}', "class ids from 0 to 65535, got 70000"),
        ("a.json", '{"#000000": null}', "expected class names"),
        ("a.json", '[{"name": "x"}]', "no colour in"),
        ("a.csv", "color,class\n60,16,152,building\n", "another number of columns"),
        ("a.csv", "hue,class\nred,building\n", "no colour in"),
    ],
)
def test_what_is_wrong_with_the_file_is_said(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=message):
        BuildOptions(mask_colors=tmp_path / name)


def test_options_that_do_not_go_together(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"mask_map: is for masks of ids"):
        BuildOptions(mask_colors=NAMED, mask_map={0: 1})
    with pytest.raises(UsageError, match=r"mask_colors \(--mask-colors\): .*none\.json: there is no such file"):
        BuildOptions(mask_colors=tmp_path / "none.json")
    with pytest.raises(UsageError, match=r"names classes that class_names"):
        BuildOptions(mask_colors=NAMED, class_names=["building", "road"])
    for i in range(4):
        save(tmp_path / f"data/{'ab'[i % 2]}/{i}.png", random_pixels(8, 8, 3))
    for given in ({"mask_offset": -1}, {"mask_colors": {"#000000": 0}}):
        with pytest.raises(UsageError, match="is for masks, and these sources have none"):
            build(tmp_path / "data", tmp_path / "out", **given)


# The command that writes it.


def test_the_file_is_written_from_the_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, path = draw(tmp_path / "data"), tmp_path / "colors.json"
    command = ["mask-colors", str(source), "--output", str(path)]
    assert main(command) == 0
    assert "3 colours of 12 masks, 3 without a class" in capsys.readouterr().out
    written = json.loads(path.read_text())
    assert {entry["color"] for entry in written} == set(NAMED)
    assert sum(entry["pixels"] for entry in written) == 12 * 24 * 20
    assert [entry["pixels"] for entry in written] == sorted((entry["pixels"] for entry in written), reverse=True)
    assert main(command) == 2 and "is there already" in capsys.readouterr().err
    path.write_text(path.read_text().replace("unnamed #8429f6", "land"))
    again = tmp_path / "again.json"
    assert main([*command[:2], "--output", str(again), "--mask-colors", str(path)]) == 0
    assert json.loads(again.read_text()) == json.loads(path.read_text())
    manifest = build(source, tmp_path / "out", mask_colors=again)
    assert "land" in manifest.target.class_names


def test_files_that_are_no_colour_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = draw(tmp_path / "data")
    save(source / "masks/00.png", random_pixels(24, 60, 3))
    assert main(["mask-colors", str(source), "--output", str(tmp_path / "c.json")]) == 1
    assert "too many to be classes" in capsys.readouterr().err
    (source / "masks/00.png").write_bytes(b"no picture")
    assert main(["mask-colors", str(source), "--output", str(tmp_path / "c.json")]) == BadSourcesError.exit_code
    assert "masks that cannot be read (1)" in capsys.readouterr().err
    assert main(["mask-colors", str(source), "--output", str(tmp_path / "c.txt")]) == 2
    assert not list(tmp_path.glob("c.*"))


# Offsets.


def test_the_map_comes_before_the_offset() -> None:
    stored = np.array([[0, 1, 2, 150, 255]], np.uint8)
    assert changed_ids(stored, [(0, 255), (255, 255)], -1).tolist() == [[255, 0, 1, 149, 255]]
    assert changed_ids(stored, [], 300).tolist() == [[300, 301, 302, 450, 555]]
    assert changed_ids(stored, [], 0) is stored
    with pytest.raises(RejectedSource, match=r"holds the id 0, which --mask-offset -1 makes -1: .*0:255"):
        changed_ids(stored, [(255, 255)], -1)
    with pytest.raises(RejectedSource, match="makes 65536"):
        changed_ids(np.array([[65_535]], np.uint16), [], 1)


def draw_ids(folder: Path, void: int | None) -> Path:
    for i in range(12):
        ids = ids_of(i) + 1
        if void is not None:
            ids[0] = void
        save(folder / "images" / f"{i:02d}.png", random_pixels(24, 20, 3, seed=i))
        save(folder / "masks" / f"{i:02d}.png", ids.astype(np.uint8))
    return folder


def test_ids_that_start_at_one(tmp_path: Path) -> None:
    manifest = build(draw_ids(tmp_path / "data", None), tmp_path / "out", mask_offset=-1)
    assert manifest.target.num_classes == 3 and manifest.settings["pixels"]["mask_offset"] == -1
    for example in precompute.read(tmp_path / "out"):
        np.testing.assert_array_equal(example["mask"], ids_of(int(example["key"])))
    assert precompute.verify(tmp_path / "out", sources=4, jobs=1).problems == []


def test_void_that_an_offset_would_move_is_noticed(tmp_path: Path) -> None:
    source = draw_ids(tmp_path / "data", 255)
    with pytest.raises(SourceError, match=r"--mask-offset -1 makes 254, .*--mask-map 255:255"):
        build(source, tmp_path / "none", mask_offset=-1, ignore_class=255)
    manifest = build(source, tmp_path / "out", mask_offset=-1, ignore_class=255, mask_map={255: 255})
    assert manifest.target.num_classes == 3
    example = next(precompute.read(tmp_path / "out"))
    assert (example["mask"][0] == 255).all() and (example["mask"][1:] == ids_of(int(example["key"]))[1:]).all()


def test_the_last_class_may_be_the_void_one(tmp_path: Path) -> None:
    manifest = build(draw_ids(tmp_path / "data", None), tmp_path / "out", mask_offset=-1, ignore_class=2)
    assert (manifest.target.num_classes, manifest.target.ignore_class) == (2, 2)


# A real set, whose legend is wrong.

TRUE_LEGEND = {  # from the data's own notes
    "60,16,152": "Building",
    "132,41,246": "Land",
    "110,193,228": "Road",
    "254,221,58": "Vegetation",
    "226,169,41": "Water",
    "155,155,155": "Unlabeled",
    "0,0,0": "Unlabeled",
}


@pytest.fixture
def aerial() -> Path:
    folder = os.environ.get("PRECOMPUTE_TEST_DATA")
    if not folder:
        pytest.skip("PRECOMPUTE_TEST_DATA is not set")
    return Path(folder) / "aerial"


@pytest.mark.slow
def test_aerial(aerial: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        build(aerial, tmp_path / "out", mask_colors=aerial / "classes.json")
    assert "#8429f6: " in str(caught.value) and "precompute mask-colors" in str(caught.value)
    seventh = {color: name for color, name in TRUE_LEGEND.items() if color != "0,0,0"}
    with pytest.raises(SourceError, match="#000000: [0-9,]+ pixels in [1-5] masks?"):
        build(aerial, tmp_path / "out", mask_colors=seventh)
    resize = A.Compose([A.Resize(64, 64)])
    given = {"pipeline": {"train": resize}, "variants": 1, "group_by": r"^(Tile \d)/", "mask_colors": TRUE_LEGEND}
    manifest = build(aerial, tmp_path / "out", **given)
    assert manifest.target.class_names == ["Building", "Land", "Road", "Vegetation", "Water", "Unlabeled"]
    assert sum(split.num_records for split in manifest.splits.values()) == 54
    tiles = [{e["key"].split("/")[0] for e in precompute.read(tmp_path / "out", split=s)} for s in manifest.splits]
    assert not set.intersection(*tiles)
