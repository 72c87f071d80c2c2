"""What every test file shares: quiet libraries and the real data, where there is any."""

from __future__ import annotations

import os
from pathlib import Path

# Before anything imports them: TensorFlow reads the first once, Albumentations asks the network without the second.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import pytest

REAL_DATA = "PRECOMPUTE_TEST_DATA"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real data sets (nuclei, clothing …); tests that need it are skipped where there is none."""
    folder = os.environ.get(REAL_DATA)
    if not folder:
        pytest.skip(f"{REAL_DATA} is not set to a folder of real data sets")
    if not Path(folder).is_dir():
        pytest.skip(f"{REAL_DATA}={folder} is not a folder")
    return Path(folder).resolve()
