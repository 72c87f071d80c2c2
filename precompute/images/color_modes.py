"""Choices of options, kept in manifests: channels of images, and how alpha and more than 8 bits are handled."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from precompute.errors import UsageError

__all__ = ["ALPHAS", "CHANNELS", "COLOR_MODES", "EXPECTED_SCALE", "Scale", "parse_scale"]

CHANNELS = {"grayscale": 1, "rgb": 3, "rgba": 4}
COLOR_MODES = tuple(CHANNELS)
ALPHAS = ("opaque", "drop", "white", "black")
EXPECTED_SCALE = "a range such as 0:4095, minmax, or percentile:1:99"
NUMBER = r"(-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"


@dataclass(frozen=True, slots=True)
class Scale:
    """The values of a channel that become 0 and 255.

    Attributes:
        kind: What `low` and `high` are: ``"range"``: values; ``"percentile"``: percentiles of each image's values.
            ``"minmax"``: the smallest and the largest value of each image are taken in their place.
        low: Value that becomes 0.
        high: Value that becomes 255.
    """

    kind: str
    low: float
    high: float

    def __str__(self) -> str:
        pair = f"{self.low:.17g}:{self.high:.17g}"
        return {"range": pair, "minmax": "minmax"}.get(self.kind, f"percentile:{pair}")


def parse_scale(text: object) -> Scale:
    """Return the scale that the text of an option describes.

    Raises:
        UsageError: The text describes none.
    """
    found = re.fullmatch(rf"(percentile:)?{NUMBER}:{NUMBER}", text) if isinstance(text, str) else None
    if text == "minmax":
        return Scale("minmax", 0.0, 100.0)
    if found:
        low, high = float(found[2]), float(found[3])
        within = not found[1] or (low >= 0 and high <= 100)
        if low < high and within and math.isfinite(high - low):
            return Scale("percentile" if found[1] else "range", low, high)
    raise UsageError(f"scale (--scale): expected {EXPECTED_SCALE}, the first number below the second; got {text!r}.")
