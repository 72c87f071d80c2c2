"""An argument of `load` or `read` that has no effect is refused or warned of: all of them."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import Any

import pytest

import precompute
from precompute.dataset.rows import Reading
from precompute.dataset.shard_cache import open_cache
from precompute.errors import UsageError
from precompute.storage.paths import as_path
from tests.helpers.keypoint_datasets import draw_pointed, lists_of
from tests.helpers.small_datasets import options
from tests.helpers.stored_records import build_rows

WARNED: dict[str, tuple[dict[str, Any], str]] = {
    "shuffle_seed": (
        {"shuffle": False, "shuffle_seed": 3},
        r"shuffle_seed has no effect: train is read in its order; shuffle=True mixes it\.",
    ),
    "fresh": (
        {"fresh": "auto", "clean_from": 0, "cache": False},
        r"fresh has no effect: no image is moved from epoch clean_from=0 on\.",
    ),
    "cache_dir": ({"cache_dir": "there"}, r"cache_dir has no effect on the shards of .*: they are read from where"),
}
# Of a dataset of classes, all rows of one seed, without Normalize and extra values.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "readings": ({"readings": [Reading(epoch=0, row=0, seed=0, variant=0)]}, "readings: .* rows='follow' alone"),
    "clean_from": ({"clean_from": 1, "rows": "all"}, "clean_from: expected rows that take turns"),
    "cache": ({"cache": True, "rows": "follow"}, "cache: rows that come and go are not all held"),
    "class_weights": ({"class_weights": [1.0]}, "class_weights: expected 2 numbers"),
    "extra": ({"extra": ["weight"]}, "extra: the dataset has no 'weight'"),
    "inputs": ({"inputs": ["depth"]}, "inputs: the dataset has no field 'depth'; its fields: image, label"),
    "targets": ({"targets": ["mask"]}, "targets: the dataset has no field 'mask'; its fields: image, label"),
    "normalize": ({"normalize": True}, "normalize: no Normalize was taken off train's pipeline"),
    "box_format": ({"box_format": "xyxy"}, "box_format, max_boxes, ragged: the records of .* have no boxes"),
    "max_boxes": ({"max_boxes": 3}, "box_format, max_boxes, ragged: the records of .* have no boxes"),
    "ragged": ({"ragged": True}, "box_format, max_boxes, ragged: the records of .* have no boxes"),
}
# They always do what they say: or they are limits and permissions, which are kept whether they are needed or not.
ALWAYS = {
    *("split", "batch_size", "rows", "start_batch", "shuffle", "drop_remainder", "sample_weights", "with_keys"),
    *("check", "allow_leak", "lease_dir", "input_context"),
}
READ_ALWAYS = {"split", "row", "shuffle_seed", "part"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_rows(tmp_path_factory.mktemp("idle"), num_rows=2, include_original=True)


def test_each_argument_is_in_one_place() -> None:
    groups = [set(WARNED), set(REFUSED), ALWAYS]
    named = set(inspect.signature(precompute.load).parameters) - {"path"}
    assert named == set.union(*groups), "say when the new argument has no effect: readers/tf/load.py"
    assert sum(map(len, groups)) == len(named)
    # Of row and epoch one is refused beside the other; the last is warned of as by `load`.
    assert set(inspect.signature(precompute.read).parameters) - {"path"} == READ_ALWAYS | {"epoch", "cache_dir"}


@pytest.mark.parametrize("name", WARNED)
def test_argument_without_effect_is_warned_of(name: str, built: Path) -> None:
    given, words = WARNED[name]
    with pytest.warns(UserWarning, match=words) as caught:
        precompute.load(built, **{"cache": False} | given)
    assert len(caught) == 1


@pytest.mark.parametrize("name", REFUSED)
def test_argument_without_effect_is_refused(name: str, built: Path) -> None:
    given, words = REFUSED[name]
    with pytest.raises(UsageError, match=words):
        precompute.load(built, **given)


@pytest.mark.parametrize(
    "given",
    [
        {"shuffle_seed": 3},
        {"split": "validation", "shuffle": True, "shuffle_seed": 3},
        {"shuffle": False, "shuffle_seed": 3, "fresh": ["shift"]},
        {"fresh": "auto", "clean_from": 1, "cache": False},
        {"fresh": [], "clean_from": 0, "cache": False},
    ],
    ids=str,
)
def test_arguments_with_effect_are_taken_in_silence(given: dict[str, Any], built: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        precompute.load(built, **{"cache": False} | given)


def test_warning_points_to_the_caller(built: Path) -> None:
    with pytest.warns(UserWarning, match="shuffle_seed") as caught:
        precompute.load(built, shuffle=False, shuffle_seed=1, cache=False)
    assert caught[0].filename == __file__


def test_read_warns_of_a_cache_that_holds_nothing(built: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="cache_dir has no effect on the shards of"):
        precompute.read(built, cache_dir=tmp_path)
    with pytest.warns(UserWarning, match="of gs://bucket/there: TensorFlow reads them itself"):
        assert open_cache(as_path("gs://bucket/there"), tmp_path, tensorflow=True) is None


def test_forms_of_boxes_are_not_for_keypoints_alone(tmp_path: Path) -> None:
    truth = draw_pointed(tmp_path)
    given = options(variants=1, validation_split=0, flip_pairs="none")
    precompute.build(output=tmp_path / "out", **lists_of(tmp_path, truth, has_boxes=False), **given)
    precompute.load(tmp_path / "out", box_format="rel_xyxy", cache=False)
    with pytest.raises(UsageError, match="box_format: the objects of out have keypoints and no boxes, so that 'yxyx'"):
        precompute.load(tmp_path / "out", box_format="yxyx")
