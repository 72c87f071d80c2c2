"""`precompute.find`, and what a build says and keeps of it: what was found, before anything is written."""

from __future__ import annotations

import html
import inspect
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import precompute
from precompute.building import write
from precompute.dataset.manifest import Manifest, Origin
from precompute.errors import SourceError, UsageError
from precompute.options.build_options import BuildOptions
from precompute.sources.summary import MAX_LINES, FoundSources
from tests.helpers.every_layout import CLASSES, LAYOUTS
from tests.helpers.golden_datasets import FORMATS, KEPT
from tests.helpers.small_datasets import draw_classes, draw_pairs, options, save

NAMES = ["a", "b", "c", "d"]
SHOWN = {
    "folders": ("a folder a class", "label", "class"),
    "image_only": ("images alone", None, None),
    "paired": ("images and masks", "mask", "mask"),
    "mask_folders": ("a mask an object", "objects", "instances"),
    "table": ("a table", "label", "class"),
    "mask_table": ("a table", "mask", "mask"),
    "coco": ("COCO", "objects", "boxes"),
    "coco_masks": ("COCO", "objects", "instances"),
    "yolo": ("YOLO", "objects", "boxes"),
    "voc": ("Pascal VOC", "objects", "boxes"),
    "keypoints": ("a table of objects", "objects", "keypoints"),
}


@pytest.mark.parametrize("layout", SHOWN)
def test_every_layout_is_told_by_its_name_fields_and_classes(layout: str, tmp_path: Path) -> None:
    source, given = LAYOUTS[layout](tmp_path, NAMES)
    found = precompute.find(source, **given)
    name, field, kind = SHOWN[layout]
    assert (found.layout, len(found), found.fields) == (name, 4, {field: kind} if field else {})
    text = str(found)
    assert text.startswith("found 4 sources, ") and f": {name}\n" in text and "splits        train 4" in text
    shown = f"{field} ({kind})" if field != kind else field or "none"
    assert f"fields        {shown}\n" in f"{text}\n"
    assert "passed over" not in text  # files of annotations are read
    by_class = found.class_counts["train"].get(field or "", [])
    assert list(by_class) == {"class": [2, 2], "mask": [], None: []}.get(
        kind, [2, 2] if found.class_names == CLASSES else [4]
    )


@pytest.mark.parametrize("layout", SHOWN)
def test_rows_have_each_source_as_plain_values(layout: str, tmp_path: Path) -> None:
    source, given = LAYOUTS[layout](tmp_path, NAMES)
    found = precompute.find(source, **given)
    rows = list(found.to_rows())
    json.dumps(rows)
    assert [row["key"] for row in rows] == found.keys
    assert [row["image"] for row in rows] == found.images and all(Path(path).is_file() for path in found.images)
    for name in found.fields:
        assert [row[name] for row in rows] == found.values(name)
    if "label" in found.fields:
        assert sorted(found.values("label")) == ["cat", "cat", "dog", "dog"]
    if "mask" in found.fields:
        assert all(Path(path).is_file() for path in found.values("mask"))
    for one in [one for row in rows for one in row.get("objects", [])]:
        assert one["class"] in found.class_names and one["flags"] == []
        assert {"boxes": "box", "instances": "mask", "keypoints": "keypoints"}[found.fields["objects"]] in one


def test_lists_from_python_are_found_with_their_values(tmp_path: Path) -> None:
    draw_classes(tmp_path, 2)
    paths = sorted(tmp_path.rglob("*.png"))
    found = precompute.find(
        images=paths,
        labels=[["a"], [], ["a", "b"], ["b"]],
        groups=["p", "p", "q", None],
        splits=["train", "train", "validation", None],
        weights=[1, 2, 1, 1],
        extra={"age": [3, 4, 5, 6]},
        class_names=["a", "b", "c"],
    )
    rows = list(found.to_rows())
    assert found.layout == "lists from Python"
    assert found.fields == {"labels": "multilabel", "age": "int", "weight": "float"}
    assert [row["labels"] for row in rows] == [["a"], [], ["a", "b"], ["b"]]
    assert [(row["age"], row["weight"], row["group"]) for row in rows] == [
        (3, 1, "p"),
        (4, 2, "p"),
        (5, 1, "q"),
        (6, 1, None),
    ]
    assert found.num_groups == 2 and "groups        2, such as 'p'" in str(found)
    assert found.splits == ["train", "train", "validation", "train"]
    assert "train 3, validation 1; the sources name train 2, validation 1, 1 without one" in str(found)
    assert "train: a 1, b 1; none of c\n" in str(found) and "Classes without" not in str(found)


