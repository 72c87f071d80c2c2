"""Tables and what they bring, wherever they lie and whoever does the work: object stores, several processes."""

from __future__ import annotations

from pathlib import Path

import pytest

import precompute
from tests.helpers.object_stores import assert_same, files_of, objects, put_tree
from tests.helpers.small_datasets import options, shard_hashes
from tests.helpers.table_datasets import draw_colored, turned, write_table


def table_of(folder: Path, kind: str = ".csv") -> Path:
    columns = {"image": draw_colored(folder), "label": ["a", "b"] * 4, "age": list(range(8)), "site": list("sötezwöl")}
    return write_table(folder / f"t{kind}", {**columns, "sample_weight": [i / 4 for i in range(8)]})


@pytest.mark.slow
def test_the_same_bytes_from_several_processes(tmp_path: Path) -> None:
    given = options(pipeline=turned(), variants=3, extra_columns=["age", "site"], color_mode="grayscale")
    precompute.build(table_of(tmp_path), tmp_path / "one", **given)
    precompute.build(tmp_path / "t.csv", tmp_path / "two", **given | {"jobs": 2, "backend": "loky"})
    named = [
        {name.replace("/one-", "/two-"): sha for name, sha in shard_hashes(tmp_path / out).items()}
        for out in ("one", "two")
    ]
    assert named[0] == named[1] and len(named[0]) == 4


@pytest.mark.slow
@pytest.mark.parametrize("kind", [".csv", ".jsonl", ".parquet"])
def test_a_table_in_an_object_store(kind: str, url: str, tmp_path: Path) -> None:
    given = options(pipeline=turned(), variants=1, extra_columns=["age", "site"])
    table = table_of(tmp_path / "data", kind)
    precompute.build(table, tmp_path / "shards", **given)
    source = put_tree(tmp_path / "data", url.replace("/shards", "/data"))
    precompute.build(f"{source}/t{kind}", url, **given)
    assert_same(files_of(tmp_path / "shards"), objects(url))
    with pytest.raises(precompute.PrecomputeError, match="8 of 8 files cannot be found"):
        precompute.build(f"{source}/t{kind}", url, **given, root=url, replace=True)
