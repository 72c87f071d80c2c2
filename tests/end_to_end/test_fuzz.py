"""Whatever a file holds, reading it ends with a value or one of the project's own errors: soon, and in little memory.

Each input follows from its kind and number alone: ``corpus.make(kind, number)`` gives it again.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import resource
import signal
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from precompute.errors import PrecomputeError
from tests.helpers.fuzz_corpus import Corpus

MAX_S = 10
MAX_MEMORY = 700 * 2**20  # an image of the largest size that is allowed takes 512 MiB
NUM_INPUTS = {  # of the slow run; the fast one takes a 25th
    "manifest": 16_000,
    "row file": 12_000,
    "sources listing": 16_000,
    "receipt": 8_000,
    "column": 6_000,
    "lease": 6_000,
    "tfrecord": 16_000,
    "example": 24_000,
    "image": 10_000,
    "mask": 10_000,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus(tmp_path_factory.mktemp("fuzz"))


@contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TimeoutError(f"took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def run_cases(corpus: Corpus, kind: str, numbers: range) -> Counter[str]:
    """Read inputs; returns how many were read, and how many refused. Says how to make an input again that fails."""
    outcomes: Counter[str] = Counter()
    for number in numbers:
        content = corpus.make(kind, number)
        try:
            with no_longer_than(MAX_S):
                corpus.read(kind, content)
            outcomes["read"] += 1
        except PrecomputeError as error:
            assert str(error), f"{kind} {number}: an error without a message"
            outcomes["refused"] += 1
        except Exception as error:
            error.add_note(f"corpus.make({kind!r}, {number}) gave {len(content)} bytes: {content[:2000]!r}")
            raise
    return outcomes


def check_kind(corpus: Corpus, kind: str, numbers: range) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    corpus.restore()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow and Albumentations, about what they are given
        outcomes = run_cases(corpus, kind, numbers)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    print(f"{kind}: {len(numbers):,} inputs, {outcomes['read']:,} read, {outcomes['refused']:,} refused")
    assert grown < MAX_MEMORY, f"{grown / 2**20:.0f} MiB more than before"


@pytest.mark.slow
@pytest.mark.parametrize("kind", NUM_INPUTS)
def test_only_our_errors_come_out(corpus: Corpus, kind: str) -> None:
    check_kind(corpus, kind, range(NUM_INPUTS[kind]))


def test_there_are_enough_inputs_and_each_can_be_made_again(corpus: Corpus) -> None:
    assert sum(NUM_INPUTS.values()) >= 100_000
    cases = list(itertools.product(NUM_INPUTS, range(300)))
    forwards = {case: corpus.make(*case) for case in cases}
    assert all(corpus.make(*case) == forwards[case] for case in reversed(cases))


def test_every_field_of_a_manifest_is_met(corpus: Corpus) -> None:
    """Those of format 1.1 too: each field is there, and gets another value in some of the first inputs."""
    fields = {field: value for content in corpus.manifests for field, value in json.loads(content).items()}
    changed: Counter[str] = Counter()
    for number in range(NUM_INPUTS["manifest"] // 25):
        with contextlib.suppress(ValueError, RecursionError):
            made = json.loads(corpus.make("manifest", number))
            originals = [json.loads(content) for content in corpus.manifests]
            if isinstance(made, dict):
                changed.update(f for f in fields if all(made.get(f) != original.get(f) for original in originals))
    assert "mirroring" in fields
    assert min(changed[field] for field in fields) >= 5, changed


def test_what_fails_says_how_to_make_it_again(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(content: bytes) -> None:
        raise KeyError("oops")

    monkeypatch.setattr(corpus, "_read_lease", broken, raising=False)
    with pytest.raises(KeyError) as caught:
        run_cases(corpus, "lease", range(3))
    assert caught.value.__notes__[0].startswith("corpus.make('lease', 0) gave ")
