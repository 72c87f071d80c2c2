"""A real kernel: a pipeline of the notebook's own, the bar, and results as HTML."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.notebooks import run_cells, text_of
from tests.helpers.small_datasets import draw_classes

pytestmark = pytest.mark.slow

OWN_PIPELINE = """
import albumentations as A
import precompute

SHIFT = 100

class Negative(A.ImageOnlyTransform):
    def apply(self, img, **params):
        return shifted(255 - img)

def shifted(image):
    return image // 2 + SHIFT

pipeline = {"train": A.Compose([A.Resize(16, 16), A.HorizontalFlip(p=0.5), Negative(p=0.5)])}
pipeline["train"].transforms.append(A.Lambda(image=lambda image, **_: image + 1, p=1.0))
"""
BUILD = "precompute.build({source!r}, {out!r}, pipeline=pipeline, variants=2, jobs=2, validation_split=0.25)"


@pytest.mark.parametrize("has_widgets", [True, False])
def test_a_notebook_builds_with_its_own_pipeline(tmp_path: Path, has_widgets: bool) -> None:
    if has_widgets:
        pytest.importorskip("ipywidgets", reason="ipywidgets is not installed: it comes with the extra dev")
    source, out = str(draw_classes(tmp_path / "sources", 16)), str(tmp_path / "out")
    hide = "" if has_widgets else "import sys; sys.modules['ipywidgets'] = None"
    _, _, preview, build, verify = run_cells(
        [
            hide,
            OWN_PIPELINE,
            f"precompute.preview({source!r}, pipeline=pipeline, num_sources=2, num_variants=2)",
            BUILD.format(source=source, out=out),
            f"precompute.verify({out!r}, sources=4, pipeline=pipeline)",
        ]
    )
    assert "<img" in preview[-1]["data"]["text/html"]
    assert preview[-1]["data"]["text/plain"].startswith("train: 2 of 32 sources")
    widgets = [output for output in build if "application/vnd.jupyter.widget-view+json" in output.get("data", {})]
    assert len(widgets) == has_widgets
    assert ("records/s]" in text_of(build)) is not has_widgets and "Warning" not in text_of(build)
    assert build[-1]["data"]["text/plain"].startswith("wrote 56 records in ")
    assert "<img" in build[-1]["data"]["text/html"] and "<table>" in build[-1]["data"]["text/html"]
    assert verify[-1]["data"]["text/plain"].endswith("4 records made again from their sources: all as written")
