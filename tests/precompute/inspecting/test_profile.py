"""`profile`: times by stage and transform, of the very records that a build writes; and the advice that follows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
from PIL import Image

import precompute
from precompute.building.files import ShardWriter
from precompute.cli import main
from precompute.errors import BadSourcesError, PipelineError, UsageError
from precompute.inspecting import advice
from precompute.inspecting import profile as profiling
from precompute.inspecting.advice import sizing_first, with_arguments
from precompute.inspecting.profile import Profile, profile
from precompute.inspecting.stopwatch import Stopwatch
from precompute.pipelines.pipeline import Pipeline, prepare
from precompute.records.tfrecord import read_records
from precompute.rendering import render as rendering
from tests.helpers.small_datasets import draw_classes, draw_pairs, options, save


def nested() -> A.Compose:
    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.OneOf([A.VerticalFlip(p=1), A.SomeOf([A.Transpose(p=1), A.InvertImg(p=1)], n=2, p=1)], p=0.6),
            A.Sequential([A.RandomBrightnessContrast(p=0.0)], p=1),
            A.Resize(16, 16),
        ]
    )


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_pairs(tmp_path_factory.mktemp("pairs"), 20)


def quick(source: Path, **changes: Any) -> Profile:
    given = {"split": "train", "num_sources": 4, "num_variants": 3, **options(), **changes}
    return profile(source, **given)


def stages(found: Profile) -> dict[str, Any]:
    return {stage.name: stage for stage in found.stages}


def test_every_transform_and_stage_is_there_once(pairs: Path) -> None:
    found = quick(pairs, pipeline=nested())
    names = [stage.name for stage in found.stages if stage.is_transform]
    assert names == [
        "HorizontalFlip",
        "OneOf › VerticalFlip",
        "OneOf › SomeOf › Transpose",
        "OneOf › SomeOf › InvertImg",
        "Sequential › RandomBrightnessContrast",
        "Resize",
    ]
    assert [stage.name for stage in found.stages if not stage.is_transform] == [
        "read",
        "decode image",
        "decode mask",
        "hash, check ids",
        "seed",
        "compositions",
        "check size, ids",
        "encode image",
        "encode mask",
        "Example",
        "CRC, sha256",
        "write",
    ]
    assert [stage.p for stage in found.stages if stage.is_transform] == [0.5, 1, 1, 1, 0, 1]


def test_shares_make_up_the_whole(pairs: Path) -> None:
    found = quick(pairs, pipeline=nested(), variants=3)
    assert sum(found.share(stage) for stage in found.stages) == pytest.approx(1)
    assert sum(map(found.group_share, ("source", "pipeline", "record", "shard"))) == pytest.approx(1)
    assert found.records_per_s == pytest.approx(1000 / found.record_ms)
    assert found.build_s == pytest.approx(15 * 3 * found.record_ms / 1000)
    assert (found.num_sources, found.num_variants, found.num_places, found.num_rows) == (4, 3, 15, 3)
    for stage in found.stages:
        assert 0 <= stage.median_ms <= stage.p90_ms and stage.record_ms >= 0


def test_how_often_a_transform_ran_is_counted(pairs: Path) -> None:
    found = stages(quick(pairs, pipeline=nested(), num_sources=15, num_variants=8, variants=8))
    assert found["Resize"].ran == 1 and found["Sequential › RandomBrightnessContrast"].ran == 0
    assert found["Sequential › RandomBrightnessContrast"].median_ms == 0
    assert 0.3 < found["HorizontalFlip"].ran < 0.7
    inner = found["OneOf › SomeOf › Transpose"].ran
    assert inner == found["OneOf › SomeOf › InvertImg"].ran
    assert 0.4 < found["OneOf › VerticalFlip"].ran + inner < 0.8
    assert found["Resize"].pixels == pytest.approx(21 * 20, rel=0.1)


def test_what_is_measured_are_the_records_of_a_build(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bytes] = []

    class Keeping(ShardWriter):
        def write(self, record: bytes) -> None:
            made.append(record)
            super().write(record)

    monkeypatch.setattr(profiling, "ShardWriter", Keeping)
    given = options(pipeline=nested(), image_format="jpeg", seed=3)
    profile(pairs, num_sources=15, num_variants=3, **given)
    precompute.build(pairs, tmp_path / "out", **given)
    stored = [r for shard in (tmp_path / "out" / "data").rglob("*-train_*tfrecord-*") for r in read_records(shard)]
    assert sorted(made) == sorted(stored) and len(made) == 45


def test_nothing_is_left_behind(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    before = (A.BasicTransform.__call__, rendering.encode_image, Pipeline.apply, Pipeline._set_global_generators)
    with pytest.raises(BadSourcesError, match="none of 4 sources"):
        quick_failing(pairs)
    quick(pairs, backend="loky", jobs=2)
    assert before == (
        A.BasicTransform.__call__,
        rendering.encode_image,
        Pipeline.apply,
        Pipeline._set_global_generators,
    )
    assert list(tmp_path.iterdir()) == []


def quick_failing(pairs: Path) -> Profile:
    """Every source fails after the plan was made."""
    render = rendering.render

    def failing(*args: Any, **kwargs: Any) -> bytes:
        raise rendering.RejectedSource("it fails")

    rendering.render = failing  # type: ignore[assignment]
    try:
        return quick(pairs)
    finally:
        rendering.render = render


def test_a_workers_global_generators_are_counted_where_it_sets_them(
    pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("precompute.inspecting.profile.has_other_threads", lambda: False)  # pytest may have some
    assert "seed global generators" in stages(quick(pairs, backend="loky", jobs=2))
    assert "seed global generators" not in stages(quick(pairs, backend="loky", jobs=1))


def test_other_splits_and_targets(pairs: Path, tmp_path: Path) -> None:
    found = quick(pairs, split="validation")
    assert (found.num_rows, found.num_variants, found.num_places) == (1, 1, 5)
    classes = quick(draw_classes(tmp_path / "data"), image_format="raw", max_source_size=20)
    assert "encode mask" not in stages(classes) and classes.image_format == "raw"
    assert classes.source_pixels == 20 * 22  # as in the file
    shrunk = quick(pairs, max_source_size=16)
    assert "shrink mask" in stages(shrunk)


def test_bad_sources_are_passed_over_and_told(tmp_path: Path) -> None:
    source = draw_pairs(tmp_path / "data", 8)
    save(source / "images" / "s002.png", np.zeros((6, 6, 3), np.uint8))
    save(source / "masks" / "s002.png", np.zeros((6, 6), np.uint8))
    found = quick(
        source, pipeline=A.Compose([A.RandomCrop(12, 12), A.Resize(16, 16)]), validation_split=0.0, num_sources=8
    )
    assert (found.num_sources, found.num_rejected) == (7, 1)
    assert "(1 other rejected)" in found.report()


def test_it_refuses_what_a_build_refuses(pairs: Path) -> None:
    with pytest.raises(PipelineError, match="none given"):
        quick(pairs, pipeline=None)
    with pytest.raises(UsageError, match="split: the sources have train, validation; got 'test'"):
        quick(pairs, split="test")
    with pytest.raises(UsageError, match="num_variants: expected 1 or more, got 0"):
        quick(pairs, num_variants=0)
    with pytest.raises(UsageError, match="unknown option colour"):
        quick(pairs, colour="red")


# The stopwatch.


class Ticks:
    """A clock that moves when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Work:
    """Something to watch."""

    def __init__(self, clock: Ticks) -> None:
        self.clock = clock

    def outer(self) -> str:
        self.clock.now += 1
        self.inner()
        self.clock.now += 2
        return "done"

    def inner(self) -> None:
        self.clock.now += 10
        self.least(5)

    @staticmethod
    def least(number: int) -> int:
        return number

    def failing(self) -> None:
        self.inner()
        raise ValueError("no")


