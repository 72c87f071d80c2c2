"""Runs scripts/quickstart.ipynb and stores its outputs, after its code was changed.

    python scripts/make_quickstart.py

What the notebook shows on a page of code is what this run made: a test compares the code with the hash that is stored
beside the outputs. The bar of a build is left out, for only a kernel that runs can show it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbclient
import nbformat

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "scripts/quickstart.ipynb"
NEEDED = ("demo_data.py",)  # files beside the notebook that its code imports
NOISE = re.compile(
    r"^(WARNING: All log messages|[IWE]\d{4} ).*\n?", re.MULTILINE
)  # what TensorFlow says before all else
WIDGET = "application/vnd.jupyter.widget-view+json"


def main() -> None:
    """Run the notebook and write it again with its outputs."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        run(notebook, Path(folder))
    tidy(notebook)
    NOTEBOOK.write_text(nbformat.writes(notebook, version=4) + "\n", encoding="utf-8")
    print(f"{NOTEBOOK}: {NOTEBOOK.stat().st_size:,} bytes")


def run(notebook: Any, folder: Path) -> None:
    """Run all cells in a kernel whose working folder holds what lies beside the notebook."""
    for name in NEEDED:
        shutil.copy(NOTEBOOK.parent / name, folder)
    client = nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}
    )
    client.create_kernel_manager()
    paths = os.pathsep.join(path for path in (str(ROOT), os.environ.get("PYTHONPATH", "")) if path)
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONWARNINGS": "ignore"}
    client.execute(env={**os.environ, **quiet, "PYTHONPATH": paths})


def tidy(notebook: Any) -> None:
    """Take away what says nothing later: the bar, times of cells, ids; and note the hash of the code."""
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if _says_something(output)]
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
        "made_of": code_hash(notebook),
    }


def _says_something(output: Any) -> bool:
    """Return whether an output is worth keeping; lines that say nothing are taken from it."""
    if output.output_type != "stream":
        return WIDGET not in output.get("data", {})
    output.text = NOISE.sub("", output.text)
    return bool(output.text.strip())


def code_hash(notebook: Any) -> str:
    """Return the hash of all code, by which stored outputs are known to come from it."""
    sources = "\0".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return hashlib.sha256(sources.encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
