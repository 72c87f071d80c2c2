"""What the benchmarks of writing write: sources, and two pipelines.

Sources are nuclei from PRECOMPUTE_TEST_DATA where it is set, else cells that are drawn; the same files are copied under
other names until there are as many as are wanted. Masks hold 0 and 255.
"""

from __future__ import annotations

import os
import shutil
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
from demo_data import draw_cells

__all__ = ["MASK_MAP", "PIPELINES", "SIZE", "make_megapixel_sources", "make_sources", "pairs_of"]

SIZE = 256
MASK_MAP = {255: 1}
DRAWN = 80
MEGAPIXEL = (1152, 912)  # width × height


def light() -> Any:
    """Return a pipeline that takes about as long as encoding its result."""
    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.Rotate(limit=15, p=0.5),
            A.RandomBrightnessContrast(p=0.3),
            A.Resize(SIZE, SIZE),
        ]
    )


def heavy() -> Any:
    """Return a pipeline that takes far longer than all else together."""
    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.ElasticTransform(alpha=60, sigma=12, p=0.5),
            A.GridDistortion(p=0.3),
            A.CLAHE(p=0.3),
            A.GaussianBlur(p=0.3),
            A.Resize(SIZE, SIZE),
        ]
    )


PIPELINES = {"light": light, "heavy": heavy}


def make_sources(folder: Path, num_sources: int) -> str:
    """Fill images/ and masks/ of a folder; returns what the sources are."""
    given = os.environ.get("PRECOMPUTE_TEST_DATA")
    if given:
        found = Path(given, "nuclei")
    else:
        found = folder.with_name(f"{folder.name}-drawn")
        draw_cells(found, min(num_sources, DRAWN))
    pictures = pairs_of(found)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number, (image, mask) in enumerate(islice(cycle(pictures), num_sources)):
        shutil.copyfile(image, folder / "images" / f"s{number:06d}{image.suffix}")
        if given:
            shutil.copyfile(mask, folder / "masks" / f"s{number:06d}{mask.suffix}")
        else:
            ids = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
            cv2.imwrite(str(folder / "masks" / f"s{number:06d}.png"), np.where(ids > 0, 255, 0).astype(np.uint8))
    kind = "nuclei of BBBC038" if given else "drawn cells"
    return f"{num_sources} sources, {min(len(pictures), num_sources)} different {kind}"


def make_megapixel_sources(folder: Path, small: Path, num_sources: int) -> None:
    """Fill images/ and masks/ of a folder with the sources of another one, enlarged to a megapixel."""
    for kind, interpolation in (("images", cv2.INTER_CUBIC), ("masks", cv2.INTER_NEAREST)):
        (folder / kind).mkdir(parents=True)
        for path in sorted((small / kind).iterdir())[:num_sources]:
            pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            large = cv2.resize(pixels, MEGAPIXEL, interpolation=interpolation)
            cv2.imwrite(str(folder / kind / path.name), large)


def pairs_of(folder: Path) -> list[tuple[Path, Path]]:
    """Return the image and the mask of each source, in the order of their names."""
    images = sorted((folder / "images").iterdir())
    return [(image, (folder / "masks" / image.name).with_suffix(".png")) for image in images]
