"""A dataset from elsewhere is data: reading it executes nothing from it, and opens nothing outside it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError, PipelineError
from precompute.pipelines.load import load_pipelines
from precompute.records.example import decode_example, encode_example
from precompute.records.stored import decode_record
from precompute.records.tfrecord import read_records
from precompute.rendering.rebuild import rebuild_pipelines
from precompute.table.listing_file import read_listing
from precompute.verifying.verify import verify
from tests.helpers.small_datasets import draw_pairs, options, save, shard_hashes


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sources, and the dataset made of them."""
    folder = tmp_path_factory.mktemp("trust")
    precompute.build(draw_pairs(folder / "data", 8), folder / "out", **options(variants=1))
    return folder


@pytest.fixture
def out(built: Path, tmp_path: Path) -> Path:
    """A copy to change, its sources beside it."""
    return Path(shutil.copytree(built, tmp_path, dirs_exist_ok=True)) / "out"


def edit_manifest(out: Path, **fields: Any) -> None:
    path = out / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def edit_listing(out: Path, **fields: Any) -> Path:
    """Change the first source of train, and let the manifest name the list that comes of it."""
    path = out / "data" / "g0001" / "sources-train.jsonl"
    lines = path.read_text().splitlines()
    lines[0] = json.dumps({**json.loads(lines[0]), **fields})
    path.write_text("\n".join(lines) + "\n")
    splits = json.loads((out / "manifest.json").read_text())["splits"]
    splits["train"]["sources_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    edit_manifest(out, splits=splits)
    return path


# Names.


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "../out"),
        ("name", "/etc/out"),
        ("name", "a/b"),
        ("name", ""),
        ("name", "a\n"),
        ("generation", "../g0001"),
        ("generation", "/g0001"),
        ("generation", "g٠٠٠١"),  # digits, to Python
        ("splits", {"../train": None}),
    ],
)
def test_names_that_lead_elsewhere_are_refused(out: Path, field: str, value: Any) -> None:
    edit_manifest(out, **{field: value})
    with pytest.raises(DatasetError, match="manifest.json: "):
        precompute.read(out)
    assert not list(out.parent.glob("**/.leases/*.json"))


@pytest.mark.parametrize("name", ["../elsewhere/s001.png", "/etc/hostname", "images/../../elsewhere/s001.png"])
@pytest.mark.parametrize("field", ["image", "mask"])
def test_sources_outside_their_root_are_not_opened(out: Path, field: str, name: str) -> None:
    draw_pairs(out.parent / "elsewhere", 2)
    edit_listing(out, **{field: name})
    why = [problem.why for problem in verify(out, sources=1000).problems]
    assert len(why) == 1
    assert f"names {name!r}, which is not below" in why[0]


@pytest.mark.parametrize("value", ["", "a\0b", "\ud800", 3, None, ["a"]])
@pytest.mark.parametrize("field", ["key", "image", "mask"])
@pytest.mark.slow
def test_what_cannot_be_a_name_is_refused(out: Path, field: str, value: Any) -> None:
    with pytest.raises(DatasetError, match=f"sources-train.jsonl: line 1: {field}: "):
        read_listing(edit_listing(out, **{field: value}))


def test_a_linked_shard_is_data_and_its_target_is_left_alone(out: Path) -> None:
    """Shards may lie on another disk: they are read through a link, and believed by their sha256 alone."""
    before = shard_hashes(out)
    shard = next((out / "data").rglob("*.tfrecord-*"))
    target = out.parent / "elsewhere"
    shard.rename(target)
    shard.symlink_to(target)
    assert verify(out).problems == []
    target.write_bytes(b"something else")
    assert verify(out).problems != []
    precompute.build(out.parent / "data", out, **options(variants=1), check="full")
    assert shard_hashes(out) == before
    assert not shard.is_symlink()
    assert target.read_bytes() == b"something else"


# Code.

WATCHED = """
import sys
import precompute
from precompute.verifying.verify import verify

out, = sys.argv[1:]
list(precompute.read(out)), verify(out, jobs=1)  # what is imported late is imported now
seen = []
watching = True
WATCHED = ("exec", "compile", "pickle", "marshal", "os", "subprocess", "socket", "ctypes", "import")
HARMLESS = ("os.listdir", "os.scandir", "os.utime", "os.mkdir", "os.remove", "os.rename")  # of leases

def watch(event, arguments):
    if watching and event.split(".")[0] in WATCHED:
        seen.append(f"{event} {arguments}")
    if watching and event == "open" and not str(arguments[0]).startswith(out):
        seen.append(f"{event} {arguments}")

sys.addaudithook(watch)
examples, report = list(precompute.read(out)), verify(out, jobs=1)
watching = False
assert examples and not report.problems
print("\\n".join(e for e in seen if not e.startswith(HARMLESS)))
"""


def test_reading_executes_nothing_and_opens_nothing_outside(out: Path) -> None:
    """By Python's own audit events: no code, no pickle, no process, no connection, no other file."""
    command = [sys.executable, "-c", WATCHED, str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["", ""]


@pytest.mark.parametrize("encoding", ["eps", "EPS", "ps", "wmf", "gif", "tiff", "", "jpeg\0"])
def test_a_record_cannot_choose_its_decoder(out: Path, encoding: str) -> None:
    """Pillow hands some formats to programs of their own: Ghostscript for EPS."""
    shard = next((out / "data").rglob("*.tfrecord-*"))
    features: dict[str, Any] = dict(decode_example(next(read_records(shard))))
    for name in ("image/format", "image/segmentation/class/format"):
        with pytest.raises(DatasetError, match="expected jpeg, png or raw, got "):
            decode_record(encode_example({**features, name: encoding.encode()}), Manifest.load(out).schema)


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system ['touch {mark}']",
        "!!python/object/new:subprocess.Popen [['touch', '{mark}']]",
        "!!python/name:os.system",
        "!!python/module:os",
        "!unknown x",
    ],
)
def test_tags_in_a_yaml_file_are_refused(tmp_path: Path, tag: str) -> None:
    mark, path = tmp_path / "was_here", tmp_path / "pipeline.yaml"
    path.write_text(f"train: {tag.format(mark=mark)}\n")
    with pytest.raises(PipelineError, match=r"pipeline\.yaml: not valid YAML: could not determine a constructor"):
        load_pipelines(path, None)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "Lambda", "albumentations.Compose.__init__", "random"])
def test_a_manifest_names_transforms_and_nothing_else(out: Path, name: str) -> None:
    settings = json.loads((out / "manifest.json").read_text())["settings"]
    settings["pixels"]["pipelines"]["train"]["transform"]["transforms"] = [{"__class_fullname__": name, "p": 1}]
    edit_manifest(out, settings=settings)
    with pytest.raises(PipelineError, match="pipeline of train: it cannot be rebuilt from the manifest"):
        rebuild_pipelines(Manifest.load(out))


def test_a_lease_of_another_makes_no_file_go(out: Path) -> None:
    """Leases keep rows; none takes any."""
    save(out.parent / "precious.png", np.zeros((4, 4), np.uint8))
    (out / ".leases").mkdir(exist_ok=True)
    (out / ".leases" / "x.json").write_text(json.dumps({"rows": [["../..", "precious", 1], ["g0001", "train", 0]]}))
    before = shard_hashes(out)
    precompute.build(out.parent / "data", out, **options(variants=2))
    assert before.items() <= shard_hashes(out).items()
    assert (out.parent / "precious.png").exists()
