"""The command line: exit codes, messages without tracebacks, help that states defaults."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, strategies

from precompute.cli import main, make_parser
from precompute.dataset.manifest import Manifest
from precompute.options.build_options import BuildOptions
from precompute.options.values import parse_bytes, parse_image_size, parse_mask_map
from precompute.text.names import format_names, parse_names
from tests.helpers.small_datasets import draw_classes, draw_pairs

PIPELINES = """
import albumentations as A
train = A.Compose([A.HorizontalFlip(p=0.5), A.Resize(16, 16)])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pipelines.py").write_text(PIPELINES)
    return draw_pairs(tmp_path / "data", 12)


def build(folder: Path, *more: str) -> int:
    out, pipelines = folder.parent / "out", folder.parent / "pipelines.py"
    given = ["--pipeline", str(pipelines), "--variants", "2", "--jobs", "1", "--backend", "sequential", *more]
    return main(["build", str(folder), str(out), *given])


def test_exit_codes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build(folder) == 0
    assert "each of 12 training sources once" in capsys.readouterr().out
    assert build(folder, "--image-format", "png") == 1
    assert "image_format: 'jpeg' in the dataset, 'png' now" in capsys.readouterr().err
    assert build(folder, "--variants", "0") == 2
    assert "variants: expected an integer from 1 to 9999, got 0" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        build(folder, "--mask-map", "255=1")
    assert caught.value.code == 2
    assert "expected ids as from:to, such as 255:1,128:2 or 1-999:1, got '255=1'" in capsys.readouterr().err


def test_bad_sources_exit_with_3(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "images" / "s003.png").write_bytes(b"not an image")
    assert build(folder) == 3
    assert "1 of 12 sources is bad" in capsys.readouterr().err
    assert build(folder, "--skip-bad", "1") == 0


