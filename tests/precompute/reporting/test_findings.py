"""Each finding: a dataset that has the fault, and a sound one that has not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest

import precompute
from precompute import Source
from precompute.errors import BadSourcesError
from precompute.pages.blocks import Finding
from precompute.reporting.finding_checks import CHECKS
from precompute.reporting.findings import KINDS, findings_table
from precompute.reporting.losses import LostObjects
from precompute.reporting.result import Report
from tests.helpers.guide import read_page
from tests.helpers.small_datasets import SIZE, draw_classes, draw_pairs, options, save

MADE: dict[str, Callable[[Path], Path]] = {}
RESIZE = A.Resize(SIZE, SIZE)


def fault(name: str) -> Callable[[Callable[[Path], Path]], Callable[[Path], Path]]:
    """Say that a function makes a dataset with a fault, by the name of its finding."""

    def named(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
        MADE[name] = make
        return make

    return named


def build(folder: Path, source: Any, **changes: Any) -> Path:
    precompute.build(source, folder / "out", **options(**changes))
    return folder / "out"


def findings_of(out: Path, **options: Any) -> dict[str, Finding]:
    return {finding.name: finding for finding in precompute.report(out, **options).findings}


def picture(seed: int, size: tuple[int, int] = (40, 44)) -> np.ndarray[Any, Any]:
    """A few large shapes, so that hashes of different pictures lie far apart."""
    small = np.random.default_rng([7, seed]).integers(0, 200, (5, 5, 3), dtype=np.uint8)
    return np.kron(small, np.ones((size[0] // 5, size[1] // 5, 1), np.uint8))


def labelled(folder: Path, per_split: dict[str, list[tuple[int, str]]]) -> list[Source]:
    """Sources of pictures: split → (seed of the picture, class)."""
    sources = []
    for split, pictures in per_split.items():
        for i, (seed, label) in enumerate(pictures):
            path = folder / split / f"{i}.png"
            save(path, picture(seed))
            sources.append(Source(f"{split}{i}", path, label=label, split=split))
    return sources


SOUND = {
    "train": [(i, "cat" if i % 2 else "dog") for i in range(8)],
    "validation": [(20 + i, "cat" if i % 2 else "dog") for i in range(4)],
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("sound")
    return precompute.report(build(folder, labelled(folder, SOUND)))


def test_a_sound_dataset_has_no_findings_but_of_time(sound: Report) -> None:
    assert [finding.name for finding in sound.findings if finding.name != "does-not-pay"] == []


# Faults of sources


@fault("splits-share-content")
def _(folder: Path) -> Path:
    return build(folder, labelled(folder, {**SOUND, "validation": [(0, "dog"), *SOUND["validation"]]}))


@fault("labels-disagree")
def _(folder: Path) -> Path:
    return build(folder, labelled(folder, {**SOUND, "train": [*SOUND["train"], (0, "cat")]}))


@fault("near-duplicates-across-splits")
def _(folder: Path) -> Path:
    sources = labelled(folder, SOUND)
    save(folder / "validation" / "0.png", picture(0)[::2, ::2])
    return build(folder, sources)


@pytest.mark.slow
def test_a_mirrored_copy_is_found(tmp_path: Path) -> None:
    sources = labelled(tmp_path, SOUND)
    save(tmp_path / "validation" / "0.png", np.ascontiguousarray(picture(0)[:, ::-1]))
    near = precompute.report(build(tmp_path, sources)).trust.near
    assert near is not None
    assert [(pair.first, pair.second, pair.is_mirrored) for pair in near.pairs] == [("train0", "validation0", True)]
    assert (near.across, near.within) == (1, 0)


@fault("near-duplicates-in-train")
def _(folder: Path) -> Path:
    sources = labelled(folder, SOUND)
    save(folder / "train" / "1.png", picture(0)[::2, ::2])
    return build(folder, sources)


@fault("groups-torn-apart")
def _(folder: Path) -> Path:
    sources = labelled(folder, SOUND)
    by_hand = [Source(s.key, s.image, label=s.label, split=s.split, group=f"g{i % 6}") for i, s in enumerate(sources)]
    out = build(folder, [Source(s.key, s.image, label=s.label, split=s.split) for s in sources])
    return with_groups(out, {source.key: source.group or "" for source in by_hand})


def with_groups(out: Path, groups: dict[str, str]) -> Path:
    """Write groups into the listings, as a program of an older version might have left them."""
    manifest = json.loads((out / "manifest.json").read_text())
    for split in manifest["splits"]:
        path = out / "data" / "g0001" / f"sources-{split}.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps({**line, "group": groups[line["key"]]}) + "\n" for line in lines))
    return out


@fault("class-without-training")
def _(folder: Path) -> Path:
    return build(folder, labelled(folder, {**SOUND, "validation": [*SOUND["validation"], (40, "emu")]}))


@fault("class-without-validation")
def _(folder: Path) -> Path:
    return build(folder, labelled(folder, {**SOUND, "train": [*SOUND["train"], (40, "emu")]}))


@fault("classes-unbalanced")
def _(folder: Path) -> Path:
    many = [(100 + i, "cat") for i in range(43)]
    return build(folder, labelled(folder, {**SOUND, "train": [*many, (1, "dog"), (2, "dog")]}))


@fault("no-validation")
def _(folder: Path) -> Path:
    return build(folder, labelled(folder, {"train": SOUND["train"]}), validation_split=0)


@fault("sources-left-out")
def _(folder: Path) -> Path:
    sources = labelled(folder, SOUND)
    (folder / "train" / "3.png").write_bytes(b"cut")
    return build(folder, sources, skip_bad="1")


@fault("last-build-refused")
def _(folder: Path) -> Path:
    sources = labelled(folder, SOUND)
    out = build(folder, sources)
    (folder / "train" / "3.png").write_bytes(b"cut")
    with pytest.raises(BadSourcesError):
        build(folder, sources, replace=True, image_format="jpeg")
    return out


# Faults of pipelines


def spoilt(out: Path, change: Callable[[Any], None]) -> Path:
    """Change the manifest of a dataset."""
    path = out / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    return out


@fault("variants-alike")
def _(folder: Path) -> Path:
    pipeline = A.Compose([A.HorizontalFlip(p=0.5), RESIZE])
    return build(folder, labelled(folder, SOUND), pipeline=pipeline, variants=6)


@fault("variants-unchanged")
def _(folder: Path) -> Path:
    pipeline = A.Compose([A.RandomBrightnessContrast(p=0.1), RESIZE])
    return build(folder, labelled(folder, SOUND), pipeline=pipeline, variants=6)


@fault("validation-augmented")
def _(folder: Path) -> Path:
    pipeline = A.Compose([A.HorizontalFlip(p=0.5), RESIZE])
    validation = [(20 + i, "cat" if i % 2 else "dog") for i in range(12)]
    sources = labelled(folder, {**SOUND, "validation": validation})
    return build(folder, sources, pipeline={"train": pipeline, "validation": pipeline})


@fault("images-shifted")
def _(folder: Path) -> Path:
    sources = labelled(folder, {**SOUND, "train": [(50 + i, "cat" if i % 2 else "dog") for i in range(20)]})
    pipeline = A.Compose([A.RandomBrightnessContrast(brightness_limit=(0.5, 0.6), p=1), RESIZE])
    return build(folder, sources, pipeline={"train": pipeline, "validation": A.Compose([RESIZE])})


@fault("borders-filled")
def _(folder: Path) -> Path:
    pipeline = A.Compose([A.Affine(translate_percent=(0.3, 0.5), p=1), RESIZE])
    return build(folder, labelled(folder, SOUND), pipeline=pipeline)


@fault("class-vanishes")
def _(folder: Path) -> Path:
    pipeline = A.Compose([A.Crop(10, 0, 18, 8), RESIZE])
    return build(folder, draw_pairs(folder / "sources"), pipeline=pipeline)


def boxed(folder: Path) -> list[Source]:
    """Sources with a large object on the left and a small one on the right."""
    sources = []
    for i in range(10):
        save(folder / f"{i}.png", picture(i))
        boxes = [(2, 2, 20, 30, "cow"), (38, 20, 42, 26, "hen")]
        sources.append(Source(str(i), folder / f"{i}.png", boxes=boxes, split="train" if i < 7 else "validation"))
    return sources


@fault("objects-lost")
def _(folder: Path) -> Path:
    return build(folder, boxed(folder), pipeline=A.Compose([A.Crop(0, 0, 30, 40), RESIZE]))


@fault("images-emptied")
def _(folder: Path) -> Path:
    return build(folder, boxed(folder), pipeline=A.Compose([A.Crop(22, 0, 36, 18), RESIZE]))


# Faults of what lies on disk


@fault("damaged-shards")
def _(folder: Path) -> Path:
    out = build(folder, labelled(folder, SOUND))
    shard = next((out / "data").rglob("*train_r0000.tfrecord-*"))
    shard.write_bytes(shard.read_bytes()[:-9])
    return out


@fault("other-versions")
def _(folder: Path) -> Path:
    def change(manifest: Any) -> None:
        manifest["settings"]["pixels"]["versions"]["numpy"] = "0.1"

    return spoilt(build(folder, labelled(folder, SOUND)), change)


@fault("old-generations")
def _(folder: Path) -> Path:
    out = build(folder, labelled(folder, SOUND))
    shutil.copytree(out / "data" / "g0001", out / "data" / "g0000")
    return out


@fault("not-made-again")
def _(folder: Path) -> Path:
    def change(manifest: Any) -> None:
        resize = manifest["settings"]["pixels"]["pipelines"]["train"]["transform"]["transforms"][-1]
        resize["interpolation"] = 0

    pipeline = A.Compose([A.HorizontalFlip(p=0.5), A.RandomBrightnessContrast(p=0.9), RESIZE])
    sources = draw_classes(folder / "sources")
    return spoilt(build(folder, sources, pipeline=pipeline), change)


SEVERITIES = ["error", "warning", "note"]
QUICK = {"splits-share-content", "near-duplicates-across-splits", "variants-alike", "class-vanishes"}


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in MADE])
def test_a_fault_is_found(name: str, tmp_path: Path, sound: Report) -> None:
    assert name not in {finding.name for finding in sound.findings}
    found = findings_of(MADE[name](tmp_path))
    assert name in found
    kind = next(kind for kind in KINDS if kind.name == name)
    assert found[name].severity == kind.severity
    assert found[name].title.endswith(".")
    assert "{out}" not in found[name].mend


@pytest.mark.slow
def test_examples_name_the_sources(tmp_path: Path) -> None:
    found = findings_of(MADE["splits-share-content"](tmp_path))
    assert any("train0" in example for example in found["splits-share-content"].examples)


# Those that follow from figures which no dataset here has


def changed(report: Report, **rate: Any) -> Report:
    """A report whose first transform has another rate."""
    train, *others = report.transforms
    first, *rest = train.rates
    return replace(report, transforms=(replace(train, rates=(replace(first, **rate), *rest)), *others))


def test_a_transform_that_is_never_applied_is_found(sound: Report) -> None:
    figures = changed(sound, num_fired=0, is_likely=False)
    assert [found.title for found in CHECKS["transform-never-applied"](figures)] == [
        "train: HorizontalFlip was applied to none of 24 records; by its p it should be to 50%."
    ]
    assert list(CHECKS["transform-rate"](figures)) == []
    assert list(CHECKS["transform-never-applied"](changed(sound, num_fired=1))) == []


def test_a_transform_that_is_applied_too_often_is_found(sound: Report) -> None:
    [found] = CHECKS["transform-rate"](changed(sound, num_fired=24, low=3, high=21, is_likely=False))
    assert found.title == "train: HorizontalFlip was applied to 24 of 24 records; by its p between 3 and 21 are likely."
    assert list(CHECKS["transform-rate"](changed(sound))) == []


def test_transforms_that_are_applied_together_are_found(sound: Report) -> None:
    figures = changed(sound)
    train = figures.transforms[0]
    pair = train.pairs[0]

    def found(**values: Any) -> list[Any]:
        rates = (replace(train, pairs=(replace(pair, **values),)),)
        return list(CHECKS["transforms-tied"](replace(figures, transforms=rates)))

    assert len(found(correlation=0.99, bound=0.2, is_expected=False)) == 1
    assert "in place of each other" in found(correlation=-0.99, bound=0.2, is_expected=False)[0].title
    assert found(correlation=0.99, bound=0.2, is_expected=True) == []
    assert found(correlation=0.1, bound=0.2, is_expected=False) == []


def lost_titles(report: Report, **counts: tuple[int, int]) -> list[str]:
    """Titles of what is found where train has these numbers of objects of each class before and after."""
    lost = tuple(
        LostObjects(field="objects", group=name, by="class", num_before=before, num_after=after)
        for name, (before, after) in counts.items()
    )
    effects = tuple(replace(one, lost=lost) for one in report.effects if one.split == "train")
    return [found.title for found in CHECKS["objects-lost"](replace(report, effects=effects))]


def test_classes_that_lose_about_as_many_objects_are_one_finding(sound: Report) -> None:
    assert lost_titles(sound, cow=(500, 300), hen=(1000, 610), owl=(100, 63), fox=(10, 0)) == [
        "train: 39% of 1,600 objects are lost: 40% of cow, 39% of hen, 37% of owl."
    ]
    assert lost_titles(sound, cow=(500, 490), hen=(1000, 850)) == []


def test_a_class_that_loses_much_more_than_others_is_a_finding_of_its_own(sound: Report) -> None:
    assert lost_titles(sound, cow=(500, 300), hen=(1000, 610), owl=(100, 10)) == [
        "train: 90% of 100 objects of owl are lost.",
        "train: 39% of 1,500 objects are lost: 40% of cow, 39% of hen.",
    ]
    assert lost_titles(sound, cow=(500, 300)) == ["train: 40% of 500 objects of cow are lost."]
    assert lost_titles(sound, cow=(500, 100), hen=(500, 350)) == [
        "train: 80% of 500 objects of cow are lost.",
        "train: 30% of 500 objects of hen are lost.",
    ]


def test_records_that_save_no_time_are_found(sound: Report) -> None:
    figures = changed(sound)
    slow, quick = (replace(figures, cost=replace(figures.cost, stored_ms=ms, online_ms=2.0)) for ms in (3.0, 1.0))
    assert len(list(CHECKS["does-not-pay"](slow))) == 1
    assert list(CHECKS["does-not-pay"](quick)) == []


def test_each_kind_of_finding_has_a_check_and_each_check_is_tested() -> None:
    assert [kind.name for kind in KINDS] == list(CHECKS)
    assert [kind.severity for kind in KINDS] == sorted((kind.severity for kind in KINDS), key=SEVERITIES.index)
    tested = {*MADE, "transform-never-applied", "transform-rate", "transforms-tied", "does-not-pay"}
    assert tested == set(CHECKS)


@pytest.mark.slow
def test_the_worst_findings_come_first(tmp_path: Path) -> None:
    sources = labelled(tmp_path, {"train": [*SOUND["train"], (0, "cat")], "validation": [(0, "dog"), (30, "emu")]})
    found = precompute.report(build(tmp_path, sources)).findings
    severities = [finding.severity for finding in found]
    assert severities == sorted(severities, key=SEVERITIES.index)
    assert len(set(severities)) == 3


def test_the_guide_has_the_table_of_findings() -> None:
    assert "\n".join(findings_table()) in read_page("precompute/docs/report.md")
