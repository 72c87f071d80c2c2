"""Notebooks: cells that a real kernel runs, and what they put out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.helpers.project import ROOT


def execute(notebook: Any, *, timeout: int = 300, **environment: str) -> Any:
    """Run all cells of a notebook in a kernel; an error in one fails.

    Args:
        notebook: Notebook of nbformat 4; outputs are put into it.
        timeout: Seconds for a cell.
        **environment: Further variables of the kernel's environment.
    """
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed: it comes with the extra dev")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed: it comes with the extra dev")
    paths = os.pathsep.join(path for path in (str(ROOT), os.environ.get("PYTHONPATH", "")) if path)
    client = nbclient.NotebookClient(notebook, timeout=timeout, kernel_name="python3")
    client.create_kernel_manager()
    client.execute(env={**os.environ, "PYTHONPATH": paths, **environment})
    return notebook


def run_cells(cells: Sequence[str], **environment: str) -> list[list[Mapping[str, Any]]]:
    """Return the outputs of each cell of a new notebook."""
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed: it comes with the extra dev").v4
    notebook = nbformat.new_notebook(cells=[nbformat.new_code_cell(cell) for cell in cells])
    return [list(cell.outputs) for cell in execute(notebook, **environment).cells]


def text_of(outputs: Sequence[Mapping[str, Any]]) -> str:
    """Return all that a cell has printed, on standard output and error."""
    return "".join(output["text"] for output in outputs if output["output_type"] == "stream")
