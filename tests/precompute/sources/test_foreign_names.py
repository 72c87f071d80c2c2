"""Names that are no UTF-8, as old disks hold them: refused before the job, in words that can be printed."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

import precompute
from precompute.errors import SourceError, UsageError, on_one_line
from precompute.options.build_options import BuildOptions
from precompute.sources.find import find
from precompute.text.format import is_unicode
from tests.helpers.every_layout import LAYOUTS, folders, image_of, paired, read
from tests.helpers.small_datasets import save

FOREIGN = os.fsdecode(b"caf\xe9")
IN_TEXT_FILES = ("table", "mask_table", "keypoints")  # the table itself is no UTF-8 then


@pytest.fixture(autouse=True)
def takes_bytes(tmp_path: Path) -> None:
    try:
        (tmp_path / FOREIGN).mkdir()
    except OSError:
        pytest.skip("this file system takes text alone")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_sources_whose_names_are_no_text_are_listed_in_a_form_that_can_be_printed(layout: str, tmp_path: Path) -> None:
    made = LAYOUTS[layout](tmp_path / "data", ["a", "b", FOREIGN, "d"])
    with pytest.raises(SourceError) as caught:
        read(made)
    message = str(caught.value)
    assert is_unicode(message)
    if layout in IN_TEXT_FILES:
        assert "byte 0xe9 is no UTF-8" in message and "Save it as UTF-8" in message
    elif layout == "json_lines":  # its keys are looked at first
        assert "'caf\\udce9': not valid Unicode" in message and "--key-column" in message
    else:
        assert "names that are no UTF-8" in message and "caf\\xe9" in message and "Rename them" in message


def test_files_without_a_part_in_it_may_be_called_anything(tmp_path: Path) -> None:
    folders(tmp_path / "data", ["a", "b"])
    (tmp_path / "data" / f"{FOREIGN}.txt").write_text("notes")
    (tmp_path / "data" / f"x.{FOREIGN}").write_text("an ending")
    assert read((tmp_path / "data", {})).keys == ["cat/a", "dog/b"]


def test_lists_from_python(tmp_path: Path) -> None:
    for i, name in enumerate(["a", FOREIGN]):
        save(tmp_path / f"{name}.png", image_of(i))
    images = [str(tmp_path / f"{name}.png") for name in ("a", FOREIGN)]
    lists = {"images": images, "labels": ["x", "y"], "keys": ["1", "2"]}
    with pytest.raises(SourceError, match=r"names that are no UTF-8 \(1\):\n  caf\\xe9.png\nRename"):
        find(None, BuildOptions.make(), lists)


def test_classes_and_groups_that_a_table_spells_with_half_a_pair_of_surrogates(tmp_path: Path) -> None:
    save(tmp_path / "a.png", image_of(0))
    for column in ("label", "group"):
        line = {"image": "a.png", "label": "x"} | {column: "y\ud800"}
        text = ", ".join(f'"{name}": "{value.encode("unicode_escape").decode()}"' for name, value in line.items())
        (tmp_path / "t.jsonl").write_text(f"{{{text}}}\n")
        with pytest.raises(SourceError, match=r"no UTF-8 \(1\):\n  y\\ud800\n"):
            find(tmp_path / "t.jsonl", BuildOptions.make())


def test_the_folder_of_the_sources(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no UTF-8 \(1\):\n  .*/caf\\xe9\nRename"):
        read(folders(tmp_path / FOREIGN, ["a", "b"]))


@pytest.mark.parametrize("name", ["images", "masks", "annotations", "root", "group_by", "class_names", "image_suffix"])
def test_options_that_the_manifest_holds(name: str) -> None:
    value = [FOREIGN] if name == "class_names" else FOREIGN
    with pytest.raises(UsageError, match=rf"^{name} \(--{name.replace('_', '-')}\): caf\\xe9 is no UTF-8"):
        BuildOptions.make(**{name: value})


PIPELINE = "import albumentations as A\ntrain = A.Compose([A.HorizontalFlip(p=0.5), A.Resize(16, 16)])\n"


def test_files_that_are_read_once_may_be_called_anything(tmp_path: Path) -> None:
    pipeline, colors = tmp_path / f"{FOREIGN}.py", tmp_path / f"{FOREIGN}.json"
    pipeline.write_text(PIPELINE)
    colors.write_text('[{"color": "#000000", "name": "none"}, {"color": "#010101", "name": "some"}]')
    source, _ = paired(tmp_path / "data", ["a", "b"])
    result = precompute.build(
        source, tmp_path / "out", pipeline=pipeline, mask_colors=colors, variants=1, jobs=1, quiet=True
    )
    assert result.manifest.target.class_names == ["none", "some"]


def test_a_dataset_s_folder_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text(PIPELINE)
    source, _ = folders(tmp_path / "data", ["a", "b"])
    for dry in (False, True):
        with pytest.raises(UsageError, match=r"^output: .*caf\\xe9/out is no UTF-8"):
            precompute.build(source, tmp_path / FOREIGN / "out", pipeline=tmp_path / "p.py", dry_run=dry, quiet=True)
    assert list((tmp_path / FOREIGN).iterdir()) == []


def test_a_dataset_that_was_moved_is_read_without_tensorflow_and_refused_with_it(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text(PIPELINE)
    source, _ = folders(tmp_path / "data", ["a", "b"])
    precompute.build(source, tmp_path / "out", pipeline=tmp_path / "p.py", variants=1, jobs=1, quiet=True)
    moved = (tmp_path / "out").rename(tmp_path / FOREIGN / "out")
    assert len(list(precompute.read(moved))) == 2
    assert precompute.verify(moved).num_records == 2
    with pytest.raises(UsageError, match=r"caf\\xe9/out is no UTF-8, and TensorFlow opens no such path; rename"):
        precompute.load(moved, batch_size=2)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (FOREIGN, "caf\\xe9"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\ud800", "\\ud800"),
        ("\x85\u2028", "\\x85\\u2028"),
        ("größe 👩‍👩‍👧 %#'\"", "größe 👩‍👩‍👧 %#'\""),
    ],
)
def test_names_on_one_line(text: str, shown: str) -> None:
    assert on_one_line(text) == shown


def test_lists_in_messages_have_a_name_a_line(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.png", np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "images" / "b\n  forged.png").symlink_to("nowhere")
    with pytest.raises(SourceError, match=re.escape(r"b\n  forged.png") + "\n"):
        find(tmp_path, BuildOptions.make(target="none"))
