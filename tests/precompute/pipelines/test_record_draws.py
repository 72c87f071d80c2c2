"""The draws of a record: its own, whatever ran before, and independent of all others."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import albumentations as A
import cloudpickle
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precompute.errors import UsageError
from precompute.options.values import check_seed
from precompute.pipelines.pipeline import Pipeline, prepare
from precompute.pipelines.seeding import Draws, digest
from tests.helpers.decoded_sources import put_through, some_sources
from tests.helpers.project import ROOT

IMAGE = some_sources(1)[0].image
MASK = some_sources(1)[0].values["mask"]


def apply(pipeline: Pipeline, key: str = "k", seed: int = 0, variant: int = 0, copy: int = 0) -> tuple[bytes, bytes]:
    image, mask = put_through(pipeline, IMAGE, MASK, seed=seed, key=key, variant=variant, copy=copy)
    return image.tobytes(), mask.tobytes()


# Draws.

MANY = {
    "flip": A.HorizontalFlip(p=0.5),
    "rotate": A.Rotate(limit=30, p=0.7),
    "noise": A.GaussNoise(p=0.6),
    "dropout": A.CoarseDropout(fill="random", p=0.6),
    "light": A.RandomBrightnessContrast(p=0.5),
    "elastic": A.ElasticTransform(alpha=20, sigma=3, p=0.4),
    "crop": A.RandomResizedCrop((16, 16), p=0.5),
    "one": A.OneOf([A.VerticalFlip(), A.Transpose(), A.ISONoise()], p=0.8),
    "some": A.SomeOf([A.Blur(), A.ChannelShuffle(), A.Solarize()], n=2, p=0.8),
    "order": A.RandomOrder([A.ToGray(), A.Posterize(), A.RandomGamma()], n=2),
    "sequence": A.Sequential([A.RandomRotate90(), A.GridDistortion(p=0.5)], p=0.5),
    "other": A.OneOrOther(A.Sharpen(), A.Emboss()),
}
keys = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)
records = st.tuples(keys, st.integers(0, 2**63 - 1), st.integers(-1, 10_000), st.integers(0, 50))


@pytest.mark.slow
@given(st.lists(st.sampled_from(sorted(MANY)), min_size=1, max_size=4), st.lists(records, min_size=2, max_size=4))
@settings(max_examples=40)
def test_a_record_is_the_same_whatever_ran_before(names: list[str], chosen: list[Any]) -> None:
    pickled = prepare(A.Compose([MANY[name] for name in names]), "train").pickled
    pipeline = Pipeline(pickled)
    forward = [apply(pipeline, *record) for record in chosen]
    assert [apply(pipeline, *record) for record in reversed(chosen)] == forward[::-1]
    assert [apply(Pipeline(pickled), *record) for record in chosen] == forward  # fresh for each
    again = Pipeline(prepare(cloudpickle.loads(pickled), "train").pickled, own_process=True)
    assert [apply(again, *record) for record in chosen] == forward
    in_thread: list[Any] = []
    thread = threading.Thread(target=lambda: in_thread.extend(apply(Pipeline(pickled), *r) for r in chosen))
    thread.start()
    thread.join()
    assert in_thread == forward


def everything() -> bytes:
    return prepare(A.Compose([*MANY.values(), A.Resize(16, 16)]), "train").pickled


@pytest.mark.slow
def test_a_record_is_the_same_in_another_process(tmp_path: Path) -> None:
    (tmp_path / "pickled").write_bytes(everything())
    code = """
