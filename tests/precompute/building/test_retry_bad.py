"""`retry_bad`: sources that were left out and have been fixed join all rows; nothing else is written anew."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import precompute
from precompute.building import finish
from precompute.dataset.leases import Lease
from precompute.dataset.manifest import Manifest
from tests.helpers.bad_sources import draw_with_bad, fragile, red_corners
from tests.helpers.small_datasets import draw_pairs, options, rows_of, shard_hashes
from tests.helpers.stored_keys import keys_of

BAD = ("s002", "s007", "s011")  # in at least two blocks


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three bad sources and a dataset without them, the same fixed, and the dataset of that."""
    folder = tmp_path_factory.mktemp("retry")
    made = {name: folder / name / "data" for name in ("bad", "good")}
    made |= {"out": folder / "short" / "out", "whole": folder / "whole" / "out"}
    precompute.build(draw_with_bad(made["bad"], 40), made["out"], **options(skip_bad="3"))
    precompute.build(draw_pairs(made["good"], 40), made["whole"], **options())
    return made


@pytest.fixture
def out(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the dataset without the bad ones."""
    return Path(shutil.copytree(folders["out"], tmp_path / "out"))


def fixed(folders: dict[str, Path], tmp_path: Path, keys: tuple[str, ...]) -> Path:
    """Return sources of which these are fixed; their files are new ones, as in life."""
    data = Path(shutil.copytree(folders["bad"], tmp_path / "bad" / "data"))
    for key in keys:
        for part in ("images", "masks"):
            shutil.copyfile(folders["good"] / part / f"{key}.png", data / part / f"{key}.png")
    return data


def by_name(out: Path) -> dict[str, str]:
    return {Path(name).name: value for name, value in shard_hashes(out).items()}


def inodes(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in (out / "data").rglob("*.tfrecord-*")}


def content(out: Path) -> Any:
    manifest = Manifest.load(out)
    rows = {name: [(r.row, r.seed, r.variant, r.num_records) for r in s.rows] for name, s in manifest.splits.items()}
    return (
        manifest.target,
        manifest.skipped,
        rows,
        {n: (s.num_places, s.num_records) for n, s in manifest.splits.items()},
    )


def test_fixed_sources_join_all_rows_and_only_their_blocks_are_written(
    folders: dict[str, Path], out: Path, tmp_path: Path
) -> None:
    before, hashes = inodes(out), by_name(out)
    result = precompute.build(fixed(folders, tmp_path, BAD), out, **options(retry_bad=True))
    assert result.summary().startswith("3 fixed sources in all rows now")
    manifest, after = Manifest.load(out), inodes(out)
    assert (manifest.generation, manifest.skipped) == ("g0002", [])
    assert by_name(out) == by_name(folders["whole"])
    assert content(out) == content(folders["whole"])
    assert precompute.verify(out, jobs=1).problems == []
    kept = {name for name in before if after[name] == before[name]}
    assert kept == {name for name in hashes if by_name(out)[name] == hashes[name]}
    assert 0 < len(kept) < len(before)
    assert sorted(path.name for path in (out / "data").iterdir()) == ["g0002"]


def test_what_is_still_bad_stays_left_out(
    folders: dict[str, Path], out: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = inodes(out)
    data = fixed(folders, tmp_path, ("s002", "s011"))
    precompute.build(data, out, **options(retry_bad=True, quiet=False))
    said = capfd.readouterr().err
    assert "1 source still bad, left out as before:" in said and "s007.png: is empty" in said
    assert "2 fixed sources in all rows now" in said
    manifest = Manifest.load(out)
    assert [entry["key"] for entry in manifest.skipped] == ["s007"]
    for split, listed in manifest.splits.items():
        for row in listed.rows:
            assert "s007" not in keys_of(out, split, row.row)
    assert set(keys_of(out, "train", 2)) | set(keys_of(out, "validation", 0)) >= {"s002", "s011"}
    # None more is fixed: the listed generation stays, and no file is touched.
    after = inodes(out)
    assert any(after[name] == before[name] for name in before)
    precompute.build(data, out, **options(retry_bad=True))
    assert Manifest.load(out) == manifest
    assert inodes(out) == after
    assert not (out / "data" / "repair").exists()


@pytest.mark.slow
def test_without_the_option_they_stay_and_a_note_says_so(
    folders: dict[str, Path], out: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    precompute.build(folders["bad"], out, **options(quiet=False))
    assert "--retry-bad" not in capfd.readouterr().err
    data = fixed(folders, tmp_path, BAD)
    precompute.build(data, out, **options(variants=4, quiet=False))
    assert "3 sources left out as bad, changed since: --retry-bad tries them again" in capfd.readouterr().err
    assert Manifest.load(out).generation == "g0001"
    precompute.build(data, out, **options(variants=5, retry_bad=True))  # and grow, all in one command
    precompute.build(folders["good"], tmp_path / "whole" / "out", **options(variants=5))
    assert by_name(out) == by_name(tmp_path / "whole" / "out")


def test_a_source_that_fails_in_some_row_only_is_still_bad(tmp_path: Path) -> None:
    folder, out = draw_pairs(tmp_path / "data", 24), tmp_path / "out"
    red_corners(folder, ["s005"])
    given = options(pipeline={"train": fragile(0.5), "validation": fragile(1.0)}, variants=6, validation_split=0.0)
    precompute.build(folder, out, **{**given, "skip_bad": "1"})
    manifest = Manifest.load(out)
    assert [entry["key"] for entry in manifest.skipped] == ["s005"]
    precompute.build(folder, out, **{**given, "retry_bad": True})
    assert Manifest.load(out) == manifest


def test_readers_keep_the_old_generation(folders: dict[str, Path], out: Path, tmp_path: Path) -> None:
    lease = Lease(out, [("g0001", "train", row) for row in range(3)])
    data = fixed(folders, tmp_path, BAD)
    before = {path: path.read_bytes() for path in (out / "data" / "g0001").glob("*train_r*.tfrecord-*")}
    precompute.build(data, out, **options(retry_bad=True))
    assert Manifest.load(out).generation == "g0002"
    assert {path: path.read_bytes() for path in before} == before
    lease.close()
    precompute.build(data, out, **options(retry_bad=True))  # sweeps
    assert not any(path.exists() for path in before)


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize(
    ("where", "again"),
    [
        ("adopt", True),
        ("write", False),  # the command after it need not say it again: what was begun is completed
        pytest.param("list", False, marks=pytest.mark.slow),
        pytest.param("publish", True, marks=pytest.mark.slow),
    ],
)
def test_cut_short_it_goes_on(
    folders: dict[str, Path],
    out: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    again: bool,
) -> None:
    from precompute.building import write

    data, before = fixed(folders, tmp_path, BAD), rows_of(out)
    module, name, after = {
        "adopt": (write, "link_or_copy", 1),
        "write": (write, "run_surviving", 1),  # after the trial
        "list": (finish, "_write_row", 1),
        "publish": (write, "publish", 0),
    }[where]
    real, left = getattr(module, name), [*range(after)]

    def cut_short(*given: Any, **named: Any) -> Any:
        if not left:
            raise Killed
        left.pop()
        return real(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, cut_short)
        with pytest.raises(Killed):
            precompute.build(data, out, **options(retry_bad=True))
    assert (Manifest.load(out).generation, rows_of(out)) == ("g0001", before)
    assert precompute.verify(out, jobs=1).problems == []
    assert list((out / "data" / "g0002").glob("*.tfrecord-*")), "some of it was done"
    precompute.build(data, out, **options(retry_bad=again))
    assert content(out) == content(folders["whole"])
    assert by_name(out) == by_name(folders["whole"])
    assert precompute.verify(out, jobs=1).problems == []


def test_an_unfinished_build_tries_them_again_too(folders: dict[str, Path], tmp_path: Path) -> None:
    from precompute.building import write

    out, data = tmp_path / "out", fixed(folders, tmp_path, ())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "publish", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            precompute.build(data, out, **options(skip_bad="3"))
    for key in BAD:
        for part in ("images", "masks"):
            shutil.copyfile(folders["good"] / part / f"{key}.png", data / part / f"{key}.png")
    precompute.build(data, out, **options(skip_bad="3", retry_bad=True))
    assert by_name(out) == by_name(folders["whole"])
