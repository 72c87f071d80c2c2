"""An option that has no effect is refused or said: all of them, so that a new one is not forgotten."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import albumentations as A
import pytest

import precompute
from precompute.cli import main, make_parser
from precompute.commands import RUN_OPTIONS
from precompute.errors import PrecomputeError, UsageError
from precompute.options.build_options import BuildOptions
from precompute.preflight.ineffective_options import FOLDER_OPTIONS, INEFFECTIVE, check_ineffective_options
from precompute.sources.find import find
from tests.helpers.growing_datasets import lay_out, restore, run_build
from tests.helpers.small_datasets import draw_classes, draw_pairs, options
from tests.helpers.small_datasets import pipeline as sixteen

# What each option is given for class folders, split by chance, where it has no effect, and the words that say so.
REFUSED: dict[str, tuple[Any, str]] = {
    "mask_map": ({255: 1}, "is for masks, and these sources have none"),
    "mask_offset": (-1, "is for masks, and these sources have none"),
    "mask_colors": ({"#000000": 0}, "is for masks, and these sources have none"),
    "num_classes": (4, "is for masks, and these sources have none"),
    "ignore_class": (255, "is for masks, and these sources have none"),
    "mask_fill": ("as-written", "is for masks, and these sources have none"),
    "masks": ("masks", "masks"),
    "mask_suffix": ("_m", "is for masks, and these sources have none|mask_suffix|masks"),
    "image_size": (64, "64×64 was given, and the pipeline ends at 16×16"),
    "min_visibility": (0.5, "these sources have no boxes"),
    "min_area": (4, "these sources have no boxes"),
    "drop_empty": (True, "these sources have no boxes"),
    "annotations": ("nowhere.json", "annotations"),
    "keypoint_names": (["a"], "keypoint"),
    "skeleton": ("a:b", "keypoint"),
    "flip_pairs": ("a:b", "keypoint"),
    "runs": (2, "only a dry run uses it"),
    "epochs": (2, "only a dry run uses it"),
    "address": ("tcp://a:1", "is for backend dask"),
    "task_timeout": (9, "needs backend loky"),
    **dict.fromkeys(("root", "image_column", "mask_column", "label_column"), ("x", "is for a table")),
    **dict.fromkeys(("label_separator", "split_column", "group_column", "key_column"), ("x", "is for a table")),
    **{name: (["x"], "is for a table") for name in ("label_columns", "value_columns", "extra_columns")},
    "missing_values": ("nan", "is for numbers that are learnt"),
    "mirror_negates": (["x"], "is no number that is learnt"),
    "weight_column": ("x", "is for a table"),
    "extra_image_columns": ("x=y", "is for a table"),
    "extra_images": ("x=nowhere", "there is no folder of this name"),
    "images": ("nowhere", "nowhere"),
    "image_suffix": ("_x", "_x"),
}
SAID: dict[str, tuple[dict[str, Any], str]] = {
    "quality": ({"quality": 80}, "quality (--quality) has no effect: it is for JPEG"),
    "jobs": ({"jobs": 2}, "jobs (--jobs) has no effect: it is for workers"),
    "allow_mixed_cpus": ({"allow_mixed_cpus": True}, "allow_mixed_cpus (--allow-mixed-cpus) has no effect"),
    "group_by": ({"group_by": "^(.)", "validation_split": 0}, "group_by (--group-by) has no effect: it keeps groups"),
    "split_in_key": ({"split_in_key": True}, "split_in_key (--split-in-key) has no effect"),
    "alpha": ({"alpha": "drop", "color_mode": "rgba"}, "alpha (--alpha) has no effect: it is for records without"),
    "exclude": ({"exclude": "nowhere/"}, "exclude (--exclude) nowhere/ has no effect: it fits no file or folder"),
    "retry_bad": ({"retry_bad": True}, "retry_bad (--retry-bad) has no effect"),
}
# They always do what they say: or they are limits and permissions, which are kept whether they are needed or not.
ALWAYS = {
    *("pipeline", "variants", "seed", "backend", "image_format", "color_mode", "validation_split", "test_split"),
    *("class_names", "target", "include_original", "class_copies", "balance", "no_mirroring", "shard_size"),
    *("max_source_size", "scale", "limit", "check", "skip_bad", "skip_unmatched", "ignore_space", "replace"),
    *("dry_run", "lease_dir"),
    "quiet",
}


def test_each_option_is_in_one_place() -> None:
    names = {f.name for f in dataclasses.fields(BuildOptions)}
    assert names == ALWAYS | REFUSED.keys() | SAID.keys(), "a new option: say in INEFFECTIVE when it has no effect"
    assert not (ALWAYS & (REFUSED.keys() | SAID.keys())) and not REFUSED.keys() & SAID.keys()
    assert {name for name, idle in INEFFECTIVE.items() if idle.refused} <= REFUSED.keys()
    said = {name for name, idle in INEFFECTIVE.items() if not idle.refused}
    assert said == SAID.keys() - {"exclude"}, "patterns are matched, and said, where sources are found"


# Flags of the other commands that are no options of a build: where they have no effect is told in the words here.
IN_COMMANDS = {
    "preview": {"source", "output", "split", "num_sources", "num_variants", "options"},
    "profile": {"source", "split", "num_sources", "num_variants", "json", "options"},
    "mask-colors": {"source", "output", "overwrite"},  # class_names, ignore_class: refused without --mask-colors
    "inspect": {"output", "sheet", "options"},
    "export": {"dataset", "output", "split", "row", "format", "overwrite"},
    "dali-index": {"dataset", "split", "rows"},  # rows: refused without --split
    "report": {
        "dataset",
        "output",
        "json",
        "source",
        "pipeline",
        "num_sources",
        "num_rows",
        "near_duplicates",
        "strict",
    },
    "diff": {
        *("a", "b", "rows", "rows_b", "seed", "seed_b", "split", "num_pairs", "json", "output"),
        *("pipeline", "source", "against_installed"),  # the first two: refused without the last
    },
    "verify": {"output", "sources", "pipeline", "source"},  # the last two: refused without --sources
    "regenerate": {"output", "seed", "split", "source", "options"},
    "follow": {"output", "keep", "rows", "rows_a_pass", "seed", "split", "source", "options"},
    "drop": {"output", "rows", "split"},
    "build": {"source", "output", "options"},
}
# What of a build the commands take that make more rows: jobs and allow_mixed_cpus are said, as by a build.
MAKING = {"pipeline", "jobs", "backend", "address", "allow_mixed_cpus", "task_timeout", "lease_dir", "quiet"}


def test_each_flag_of_each_command_is_in_one_place() -> None:
    commands = make_parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    names = {f.name for f in dataclasses.fields(BuildOptions)}
    assert set(RUN_OPTIONS) == MAKING
    for command, parser in dict(commands or {}).items():
        flags = {action.dest for action in parser._actions} - {"help"}
        assert IN_COMMANDS[command] <= flags, command
        assert flags - IN_COMMANDS[command] <= names, f"say when the new flag of {command} has no effect"
    assert set(dict(commands or {})) == IN_COMMANDS.keys()


@pytest.mark.parametrize("name", REFUSED)
def test_option_without_effect_is_refused(name: str, tmp_path: Path) -> None:
    value, words = REFUSED[name]
    data = draw_classes(tmp_path / "data", per_class=3)
    with pytest.raises(PrecomputeError, match=words) as caught:
        precompute.build(data, tmp_path / "out", **options(variants=1, **{name: value}))
    assert name in str(caught.value) or isinstance(caught.value, PrecomputeError)
    assert not (tmp_path / "out" / "manifest.json").exists()


@pytest.mark.parametrize("name", SAID)
def test_option_without_effect_is_said(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given, words = SAID[name]
    data = draw_classes(tmp_path / "data", per_class=3)
    precompute.build(data, tmp_path / "out", **options(**{"variants": 1, **given, "quiet": False}))
    said = capfd.readouterr().err
    assert f"note: {words}" in said
    precompute.build(data, tmp_path / "plain", **options(variants=1, quiet=False))
    assert "has no effect" not in capfd.readouterr().err


def test_masks_have_their_options(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given = {"mask_map": {2: 1}, "num_classes": 2, "mask_fill": "as-written", "quiet": False, "ignore_class": 255}
    precompute.build(draw_pairs(tmp_path / "data"), tmp_path / "out", **options(variants=1, **given))
    assert "has no effect" not in capfd.readouterr().err


def test_size_that_a_pipeline_ends_at_may_be_named(tmp_path: Path) -> None:
    precompute.build(draw_classes(tmp_path / "data"), tmp_path / "out", **options(variants=1, image_size=16))


def test_function_may_make_another_size_and_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def train(height: int, width: int) -> A.Compose:
        return sixteen(height // 2)

    given = options(pipeline={"train": train}, variants=1, image_size=32, quiet=False)
    precompute.build(draw_classes(tmp_path / "data"), tmp_path / "out", **given)
    assert "32×32 was given, and the pipeline makes 16×16 of it" in capfd.readouterr().err


def test_dataset_that_was_built_with_it_goes_on_with_a_note(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given, _ = lay_out("numbers", tmp_path), restore("numbers", tmp_path)
    run_build(tmp_path, given, variants=1, image_size=64, mask_fill="as-written", quiet=False, dry_run=True)
    said = capfd.readouterr().err
    assert "64×64 was given, and the pipeline ends at 16×16" in said
    assert "note: mask_fill (--mask-fill) has no effect: it is for masks" in said


@pytest.mark.parametrize("name", FOLDER_OPTIONS)
def test_lists_have_no_folders(name: str, tmp_path: Path) -> None:
    data = draw_pairs(tmp_path / "data", 4)
    value = {"split_in_key": True, "extra_images": "x=y"}.get(name, "x")
    build_options = BuildOptions.make(**options(**{name: value}))
    found = find(None, build_options, {role: sorted((data / role).iterdir()) for role in ("images", "masks")})
    with pytest.raises(UsageError, match=rf"{name} \(--.*\): is for sources in folders, and these come from Python"):
        check_ineffective_options(build_options, found, is_new=True)
    [note] = check_ineffective_options(build_options, found, is_new=False)
    assert "has no effect: it is for sources in folders" in note


def test_names_of_colors_are_not_those_of_folders(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "data", per_class=3)
    for colors in ({"#000000": "road"}, {"#000000": "cat", "#ffffff": "dog"}):
        with pytest.raises(
            UsageError, match=r"^mask_colors \(--mask-colors\): is for masks, and these sources have no"
        ):
            precompute.build(data, tmp_path / "out", **options(mask_colors=colors))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("idle")
    precompute.build(draw_classes(folder / "data", per_class=3), folder / "out", **options(variants=2))
    return folder / "out"


def test_regenerate_and_follow_say_it(built: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given: dict[str, Any] = {"backend": "sequential", "jobs": 3, "allow_mixed_cpus": True}
    for run in (
        lambda: precompute.regenerate(built, seed=4, **given),
        lambda: precompute.follow(built, keep=3, rows=1, **given),
    ):
        run()
        said = capfd.readouterr().err
        assert said.count("note: jobs (--jobs) has no effect: it is for workers") == 1
        assert said.count("note: allow_mixed_cpus (--allow-mixed-cpus) has no effect: it is for the workers of") == 1
    precompute.regenerate(built, seed=5, backend="sequential", jobs=1)
    assert "has no effect" not in capfd.readouterr().err


@pytest.mark.parametrize("given", [["--class-names", "a,b"], ["--ignore-class", "255"]], ids=str)
def test_list_of_colors_has_no_names_without_a_file(
    given: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = draw_pairs(tmp_path / "data", 2)
    assert main(["mask-colors", str(data), "--output", str(tmp_path / "c.json"), *given]) == 2
    assert f"({given[0]}): is for the classes of --mask-colors, and none are given" in capfd.readouterr().err


def test_rows_of_an_index_need_a_split(built: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["dali-index", str(built), "--rows", "0"]) == 2
    assert "rows: row numbers belong to a split" in capfd.readouterr().err


def test_preview_refuses_as_a_build_does(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = draw_classes(tmp_path / "data")
    (tmp_path / "p.py").write_text("import albumentations as A\n\ntrain = A.Compose([A.Resize(16, 16)])\n")
    words = ["preview", str(data), "--pipeline", str(tmp_path / "p.py"), "--output", str(tmp_path / "sheet.png")]
    assert main([*words, "--image-size", "64"]) == 2
    assert "the pipeline ends at 16×16" in capfd.readouterr().err
    assert main([*words, "--ignore-class", "255"]) == 2
    assert "ignore_class (--ignore-class): is for masks" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["pipeline", "source"])
def test_verify_says_what_is_for_records_made_again(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"{name} \(--{name}\): is for records that are made again"):
        precompute.verify(tmp_path, **{name: "x"})


def test_seed_of_verify_chooses_records_that_are_made_again(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="seed: is for records that are made again"):
        precompute.verify(tmp_path, seed=3)