def test_altered_shards_exit_with_4(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build(folder) == 0
    out = folder.parent / "out"
    assert main(["verify", str(out)]) == 0
    shard = sorted(out.rglob("*.tfrecord-*"))[0]
    content = bytearray(shard.read_bytes())
    content[100] ^= 4
    shard.write_bytes(content)
    capsys.readouterr()
    assert main(["verify", str(out)]) == 4
    assert shard.name in capsys.readouterr().err
    assert build(folder, "--check", "full") == 0
    assert main(["verify", str(out)]) == 0


def test_interruption_exits_with_130(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from precompute.building import write

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(write, "run_surviving", interrupted)
    assert build(folder) == 130


def test_mistakes_are_no_tracebacks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(folder.parent / "nowhere")
    for arguments, message in (
        (["inspect", out], "there is no such file"),
        (["verify", out], "there is no such file"),
        (["drop", out, "--rows", "0"], "there is no such file"),
        (["regenerate", out, "--seed", "1"], "there is no such file"),
        (["build", out, out + "2", "--pipeline", "light", "--image-size", "16"], "nowhere"),
        (["build", str(folder), out, "--pipeline", "missing.py"], "missing.py: there is no such file"),
        (["build", str(folder), out, "--pipeline", "light"], "with --image-size"),
        (["preview", str(folder), "--pipeline", "missing.py"], "missing.py: there is no such file"),
    ):
        assert main(arguments) == 1
        captured = capsys.readouterr().err
        assert captured.startswith("error: ") and message in captured, arguments
    assert not Path(out).exists()


@pytest.mark.parametrize(
    ("arguments", "error", "more"),
    [
        (["bulid"], "invalid choice: 'bulid'", "precompute --help"),
        ([], "required: COMMAND", "precompute --help"),
        (["build"], "required: SOURCE, OUT", "precompute build --help"),
        (["build", "a", "b"], "--pipeline: none given", "precompute build --help"),
        (["build", "a", "b", "--pipline=p.py"], "unknown option --pipline; did you mean --pipeline?", "build --help"),
        (["build", "a", "b", "c", "--pipeline", "light"], "not understood: c", "precompute build --help"),
        (["build", "a", "b", "--pipeline", "light", "--image-format", "pngg"], "did you mean png?", "build --help"),
        (
            ["build", "a", "b", "--pipeline", "light", "--quality", "hi"],
            "--quality: expected an integer, got 'hi'",
            "build --help",
        ),
        (["build", "a", "b", "--pipeline", "light", "--quality", "0"], "quality: expected an integer", "build --help"),
        (["drop", "a", "--rows", "x"], "row", "precompute drop --help"),
        (
            ["follow", "a", "--keep", "hi"],
            "error: --keep: expected an integer, got 'hi'. See",
            "precompute follow --help",
        ),
    ],
)
def test_usage_errors_are_one_line(
    arguments: list[str], error: str, more: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(arguments)
    except SystemExit as end:  # argparse's own
        code = end.code  # type: ignore[assignment]
    [line] = capsys.readouterr().err.splitlines()
    assert code == 2
    assert line.startswith("error: ") and error in line and line.endswith(f"{more}.") and " See " in line


def test_quiet_says_nothing(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert build(folder, "--quiet") == 0
    assert capfd.readouterr() == ("", "")


def test_help_states_every_default() -> None:
    text = " ".join(help_of("build").split())
    for field in dataclasses.fields(BuildOptions):
        flag = f"--{field.name.replace('_', '-')}"
        assert flag in text
        default = getattr(BuildOptions(), field.name)
        if default not in (None, False, "", {}):
            assert f"(default: {default})" in text, flag
    for code in ("0 complete", "1 user error", "2 usage", "3 bad sources", "4 verification failed", "130 interrupted"):
        assert code in text


@pytest.mark.parametrize("command", ["build", "preview", "profile", "regenerate", "follow", "drop", "mask-colors"])
def test_options_of_a_build_stand_below_their_headings(command: str) -> None:
    heading, below = "", dict[str, set[str]]()
    for line in help_of(command).splitlines():
        if line.endswith(":") and not line.startswith(" "):
            heading = line[:-1]
        elif found := re.match(r"  --([a-z-]+)", line):
            below.setdefault(heading, set()).add(found[1].replace("-", "_"))
    own = below.pop("options", set()) | {"help"}
    for heading, names in below.items():
        assert {BuildOptions.title_of(name) for name in names} == {heading}
    if command == "build":
        assert list(below) == ["what is read", "tables", "splits", "pixels", "rows", "running"]
        assert set().union(*below.values()) == set(BuildOptions.names()) and not own & set(BuildOptions.names())


def help_of(command: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "120")
        actions = make_parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
        return str(actions[command].format_help())  # type: ignore[index,call-overload]


NAME = strategies.text(strategies.characters(exclude_categories=["C", "Z"]), min_size=1)


@given(strategies.lists(NAME, min_size=1))
def test_any_names_can_be_listed(names: list[str]) -> None:
    assert parse_names(format_names(names)) == names
    assert parse_names(format_names([f"@{names[0]}", *names])) == [f"@{names[0]}", *names]


@given(strategies.lists(NAME, min_size=1))
def test_any_names_can_stand_in_a_file(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    path = tmp_path_factory.mktemp("names") / "names.txt"
    path.write_text("\n".join(names), encoding="utf-8")
    assert parse_names(f"@{path}") == names


def test_names_with_commas_are_said_on_the_command_line(tmp_path: Path) -> None:
    name = "Pepper,_bell___healthy"
    folder, out = draw_classes(tmp_path / "in", names=(name, "dog")), tmp_path / "out"
    (tmp_path / "copies.txt").write_text(f"{name}=3\ndog=1\n")
    quoted = ["--class-names", f'dog,"{name}"', "--class-copies", f'"{name}"=3,dog=1']
    filed = ["--class-names", f'dog, "{name}"', "--class-copies", f"@{tmp_path / 'copies.txt'}"]
    for given_options in (quoted, filed):
        assert (
            main(
                [
                    "build",
                    str(folder),
                    str(out),
                    "--pipeline",
                    "light",
                    "--image-size",
                    "16",
                    "--jobs",
                    "1",
                    "--backend",
                    "sequential",
                    "--variants",
                    "2",
                    *given_options,
                ]
            )
            == 0
        )
    manifest = Manifest.load(out)
    assert manifest.target.class_names == ["dog", name]
    assert manifest.splits["train"].num_places == 6 + 3 * 6


def test_lists_of_names_that_are_wrong_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for names, message in (
        ('"a,b', "those with a comma in quotation marks"),
        (f"@{tmp_path / 'no.txt'}", "there is no such file"),
    ):
        with pytest.raises(SystemExit):
            main(["build", "in", "out", "--pipeline", "light", "--class-names", names])
        assert message in capsys.readouterr().err


def test_values_are_parsed() -> None:
    assert parse_mask_map("255:1, 128:2") == {255: 1, 128: 2}
    assert [parse_bytes(text) for text in ("64MiB", "200MB", "1.5 kB", "12", "1GiB")] == [
        64 * 2**20,
        200_000_000,
        1500,
        12,
        2**30,
    ]
    assert parse_image_size("256") == parse_image_size(["256", "256"]) == (256, 256)
    assert BuildOptions(image_size=(3, 4)).image_size == BuildOptions(image_size="3x4").image_size == (3, 4)  # type: ignore[arg-type]


def test_runs_as_a_module(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "precompute", "--help"], capture_output=True, text=True, check=True)
    assert "build" in done.stdout and "exit codes" in done.stdout
