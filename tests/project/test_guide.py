"""The guide is run: its commands, its Python, and its table of options against the command line."""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import shlex
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from precompute.cli import main
from precompute.cli import make_parser as precompute_parser
from precompute.options.build_options import BuildOptions
from tests.helpers.guide import PAGES, README, blocks, guide, read_page
from tests.helpers.project import ROOT
from train.cli import make_parser as train_parser

BLOCKS = blocks(("console", "python"))
OPTIONS = "precompute/docs/options.md"
OF_OTHER_PROGRAMS = {"--all", "--num-images", "--nthreads", "--nworkers"}  # scripts of the project, and Dask
SMALLER = {"train fit": "--base-channels 4", "train bench": "--base-channels 4 --steps 5"}
LINKING = sorted(
    {
        README,
        ".github/CONTRIBUTING.md",
        "scripts/parity/README.md",
        *PAGES,
        *(path.relative_to(ROOT).as_posix() for path in ROOT.glob("precompute/*.md")),
    }
)


def commands() -> list[str]:
    return [line[2:] for kind, text in BLOCKS if kind == "console" for line in text.splitlines() if line[:2] == "$ "]


def test_every_option_is_in_one_table_with_its_default_below_the_heading_of_the_help() -> None:
    sections = [section.partition("\n") for section in read_page(OPTIONS).split("\n## ")[1:]]
    tables = {title: [line for line in text.splitlines() if line[:3] == "| `"] for title, _, text in sections}
    for field in dataclasses.fields(BuildOptions):
        flag = f"`--{field.name.replace('_', '-')}`"
        [(title, line)] = [(title, line) for title, lines in tables.items() for line in lines if flag in line]
        assert title == BuildOptions.title_of(field.name).capitalize(), flag
        default = getattr(BuildOptions(), field.name)
        if default not in (None, False, "", {}):
            assert f"| {default} |" in line, flag
    flags = {flag for lines in tables.values() for line in lines for flag in re.findall(r"`--([a-z-]+)`", line)}
    assert flags == {name.replace("_", "-") for name in BuildOptions.names()}


def test_the_file_of_options_in_the_guide_is_read() -> None:
    [text] = re.findall(r"```toml\n(.*?)```", read_page(OPTIONS), re.DOTALL)
    options = BuildOptions(**BuildOptions.check_values(tomllib.loads(text), OPTIONS))
    assert (options.image_size, options.variants, options.mask_map) == ((256, 384), 20, {255: 1})


def test_every_option_that_a_page_names_is_there() -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", guide()))
    assert named - flags_of(precompute_parser()) - flags_of(train_parser()) == OF_OTHER_PROGRAMS


def flags_of(parser: argparse.ArgumentParser) -> set[str]:
    """Return the options of a parser and of its commands."""
    flags = set()
    for action in parser._actions:
        flags |= set(action.option_strings)
        for command in action.choices.values() if isinstance(action, argparse._SubParsersAction) else ():
            flags |= flags_of(command)
    return flags


def test_exit_codes_are_those_of_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    codes = (
        "0 complete, 1 user error, 2 usage, 3 bad sources, 4 verification failed, 5 different, 6 findings of report "
    )
    codes += "--strict, 130 interrupted (143 by SIGTERM, 129 by SIGHUP)"
    assert f"Exit codes: {codes}." in read_page("precompute/docs/trouble.md").replace("\n", " ")
    for command in ([], ["build"], ["verify"]):
        with pytest.raises(SystemExit):
            main([*command, "--help"])
        assert f"exit codes: {codes}" in " ".join(capsys.readouterr().out.split())


def test_the_pages_are_those_that_lie_there_and_the_readme_names_each() -> None:
    found = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("*/docs/*.md")}
    assert found == set(PAGES)
    assert all(f"]({path})" in read_page(README) for path in PAGES)


def test_installed_packages_have_the_pages_and_the_templates() -> None:
    settings = tomllib.loads(read_page("pyproject.toml"))["tool"]["setuptools"]["package-data"]
    others = [
        *ROOT.glob("precompute/*.md"),
        *ROOT.glob("precompute/*/pictures/*.webp"),
        *ROOT.glob("precompute/pages/templates/*"),
    ]
    for path in (*PAGES, *(path.relative_to(ROOT).as_posix() for path in others)):
        package, _, name = path.partition("/")
        assert any(fnmatch(name, pattern) for pattern in settings[package]), path


