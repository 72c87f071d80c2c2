"""Links that lead to themselves, to each other or nowhere, pipes and sockets among the sources: named, never a hang."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from precompute.errors import SourceError
from precompute.options.build_options import BuildOptions
from precompute.sources.find import find
from tests.helpers.source_folders import make, refused

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")


def test_links_that_lead_to_themselves_or_to_nothing_are_named_at_once(tmp_path: Path) -> None:
    make(tmp_path, "cat/1.png", "dog/2.png")
    (tmp_path / "a").symlink_to("a")  # ln -s a a
    (tmp_path / "cat" / "b.png").symlink_to("c.png")
    (tmp_path / "cat" / "c.png").symlink_to("b.png")
    (tmp_path / "unmounted").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "dog" / "pipe.jpg")
    message = refused(tmp_path)
    for name in ("a", "cat/b.png", "cat/c.png", "unmounted"):
        assert f"\n  {tmp_path}/{name}\n" in message
    assert "links that lead nowhere (4):" in message
    assert f"pipes and sockets that are named like files (1):\n  {tmp_path}/dog/pipe.jpg" in message


def test_folders_that_lead_to_each_other_end(tmp_path: Path) -> None:
    for name in "abcdefghij":
        make(tmp_path, f"{name}/1.png")
        for other in "abcdefghij":
            if other != name:
                (tmp_path / name / other).symlink_to(tmp_path / other)
    assert "links that lead in a circle" in refused(tmp_path)


@pytest.mark.parametrize("name", ["data.yaml", "a.xml", "instances.json", "labels.csv"])
def test_a_pipe_that_is_named_like_an_annotation_stops_nobody(tmp_path: Path, name: str) -> None:
    make(tmp_path, "images/cat/1.png", "images/dog/2.png")
    os.mkfifo(tmp_path / name)
    assert find(tmp_path, BuildOptions.make()).class_names == ["cat", "dog"]


def test_a_pipe_in_place_of_a_table_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.csv")
    with pytest.raises(SourceError, match="t.csv: the table is no regular file"):
        find(tmp_path / "t.csv", BuildOptions.make())


def test_a_pipe_among_text_files_is_named(tmp_path: Path) -> None:
    make(tmp_path, "images/1.png", "labels/")
    os.mkfifo(tmp_path / "labels" / "1.txt")
    with pytest.raises(SourceError, match=r"pipes and sockets that are named like files \(1\):\n  .*labels/1.txt"):
        find(tmp_path, BuildOptions.make())
