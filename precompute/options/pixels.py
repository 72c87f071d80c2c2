"""What a build can be told of the pixels of its records."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from precompute.images.color_modes import ALPHAS, COLOR_MODES, EXPECTED_SCALE, parse_scale
from precompute.options.option import Options, option
from precompute.options.values import check_alpha, check_number, parse_image_size, within

__all__ = ["PixelOptions"]


@dataclass(frozen=True, kw_only=True)
class PixelOptions(Options):
    """What decides the pixels of records."""

    title = "pixels"

    pipeline: Any = option(
        None,
        "pipelines for train, validation, test: a Python file, a YAML or JSON that Albumentations wrote, or a preset: "
        "light, medium, heavy",
        metavar="FILE",
        stored=False,
    )
    image_size: tuple[int, int] | None = option(
        None,
        "one number, or height and width: for presets and pipelines that are functions",
        read=parse_image_size,
        nargs="+",
        metavar="N",
    )
    max_source_size: int | None = option(
        None,
        "shrink sources whose longer side has more than N pixels to N while decoding, their masks with them, before "
        "the pipeline; smaller ones stay as they are. Quicker; pixels change, so it is kept in the manifest",
        check=within(16),
    )
    image_format: str = option("jpeg", "encoding of images; masks are always lossless", choices=("jpeg", "png", "raw"))
    quality: int = option(95, "quality of JPEG, 1 to 100", check=within(1, 100))
    color_mode: str = option("rgb", "channels of images: 1, 3 or 4; rgba needs png or raw", choices=COLOR_MODES)
    alpha: str = option(
        "opaque",
        "alpha channel of a source, where records have none: opaque: it has to be 255 everywhere, and is taken off; "
        "drop: taken off whatever it holds; white, black: what lies behind; masks are laid on nothing. Kept in the "
        "manifest",
        choices=ALPHAS,
    )
    scale: str | None = option(
        None,
        "how images of more than 8 bits a channel, or of fractions, become 8: " + EXPECTED_SCALE + "; others stay as "
        "they are. Kept in the manifest",
        read=lambda text: str(parse_scale(text)),
    )
    mask_fill: str = option(
        "ignore",
        "what transforms fill masks with where their fill_mask is at its default, 0: the ignore class if there is one, "
        "or 0 as written",
        choices=("ignore", "as-written"),
    )
    min_visibility: float = option(
        0.0,
        "boxes: share of its area that each transform must leave of a box, 0 to 1, or it falls out",
        check=partial(check_number, low=0, high=1),
    )
    min_area: float = option(
        0.0,
        "boxes: pixels that must be left of a box, or of an object's mask, or it falls out",
        check=partial(check_number, low=0),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_alpha(self.color_mode, self.alpha, self.image_format)
