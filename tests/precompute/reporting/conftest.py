"""What tests of reports share: pictures that are drawn fast."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def small_pictures() -> Iterator[None]:
    """Draw pictures for reports small: tests elsewhere draw them at their size, and most tests here look at none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("precompute.reporting.gallery.SIDE", 64)
        patch.setattr("precompute.reporting.near_duplicates.SIDE", 64)
        yield
