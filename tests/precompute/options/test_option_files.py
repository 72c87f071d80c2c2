"""Options from a TOML file: tables or flat, the command line wins; what is wrong is named with file and key."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precompute.cli import main, make_parser
from precompute.dataset.manifest import Manifest
from precompute.options.build_options import BuildOptions
from precompute.text.toml import format_toml
from tests.helpers.small_datasets import draw_pairs, rows_of


def options_of(file: Path, *more: str, command: str = "build") -> BuildOptions:
    sources = ["in", "out"] if command == "build" else ["out"]
    return BuildOptions.from_arguments(make_parser().parse_args([command, *sources, "--options", str(file), *more]))


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return file


FILE = """
pipeline = "light"
image-size = [16, 24]
class_names = ["Pepper, bell", "dog"]

[what-is-read]
mask-map = {255 = 1}
exclude = ["*.tif", "old/"]
skip-unmatched = "5%"

[rows]
seed = 3
shard-size = "128MiB"
include-original = true
no-mirroring = true
class-copies = {"Pepper, bell" = 2}
"""


def test_options_stand_at_the_top_or_below_the_headings(tmp_path: Path) -> None:
    assert options_of(write(tmp_path, FILE)) == BuildOptions(
        pipeline="light",
        image_size=(16, 24),
        class_names=["Pepper, bell", "dog"],
        mask_map={255: 1},
        exclude=["*.tif", "old/"],
        skip_unmatched="5%",
        seed=3,
        shard_size=128 * 2**20,
        include_original=True,
        no_mirroring=True,
        class_copies={"Pepper, bell": 2},
    )


def test_the_command_line_wins(tmp_path: Path) -> None:
    more = ["--seed", "4", "--image-size", "8", "--no-include-original", "--mirroring", "--mask-map", "3:1"]
    options = options_of(write(tmp_path, FILE), *more)
    assert (options.seed, options.image_size, options.mask_map) == (4, (8, 8), {3: 1})
    assert not options.include_original and not options.no_mirroring and options.skip_unmatched == "5%"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("variant = 3", "there is no option 'variant'. Did you mean variants?"),
        ("[rows]\nvariants = 0", "variants: expected an integer from 1 to 9999, got 0."),
        ("variants = '''many'''", "variants: expected an integer from 1 to 9999, got 'many'."),
        ("quiet = 'yes'", "quiet: expected True or False, got 'yes'."),
        ("image-format = 'gif'", "image_format: expected one of jpeg, png, raw, got 'gif'."),
        ("seed = 1\n[rows]\nseed = 2", "'seed' is given twice."),
        (
            "[row]\nseed = 2",
            "there is no heading [row]; options stand at the top of the file, or below [what-is-read], ",
        ),
        ("mask-map = {a = 1}", "mask_map: expected numbers by numbers, such as {255: 1}, got {'a': 1}."),
        ("pipeline = 5", "pipeline: expected text, as on the command line, got 5."),
        ("seed: 1", "cannot be read as TOML: "),
        ("validation-split = 2020-01-01", "validation_split: expected a number, got datetime.date(2020, 1, 1)."),
    ],
)
def test_a_bad_file_is_refused_on_one_line_with_its_name_and_the_key(
    content: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, content)
    assert main(["build", "in", "out", "--pipeline", "light", "--options", str(file)]) == 2
    [error] = capsys.readouterr().err.splitlines()
    assert error.startswith(f"error: --options: {file}") and message in error
    assert error.endswith(" See precompute build --help.")


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "in", "out", "--options", str(tmp_path / "none.toml")]) == 2
    assert f"error: --options: {tmp_path / 'none.toml'}: there is no such file." in capsys.readouterr().err


def test_commands_that_make_more_rows_take_what_they_can_use_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, 'image-format = "png"\njobs = 2')
    for command in (["follow", "out"], ["regenerate", "out", "--seed", "1"]):
        assert main([*command, "--options", str(file)]) == 2
        assert f"error: --options: {file}: there is no option 'image-format' here." in capsys.readouterr().err


def test_a_build_from_a_file_is_the_one_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_pairs(tmp_path / "data", 12)
    monkeypatch.chdir(tmp_path)
    Path("run.toml").write_text('jobs = 1\nbackend = "sequential"\n')
    Path("all.toml").write_text(
        '[pixels]\npipeline = "light"\nimage-size = 16\nimage-format = "png"\n[splits]\nvalidation-split = 0.25\n'
        '[rows]\nvariants = 2\n[running]\njobs = 1\nbackend = "sequential"\n'
    )
    assert main(["preview", "data", "--options", "all.toml"]) == 0
    assert main(["build", "data", "filed", "--options", "all.toml"]) == 0
    given = ["--pipeline", "light", "--image-size", "16", "--image-format", "png", "--validation-split", "0.25"]
    assert main(["build", "data", "said", *given, "--variants", "2", "--options", "run.toml"]) == 0
    filed, said = Manifest.load("filed"), Manifest.load("said")
    assert filed.settings == said.settings and filed.splits.keys() == said.splits.keys()
    assert [split.sources_sha256 for split in filed.splits.values()] == [s.sources_sha256 for s in said.splits.values()]
    assert main(["regenerate", "filed", "--seed", "5", "--options", "run.toml"]) == 0
    assert [seed for _, seed, _ in rows_of(tmp_path / "filed")] == [5, 5]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
LEAVES = st.one_of(TEXTS, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))
VALUES: Any = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=8)


@given(VALUES)
def test_any_value_is_written_as_toml_reads_it(value: Any) -> None:
    assert tomllib.loads(f"key = {format_toml(value)}")["key"] == value
