"""What tests of object stores share: trees put there, and compared with those on a disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import precompute
from precompute.dataset.manifest import Manifest
from precompute.dataset.rows import read_row_file
from precompute.storage.paths import as_path
from precompute.storage.store import filesystem
from tests.helpers.small_datasets import options


def build(source: Any, out: Any, **changes: Any) -> Any:
    return precompute.build(source, out, **options(**{"variants": 2, **changes}))


def put_tree(folder: Path, url: str) -> str:
    """Put all files below a folder under a URL, those of the writer alone left out; returns the URL."""
    for name, content in files_of(folder).items():
        (as_path(url) / name).write_bytes(content)
    return url


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the content of all files that a local folder holds for readers."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not {".build", ".leases"} & {*path.parts}]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def objects(url: str) -> dict[str, bytes]:
    """Return the content of all objects below a URL."""
    found, start = filesystem("s3").find(url), len(url.removeprefix("s3://")) + 1
    return {name[start:]: filesystem("s3").cat_file(name) for name in found}


def assert_same(one: dict[str, bytes], other: dict[str, bytes]) -> None:
    """Compare two datasets as readers see them, byte by byte; of the manifests all but where the sources were."""
    one, other = ({name: d[name] for name in d if not name.startswith(".build/")} for d in (one, other))
    manifests = [json.loads(dataset["manifest.json"]) for dataset in (one, other)]
    for manifest in manifests:
        manifest["settings"]["dataset"].pop("root")
    assert manifests[0] == manifests[1]
    assert one.keys() == other.keys()
    assert {name for name in one if one[name] != other[name]} <= {"manifest.json"}


def assert_listed_is_there(url: str) -> None:
    """If there is a manifest, all that it lists is whole."""
    folder = as_path(url)
    if not (folder / "manifest.json").exists():
        return
    manifest = Manifest.load(url)
    for split, grid in manifest.splits.items():
        for row in grid.rows:
            for block, shard in enumerate(read_row_file(folder, manifest, split, row).shards):
                assert manifest.shard_path(folder, split, row.row, block).stat().st_size == shard.num_bytes
