"""A user's own code in a description: every change of what it does shows, and nothing else."""

from __future__ import annotations

import enum
import functools
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import albumentations as A
import cloudpickle
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from precompute.pipelines.code_hash import CodeHasher
from precompute.pipelines.description import describe, rebuild
from precompute.pipelines.load import load_pipelines
from precompute.pipelines.pipeline import prepare

CODE = """
import albumentations as A
import numpy as np
from functools import partial

LEVEL = 3
TABLE = np.arange(4)
NAMES = {"b", "a", "c"}

def helper(image):
    return image + np.uint8(LEVEL)

def lighten(image, **params):
    return helper(image) if "a" in NAMES else image

class Base(A.ImageOnlyTransform):
    factor = 2

    def shift(self):
        return TABLE.max()

class Mine(Base):
    class InitSchema(A.core.transforms_interface.BaseTransformInitSchema):
        amount: int

    def __init__(self, amount, p=0.5):
        super().__init__(p=p)
        self._amount = amount * 1

    def apply(self, img, **params):
        return img // self.factor + self.shift() - self._amount

def scaled(image, by, **params):
    return image * by

train = A.Compose([
    A.Lambda(image=lighten, p=0.5), Mine(amount=3), A.Lambda(image=lambda image, **_: image + 1),
    A.Lambda(image=partial(scaled, by=2)),
])
"""


def describe_file(path: Path, code: str) -> dict[str, Any]:
    path.write_text(code)
    return prepare(load_pipelines(path, None)["train"], "train").description


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("helper(image) if", "helper(image) + 0 if"),
        ("LEVEL = 3", "LEVEL = 4"),
        ("np.arange(4)", "np.arange(4).astype(np.int32)"),
        ('"c"}', '"d"}'),
        ("image + np.uint8(LEVEL)", "image - np.uint8(LEVEL)"),
        ("factor = 2", "factor = 3"),
        ("TABLE.max()", "TABLE.min()"),
        ("- self._amount", "+ self._amount"),
        ("Mine(amount=3)", "Mine(amount=4)"),
        ("amount * 1", "amount * 1 + 0"),
        ("lambda image, **_: image + 1", "lambda image, **_: image + 2"),
        ("by=2", "by=3"),
        ("image * by", "image // by"),
        ("lighten, p=0.5", "lighten, p=0.6"),
        ("A.Lambda(image=lighten", "A.Lambda(mask=lighten"),
    ],
)
def test_a_change_of_code_shows(tmp_path: Path, old: str, new: str) -> None:
    assert CODE.count(old) == 1
    base = describe_file(tmp_path / "p.py", CODE)
    changed = describe_file(tmp_path / "p.py", CODE.replace(old, new))
    assert changed != base and rebuild(changed) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LEVEL = 3", "# How much lighter.\n\n\nLEVEL = 3"),
        ("return helper", "# a comment\n    return helper"),
        ("(image=lighten, p=0.5)", "(\n    image=lighten,\n    p=0.5,\n)"),
        ("def scaled", "def unused(x):\n    return x\n\ndef scaled"),
        ("import numpy as np", "import os\nimport numpy as np"),
        ('{"b", "a", "c"}', '{"c", "b", "a"}'),
    ],
)
def test_what_code_does_not_do_does_not_show(tmp_path: Path, old: str, new: str) -> None:
    assert CODE.count(old) == 1
    base = describe_file(tmp_path / "p.py", CODE)
    assert describe_file(tmp_path / "p.py", CODE.replace(old, new)) == base
    assert describe_file(tmp_path / "other name.py", CODE) == base
    assert describe_file(tmp_path / "p.py", CODE) == base  # imported twice


def test_a_change_of_the_same_size_in_the_same_second_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = tmp_path / "p.py"
    base = describe_file(path, CODE)
    written = path.stat()
    path.write_text(CODE.replace("LEVEL = 3", "LEVEL = 4"))
    os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns))
    changed = prepare(load_pipelines(path, None)["train"], "train").description
    assert changed != base
    assert not (tmp_path / "__pycache__").exists()


def test_functions_of_a_module_beside_it_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    code = """
        import albumentations as A
        import my_helpers
        train = A.Compose([A.Lambda(image=lambda image, **_: my_helpers.shift(image))])
    """
    descriptions = []
    for value in (1, 1, 2):
        (tmp_path / "my_helpers.py").write_text(f"AMOUNT = {value}\ndef shift(image):\n    return image + AMOUNT\n")
        sys.modules.pop("my_helpers", None)
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        descriptions.append(describe_file(tmp_path / "p.py", textwrap.dedent(code)))
    assert descriptions[0] == descriptions[1] != descriptions[2]


@pytest.mark.slow
def test_the_same_under_any_hash_seed(tmp_path: Path) -> None:
    path = tmp_path / "p.py"
    here = describe_file(path, CODE)
    program = """
import json, sys
from precompute.pipelines.pipeline import prepare
from precompute.pipelines.load import load_pipelines
print(json.dumps(prepare(load_pipelines(sys.argv[1], None)["train"], "train").description))
"""
    for hash_seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", program, path],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(run.stdout) == here


def test_the_same_for_the_users_object_and_its_copy() -> None:
    def lighten(image: Any, **params: Any) -> Any:
        return image + SHIFT

    compose = A.Compose([A.Lambda(image=lighten), A.OneOf([A.Lambda(mask=lighten, name="x"), A.NoOp()])])
    assert describe(cloudpickle.loads(cloudpickle.dumps(compose))) == describe(compose)


SHIFT = 1


class Colour(enum.Enum):
    RED = "red"


class Holder:
    def __init__(self, value: int) -> None:
        self.value = value
        self.itself = self

    def __call__(self, image: Any, **params: Any) -> Any:
        return image + self.value


@functools.lru_cache
def cached(image: Any) -> Any:
    return image


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.floats(), st.lists, max_leaves=8))
def test_plain_values_stay_or_become_json(value: Any) -> None:
    plain = CodeHasher()(value)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain == CodeHasher()(plain)


def test_other_values_are_told_by_what_they_are() -> None:
    values = [
        *(b"a", b"b", Colour.RED, (1, 2), {3, 4}, frozenset("abc"), Path("a"), Path("b"), 1.5, float("nan")),
        *(np.zeros(2), np.ones(2), np.zeros(2, np.uint8), np.zeros((2, 1)), np.array([Path("a"), None])),
        *(np.float32(0.5), np, cv2.blur, np.add, cached, Holder, Holder(1), Holder(2), Holder(1).__call__),
        *(functools.partial(cached, 1), np.dtype("int8"), range(3), lambda: 1, lambda: 2, object(), len),
    ]
    plain = [json.dumps(CodeHasher()(value), allow_nan=False) for value in values]
    assert len(set(plain)) == len(values)
    assert not any("0x" in text for text in plain)  # an address would differ from run to run
    assert CodeHasher()(Holder(1)) == CodeHasher()(Holder(1))
    assert CodeHasher()(np.random.default_rng()) == CodeHasher()(np.random.default_rng())
