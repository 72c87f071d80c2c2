"""Takes the guide's pictures of a report: its parts in a browser, in the light, in the dark, and on a phone.

    scripts/demo
    python scripts/report_pictures.py demo-output/cells-report.html precompute/docs/pictures

Needs Selenium and Debian's packages chromium and chromium-driver.
"""

from __future__ import annotations

import argparse
import base64
import io
import sys
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

sys.path.append(str(Path(__file__).resolve().parents[1]))

from tests.helpers.browser import Browser, open_browser

sys.path.pop()


class Shot(NamedTuple):
    """One picture.

    Attributes:
        name: Name of its file.
        top: Selector of the element at its upper edge.
        height: Height in pixels of CSS.
        width: Width of the window.
        scheme: `light` or `dark`.
    """

    name: str
    top: str
    height: int
    width: int = 1120
    scheme: str = "light"


SHOTS = (
    Shot("report-findings", "body", 535),
    Shot("report-gallery", "#gallery", 640),
    Shot("report-transforms", "#transforms", 780),
    Shot("report-effects", "#effects", 620, scheme="dark"),
    Shot("report-phone", "#gallery", 780, width=390),
)
SCALE, MARGIN, QUALITY = 1.25, 24, 75


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("folder", type=Path)
    parsed = parser.parse_args()
    parsed.folder.mkdir(parents=True, exist_ok=True)
    with open_browser() as browser:
        for shot in SHOTS:
            path = parsed.folder / f"{shot.name}.webp"
            take(browser, parsed.page.resolve(), shot).save(path, quality=QUALITY, method=6)
            print(f"{path}: {path.stat().st_size:,} bytes")


def take(browser: Browser, page: Path, shot: Shot) -> Image.Image:
    """Return a picture of a part of a page."""
    browser.set_size(shot.width, 900, is_phone=shot.width < 600)
    browser.set_scheme(shot.scheme)
    browser.open(page)
    top = browser.run("return document.querySelector(arguments[0]).getBoundingClientRect().top + scrollY", shot.top)
    clip = {"x": 0, "y": max(0, top + MARGIN * (top > 0)), "width": shot.width, "height": shot.height, "scale": SCALE}
    browser.run("document.querySelector('nav').style.position = 'static'")
    arguments: dict[str, Any] = {"captureBeyondViewport": True, "clip": clip}
    content = browser.driver.execute_cdp_cmd("Page.captureScreenshot", arguments)["data"]
    return Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB")


if __name__ == "__main__":
    main()