def test_a_stage_is_not_charged_for_those_inside_it() -> None:
    watch, work = Stopwatch(clock := Ticks()), Work(clock)
    with watch.watching(Work, "outer", "o"), watch.watching(Work, "inner", "i"), watch.watching(Work, "least", "l"):
        assert work.outer() == "done" and Work.least(7) == 7
    assert {stage: calls.seconds for stage, calls in watch.stages.items()} == {"o": [3], "i": [10], "l": [0, 0]}
    work.outer()
    assert len(watch.stages["o"].seconds) == 1  # watched no longer


def test_what_raises_is_not_counted() -> None:
    watch, work = Stopwatch(clock := Ticks()), Work(clock)
    with watch.watching(Work, "failing", "f"), watch.watching(Work, "inner", "i"):
        with pytest.raises(ValueError, match="no"):
            work.failing()
        work.inner()
    assert watch.stages["i"].seconds == [10, 10] and "f" not in watch.stages


class Slow(A.HorizontalFlip):
    """A transform with a call of its own that calls that of its base."""

    def __call__(self, *args: Any, force_apply: bool = False, **kwargs: Any) -> Any:
        return super().__call__(*args, force_apply=force_apply, **kwargs)


def test_a_transform_that_calls_its_base_is_counted_once() -> None:
    slow, plain, stranger = Slow(p=1), A.VerticalFlip(p=0), A.Transpose(p=1)
    watch = Stopwatch(Ticks())
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    with watch.watching_transforms({"slow": slow, "plain": plain}):
        result = A.Compose([slow, plain, stranger])(image=image)["image"]
    np.testing.assert_array_equal(result, image[:, ::-1].transpose(1, 0, 2))
    assert {stage: calls.ran for stage, calls in watch.stages.items()} == {"slow": [True], "plain": [False]}
    assert watch.stages["slow"].pixels == [4]


