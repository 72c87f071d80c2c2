"""The notebook `scripts/quickstart.ipynb`: its stored outputs are those of its code, and the code still runs."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.project import ROOT

NOTEBOOK = ROOT / "scripts/quickstart.ipynb"
MAX_BYTES = 1_000_000  # pages that show code refuse larger ones


@pytest.fixture(scope="module")
def stored() -> Any:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def maker() -> Any:
    """The script that runs the notebook."""
    pytest.importorskip("nbclient", reason="nbclient is not installed: it comes with the extra dev")
    sys.path.append(str(ROOT / "scripts"))
    import make_quickstart

    sys.path.remove(str(ROOT / "scripts"))
    return make_quickstart


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def text_of(cell: Any) -> str:
    """Return all that a cell put out as text."""
    outputs = [output.get("text") or output["data"]["text/plain"] for output in cell["outputs"]]
    return "".join(text if isinstance(text, str) else "".join(text) for text in outputs)


def test_it_is_small_and_names_no_machine(stored: Any) -> None:
    assert NOTEBOOK.stat().st_size < MAX_BYTES
    for cell in code_cells(stored):
        assert not re.search(r"/(work|home|root|tmp)/", text_of(cell)), cell["source"]


def test_cells_were_run_in_their_order_and_none_failed(stored: Any) -> None:
    cells = code_cells(stored)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output["output_type"] for cell in cells for output in cell["outputs"]}
    assert kinds == {"execute_result", "stream", "display_data"}


def test_outputs_are_those_of_the_code(maker: Any) -> None:
    """Else run scripts/make_quickstart.py."""
    notebook = maker.nbformat.read(NOTEBOOK, as_version=4)
    maker.nbformat.validate(notebook)
    assert notebook.metadata.made_of == maker.code_hash(notebook)
    notebook.cells[2].source += "\nprint()"
    assert notebook.metadata.made_of != maker.code_hash(notebook)


def test_its_links_lead_somewhere(stored: Any) -> None:
    texts = ["".join(cell["source"]) for cell in stored["cells"] if cell["cell_type"] == "markdown"]
    links = [link for text in texts for link in re.findall(r"\]\(([^)#]+)\)", text)]
    assert len(links) > 3 and all((NOTEBOOK.parent / link).exists() for link in links)


@pytest.mark.slow
def test_it_runs(maker: Any, stored: Any, tmp_path: Path) -> None:
    notebook = maker.nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("epochs=8", "epochs=1").replace("num_images=60", "num_images=20")
    maker.run(notebook, tmp_path)
    maker.tidy(notebook)
    found, preview, built, report, fitted, predicted = code_cells(notebook)
    assert text_of(found).startswith("found 20 sources")
    for cell in (preview, built, report):
        assert cell["outputs"][-1]["data"]["text/html"].count("<img") > 10
    assert "epoch 1: validation loss " in text_of(fitted)
    assert "image/png" in predicted["outputs"][-1]["data"]
    assert [len(cell["outputs"]) for cell in code_cells(notebook)] == [len(c["outputs"]) for c in code_cells(stored)]
