"""Text on pictures: a font, and text that fits."""

from __future__ import annotations

import bisect
import functools
import importlib.util
import unicodedata
from pathlib import Path

from PIL import ImageFont

__all__ = ["Font", "load_font", "printable", "shorten"]

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
FONT = "DejaVuSans.ttf"  # has the letters of Latin, Greek, Cyrillic and more


@functools.cache
def load_font(points: int) -> Font:
    """Return DejaVu Sans of the system, else matplotlib's, else the font of Pillow, which has only ASCII."""
    package = importlib.util.find_spec("matplotlib")  # looks, and imports nothing
    folders = package.submodule_search_locations or [] if package else []
    for name in (FONT, *(str(Path(folder, "mpl-data", "fonts", "ttf", FONT)) for folder in folders)):
        try:
            return ImageFont.truetype(name, points)
        except OSError:
            continue
    return ImageFont.load_default(points)


def shorten(text: str, font: Font, width: float) -> str:
    """Return the text, without its middle if it is too wide, since keys differ at both ends."""
    text = printable(text, font)
    if font.getlength(text) <= width:
        return text
    dots = printable("…", font)

    def shorter(kept: int) -> str:
        return f"{text[: (kept + 1) // 2]}{dots}{text[len(text) - kept // 2 :]}"

    fitting = bisect.bisect_right(range(len(text)), width, key=lambda kept: font.getlength(shorter(kept)))
    return shorter(max(0, fitting - 1))


def printable(text: str, font: Font) -> str:
    """Return the text on one line; if the font has only ASCII, accents are removed and the rest becomes ``?``."""
    if isinstance(font, ImageFont.FreeTypeFont) and font.getname()[0] == "DejaVu Sans":
        return "".join(c if c.isprintable() else " " for c in text)
    plain = unicodedata.normalize("NFKD", text.replace("×", "x").replace("…", "..."))
    return "".join(c for c in plain if not unicodedata.combining(c)).encode("ascii", "replace").decode()
