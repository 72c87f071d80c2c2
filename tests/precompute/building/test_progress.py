"""The bar of a build: in a notebook, with widgets or without; elsewhere as before."""

from __future__ import annotations

import importlib
import sys
import types
import warnings

import pytest
from tqdm import tqdm

from precompute.building import progress
from precompute.building.progress import Progress
from precompute.building.task import TaskDone

DONE = TaskDone(num_records=5, num_bytes=1000)


def stand_in(monkeypatch: pytest.MonkeyPatch, *, is_kernel: bool) -> None:
    """Let it look as if IPython ran this program: in a notebook's kernel, or in a terminal."""
    shell = types.SimpleNamespace(config={"IPKernelApp": {}} if is_kernel else {})
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))


def test_a_notebook_without_widgets_has_a_bar_of_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch, is_kernel=True)
    for name in [*(name for name in sys.modules if name.startswith("tqdm.auto")), "tqdm.notebook"]:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing may be said of packages that lack
        with Progress(quiet=False) as shown:
            shown.start(10)
            shown.task_done(DONE)
            shown.task_done(DONE)
    assert "10.0/10.0" in capsys.readouterr().err
    monkeypatch.delitem(sys.modules, "tqdm.auto")


def test_a_notebook_has_the_bar_of_notebooks(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Bar(tqdm):
        def __init__(self, **given: object) -> None:
            super().__init__(disable=True)
            made.append(given)

    stand_in(monkeypatch, is_kernel=True)
    monkeypatch.setitem(sys.modules, "tqdm.auto", types.SimpleNamespace(tqdm=Bar))
    with Progress(quiet=False) as shown:
        shown.start(10)
    assert [given["total"] for given in made] == [10]
    with Progress(quiet=True) as shown:
        shown.start(10)
    assert len(made) == 1


@pytest.mark.parametrize("has_ipython", [False, True])
def test_elsewhere_there_is_none(monkeypatch: pytest.MonkeyPatch, has_ipython: bool) -> None:
    if has_ipython:
        stand_in(monkeypatch, is_kernel=False)
    else:
        monkeypatch.delitem(sys.modules, "IPython", raising=False)
    monkeypatch.setattr(progress, "_notebook_bar", lambda: pytest.fail("no notebook"))
    importlib.import_module("tqdm")
    with Progress(quiet=False) as shown:
        shown.start(10)
        shown.task_done(DONE)