@pytest.mark.parametrize("path", [README, *PAGES])
def test_a_page_is_short_and_its_prose_is_wrapped(path: str) -> None:
    text = read_page(path)
    assert text.count("\n") <= 250
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL).splitlines()
    long = [line for line in prose if len(line) > 120 and not line.startswith(("|", "    "))]
    assert not [line for line in long if " " in re.sub(r"`[^`]+`|\[[^]]*\]\([^)]*\)", "", line.strip())]


def test_the_readme_is_for_ten_minutes() -> None:
    assert len(read_page(README).encode()) <= 20_000


@pytest.mark.parametrize("path", LINKING)
def test_links_lead_somewhere(path: str) -> None:
    assert not dead_links(path)


def test_a_link_that_leads_nowhere_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A word, `and` more\n[a](#a-word-and-more) [b](b.md#here) [c](c.md) [d](#here)\n")
    (tmp_path / "b.md").write_text("# There\n```python\n# here\n```\n")
    assert dead_links(tmp_path / "a.md") == ["b.md#here", "c.md", "#here"]


def dead_links(page: str | Path) -> list[str]:
    """Return those links of a page that lead to no file, or to no heading of one."""
    dead = []
    for link in re.findall(r"\]\(([^)]+)\)", without_code(ROOT / page)):
        target, _, anchor = link.partition("#")
        path = (ROOT / page).parent / target if target else ROOT / page
        is_there = path.exists() and (not anchor or anchor in anchors(path))
        dead += [link] * (not is_there and not link.startswith("https://"))
    return dead


def anchors(path: Path) -> list[str]:
    """Return what a link may name of a page: its headings, as GitHub spells them."""
    headings = re.findall(r"^#+ (.+)$", without_code(path), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


def without_code(path: Path) -> str:
    return re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_commands_and_snippets_run(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    said = {}
    for kind, text in BLOCKS:
        if kind == "python" and (named := re.match(r"# (\w+\.py)\n", text)):
            (tmp_path / named[1]).write_text(text)
        elif kind == "python":
            (tmp_path / "snippet.py").write_text(text)
            subprocess.run([sys.executable, "snippet.py"], cwd=tmp_path, env=environment, check=True)
        else:
            for line in text.splitlines():
                if line.startswith("$ "):
                    done = subprocess.run(
                        shortened(line[2:]), cwd=tmp_path, env=environment, check=True, capture_output=True
                    )
                    said[line[2:]] = done.stdout.decode()
    assert len(said) == len(commands()) >= 9
    assert (tmp_path / "sheet.png").exists() and (tmp_path / "runs" / "cells" / "best.keras").exists()
    for line, output in shown_output().items():
        # Numbers of seconds and bytes differ from machine to machine; words and counts do not.
        assert squeezed(output) == squeezed(said[line]), line


def shortened(command: str) -> list[str]:
    """Return a command as it stands; of trainings alone, one epoch and few steps of a small network."""
    smaller = next((options for start, options in SMALLER.items() if command.startswith(start)), "")
    return shlex.split(f"{command.replace('--epochs 20', '--epochs 1')} {smaller}")


def shown_output() -> dict[str, str]:
    """Return command → what the guide shows of its output, for those of which it shows any."""
    shown: dict[str, str] = {}
    for kind, text in BLOCKS:
        for line in text.splitlines(keepends=True) if kind == "console" else ():
            if line.startswith("$ "):
                current = line[2:].strip()
            else:
                shown[current] = shown.get(current, "") + line
    return shown


def squeezed(output: str) -> str:
    return re.sub(r"[\d.,]+ (s|kB|MB|records/s)\b", r"N \1", output).strip()


def test_no_path_of_a_machine_is_shown() -> None:
    assert not re.search(r"/(work|home|root)/", guide())


def test_tables_of_the_experiment_are_those_of_its_page() -> None:
    page = (ROOT / "scripts/parity/README.md").read_text(encoding="utf-8").splitlines()
    lines = [line for line in read_page("train/docs/variants.md").splitlines() if line.startswith("|")]
    assert len(lines) > 10
    assert set(lines) <= set(page)
