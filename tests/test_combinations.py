"""Features that were made apart from each other, together."""

from __future__ import annotations

from pathlib import Path

import albumentations as A
import numpy as np
import pytest
from drawn import options
from PIL import Image

import precompute
from precompute.dataset.manifest import Manifest
from precompute.plan.make import make_spec
from precompute.remake import stored_spec
from precompute.run.folder import known_generations
from precompute.run.listed import Making, work_of_manifest

SAME = Making(
    pipeline=None,
    source=None,
    jobs=1,
    backend="loky",
    address=None,
    allow_mixed_cpus=False,
    task_timeout=None,
    lease_dir=None,
)


def deep_images(folder: Path, num: int = 4) -> Path:
    """Write grey images of 16 bits, in two classes."""
    rng = np.random.default_rng(0)
    for i in range(num):
        path = folder / f"c{i % 2}" / f"n{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 4096, (24, 20), dtype=np.uint16)).save(path)
    return folder


@pytest.mark.parametrize("mode", ["grayscale", "rgba"])
def test_later_rows_have_the_colors_and_the_scale_of_the_first(mode: str, tmp_path: Path) -> None:
    data, out = deep_images(tmp_path / "data"), tmp_path / "out"
    given = {"color_mode": mode, "scale": "0:4095", "image_format": "png", "max_source_size": 16}
    precompute.build(
        data, out, **options(pipeline=A.Compose([A.Resize(8, 8)]), variants=1, validation_split=0.0, **given)
    )
    before = {example["key"]: example["image"] for example in precompute.read(out)}
    work = work_of_manifest(known_generations(out)[-1], out, "train", SAME)
    manifest = Manifest.load(out)
    assert make_spec(work.options, work.sources, manifest.image, None) == stored_spec(manifest)
    precompute.regenerate(out, seed=5, jobs=1)
    after = {example["key"]: example["image"] for example in precompute.read(out)}
    assert after.keys() == before.keys()
    for key, image in after.items():
        np.testing.assert_array_equal(image, before[key])
    assert precompute.verify(out, sources=4, jobs=1).problems == []
