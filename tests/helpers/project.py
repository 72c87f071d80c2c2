"""Where the project lies: what programs that tests start have on their PYTHONPATH, to import it and `tests` from."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
