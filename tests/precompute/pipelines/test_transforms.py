"""Albumentations is imported without what few programs need of it, which changes nothing of what it does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

OURS = "import precompute.pipelines.transforms\n"
ITS_OWN = "import albumentations\n"
TELL = """
import json, random, sys
from concurrent.futures import ThreadPoolExecutor
early = ["scipy.special"] if "scipy.special" in sys.modules else []

import albumentations as A, numpy as np, pydantic, scipy

def derived(cls):
    for one in cls.__subclasses__():
        yield one
        yield from derived(one)

def error_of(make, **arguments):
    try:
        make(**arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"

schemas = {f"{cls.__module__}.{cls.__qualname__}": cls for cls in derived(pydantic.BaseModel)}
schemas = {name: cls for name, cls in sorted(schemas.items()) if name.startswith("albumentations.")}
early += ["validators"] * all(cls.__pydantic_complete__ for cls in schemas.values())

with ThreadPoolExecutor(8) as threads:
    side_by_side = list(threads.map(lambda _: A.Affine(rotate=(-9, 9)), range(16)))

class Derived(A.Blur.InitSchema):
    more: int

told = {
    "side by side": [str(transform) for transform in side_by_side],
    "configs": {name: cls.model_config for name, cls in {**schemas, "": pydantic.BaseModel, "user": Derived}.items()},
    "derived": Derived.__pydantic_complete__,
    "errors": {name: error_of(cls, **dict.fromkeys(cls.model_fields, "?")) for name, cls in schemas.items()},
    "message": error_of(A.Rotate, limit="wide"),
}
pipeline = A.Compose([A.RingingOvershoot(p=1), A.Affine(rotate=(-9, 9), p=1)])
pipeline.set_random_state(np.random.default_rng(0), random.Random(0))
told["pixels"] = pipeline(image=np.arange(48 * 48 * 3, dtype=np.uint8).reshape(48, 48, 3))["image"].tolist()

from scipy.special import erf
import scipy.special as special
told["special"] = [erf(0.5), special is sys.modules["scipy.special"], special is scipy.special, special.__name__]
print(json.dumps([early, told]))
"""


def tell(how: str) -> tuple[list[str], dict[str, Any]]:
    """Return what of Albumentations is loaded early, and how it works, in an interpreter that imports it this way."""
    environment = {**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"}
    done = subprocess.run([sys.executable, "-c", how + TELL], capture_output=True, env=environment, check=True)
    early, told = json.loads(done.stdout)
    return early, told


@pytest.fixture(scope="module")
def without_us() -> dict[str, Any]:
    early, told = tell(ITS_OWN)
    assert early == ["scipy.special", "validators"]
    assert sum(error is not None for error in told["errors"].values()) > 100
    return told


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (OURS, []),
        pytest.param("import scipy.special\n" + OURS, ["scipy.special"], marks=pytest.mark.slow),
        pytest.param(ITS_OWN + OURS, ["scipy.special", "validators"], marks=pytest.mark.slow),
    ],
    ids=["first", "after scipy.special", "after the user"],
)
def test_albumentations_works_as_ever(how: str, expected: list[str], without_us: dict[str, Any]) -> None:
    early, told = tell(how)
    assert early == expected
    assert told == without_us