def test_splits_are_told_before_and_after_fractions(tmp_path: Path) -> None:
    found = precompute.find(draw_classes(tmp_path, 10), validation_split=0.2)
    assert found.given_splits == {None: 20} and found.split_counts == {"train": 16, "validation": 4}
    assert "train 16, validation 4; the sources name none" in str(found)
    assert found.class_counts == {"train": {"label": [8, 8]}, "validation": {"label": [2, 2]}}


def test_what_was_passed_over_and_left_out_is_told_with_its_reason(tmp_path: Path) -> None:
    draw_pairs(tmp_path, 12)
    (tmp_path / "masks" / "s000.png").unlink()
    (tmp_path / "old" / "more").mkdir(parents=True)
    for name in ("old/1.txt", "old/more/2.TXT", "old/3.md", "readme.md", "film.mp4"):
        (tmp_path / name).write_text("")
    precompute.build(tmp_path, tmp_path / "shards", **options(variants=1, skip_unmatched="1"))
    found = precompute.find(tmp_path, skip_unmatched="1", limit=5)
    assert len(found) == 5 and sum(found.given_splits.values()) == 11
    assert (found.num_passed_over, found.passed_endings) == (4, {".txt": 2, ".md": 2})
    assert found.passed_folders == {"old": 3, "": 1}
    assert found.left_out == {"images that have no mask (--skip-unmatched)": 1, "sources (--limit)": 6}
    text = str(found)
    assert "4 files (2 .md, 2 .txt): old/ 3, at the top 1" in text and "written by this program: shards/" in text
    assert "left out      images that have no mask (--skip-unmatched): 1; sources (--limit): 6" in text
    assert any("1 .mp4 files cannot be decoded" in note for note in found.notes)
    assert any("s000" in note for note in found.notes)  # which ones, the summary does not say


def test_folders_without_images_and_images_without_boxes_are_told(tmp_path: Path) -> None:
    source, given = LAYOUTS["yolo"](tmp_path / "yolo", NAMES)
    (source / "labels" / "a.txt").write_text("")
    found = precompute.find(source, drop_empty=True, **given)
    assert found.left_out == {"images without boxes (--drop-empty)": 1} and len(found) == 3
    draw_classes(tmp_path / "classes", 2)
    (tmp_path / "classes" / "fox").mkdir()
    found = precompute.find(tmp_path / "classes")
    assert "folders without images: fox/" in str(found) and not any("fox" in note for note in found.notes)


def test_what_was_excluded_is_told_by_its_pattern(tmp_path: Path) -> None:
    draw_classes(tmp_path, 3, names=("cat", "dog", "old"))
    found = precompute.find(tmp_path, exclude=["old/", "cat000.*"])
    assert len(found) == 5 and found.class_names == CLASSES
    assert found.left_out == {
        "folders that fit old/ (--exclude)": 1,
        "files that fit cat000.* (--exclude)": 1,
    }
    assert "left out      folders that fit old/ (--exclude): 1; files that fit" in str(found)
    assert not any("exclude" in note for note in found.notes)


def test_many_classes_are_cut_to_the_largest_and_the_text_to_its_lines(tmp_path: Path) -> None:
    for i in range(30):
        for j in range(1 + (i == 20)):
            save(tmp_path / f"c{i:02d}" / f"{j}.png", np.zeros((4, 4, 3), np.uint8))
    found = precompute.find(tmp_path)
    assert "train: c20 2, c00 1, " in str(found) and " … and 22 others" in str(found)
    many = [f"note {i}\nmore of it" for i in range(40)]
    found.table.notes.extend(many)
    lines = str(found).splitlines()
    assert len(lines) == MAX_LINES and "more notes" in lines[-1] and set(many) <= set(found.notes)
    assert "note 0 more of it" in lines[5]


def test_json_holds_all_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "ü.md").write_text("")
    found = precompute.find(draw_classes(tmp_path, 5), test_split=0.2)
    content = json.loads(found.to_json())
    assert content["layout"] == found.layout and content["num_sources"] == 10
    assert content["num_bytes"] == sum(path.stat().st_size for path in tmp_path.rglob("*.png"))
    assert content["splits"] == found.split_counts == {"train": 8, "test": 2} and content["given_splits"] == {"": 10}
    assert content["fields"] == {"label": "class"} and content["class_names"] == CLASSES
    assert content["class_counts"] == {"train": {"label": [4, 4]}, "test": {"label": [1, 1]}}
    assert content["passed_over"] == {
        "num_files": 1,
        "endings": {".md": 1},
        "folders": {"old": 1},
        "own_folders": [],
        "empty_folders": ["old/"],
    }
    assert content["notes"] == found.notes and content["left_out"] == {} and content["num_groups"] == 0


