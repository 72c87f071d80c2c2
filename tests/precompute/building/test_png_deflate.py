"""How PNGs are deflated: new datasets say so in their settings, those that do not say it go on as they were made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import precompute
from precompute.building import write
from precompute.dataset.manifest import Manifest
from precompute.images.png import SIGNATURE, SYNC_FLUSH
from precompute.records.example import decode_example
from precompute.records.tfrecord import read_records
from tests.helpers.golden_datasets import build_golden
from tests.helpers.small_datasets import draw_classes, draw_pairs, options, shard_hashes

FLUSHED = b"\x00\x00\xff\xff"  # Source: RFC 1951, 3.2.4: an empty stored block, as a sync flush ends with one
BEGINNING = slice(41, 73)  # of what is deflated, behind signature, IHDR and the head of IDAT
TARGETS = ("class", "mask", "boxes", "keypoints", "instances", "image", "numbers")


def pngs(out: Path) -> Iterator[bytes]:
    """Yield every PNG in the records of a dataset."""
    for shard in sorted((out / "data").rglob("*.tfrecord-*")):
        for record in read_records(shard):
            for values in decode_example(record).values():
                yield from (one for one in values if isinstance(one, bytes) and one.startswith(SIGNATURE))


def ways(out: Path) -> set[bool]:
    """Return whether PNGs of a dataset were flushed: of all that there are."""
    return {FLUSHED in png[BEGINNING] for png in pngs(out)}


def pixel_settings(out: Path) -> dict[str, Any]:
    settings: dict[str, Any] = Manifest.load(out).settings["pixels"]
    return settings


@pytest.mark.parametrize("encoding", ["png", *(pytest.param(e, marks=pytest.mark.slow) for e in ("jpeg", "raw"))])
@pytest.mark.parametrize("target", TARGETS)
def test_a_dataset_says_it_where_records_hold_pngs(target: str, encoding: str, tmp_path: Path) -> None:
    out = build_golden(f"{target}-{encoding}", tmp_path)
    has_pngs = encoding == "png" or target == "instances" or (target == "mask" and encoding == "jpeg")
    assert pixel_settings(out).get("png_deflate") == (SYNC_FLUSH if has_pngs else None)
    assert ("png_deflate" in pixel_settings(out)) == has_pngs
    assert ways(out) == ({True} if has_pngs else set())
    assert precompute.verify(out, jobs=1, sources=4).problems == []


# Datasets that do not say it


@pytest.fixture
def without_saying(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """As long as it is not undone, datasets are made as they were before."""
    monkeypatch.setattr("precompute.rendering.spec._has_pngs", lambda schema: False)
    return monkeypatch


def live(source: Path, out: Path, given: dict[str, Any], *steps: str) -> dict[str, str]:
    """Take steps of a dataset's life; return the hashes of its shards."""
    quietly: dict[str, Any] = {"backend": "sequential", "quiet": True}
    for step in steps:
        if step == "regenerate":
            precompute.regenerate(out, seed=5, **quietly)
        elif step == "follow":
            precompute.follow(out, keep=4, rows=1, **quietly)
        else:
            precompute.build(source, out, **{**given, "variants": int(step)})
    return shard_hashes(out)


@pytest.mark.parametrize("image_format", ["png", "jpeg"])
def test_it_goes_on_as_it_was_made(image_format: str, without_saying: pytest.MonkeyPatch, tmp_path: Path) -> None:
    draw, given = {"png": draw_classes, "jpeg": draw_pairs}[image_format], options(image_format=image_format)
    source, out = draw(tmp_path / "data"), tmp_path / "out"
    wanted = live(source, tmp_path / "wanted", given, "2", "3", "follow", "regenerate")
    live(source, out, given, "2")
    before = Manifest.load(out)
    without_saying.undo()
    live(source, out, given, "3")
    next(iter((out / "data").rglob("*.tfrecord-*"))).unlink()
    assert live(source, out, given, "3", "follow", "regenerate") == {
        name.replace("wanted", "out"): digest for name, digest in wanted.items()
    }
    after = Manifest.load(out)
    assert (after.fingerprint, after.generation) == (before.fingerprint, before.generation)
    assert ways(out) == {False}
    assert "png_deflate" not in pixel_settings(out)
    assert precompute.verify(out, jobs=1, sources=20).problems == []


def test_an_unfinished_build_goes_on_as_it_began(without_saying: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    source, out = draw_classes(tmp_path / "data"), tmp_path / "out"
    without_saying.setattr(write, "start_manifest", interrupted)  # all is written, and nothing is listed yet
    with pytest.raises(KeyboardInterrupt):
        precompute.build(source, out, **options())
    without_saying.undo()
    before = shard_hashes(out)
    precompute.build(source, out, **options(variants=5))
    assert before.items() <= shard_hashes(out).items()
    assert ways(out) == {False}


def test_a_new_generation_says_it(without_saying: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source, out = draw_classes(tmp_path / "data"), tmp_path / "out"
    precompute.build(source, out, **options())
    without_saying.undo()
    precompute.build(source, out, **options(replace=True))  # the same settings: nothing to replace
    assert ways(out) == {False}
    precompute.build(source, out, **options(replace=True, color_mode="grayscale"))
    assert pixel_settings(out)["png_deflate"] == SYNC_FLUSH
    assert ways(out) == {True}


def test_it_is_no_difference_of_settings(without_saying: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source, out = draw_classes(tmp_path / "data"), tmp_path / "out"
    precompute.build(source, out, **options())
    without_saying.undo()
    with pytest.raises(precompute.PrecomputeError, match="color_mode") as refused:
        precompute.build(source, out, **options(color_mode="grayscale"))
    assert "png_deflate" not in str(refused.value)


def test_a_dataset_of_another_way_does_not_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of a later version, say."""
    source, out = draw_classes(tmp_path / "data"), tmp_path / "out"
    monkeypatch.setattr("precompute.rendering.spec.SYNC_FLUSH", "otherwise")
    precompute.build(source, out, **options())
    monkeypatch.undo()
    with pytest.raises(precompute.PrecomputeError, match="png_deflate: 'otherwise' in the dataset, 'sync_flush' now"):
        precompute.build(source, out, **options(variants=4))
