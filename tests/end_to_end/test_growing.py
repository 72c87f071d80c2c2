"""Datasets that an earlier version wrote go on: read, verified, grown, repaired, followed and made anew, as it did.

A change of a rule (the order of classes, the pipeline of a split, what a transform is handed) that fails here breaks
datasets that people have: those keep the rule that they were made by.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import SettingsError
from precompute.plan import settings, versions
from tests.helpers.golden_datasets import digest_of
from tests.helpers.growing_datasets import (
    GROWING,
    KINDS,
    NOT_PINNED,
    STEPS,
    lay_out,
    num_rows,
    pins_of,
    restore,
    run_step,
)

CODED = ("numbers", "class")  # PNG and JPEG: another version of what encodes them may give other bytes


def _stored_versions(kind: str) -> dict[str, str]:
    manifest = json.loads((GROWING / kind / "golden" / "manifest.json").read_text(encoding="utf-8"))
    stored: dict[str, str] = manifest["settings"]["pixels"]["versions"]
    return stored


def _steps(kind: str, installed: dict[str, str]) -> tuple[str, ...]:
    """Return the steps that this machine can take: some compare encoded bytes, which other versions write otherwise."""
    alike = _stored_versions(kind).items() <= installed.items()
    return STEPS[1:] if alike or kind not in CODED else STEPS[1:3]


@pytest.mark.parametrize("kind", KINDS)
def test_earlier_dataset_is_read_and_whole(kind: str) -> None:
    out = GROWING / kind / "golden"
    assert digest_of(out) == pins_of(kind)["built"]
    assert precompute.verify(out, jobs=1).problems == []


@pytest.mark.parametrize("kind", KINDS)
def test_fingerprint_of_an_earlier_dataset_stays(kind: str) -> None:
    manifest = Manifest.load(GROWING / kind / "golden")
    assert settings.fingerprint(manifest.settings) == manifest.fingerprint == pins_of(kind)["fingerprint"]


@pytest.mark.parametrize(
    "kind", [k if i % 2 == 0 else pytest.param(k, marks=pytest.mark.slow) for i, k in enumerate(KINDS)]
)
def test_earlier_dataset_grows(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = _steps(kind, versions.pixel_versions())
    monkeypatch.setattr(versions, "_version", _stored_versions(kind).get)
    given, out = lay_out(kind, tmp_path), restore(kind, tmp_path)
    before = Manifest.load(out)
    for step in steps:
        digest = run_step(step, tmp_path, given)
        assert digest == pins_of(kind)[step] or kind in NOT_PINNED, step
        after = Manifest.load(out)
        assert (after.generation, after.settings) == (before.generation, before.settings), step
        assert num_rows(out) == (3 if step in ("grown", "repaired") else 4)
    assert precompute.verify(out, jobs=1).problems == []


def test_earlier_dataset_of_other_versions_does_not_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = {**_stored_versions("splits"), "albumentations": "2.0.7"}
    monkeypatch.setattr(versions, "_version", others.get)
    given, _ = lay_out("splits", tmp_path), restore("splits", tmp_path)
    with pytest.raises(SettingsError, match="version of albumentations"):
        run_step("grown", tmp_path, given)


def test_earlier_dataset_says_that_its_classes_keep_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(versions, "_version", _stored_versions("numbers").get)
    given, out = {**lay_out("numbers", tmp_path), "quiet": False}, restore("numbers", tmp_path)
    run_step("grown", tmp_path, given)
    assert (
        "note: Classes stay as this dataset was built, 0, 10, 2; a new one would have 0, 2, 10."
        in capfd.readouterr().err
    )
    assert Manifest.load(out).target.class_names == ["0", "10", "2"]