def test_notebooks_show_the_text(tmp_path: Path) -> None:
    draw_classes(tmp_path, 2, names=("<b>", "dog"))
    found = precompute.find(tmp_path)
    shown = found._repr_html_()
    assert "&lt;b&gt; 2" in shown and "<b>" not in shown
    assert html.unescape(re.sub(r"</?(div|pre)[^>]*>", "", shown)) == str(found) == repr(found)


def test_errors_are_those_of_a_build(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown option varants"):
        precompute.find(tmp_path, varants=3)
    with pytest.raises(SourceError, match="there are no images"):
        precompute.find(tmp_path)
    with pytest.raises(UsageError, match="expected a folder, a table"):
        precompute.find()


def test_help_shows_the_options_of_a_build() -> None:
    shown = inspect.signature(precompute.find).parameters
    assert next(iter(shown)) == "source" and {"target", "limit", "validation_split"} <= shown.keys()
    assert set(shown) - {"source"} == set(inspect.signature(precompute.build).parameters) - {"source", "output"}
    assert set(shown) - {"source"} == set(vars(BuildOptions()))


# What a build says and keeps


def block(found: FoundSources) -> str:
    return f"{found.summary()}\n"


def test_a_build_says_what_it_found_before_it_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = draw_classes(tmp_path / "sources", 5)
    (source / "notes.txt").write_text("")
    given = options(quiet=False, validation_split=0.2)
    shown = block(precompute.find(source, validation_split=0.2))
    assert "passed over   1 file (1 .txt): at the top 1\n" in shown

    def before_records(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(write, "make_grid", before_records)
        precompute.build(source, tmp_path / "out", **given)
    assert capsys.readouterr().err.count(shown) == 1 and not list(tmp_path.rglob("*.tfrecord*"))
    precompute.build(source, tmp_path / "out", dry_run=True, **given)
    assert capsys.readouterr().err.count(shown) == 1
    precompute.build(source, tmp_path / "out", **given)
    assert capsys.readouterr().err.count(shown) == 1
    precompute.build(source, tmp_path / "out", **{**given, "quiet": True})
    assert capsys.readouterr().err == ""


def test_it_is_not_said_again_where_sources_are_those_of_the_dataset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = draw_classes(tmp_path / "sources", 3)
    precompute.build(source, tmp_path / "out", **options())
    precompute.build(source, tmp_path / "out", **options(quiet=False, retry_bad=True))
    precompute.regenerate(tmp_path / "out", seed=1, pipeline=options()["pipeline"], jobs=1)
    assert "found " not in capsys.readouterr().err


def test_the_manifest_keeps_how_sources_were_found(tmp_path: Path) -> None:
    source = draw_pairs(tmp_path / "sources", 6)
    (source / "notes.txt").write_text("")
    given = options(limit=5, variants=1)
    precompute.build(source, tmp_path / "out", **given)
    kept = Manifest.load(tmp_path / "out")
    wanted = Origin(
        layout="images and masks", num_passed_over=1, passed_over={".txt": 1}, left_out={"sources (--limit)": 1}
    )
    assert kept.origin == wanted == precompute.find(source, limit=5).origin
    line = "  found as      images and masks; 1 file passed over; left out: sources (--limit): 1\n"
    assert line in precompute.inspect(tmp_path / "out").text()
    # Another number is no difference, and what was kept stays.
    (source / "more.txt").write_text("")
    precompute.build(source, tmp_path / "out", **{**given, "variants": 2})
    precompute.regenerate(tmp_path / "out", seed=1, pipeline=given["pipeline"], jobs=1)
    again = Manifest.load(tmp_path / "out")
    assert again.origin == wanted and again.fingerprint == kept.fingerprint


@pytest.mark.parametrize(
    "kept", [kept for kept in KEPT if '"origin":' not in (FORMATS / kept / "golden/manifest.json").read_text()]
)
def test_older_manifests_say_nothing_of_it(kept: str) -> None:
    folder = FORMATS / kept / "golden"
    assert Manifest.load(folder).origin == Origin()
    assert "found as" not in precompute.inspect(folder).text()