import sys, hashlib
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from tests.precompute.pipelines.test_record_draws import Pipeline, apply
pipeline = Pipeline(Path(sys.argv[1]).read_bytes())
print([hashlib.sha256(b"".join(apply(pipeline, key=f"k{i}", variant=i))).hexdigest() for i in reversed(range(12))])
"""
    outputs = set()
    for hash_seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "pickled", ROOT],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        outputs.add(run.stdout)
    pipeline = Pipeline(everything())
    here = [hashlib.sha256(b"".join(apply(pipeline, key=f"k{i}", variant=i))).hexdigest() for i in range(12)]
    assert outputs == {f"{here[::-1]}\n"}
    assert len(set(here)) == 12


def test_a_transform_that_writes_into_its_input_reaches_no_other_variant() -> None:
    class Erase(A.DualTransform):
        def apply(self, img: Any, **params: Any) -> Any:
            img[self.py_random.randrange(len(img))] = 0
            return img

    pipeline = Pipeline(prepare(Erase(p=1), "train").pickled)
    image, mask = IMAGE.copy(), np.array(MASK)
    outcomes = [put_through(pipeline, image, mask, seed=0, key="k", variant=v, copy=0)[0] for v in range(9)]
    np.testing.assert_array_equal(image, IMAGE)
    np.testing.assert_array_equal(mask, MASK)
    assert max(int((outcome.max(axis=(1, 2)) == 0).sum()) for outcome in outcomes) == 1


@given(records, records)
def test_other_records_have_other_draws(a: Any, b: Any) -> None:
    assert (digest(a[1], a[0], *a[2:]) == digest(b[1], b[0], *b[2:])) == (a == b)


def test_each_part_of_a_record_counts() -> None:
    base = {"seed": 1, "key": "a", "variant": 2, "copy": 3}
    changes: list[dict[str, Any]] = [
        {},
        {"seed": 2},
        {"key": "b"},
        {"variant": 1},
        {"copy": 2},
        {"variant": 3, "copy": 2},
    ]
    draws = Draws()
    firsts = set()
    for change in changes:
        draws.set(**{**base, **change})
        firsts.add((draws.generator.random(), draws.py_random.random()))
    assert len({a for a, _ in firsts}) == len({b for _, b in firsts}) == len(changes)


def test_a_key_cannot_imitate_other_fields() -> None:
    tail = (5).to_bytes(8, "little").decode("latin1")
    assert digest(0, tail + "a", 0, 5) != digest(0, "a", 5, 0) != digest(0, tail, 0, 0)
    assert len({digest(0, "", 0, 1), digest(0, "", 1, 0), digest(1, "", 0, 0), digest(0, "\0", 0, 0)}) == 4


def test_draws_of_the_format_never_change() -> None:
    assert digest(0, "a", 0, 0).hex() == "221b8653d676b717c69fddb1fa6a8cc8f0672e95c626081bfe0fb47e66a69a14"
    assert (
        digest(2**63 - 1, "Tür/猫", 9_998, 7).hex()
        == "3bfc678a5df9db88b1d72406c6fb718d92ed199d247a4c2c8f0c6b2255bf6602"
    )
    assert digest(0, "a", -1, 0).hex() == "26945f2a4a8a105c5950ee82f498217aec7de40616b983671cc0031d84a2dd1b"
    draws = Draws()
    draws.set(0, "a", 0, 0)
    assert draws.generator.integers(0, 2**32, 4).tolist() == [485473911, 3193737803, 2983009076, 474515442]
    assert [draws.py_random.randrange(2**32) for _ in range(4)] == [518569791, 1628893008, 4118444793, 145660272]


@given(st.lists(records, min_size=1, max_size=3), st.integers(0, 7))
def test_setting_the_state_equals_making_generators(chosen: list[Any], used: int) -> None:
    draws = Draws()
    for key, seed, variant, copy in chosen:
        seeds = draws.set(seed, key, variant, copy)
        made = np.random.Generator(np.random.Philox(key=int.from_bytes(seeds[:16], "little")))
        made_py = random.Random(int.from_bytes(seeds[16:], "little"))
        for generator, py_random in ((draws.generator, draws.py_random), (made, made_py)):
            generator.integers(0, 9, used, dtype=np.uint32)  # leaves half a word behind when odd
            py_random.gauss()  # keeps a second number for later
        assert draws.generator.random(5).tolist() == made.random(5).tolist()
        assert draws.generator.normal(size=3).tolist() == made.normal(size=3).tolist()
        assert [draws.py_random.gauss() for _ in range(3)] == [made_py.gauss() for _ in range(3)]


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, "1", True, None])
def test_seeds_that_no_record_can_hold(seed: Any) -> None:
    with pytest.raises(UsageError, match=r"seed: expected an integer from 0 to 2\*\*63 - 1, got"):
        check_seed(seed)
    assert check_seed(0) == 0 and check_seed(2**63 - 1) == 2**63 - 1


# Statistics. A marker tells which transforms ran: each adds a number of its own to one pixel.


class Mark(A.ImageOnlyTransform):
    def __init__(self, number: int, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.number = number

    def apply(self, img: Any, **params: Any) -> Any:
        img = img.copy()
        img[0, 0, 0] += self.number
        return img


BLACK = np.zeros((2, 2, 3), np.uint8)
NUM_RECORDS = 1_000


def gates(compose: Any, num_gates: int) -> np.ndarray[Any, Any]:
    """Return which marks were made, [records, gates]."""
    pipeline = Pipeline(prepare(compose, "train").pickled)
    records = [
        put_through(pipeline, BLACK, None, seed=0, key=f"source{i // 4}", variant=i % 4, copy=0)[0][0, 0, 0]
        for i in range(NUM_RECORDS)
    ]
    return np.array([[record >> gate & 1 for gate in range(num_gates)] for record in records])


def highest_correlation(fired: np.ndarray[Any, Any]) -> float:
    matrix = np.corrcoef(fired.T)
    return float(np.abs(matrix - np.eye(len(matrix))).max())


def test_two_flips_have_four_outcomes() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    pipeline = Pipeline(prepare(A.Compose([A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)]), "train").pickled)
    corners = [
        put_through(pipeline, image, None, seed=0, key=f"source{i // 4}", variant=i % 4, copy=0)[0][0, 0, 0]
        for i in range(NUM_RECORDS)
    ]
    counts = np.unique(corners, return_counts=True)[1]
    assert len(counts) == 4 and np.abs(counts / NUM_RECORDS - 0.25).max() < 0.05


def test_gates_are_independent() -> None:
    fired = gates(A.Compose([Mark(1), Mark(2), Mark(4)]), 3)
    assert highest_correlation(fired) < 0.1 and np.abs(fired.mean(axis=0) - 0.5).max() < 0.05


def test_real_transforms_are_independent() -> None:
    compose = A.Compose([A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5), A.Rotate(p=0.5)])
    pipeline = Pipeline(prepare(compose, "train").pickled)
    fired = []
    for i in range(NUM_RECORDS):
        put_through(pipeline, BLACK, None, seed=i // 4, key=f"source{i % 7}", variant=i, copy=0)
        fired.append([bool(transform.params) for transform in pipeline._compose.transforms])
    assert highest_correlation(np.array(fired)) < 0.1


@pytest.mark.parametrize(
    "nested",
    [
        A.Compose([A.OneOf([Mark(1, p=1), A.NoOp(p=1)], p=1), Mark(2), A.OneOf([Mark(4, p=1), A.NoOp(p=1)], p=1)]),
        A.Compose([A.SomeOf([Mark(1), Mark(2), Mark(4)], n=3)]),
        A.Compose([A.Sequential([Mark(1), A.Sequential([Mark(2)], p=1)], p=1), Mark(4)]),
        A.Compose([A.RandomOrder([Mark(1), Mark(2), Mark(4)], n=3)]),
        A.Compose([A.Compose([Mark(1), Mark(2)]), A.Compose([A.OneOf([Mark(4, p=0.5)], p=0.5)])]),
    ],
)
def test_gates_inside_compositions_are_independent(nested: Any) -> None:
    fired = gates(nested, 3)
    assert highest_correlation(fired) < 0.1


def test_the_seed_of_compose_would_fail_these_tests() -> None:
    # Albumentations gives every transform a generator of the same seed: all of them fire together.
    fired = []
    for seed in range(200):
        corner = A.Compose([Mark(1), Mark(2), Mark(4)], seed=seed)(image=BLACK)["image"][0, 0, 0]
        fired.append([corner >> gate & 1 for gate in range(3)])
    assert highest_correlation(np.array(fired)) > 0.99
