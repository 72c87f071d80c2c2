"""`precompute.prepare_images`: which files are meant, what they are called, and that they equal stored ones."""

from __future__ import annotations

import numpy as np
import pytest

import precompute
from precompute.errors import DatasetError, UsageError
from tests.helpers.small_datasets import draw_pairs, options, save


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepare")
    precompute.build(draw_pairs(folder / "sources"), folder / "data", **options())
    return folder / "data"


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 255, (20, 22, 3), dtype=np.uint8)


def test_images_equal_those_stored_of_the_validation_split(dataset):
    stored = {example["key"]: example["image"] for example in precompute.read(dataset, split="validation")}
    paths = [dataset.parent / "sources" / "images" / f"{key}.png" for key in stored]
    prepared = precompute.prepare_images(dataset, paths)
    assert len(prepared) == len(stored) == 3
    assert prepared.keeps_geometry
    for item in prepared:
        np.testing.assert_array_equal(item.image, stored[item.key])
        assert item.source.shape != item.image.shape


def test_keys_are_unique_across_folders_and_suffixes(dataset, tmp_path, image):
    for name in ("a/x.png", "b/x.png", "b/deep/x.png"):
        save(tmp_path / name, image)
    assert list(precompute.prepare_images(dataset, [tmp_path]).files) == ["a/x", "b/deep/x", "b/x"]
    assert list(precompute.prepare_images(dataset, [tmp_path / "b" / "x.png"]).files) == ["x"]
    save(tmp_path / "a" / "X.bmp", image)
    assert list(precompute.prepare_images(dataset, [tmp_path / "a"]).files) == ["X.bmp", "x.png"]


def test_a_file_that_is_meant_twice_comes_once(dataset, tmp_path, image):
    save(tmp_path / "a" / "x.png", image)
    save(tmp_path / "a" / "[y].png", image)
    pattern = str(tmp_path / "**" / "x*.png")
    given = [
        tmp_path / "a" / "[y].png",
        tmp_path / "a",
        pattern,
    ]  # the first is a name, although it looks like a pattern
    assert list(precompute.prepare_images(dataset, given).files) == ["[y]", "x"]
    assert list(precompute.prepare_images(dataset, [tmp_path], skip=tmp_path / "b").files) == ["[y]", "x"]
    with pytest.raises(UsageError, match="there is no such image file"):
        precompute.prepare_images(dataset, [tmp_path], skip=tmp_path / "a").files  # noqa: B018


@pytest.mark.parametrize("given", ["nothing.png", "*.nothing", "empty"])
def test_images_that_are_not_there_are_named(dataset, tmp_path, given):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError) as error:
        precompute.prepare_images(dataset, [tmp_path / given])
    assert f"{tmp_path / given}: there is no such image file" in str(error.value)


def test_what_is_wrong_with_a_file_stands_beside_it(dataset, tmp_path):
    (tmp_path / "x.png").write_bytes(b"")
    (item,) = precompute.prepare_images(dataset, [tmp_path / "x.png"])
    assert item.image is None
    assert item.problem == f"{tmp_path / 'x.png'}: is empty (0 bytes)"


def test_no_dataset(tmp_path):
    with pytest.raises(DatasetError, match=r"manifest\.json"):
        precompute.prepare_images(tmp_path, [tmp_path])