# Advice: what is tried, and when it is told. Times are made up.


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Milliseconds that a trial takes, by what it tries; 10 where nothing is said."""
    times: dict[str, float] = {}

    def record_ms(trial: Any, pickled: bytes | None = None, spec: Any = None) -> float:
        if spec is not None:
            return times.get(spec.encoding, 10.0)
        if pickled is None:
            return 10.0
        changed = Pipeline(pickled).transforms
        for name, transform in changed:
            for argument in ("approximate", "same_dxdy"):
                if name.endswith("ElasticTransform") and getattr(transform, argument):
                    return times.get(argument, 10.0)
        return times.get(f"{changed[0][0]} first", 10.0)

    monkeypatch.setattr(advice._Trial, "record_ms", record_ms)
    monkeypatch.setattr(advice, "saving_of_size", lambda *args, **kwargs: None)
    monkeypatch.setattr(advice, "DOMINATES", 2.0)  # no share of a real time, so that none is told by chance
    return times


def test_nothing_is_told_where_nothing_stands_out(pairs: Path, costs: dict[str, float]) -> None:
    found = quick(pairs)
    assert found.advice == () and "advice" not in found.report()


def test_a_resize_that_could_come_first_is_told_with_what_it_saves(pairs: Path, costs: dict[str, float]) -> None:
    costs["Resize first"] = 6.5
    (sentence,) = quick(pairs, pipeline=A.Compose([A.HorizontalFlip(), A.CLAHE(), A.Resize(12, 12)])).advice
    assert sentence.startswith("Resize could come first: HorizontalFlip, CLAHE work on sources of 0.00 megapixels")
    assert "It would be 6.5 ms a record, not 10.0" in sentence
    costs["Resize first"] = 9.5
    assert quick(pairs, pipeline=A.Compose([A.HorizontalFlip(), A.CLAHE(), A.Resize(12, 12)])).advice == ()
    costs["Resize first"] = 1.0
    assert quick(pairs, pipeline=A.Compose([A.HorizontalFlip(), A.Resize(24, 24)])).advice == ()  # none is larger
    assert quick(pairs, pipeline=A.Compose([A.Resize(12, 12), A.HorizontalFlip()])).advice == ()


def test_elastic_transform_gets_cheaper_arguments(
    pairs: Path, costs: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Profile, "share", lambda self, stage: 3.0 if "Elastic" in stage.name else 0.0)
    costs |= {"approximate": 4.0, "same_dxdy": 9.8}
    pipeline = A.Compose([A.Resize(16, 16), A.OneOf([A.ElasticTransform(p=1)], p=1)])
    (sentence,) = quick(pairs, pipeline=pipeline).advice
    assert sentence.startswith("OneOf › ElasticTransform takes 300% of the time, ")
    assert "which is for 100% of the records. With approximate=True it would be 4.0 ms a record, not 10.0. " in sentence
    assert "same_dxdy" not in sentence
    costs["approximate"] = 10.0
    (sentence,) = quick(pairs, pipeline=pipeline).advice
    assert sentence.endswith("a lower p, or a cheaper transform in its place, costs less.")


def test_png_gets_other_formats(pairs: Path, costs: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Profile, "share", lambda self, stage: 3.0 if stage.name == "encode image" else 0.0)
    costs |= {"jpeg": 3.0, "raw": 2.0}
    (sentence,) = quick(pairs, image_format="png").advice
    assert "--image-format jpeg 3.0 ms a record, not 10.0; with --image-format raw 2.0 ms" in sentence
    assert quick(pairs, image_format="jpeg").advice == ()


def test_few_rows_get_the_arithmetic_of_more(
    pairs: Path, costs: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advice, "DOMINATES", 0.3)
    monkeypatch.setattr(advice, "_transforms", lambda *args, **kwargs: ())
    monkeypatch.setattr(Profile, "group_share", lambda self, group: 0.5)
    monkeypatch.setattr(Profile, "record_ms", 20.0)
    (sentence,) = quick(pairs, variants=2, image_format="jpeg").advice
    # 10 ms of 20 are a source's share in two rows, so 20 ms a source: 1.25 ms in each of 16.
    assert "takes 50% of the time, for the 2 rows alone: with 16 variants in one build" in sentence
    assert "11.2 ms, not 20.0" in sentence
    assert quick(pairs, variants=8, image_format="jpeg").advice == ()


@pytest.mark.slow
def test_large_sources_get_the_offer_of_a_limit(tmp_path: Path) -> None:
    (tmp_path / "data" / "a").mkdir(parents=True)
    for i in range(4):
        Image.effect_noise((1200, 900), 40 + i).convert("RGB").save(tmp_path / "data" / "a" / f"{i}.jpg")
    found = quick(tmp_path / "data", validation_split=0.0)
    assert any("--max-source-size 64 would save about" in sentence for sentence in found.advice)
    limited = quick(tmp_path / "data", validation_split=0.0, max_source_size=64)
    assert not any("--max-source-size" in sentence for sentence in limited.advice)
    assert limited.source_pixels == 1200 * 900


def test_changed_pipelines_are_what_they_are_called() -> None:
    pickled = prepare(nested(), "train").pickled
    moved = sizing_first(pickled)
    assert moved is not None and moved[:2] == ("Resize", ["HorizontalFlip", "OneOf", "Sequential"])
    assert [name for name, _ in Pipeline(moved[2]).transforms][:2] == ["Resize", "HorizontalFlip"]
    assert sizing_first(moved[2]) is None
    assert sizing_first(prepare(A.Compose([A.HorizontalFlip()]), "train").pickled) is None
    elastic = prepare(A.Compose([A.OneOf([A.ElasticTransform()]), A.Resize(8, 8)]), "train").pickled
    (_, changed), _ = Pipeline(with_arguments(elastic, "ElasticTransform", sigma=10.0)).transforms
    assert changed.sigma == 10.0


# The table and the file.


def test_the_table_is_aligned_and_says_what_follows(pairs: Path) -> None:
    found = quick(pairs, pipeline=nested(), variants=4)
    lines = found.report().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("---"))
    end = next(number for number, line in enumerate(lines) if line.startswith("total"))
    assert {len(line) for line in lines[start : end + 1]} == {len(lines[start - 1])}
    text = "\n".join(lines)
    for part in (
        "train: 4 sources of 0.00 megapixels, 3 variants of each, as 16×16 png",
        "source, once for 4 rows",
        "  OneOf › SomeOf › Transpose",
        " records/s on one core, ",
        "15 records × 4 rows = 60 records of train: about ",
    ):
        assert part in text, part


def test_the_command_line_prints_it_and_writes_json(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new" / "profile.json"
    given = "--pipeline light --image-size 16 --num-sources 3 --num-variants 2 --variants 5 --quality 80"
    assert main(["profile", str(pairs), *given.split(), "--json", str(path)]) == 0
    said = capsys.readouterr()
    assert "records/s on one core" in said.out and "NO VALIDATION SPLIT" in said.err
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["num_rows"] == 5 and content["image_format"] == "jpeg" and "pillow" in content["versions"]
    assert content["record_ms"] == pytest.approx(sum(stage["record_ms"] for stage in content["stages"]))
    (tmp_path / "file").write_text("")
    assert main(["profile", str(pairs), *given.split(), "--json", str(tmp_path / "file" / "x.json")]) == 2
    assert "json: " in capsys.readouterr().err


def test_the_public_name_is_the_function() -> None:
    assert precompute.profile is profile


def test_real_data(real_data: Path) -> None:
    found = profile(real_data / "clothing", pipeline="medium", image_size=128, num_sources=6, num_variants=4)
    assert found.num_places == 341 and found.source_pixels > 100_000
    assert found.report().count("\n") > 20
